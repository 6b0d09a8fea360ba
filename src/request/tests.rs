use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::query::{MAX_PARAMS, Query};
use super::*;
use crate::base::refusal::{Challenge, Refusal};

fn fields(fields: &[(&str, &str)]) -> Headers {
    let bytes = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
    Headers::new(fields.iter().map(bytes).collect())
}

fn with_target(target: &[u8]) -> Headers {
    Headers::new(vec![
        (b":method".to_vec(), b"GET".to_vec()),
        (b":authority".to_vec(), b"api.example".to_vec()),
        (b":scheme".to_vec(), b"https".to_vec()),
        (b":path".to_vec(), target.to_vec()),
    ])
}

fn get(target: &str) -> Result<Head, Refusal> {
    read(with_target(target.as_bytes()))
}

#[test]
fn an_ordinary_head_is_read_in_its_parts() {
    let target = "/fhir/Patient/p1/%24everything?name=A%20B+C&code=http://loinc.org%7C8867-4&x";
    let head = get(target).unwrap();
    assert_eq!(head.method(), Method::Get);
    assert_eq!(head.authority(), "api.example");
    assert_eq!(head.raw_target(), target);
    assert_eq!(head.raw_query(), Some("name=A%20B+C&code=http://loinc.org%7C8867-4&x"));
    assert_eq!(head.path(), "/fhir/Patient/p1/$everything");
    let params = head.query().params().iter();
    let params: Vec<(&str, &str)> = params.map(|p| (p.name.as_str(), p.value.as_str())).collect();
    assert_eq!(params, [("name", "A B C"), ("code", "http://loinc.org|8867-4"), ("x", "")]);
}

#[test]
fn targets_with_one_meaning_are_accepted() {
    let cases = [
        ("/", "/"),
        ("/fhir", "/fhir"),
        ("/fhir/", "/fhir/"),
        ("/fhir?", "/fhir"),
        ("/fhir/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration"),
        ("/fhir/Patient/a.b..c", "/fhir/Patient/a.b..c"),
        ("/fhir/Patient/1/%2A", "/fhir/Patient/1/*"),
        ("/caf%C3%A9", "/café"),
        ("/fhir?a=b?c/..//%2e%2f%5c%25%3b", "/fhir"),
    ];
    for (target, path) in cases {
        let head = get(target).unwrap_or_else(|refusal| panic!("{target}: {refusal:?}"));
        assert_eq!(head.path(), path, "{target}");
    }
}

