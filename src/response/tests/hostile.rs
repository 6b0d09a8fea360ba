//! Bodies that two readers could read differently, or that nobody should read at all.

use super::*;

fn all_forms(text: &[u8], name: &str) {
    for form in &forms() {
        let verdict = answered(form, 200, text);
        let may_be_empty = matches!(form, Form::Written(_) | Form::Result) && text.is_empty();
        let wanted = if may_be_empty { Verdict::Whole } else { refused(&ANSWER_UNREADABLE) };
        assert_eq!(verdict, wanted, "{form:?}: {name}");
        let verdict = answered(form, 500, text);
        assert!(text.is_empty() || verdict == refused(&ANSWER_ERROR_BODY), "{form:?}: {name}");
    }
}

#[test]
fn what_is_not_one_json_text_in_utf_8_is_refused() {
    let mine = mine("1").to_string();
    let set = bundle("searchset", &[found(&super::mine("1"))]).to_string();
    let utf16: Vec<u8> = set.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut broken = set.clone().into_bytes();
    broken.insert(set.len() / 2, 0xff);
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", Vec::new()),
        ("blank", b" \r\n".to_vec()),
        ("cut off", set.as_bytes()[..set.len() - 3].to_vec()),
        ("two Bundles", format!("{set}{set}").into_bytes()),
        ("two resources", format!("{mine}\n{mine}").into_bytes()),
        ("BOM", format!("\u{feff}{set}").into_bytes()),
        ("UTF-16", utf16),
        ("not UTF-8", broken),
        ("NUL at the end", format!("{set}\0").into_bytes()),
        ("XML", b"<Bundle xmlns=\"http://hl7.org/fhir\"/>".to_vec()),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ("JSON with padding", format!("x({set})").into_bytes()),
    ];
    for (name, text) in cases {
        all_forms(&text, name);
    }
}

#[test]
fn a_member_that_comes_twice_is_refused_wherever_it_stands() {
    let (mine, theirs) = (mine("1"), foreign("2"));
    let twice = r#"{"resourceType":"Observation","subject":{"reference":"Patient/SECRET"},"subject":{"reference":"Patient/P"}}"#;
    let bundles = [
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{theirs},"resource":{mine}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{theirs},"\u0072esource":{mine}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{twice}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[],"entry":[{{"resource":{theirs}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[],"\u0065ntry":[{{"resource":{theirs}}}]}}"#
        ),
        r#"{"resourceType":"Observation","resourceType":"Bundle","type":"searchset"}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"searchset","type":"searchset"}"#.to_owned(),
        r#"{"resourceType":"Bundle","type":"searchset","link":[{"url":"a","url":"b"}]}"#.to_owned(),
    ];
    for text in bundles {
        let verdict = answered(&search(), 200, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{text}");
        let text = text.replace("searchset", "history");
        let verdict = answered(&history(), 200, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{text}");
    }
    for text in [twice, r#"{"resourceType":"Patient","resourceType":"Observation"}"#] {
        let verdict = answered(&read(), 200, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{text}");
    }
}

#[test]
fn entries_that_are_no_array_are_refused() {
    for entries in [json!({}), json!("x"), json!(null), json!(1), json!({"0": found(&mine("1"))})] {
        for (form, kind) in &[(search(), "searchset"), (history(), "history")] {
            let mut value = bundle(kind, &[]);
            value["entry"] = entries.clone();
            assert_eq!(judged(form, &value), refused(&ANSWER_UNREADABLE), "{entries}");
        }
    }
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let verdict = answered(&read(), 200, deep.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE));
        for place in ["\"link\":", "\"entry\":[{\"resource\":", "\"entry\":["] {
            let end = match place.matches(['[', '{']).count() {
                0 => "}",
                1 => "]}",
                _ => "}]}",
            };
            let text =
                format!("{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",{place}{deep}{end}");
            let verdict = answered(&search(), 200, text.as_bytes());
            assert_eq!(verdict, refused(&ANSWER_UNREADABLE), "{place}");
        }
        let text = format!("{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"x\":{deep}}}");
        let verdict = answered(&search(), 200, text.as_bytes());
        assert_eq!(verdict, refused(&ANSWER_UNREADABLE));
    }
}

#[test]
fn a_name_that_means_raw_text_to_the_parser_means_nothing_here() {
    let inner = found(&foreign("1")).to_string();
    let entry = json!({"$serde_json::private::RawValue": inner});
    let (bundle, removed) =
        replaced(&judged(&search(), &bundle("searchset", &[entry.clone(), found(&entry)])));
    assert_eq!(removed, 2);
    assert!(!bundle.to_string().contains("SECRET"));
    assert_eq!(judged(&read(), &entry), refused(&COMPARTMENT_NOT_MEMBER));
}
