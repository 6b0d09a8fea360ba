//! One reader, run on documents and as a description.

use core::time::Duration;

use serde_json::json;

use super::*;

crate::words! {
    enum Colour {
        Red = "red",
        Off = "off",
    }
}

#[derive(Debug, PartialEq)]
struct Example {
    name: String,
    wait: Duration,
    colour: Option<Colour>,
    parts: Vec<u8>,
    inner: Option<String>,
    strict: bool,
}

fn read(section: &mut Section<'_>) -> Option<Example> {
    let name = section.required("name", "Its name.");
    let wait = section.default("wait", Duration::from_secs(30), "How long to wait.");
    let colour = section.optional("colour", "Its colour.");
    let parts = section.required_sections("parts", "Its parts.", |part| {
        let size = part.default::<bool>("big", false, "Whether it is big.");
        part.required::<String>("id", "Its id.").map(|_| u8::from(size))
    });
    let inner = section.optional_section("inner", "What is inside.", |inner| {
        inner.required::<String>("url", "Where it is.")
    });
    let strict = section.default_section("rules", "Rules.", |rules| {
        rules.default("strict", true, "Whether to be strict.")
    });
    Some(Example { name: name?, wait, colour, parts, inner, strict })
}

fn errors(document: &Value) -> Vec<String> {
    read_document(document, read).1.iter().map(ToString::to_string).collect()
}

#[test]
fn a_document_gives_settings_and_defaults() {
    let least = json!({"name": "a", "parts": [{"id": "1"}]});
    let (example, errors) = read_document(&least, read);
    assert_eq!(errors, []);
    assert_eq!(
        example,
        Some(Example {
            name: "a".to_owned(),
            wait: Duration::from_secs(30),
            colour: None,
            parts: vec![0],
            inner: None,
            strict: true,
        })
    );
    let most = json!({
        "name": "a", "wait": "5m", "colour": "red", "parts": [{"id": "1", "big": true}, {"id": "2"}],
        "inner": {"url": "u"}, "rules": {"strict": false},
    });
    let (example, errors) = read_document(&most, read);
    assert_eq!(errors, []);
    assert_eq!(
        example,
        Some(Example {
            name: "a".to_owned(),
            wait: Duration::from_secs(300),
            colour: Some(Colour::Red),
            parts: vec![1, 0],
            inner: Some("u".to_owned()),
            strict: false,
        })
    );
}

#[test]
fn every_error_is_told_at_once_with_place_expectation_and_hint() {
    let document = json!({
        "nmae": "a", "wait": 30, "colour": "rot", "parts": [{"id": ""}, 5, {}],
        "inner": {"uri": "u"}, "rules": null, "x/y~z": 1,
    });
    assert_eq!(
        errors(&document),
        [
            "/name: `name` is missing: expected text that is not empty",
            "/wait: `30` is not a length of time: expected a length of time with its unit, such as \
         `30s`, `5m` or `1h`: add the unit: `30s` for seconds",
            "/colour: unknown value `rot`: expected one of `red` `off`",
            "/parts/0/id: `` is not such text: expected text that is not empty",
            "/parts/1: `5` is not an object: expected an object",
            "/parts/2/id: `id` is missing: expected text that is not empty",
            "/inner/url: `url` is missing: expected text that is not empty",
            "/inner/uri: unknown key `uri`: expected one of `url`: did you mean `url`?",
            "/rules: `null` is not an object: expected an object: \
         leave the key out, or write what belongs below it",
            "/nmae: unknown key `nmae`: expected one of `colour`, `inner`, `name`, `parts`, `rules`, \
         `wait`: did you mean `name`?",
            "/x~1y~0z: unknown key `x/y~z`: expected one of `colour`, `inner`, `name`, `parts`, \
         `rules`, `wait`",
        ]
    );
}

#[test]
fn what_is_not_an_object_is_one_error_and_not_one_for_each_key() {
    for document in [json!(null), json!([]), json!("text"), json!(1)] {
        assert_eq!(errors(&document).len(), 1, "{document}");
    }
    let inner = json!({"name": "a", "parts": [{"id": "1"}], "inner": "u"});
    assert_eq!(errors(&inner), ["/inner: `u` is not an object: expected an object"]);
}

#[test]
fn lists_of_objects_need_a_member() {
    for parts in [json!([]), json!({}), json!("x")] {
        let found = errors(&json!({"name": "a", "parts": parts}));
        assert_eq!(found.len(), 1, "{parts}: {found:?}");
        assert!(found[0].starts_with("/parts: "), "{parts}: {found:?}");
    }
}

#[test]
fn the_schema_says_the_same_as_the_reader() {
    let schema = describe(read);
    assert_eq!(schema["required"], json!(["name", "parts"]));
    assert_eq!(schema["properties"]["wait"]["default"], "30s");
    assert_eq!(schema["properties"]["parts"]["items"]["required"], json!(["id"]));
    assert_eq!(schema["properties"]["inner"]["required"], json!(["url"]));
    assert_eq!(schema["properties"]["rules"]["properties"]["strict"]["default"], true);
    assert_eq!(schema["additionalProperties"], false);
    let documents = [
        json!({"name": "a", "parts": [{"id": "1"}]}),
        json!({"name": "a", "parts": [{"id": "1"}], "inner": {"url": "u"}, "rules": {}}),
        json!({"name": "a", "parts": []}),
        json!({"name": "a", "parts": [{"id": "1", "colour": "red"}]}),
        json!({"name": "", "parts": [{"id": "1"}]}),
        json!({"name": "a", "parts": [{"id": "1"}], "colour": "blue"}),
        json!({"name": "a", "parts": [{"id": "1"}], "inner": {}}),
        json!({"parts": [{"id": "1"}]}),
        json!([]),
    ];
    for document in documents {
        let broken = crate::base::testing::violations(&schema, &document);
        assert_eq!(broken.is_empty(), errors(&document).is_empty(), "{document}: {broken:?}");
    }
}

#[test]
fn the_outline_has_every_key_in_the_order_of_the_reader() {
    let rows: Vec<(String, bool)> =
        outline(read).into_iter().map(|key| (key.path, key.required)).collect();
    let expected = [
        ("name", true),
        ("wait", false),
        ("colour", false),
        ("parts", true),
        ("parts[].big", false),
        ("parts[].id", true),
        ("inner", false),
        ("inner.url", true),
        ("rules", false),
        ("rules.strict", false),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(path, required)| (path.to_owned(), required)).collect();
    assert_eq!(rows, expected);
}

#[test]
fn words_may_come_as_the_booleans_that_yaml_makes_of_them() {
    let given = |colour: Value| {
        let document = json!({"name": "a", "parts": [{"id": "1"}], "colour": colour});
        read_document(&document, read).0.and_then(|example| example.colour)
    };
    assert_eq!(given(json!(false)), Some(Colour::Off));
    assert_eq!(given(json!("off")), Some(Colour::Off));
    assert_eq!(given(json!(true)), None, "there is no `on`");
    assert_eq!(Colour::Off.word(), "off");
}