#[test]
fn targets_that_two_parsers_could_read_differently_are_refused_with_their_own_code() {
    let cases = [
        ("//fhir/Patient", "target_empty_segment"),
        ("/fhir//Patient", "target_empty_segment"),
        ("/fhir/Patient//", "target_empty_segment"),
        ("/fhir/./Patient", "target_dot_segment"),
        ("/fhir/Patient/.", "target_dot_segment"),
        ("/fhir/../admin", "target_dot_segment"),
        ("/fhir/Patient/..", "target_dot_segment"),
        ("/fhir/%2e%2e/admin", "target_dot_segment"),
        ("/fhir/.%2E/admin", "target_dot_segment"),
        ("/fhir/Patient%2f1", "target_encoded_delimiter"),
        ("/fhir/Patient%2F1", "target_encoded_delimiter"),
        ("/fhir/Patient%5c1", "target_encoded_delimiter"),
        ("/fhir/Patient%5C1", "target_encoded_delimiter"),
        ("/fhir/Patient/%252e%252e/", "target_encoded_delimiter"),
        ("/fhir/Patient%3Ba=b/1", "target_encoded_delimiter"),
        ("/fhir/Patient%3F_id=1", "target_encoded_delimiter"),
        ("/fhir/Patient%23x", "target_encoded_delimiter"),
        ("/fhir/Patient/1%00", "target_encoded_control"),
        ("/fhir/Patient/1%0d%0aX:%20y", "target_encoded_control"),
        ("/fhir/Patient/1%7f", "target_encoded_control"),
        ("/fhir/%50atient/1", "target_encoded_unreserved"),
        ("/fhir/Patient/%31", "target_encoded_unreserved"),
        ("/fhir/Patient/1/%5Fhistory", "target_encoded_unreserved"),
        ("/fhir/Patient/a%2Db", "target_encoded_unreserved"),
        ("/fhir/Patient/%7Ea", "target_encoded_unreserved"),
        ("/fhir/Patient\\1", "target_backslash"),
        ("/fhir/Patient?a=b\\", "target_backslash"),
        ("/fhir/Patient;a=b/123", "target_semicolon"),
        ("/fhir/Observation/1;jsessionid=0", "target_semicolon"),
        ("/fhir/Patient?a=1;b=2", "target_semicolon"),
        ("/fhir/Patient/1#x", "target_fragment"),
        ("/fhir/Patient?a=b#x", "target_fragment"),
        ("/fhir/Patient/%", "target_escape"),
        ("/fhir/Patient/%4", "target_escape"),
        ("/fhir/Patient/%zz", "target_escape"),
        ("/fhir/Patient/%+4", "target_escape"),
        ("/fhir/Patient/%u0041", "target_escape"),
        ("/fhir/Patient/%c0%2f", "target_encoded_delimiter"),
        ("/fhir/Patient/%c0%af", "target_not_utf8"),
        ("/fhir/Patient/%ff", "target_not_utf8"),
        ("/fhir/Patient/%ed%a0%80", "target_not_utf8"),
        ("/fhir/Patient/1 HTTP/1.1", "target_character"),
        ("/fhir/Patient\t", "target_character"),
        ("/fhir/Patient\0", "target_character"),
        ("/fhir/café", "target_character"),
        ("/fhir?name=é", "target_character"),
        ("http://api.example/fhir/Patient", "target_not_a_path"),
        ("https://evil.example/fhir/Patient", "target_not_a_path"),
        ("api.example:443", "target_not_a_path"),
        ("*", "target_not_a_path"),
        ("?a=b", "target_not_a_path"),
    ];
    for (target, code) in cases {
        let refusal = get(target).map(|head| head.path).expect_err(target);
        assert_eq!(refusal.reason.code, code, "{target}");
        assert_eq!(refusal.reason.public, "target_ambiguous", "{target}");
        assert_eq!(refusal.reason.status, 400, "{target}");
    }
    let raw: [&[u8]; 3] = [b"/fhir/\xff", b"/fhir/\xc3\xa9", b"/fhir/\x7f"];
    for target in raw {
        let refusal = read(with_target(target)).expect_err("raw bytes");
        assert_eq!(refusal.reason.code, "target_character", "{target:?}");
    }
}

#[test]
fn a_target_is_read_up_to_its_limit_and_no_further() {
    let longest = format!("/{}", "a".repeat(MAX_TARGET - 1));
    assert_eq!(get(&longest).unwrap().path().len(), MAX_TARGET);
    let refusal = get(&format!("{longest}a")).expect_err("too long");
    assert_eq!((refusal.reason.code, refusal.reason.status), ("target_too_long", 414));
}

