use proptest::prelude::*;

use super::*;
use crate::base::node::read;

const ALL: [Release; 3] = [Release::R4, Release::R4B, Release::R5];

fn headers(fields: &[(&str, &str)]) -> Headers {
    let bytes = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
    Headers::new(fields.iter().map(bytes).collect())
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.reason.code, |_| "ok")
}

fn of(name: &str) -> ResourceType {
    ResourceType::parse(Release::R4, name).unwrap()
}

#[test]
fn only_whole_plain_json_of_this_release_is_judged() {
    let rows: [(&str, &str); 33] = [
        ("application/fhir+json", "ok"),
        ("application/json", "ok"),
        ("Application/FHIR+JSON", "ok"),
        ("application/fhir+json; charset=utf-8", "ok"),
        ("application/fhir+json;CharSet=\"UTF-8\"", "ok"),
        ("application/fhir+json;", "ok"),
        (" application/fhir+json ", "ok"),
        ("application/fhir+json; fhirVersion=4.0; charset=utf-8", "ok"),
        ("application/fhir+json; fhirVersion=4.3", "body_media_type"),
        ("application/fhir+json; fhirVersion=5.0", "body_media_type"),
        ("application/fhir+json; fhirVersion=4.0; fhirVersion=5.0", "body_media_type"),
        ("application/fhir+json; fhirVersion", "body_media_type"),
        ("application/fhir+json; charset=utf-16", "body_media_type"),
        ("application/fhir+json; charset=utf-16le", "body_media_type"),
        ("application/fhir+json; charset=iso-8859-1", "body_media_type"),
        ("application/fhir+json; charset", "body_media_type"),
        ("application/fhir+json; charset=", "body_media_type"),
        ("application/fhir+json; charset=utf-7; charset=utf-8", "body_media_type"),
        ("application/fhir+json; x=\"; charset=utf-16\"", "body_media_type"),
        ("application/fhir+json; profile=x", "body_media_type"),
        ("application/fhir+json; charset=utf-8, text/plain", "body_media_type"),
        ("application/fhir+json, application/fhir+xml", "fhir_content_duplicate"),
        ("application/fhir+xml", "body_media_type"),
        ("application/xml", "body_media_type"),
        ("text/xml", "body_media_type"),
        ("text/json", "body_media_type"),
        ("text/plain", "body_media_type"),
        ("application/json+fhir", "body_media_type"),
        ("application/fhir+turtle", "body_media_type"),
        ("application/fhir+ndjson", "body_media_type"),
        ("application/json-patch+json", "body_media_type"),
        ("multipart/form-data; boundary=x", "body_media_type"),
        ("", "body_media_type"),
    ];
    for (value, expected) in rows {
        let found = judgeable(&headers(&[("content-type", value)]), Release::R4);
        assert_eq!(code(found), expected, "{value}");
    }
    let json = ("content-type", "application/fhir+json");
    let rows: [(&[(&str, &str)], &str); 12] = [
        (&[], "body_media_type"),
        (&[json, json], "fhir_content_duplicate"),
        (&[json, ("content-type", "application/fhir+xml")], "fhir_content_duplicate"),
        (&[json, ("content-encoding", "identity")], "ok"),
        (&[json, ("content-encoding", " Identity ")], "ok"),
        (&[json, ("content-encoding", "gzip")], "body_encoding"),
        (&[json, ("content-encoding", "br")], "body_encoding"),
        (&[json, ("content-encoding", "identity, gzip")], "body_encoding"),
        (&[json, ("content-encoding", "")], "body_encoding"),
        (
            &[json, ("content-encoding", "identity"), ("content-encoding", "gzip")],
            "fhir_content_duplicate",
        ),
        (&[json, ("content-range", "bytes 0-9/10")], "body_partial"),
        (&[json, ("content-length", "10"), ("content-language", "de")], "ok"),
    ];
    for (fields, expected) in rows {
        assert_eq!(code(judgeable(&headers(fields), Release::R4)), expected, "{fields:?}");
    }
}

