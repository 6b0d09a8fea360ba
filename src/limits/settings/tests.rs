use serde_json::{Value, json};

use super::*;
use crate::config::section::{ConfigError, describe, read_document};

fn read(document: &Value) -> (Option<Settings>, Vec<ConfigError>) {
    read_document(document, Settings::read)
}

fn settings(rules: Value) -> Settings {
    let (settings, errors) = read(&json!({"rules": rules}));
    assert!(errors.is_empty(), "{errors:?}");
    settings.unwrap()
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let settings = settings(json!([{"idle": "15m"}]));
    assert_eq!(settings.capacity, 100_000);
    let rule = settings.applied(&Claims::default()).rule.unwrap();
    assert_eq!((rule.idle, rule.lifetime), (Some(Duration::from_secs(900)), None));
}

#[test]
fn what_no_session_could_be_judged_by_is_an_error_at_its_place() {
    let cases = [
        (json!({}), "/rules"),
        (json!({"rules": []}), "/rules"),
        (json!({"rules": [{}]}), "/rules/0/idle"),
        (json!({"rules": [{"roles": ["nurse"]}]}), "/rules/0/idle"),
        (json!({"rules": [{"roles": [], "idle": "1m"}]}), "/rules/0/roles"),
        (json!({"rules": [{"clients": [], "idle": "1m"}]}), "/rules/0/clients"),
        (json!({"rules": [{"contexts": ["launch"], "idle": "1m"}]}), "/rules/0/contexts/0"),
        (json!({"rules": [{"idle": "1s"}]}), "/rules/0/idle"),
        (json!({"rules": [{"idle": "2500ms"}]}), "/rules/0/idle"),
        (json!({"rules": [{"lifetime": "1s"}]}), "/rules/0/lifetime"),
        (json!({"rules": [{"idle": "0s"}]}), "/rules/0/idle"),
        (json!({"rules": [{"idle": "1m", "role": ["nurse"]}]}), "/rules/0/role"),
        (json!({"rules": [{"idle": "1m"}, {"roles": ["x"], "idle": "2m"}]}), "/rules/0"),
        (json!({"capacity": 0, "rules": [{"idle": "1m"}]}), "/capacity"),
        (json!({"capacity": 1_000_001, "rules": [{"idle": "1m"}]}), "/capacity"),
        (json!({"capacity": "many", "rules": [{"idle": "1m"}]}), "/capacity"),
    ];
    for (document, pointer) in cases {
        let (_, errors) = read(&document);
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, [pointer], "{document}");
    }
}

#[test]
fn the_first_rule_whose_every_list_names_the_token_counts() {
    let settings = settings(json!([
        {"roles": ["nurse", "physician"], "clients": ["kiosk"], "idle": "1m"},
        {"roles": ["nurse", "physician"], "idle": "2m"},
        {"clients": ["kiosk", "wall"], "idle": "3m"},
        {"contexts": ["patient", "system"], "idle": "4m"},
    ]));
    // Roles, client, scope; the rule's place.
    let rows = [
        (&["nurse"][..], Some("kiosk"), "user/*.rs", Some(0)),
        (&["clerk", "physician"], Some("kiosk"), "", Some(0)),
        (&["physician"], Some("ward"), "patient/*.rs", Some(1)),
        (&["physician"], None, "", Some(1)),
        (&[], Some("wall"), "patient/*.rs", Some(2)),
        (&["Nurse"], Some("kiosk"), "", Some(2)),
        (&[], Some("ward"), "openid user/*.rs patient/*.rs", Some(3)),
        (&[], None, "system/*.rs", Some(3)),
        (&[], None, "launch/patient openid patient", None),
        (&["nurses"], Some("kios"), "user/*.rs", None),
        (&[], None, "", None),
    ];
    for (roles, client, scope, expected) in rows {
        let claims = Claims {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            client: client.map(str::to_owned),
            scope: scope.to_owned(),
            ..Claims::default()
        };
        let applied = settings.applied(&claims);
        let row = format!("{roles:?} {client:?} `{scope}`");
        assert_eq!(applied.rule.is_some(), expected.is_some(), "{row}");
        assert_eq!(applied.place, expected.unwrap_or(4), "{row}");
    }
}

#[test]
fn the_schema_says_what_is_read() {
    let schema = describe(Settings::read);
    assert_eq!(schema["required"], json!(["rules"]));
    assert_eq!(schema["properties"]["capacity"]["default"], json!(100_000));
    let contexts = &schema["properties"]["rules"]["items"]["properties"]["contexts"]["items"];
    assert_eq!(contexts["enum"], json!(["patient", "user", "system"]));
}