#[test]
fn parameters_that_two_readers_could_read_differently_are_refused() {
    let cases = [
        ("a=%", "parameter_escape"),
        ("a=%4", "parameter_escape"),
        ("a=%g0", "parameter_escape"),
        ("%=a", "parameter_escape"),
        ("a=%00", "parameter_control"),
        ("a=b%0Ac", "parameter_control"),
        ("a=%C2%85", "parameter_control"),
        ("a=%ff", "parameter_not_utf8"),
        ("a=%c0%af", "parameter_not_utf8"),
        ("=b", "parameter_name"),
        ("%25patient=1", "parameter_name"),
        ("patient%5B%5D=1", "parameter_name"),
        ("patient[]=1", "parameter_name"),
        ("+patient=1", "parameter_name"),
        ("patient%20=1", "parameter_name"),
        ("pati%C3%A9nt=1", "parameter_name"),
        ("%00=1", "parameter_name"),
        ("_method=DELETE", "method_override"),
        ("_Method=DELETE", "method_override"),
        ("%5Fmethod=DELETE", "method_override"),
    ];
    for (query, code) in cases {
        let refusal = get(&format!("/fhir/Patient?{query}")).map(|head| head.path);
        assert_eq!(refusal.expect_err(query).reason.code, code, "{query}");
    }
    for (form, code) in [("a=1;b=2", "parameter_character"), ("a=b c", "parameter_character")] {
        assert_eq!(Query::parse(form).expect_err(form).reason.code, code, "{form}");
    }
    let many = "a&".repeat(MAX_PARAMS);
    assert_eq!(Query::parse(&many).unwrap().params().len(), MAX_PARAMS);
    let refusal = Query::parse(&format!("{many}a")).expect_err("too many");
    assert_eq!(refusal.reason.code, "parameters_too_many");
}

#[test]
fn parameters_are_decoded_once() {
    let cases = [
        ("%5Finclude=x", ("_include", "x")),
        ("a=%2525", ("a", "%25")),
        ("a=%2B+", ("a", "+ ")),
        ("a=b=c", ("a", "b=c")),
        ("_has:Observation:patient:code=1", ("_has:Observation:patient:code", "1")),
        ("subject:Patient.name=x%5C%2Cy", ("subject:Patient.name", "x\\,y")),
        ("&&a=1&", ("a", "1")),
    ];
    for (raw, (name, value)) in cases {
        let query = Query::parse(raw).unwrap();
        let param = &query.params()[0];
        assert_eq!((param.name.as_str(), param.value.as_str()), (name, value), "{raw}");
        assert_eq!(query.params().len(), 1, "{raw}");
    }
}

#[test]
fn a_token_in_the_query_is_refused_without_repeating_it() {
    for name in ["access_token", "ACCESS_TOKEN", "access%5Ftoken", "bearer_token", "id_token"] {
        let refusal = get(&format!("/fhir/Patient?_id=1&{name}=s3cret")).expect_err(name);
        assert_eq!(refusal.reason.code, "token_in_query", "{name}");
        assert_eq!(refusal.reason.challenge, Challenge::InvalidRequest, "{name}");
        assert_eq!(refusal.reason.status, 400, "{name}");
        assert!(!format!("{refusal:?}").contains("s3cret"), "{name}");
    }
}

#[test]
fn a_head_that_is_incomplete_or_contradicts_itself_is_refused() {
    let whole = [(":method", "GET"), (":path", "/"), (":authority", "h"), (":scheme", "https")];
    for missing in [":method", ":path", ":authority"] {
        let rest: Vec<_> = whole.iter().copied().filter(|field| field.0 != missing).collect();
        let refusal = read(fields(&rest)).expect_err(missing);
        assert_eq!(refusal.reason.code, "request_head_incomplete", "{missing}");
        let empty: Vec<_> = rest.iter().copied().chain([(missing, "")]).collect();
        let refusal = read(fields(&empty)).expect_err(missing);
        assert_eq!(refusal.reason.code, "request_head_incomplete", "{missing} empty");
    }
    for (name, value) in whole {
        let twice: Vec<_> = whole.iter().copied().chain([(name, value)]).collect();
        let refusal = read(fields(&twice)).expect_err(name);
        assert_eq!(refusal.reason.code, "request_head_duplicate", "{name}");
    }
    let cases = [
        (":method", "get", "request_method_unknown"),
        (":method", "TRACE", "request_method_unknown"),
        (":method", "CONNECT", "request_method_unknown"),
        (":method", "GET ", "request_method_unknown"),
        (":authority", "user@h", "request_authority_invalid"),
        (":authority", "h/fhir", "request_authority_invalid"),
        (":authority", "a,b", "request_authority_invalid"),
        (":authority", "hé", "request_authority_invalid"),
        ("host", "other", "request_host_conflict"),
        ("upgrade", "websocket", "request_upgrade"),
        ("upgrade", "", "request_upgrade"),
        (":protocol", "websocket", "request_upgrade"),
        ("content-type", "application/grpc", "request_grpc"),
        ("content-type", "Application/gRPC-web+proto; x=y", "request_grpc"),
    ];
    for (name, value, code) in cases {
        let rest = whole.iter().copied().filter(|field| field.0 != name);
        let changed: Vec<_> = rest.chain([(name, value)]).collect();
        assert_eq!(read(fields(&changed)).expect_err(value).reason.code, code, "{name} {value}");
    }
    let method = read(fields(&[(":method", "BREW")])).expect_err("unknown method");
    assert_eq!((method.reason.status, method.allow), (405, Some(Method::ALLOWED)));
    let host: Vec<_> = whole.iter().copied().chain([("host", "H")]).collect();
    assert!(read(fields(&host)).is_ok(), "host that agrees");
}