#[test]
fn each_release_accepts_its_own_fhir_version_only() {
    for (release, own) in ALL.into_iter().zip(["4.0", "4.3", "5.0"]) {
        for version in ["3.0", "4.0", "4.3", "5.0"] {
            let value = format!("application/fhir+json; fhirVersion={version}");
            let found = judgeable(&headers(&[("content-type", &value)]), release);
            let expected = if version == own { "ok" } else { "body_media_type" };
            assert_eq!(code(found), expected, "{release:?} {version}");
        }
    }
}

#[test]
fn a_resource_is_of_the_type_and_an_update_has_the_id_of_the_path() {
    let rows: [(&[u8], Option<&str>, &str); 24] = [
        (br#"{"resourceType":"Patient"}"#, None, "ok"),
        (br#"{"resourceType":"Patient","id":"other"}"#, None, "ok"),
        (b" \r\n{\"resourceType\":\"Patient\"}\n", None, "ok"),
        (br#"{"id":"1","resourceType":"Patient"}"#, Some("1"), "ok"),
        (br#"{"resourceType":"\u0050atient","id":"\u0031"}"#, Some("1"), "ok"),
        (br#"{"resourceType":"Patient"}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":"2"}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":"12"}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":"A"}"#, Some("a"), "body_id"),
        (br#"{"resourceType":"Patient","id":" 1"}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":"1\u0000"}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":1}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":["1"]}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Patient","id":null}"#, Some("1"), "body_id"),
        (br#"{"resourceType":"Observation"}"#, None, "body_type"),
        (br#"{"resourceType":"patient"}"#, None, "body_type"),
        (br#"{"resourceType":["Patient"]}"#, None, "body_type"),
        (br#"{"id":"1"}"#, None, "body_type"),
        (br#"{"contained":[{"resourceType":"Patient"}]}"#, None, "body_type"),
        (br#"[{"resourceType":"Patient"}]"#, None, "body_type"),
        (br#""Patient""#, None, "body_type"),
        (b"null", None, "body_type"),
        (br#"{"resourceType":"Parameters"}"#, None, "body_type"),
        (br#"{"resourceType":"Bundle"}"#, None, "body_type"),
    ];
    for (body, id, expected) in rows {
        let id = id.map(|id| Id::parse(id).unwrap());
        let found = resource(body, of("Patient"), id.as_ref());
        assert_eq!(code(found), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let utf16: Vec<u8> =
        r#"{"resourceType":"Patient"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep =
        format!(r#"{{"resourceType":"Patient","a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let many: String = (0..500).map(|n| format!(r#""m{n}":0,"#)).collect();
    let many = format!(r#"{{{many}"resourceType":"Patient","M77":0}}"#);
    let rows: [(&[u8], &str); 23] = [
        (b"", "body_missing"),
        (b" ", "body_unreadable"),
        (b"\xef\xbb\xbf{\"resourceType\":\"Patient\"}", "body_unreadable"),
        (&utf16, "body_unreadable"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "body_unreadable"),
        (b"<Patient xmlns=\"http://hl7.org/fhir\"/>", "body_unreadable"),
        (br#"{"resourceType":"Patient","resourceType":"Patient"}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient","resourceType":"Observation"}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient","\u0072esourceType":"Group"}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient","a":{"b":1,"b":2}}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient"}{"resourceType":"Patient"}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient"},"#, "body_unreadable"),
        (br#"{"resourceType":"Patient",}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient"/**/}"#, "body_unreadable"),
        (br#"{'resourceType':'Patient'}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient","a":NaN}"#, "body_unreadable"),
        (br#"{"resourceType":"Patient","a":"\ud800"}"#, "body_unreadable"),
        (b"{\"resourceType\":\"Patient\",\"a\":\"\xff\"}", "body_unreadable"),
        (deep.as_bytes(), "body_unreadable"),
        (many.as_bytes(), "body_member"),
        (br#"{"resourceType":"Patient","ResourceType":"Group"}"#, "body_member"),
        (br#"{"resourceType":"Patient","a":[{"subject":1,"subjecT":2}]}"#, "body_member"),
        (br#"{"resourceType":"Patient","a":[{"Reference":"Patient/2"}]}"#, "body_member"),
    ];
    for (body, expected) in rows {
        let found = resource(body, of("Patient"), None);
        assert_eq!(code(found), expected, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn names_are_those_that_elements_have() {
    for name in ["a", "subject", "_birthDate", "valueX12", "resourceType"] {
        assert!(is_element(name), "{name}");
    }
    for name in
        ["", "_", "__a", "Subject", "_Subject", "1a", "a-b", "a.b", "a b", "a\u{0}", "ſ", "$a"]
    {
        assert!(!is_element(name), "{name}");
    }
}

#[test]
fn a_refusal_names_a_place_and_never_the_text() {
    let refusal = resource(b"{\n\"name\": Smith}", of("Patient"), None).unwrap_err();
    assert_eq!(refusal.hint.as_deref(), Some("line 2 column 9"));
}

/// Patients with the id 1, some of them with members that change that or should not be there.
fn documents() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "_a", "subject", "subjecT", "c", "d"]);
    let at_top = prop_oneof![
        4 => name.clone(),
        1 => prop::sample::select(vec!["id", "ID", "iD", "resourceType", "resourcetype"]),
    ];
    let leaf = prop::sample::select(vec!["\"Patient\"", "\"1\"", "null", "1.10", "true", "\"é\""]);
    let value = leaf.prop_map(str::to_owned).prop_recursive(3, 12, 4, move |inner| {
        let member = (name.clone(), inner.clone());
        let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
        let object = prop::collection::vec(member, 0..3);
        let object = object.prop_map(|all| format!("{{{}}}", all.join(",")));
        let array = prop::collection::vec(inner, 0..3);
        let array = array.prop_map(|all| format!("[{}]", all.join(",")));
        prop_oneof![object, array]
    });
    let member = (at_top, value).prop_map(|(name, value)| format!(",\"{name}\":{value}"));
    prop::collection::vec(member, 0..3)
        .prop_map(|all| format!("{{\"resourceType\":\"Patient\",\"id\":\"1\"{}}}", all.concat()))
}

proptest! {
    #[test]
    fn reading_never_panics(body in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
        let id = Id::parse("1");
        for id in [None, id.as_ref()] {
            let _ = resource(&body, of("Patient"), id);
        }
        let fields = vec![(b"content-type".to_vec(), value)];
        let _ = judgeable(&Headers::new(fields), Release::R4);
    }

    #[test]
    fn what_is_accepted_is_the_document_that_any_parser_reads(document in documents()) {
        let body = document.as_bytes();
        let id = Id::parse("1").unwrap();
        if let Ok(node) = resource(body, of("Patient"), Some(&id)) {
            prop_assert_eq!(&node, &read(body).unwrap());
            // A parser that keeps the last of two members, and one that ignores case.
            let lenient: serde_json::Value = serde_json::from_slice(body).unwrap();
            let same = |name: &str| {
                let members = lenient.as_object().unwrap().iter();
                let found: Vec<_> = members.filter(|(key, _)| key.eq_ignore_ascii_case(name)).collect();
                found.len() == 1
            };
            prop_assert!(same("resourceType") && same("id"));
            prop_assert_eq!(lenient.get("resourceType"), Some(&"Patient".into()));
            prop_assert_eq!(lenient.get("id"), Some(&"1".into()));
        }
    }
}

#[test]
fn a_resource_gets_its_id_and_is_otherwise_what_it_was() {
    let id = Id::parse("o-1").unwrap();
    for (before, after) in [
        (r#"{"resourceType":"Observation"}"#, r#"{"resourceType":"Observation","id":"o-1"}"#),
        (
            " {\"value\": 1.10, \"a\":{\"id\":\"}\"}\n} \n",
            " {\"value\": 1.10, \"a\":{\"id\":\"}\"}\n,\"id\":\"o-1\"} \n",
        ),
    ] {
        let named = with_id(before.as_bytes(), &id);
        assert_eq!(String::from_utf8(named.clone()).unwrap(), after);
        assert_eq!(node::read(&named).unwrap().text_of("id"), Some("o-1"));
    }
}