#[test]
fn every_reason_of_an_ambiguous_target_hides_behind_one_public_code() {
    for reason in reasons::ALL {
        let ambiguous = reason.code.starts_with("target_") && reason.code != "target_too_long";
        assert_eq!(reason.public == "target_ambiguous", ambiguous, "{}", reason.code);
    }
}

/// All that a path must encode.
static PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Targets out of the pieces that attacks are made of.
fn targets() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "/", "fhir", "Patient", "1", ".", "..", "%2e", "%2f", "%5c", "%25", "%00", "%24",
        "%2A", "%C3%A9", "%c0", "%", ";", "\\", "#", "?", "&", "=", "+", "a", "_id", "$x", "é",
        " ",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn reading_arbitrary_headers_never_panics(
        fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8),
        target in any::<Vec<u8>>(),
    ) {
        let _ = read(Headers::new(fields));
        let _ = read(with_target(&target));
    }

    #[test]
    fn an_accepted_path_has_nothing_left_to_interpret(target in targets()) {
        if let Ok(head) = get(&target) {
            let path = head.path();
            prop_assert!(path.starts_with('/'));
            prop_assert!(!path.contains("//"), "{}", target);
            prop_assert!(!path.contains(['\\', ';', '%', '?', '#']), "{}", target);
            prop_assert!(!path.chars().any(char::is_control), "{}", target);
            prop_assert!(path.split('/').all(|s| s != "." && s != ".."), "{}", target);
        }
    }

    #[test]
    fn an_accepted_path_encoded_again_reads_the_same(target in targets()) {
        if let Ok(head) = get(&target) {
            let again = utf8_percent_encode(head.path(), PATH).to_string();
            let reread = get(&again).unwrap();
            prop_assert_eq!(reread.path(), head.path(), "{}", target);
        }
    }

    #[test]
    fn a_parameter_encoded_and_read_is_the_same(
        name in "[A-Za-z_$][A-Za-z0-9_.:-]{0,20}",
        value in "\\PC{0,40}",
    ) {
        prop_assume!(!value.chars().any(char::is_control));
        let raw = format!("{}={}", utf8_percent_encode(&name, NON_ALPHANUMERIC),
            utf8_percent_encode(&value, NON_ALPHANUMERIC));
        let query = Query::parse(&raw).unwrap();
        prop_assert_eq!(query.values(&name).collect::<Vec<_>>(), [value.as_str()]);
    }

    #[test]
    fn reading_an_arbitrary_form_never_panics(form in any::<String>()) {
        let _ = Query::parse(&form);
    }
}

#[test]
fn headers_never_show_their_values() {
    let fields = vec![(b"authorization".to_vec(), b"Bearer secret".to_vec())];
    assert_eq!(format!("{:?}", Headers::new(fields)), r#"{"authorization"}"#);
}
