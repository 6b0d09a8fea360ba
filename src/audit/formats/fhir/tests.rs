//! Golden AuditEvents, and every one against FHIR's data types and the constraints of BALP 1.1.4.

use std::collections::HashSet;

use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::formats::testing::{any_record, record, samples, with};
use crate::base::testing::{cell, generated, golden};

const SERVER: Option<&str> = Some("https://api.clinic.example/fhir");

/// What BALP's profile of an interaction asks for.
struct Profile {
    name: &'static str,
    action: &'static str,
    subtypes: &'static [&'static str],
    client: &'static str,
    server: &'static str,
    /// The types that a user's agent may have.
    users: &'static [&'static str],
    /// Whether it has the slice `query`; otherwise it has `data`.
    query: bool,
}

/// From the StructureDefinitions of <https://profiles.ihe.net/ITI/BALP>, version 1.1.4.
const BALP: [Profile; 5] = [
    Profile {
        name: "Read",
        action: "R",
        subtypes: &["read", "vread"],
        client: "110152",
        server: "110153",
        users: &["IRCP"],
        query: false,
    },
    Profile {
        name: "Query",
        action: "E",
        subtypes: &["search", "search-type", "search-system"],
        client: "110153",
        server: "110152",
        users: &["IRCP"],
        query: true,
    },
    Profile {
        name: "Create",
        action: "C",
        subtypes: &["create"],
        client: "110153",
        server: "110152",
        users: &["AUT", "INF", "CST"],
        query: false,
    },
    Profile {
        name: "Update",
        action: "U",
        subtypes: &["update", "patch"],
        client: "110153",
        server: "110152",
        users: &["AUT", "INF", "CST"],
        query: false,
    },
    Profile {
        name: "Delete",
        action: "D",
        subtypes: &["delete"],
        client: "110150",
        server: "custodian",
        users: &["AUT", "INF", "CST"],
        query: false,
    },
];

/// What of the event breaks FHIR's data types or a profile that it claims.
fn violations(event: &Value) -> Vec<String> {
    let mut found = Vec::new();
    types("", event, &mut found);
    let profiles = event["meta"]["profile"].as_array().cloned().unwrap_or_default();
    for profile in &profiles {
        let name = profile.as_str().unwrap().strip_prefix(PROFILES).expect("a profile of BALP");
        let breaks = match name {
            "OAUTHaccessTokenUse.Comprehensive" => comprehensive(event),
            "OAUTHaccessTokenUse.Minimal" => minimal(event),
            name => {
                let plain = name.strip_prefix("Patient").unwrap_or(name);
                let rules = BALP.iter().find(|rules| rules.name == plain).expect(name);
                interaction(event, rules, plain != name)
            }
        };
        found.extend(breaks.into_iter().map(|rule| format!("{name}: {rule}")));
    }
    found
}

/// Empty values, control characters, and whatever is no id, code, uri or reference.
fn types(path: &str, value: &Value, found: &mut Vec<String>) {
    let valid = match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::Array(items) => {
            items.iter().for_each(|item| types(path, item, found));
            !items.is_empty()
        }
        Value::Object(members) => {
            for (name, below) in members {
                types(&format!("{path}.{name}"), below, found);
            }
            !members.is_empty()
        }
        Value::String(text) => {
            let name = path.rsplit('.').next().unwrap();
            let uri = text.bytes().all(|byte| byte.is_ascii_graphic());
            let reference = || {
                let parts: Vec<&str> = text.split('/').collect();
                let ids = [parts.get(1), parts.get(3)];
                let known = matches!(parts.len(), 2 | 4)
                    && parts.get(2).is_none_or(|part| *part == "_history");
                known && ids.into_iter().flatten().all(|id| Id::parse(id).is_some())
            };
            let plain = text.trim() == text
                && text.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace()));
            !text.is_empty()
                && plain
                && match name {
                    "id" => Id::parse(text).is_some(),
                    "system" | "profile" | "policy" | "url" | "code" | "action" | "outcome" => uri,
                    "reference" => reference(),
                    "query" => decoded(text).is_some_and(|request| request.is_ascii()),
                    _ => true,
                }
        }
    };
    if !valid {
        found.push(format!("{path}: {value}"));
    }
}

fn decoded(text: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok()
}

/// The members of a list whose `type` has this code.
fn slice<'a>(event: &'a Value, list: &str, code: &str) -> Vec<&'a Value> {
    let has = |item: &&Value| {
        let codings = item["type"]["coding"].as_array();
        item["type"]["code"] == code
            || codings.is_some_and(|all| all.iter().any(|one| one["code"] == code))
    };
    event[list].as_array().into_iter().flatten().filter(has).collect()
}

fn interaction(event: &Value, rules: &Profile, of_patient: bool) -> Vec<&'static str> {
    let [client, server] = [rules.client, rules.server].map(|code| slice(event, "agent", code));
    let machine = |agents: &[&Value]| {
        agents.len() == 1 && agents[0]["who"].is_object() && agents[0]["network"].is_object()
    };
    let users: Vec<&Value> =
        rules.users.iter().flat_map(|code| slice(event, "agent", code)).collect();
    let subtypes = event["subtype"].as_array().unwrap();
    let known = |coding: &&Value| rules.subtypes.contains(&coding["code"].as_str().unwrap());
    let objects = slice(event, "entity", "2");
    let object = objects.first().copied().unwrap_or(&Value::Null);
    let patients = slice(event, "entity", "1");
    let transactions = slice(event, "entity", "XrequestId");
    let persons = patients.iter().all(|patient| {
        let what = &patient["what"];
        let reference = what["reference"].as_str().is_none_or(|text| text.starts_with("Patient/"));
        patient["role"]["code"] == "1" && what.is_object() && reference
    });
    let whole = if rules.query {
        object["role"]["code"] == "24"
            && object["query"].is_string()
            && ["what", "lifecycle", "detail"].iter().all(|name| object.get(name).is_none())
    } else {
        object["role"]["code"] == "4" && object["what"].is_object()
    };
    let required = [
        ("type", event["type"]["code"] == "rest"),
        ("subtype", subtypes.iter().filter(known).count() == 1),
        ("action", event["action"] == rules.action),
        ("outcome", event["outcome"] == "0"),
        ("recorded", event["recorded"].is_string()),
        ("agent:client", machine(&client)),
        ("agent:server", machine(&server)),
        ("agent:user", users.len() <= 1 && users.iter().all(is_user)),
        (
            "entity:transaction",
            transactions.len() <= 1
                && transactions.iter().all(|one| one["what"]["identifier"]["value"].is_string()),
        ),
        ("entity:data or entity:query", objects.len() == 1 && whole),
        ("entity:patient", patients.len() == usize::from(of_patient) && persons),
        ("source", event["source"]["observer"].is_object()),
    ];
    required.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect()
}

fn is_user(agent: &&Value) -> bool {
    let absent = ["media", "network"].iter().all(|name| agent.get(name).is_none());
    agent["who"].is_object() && agent["requestor"] == json!(true) && absent
}

fn comprehensive(event: &Value) -> Vec<&'static str> {
    let clients = slice(event, "agent", "110150");
    let users = slice(event, "agent", "IRCP");
    let named = |user: &&Value| user["who"]["identifier"].is_object() && has_policy(user);
    let required = [
        (
            "agent:oClient",
            clients.len() == 1 && clients[0]["who"]["identifier"]["value"].is_string(),
        ),
        ("agent:oUser", users.len() <= 1 && users.iter().all(is_user) && users.iter().all(named)),
    ];
    required.into_iter().filter(|(_, holds)| !holds).map(|(rule, _)| rule).collect()
}

fn minimal(event: &Value) -> Vec<&'static str> {
    let users = slice(event, "agent", "UserOauthAgent");
    let fits = |user: &&Value| {
        user["requestor"] == json!(true) && user.get("network").is_none() && has_policy(user)
    };
    if !users.is_empty() && users.iter().all(fits) { vec![] } else { vec!["agent:oUser"] }
}

fn has_policy(agent: &Value) -> bool {
    let policies = agent["policy"].as_array();
    policies.is_some_and(|all| {
        all.len() == 1 && all[0].as_str().unwrap().starts_with("urn:ietf:params:oauth:jti:")
    })
}

fn events_of(name: &str) -> Vec<Value> {
    let (_, record) = samples().into_iter().find(|(known, _)| *known == name).unwrap();
    events(&record, SERVER)
}

fn only(name: &str) -> Value {
    let [event] = <[Value; 1]>::try_from(events_of(name)).unwrap();
    event
}

#[test]
fn events_are_as_in_the_golden_files_and_as_fhir_and_balp_have_them() {
    for (name, record) in samples() {
        for event in events(&record, SERVER) {
            assert_eq!(violations(&event), Vec::<String>::new(), "{name}: {event:#}");
        }
        let bundle = bundle(&[record], SERVER);
        golden(&format!("tests/golden/audit/fhir/{name}.json"), &format!("{bundle:#}\n"));
    }
}

#[test]
fn the_checker_sees_what_breaks_a_profile() {
    let good = only("read");
    let agents = good["agent"].as_array().unwrap();
    let without = |index: usize| {
        let rest = agents
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != index)
            .map(|(_, agent)| agent.clone());
        Value::Array(rest.collect())
    };
    let rows = [
        (json!({"outcome": "4"}), "PatientRead: outcome"),
        (json!({"action": "E"}), "PatientRead: action"),
        (json!({"subtype": [{"code": "create"}]}), "PatientRead: subtype"),
        (json!({"agent": without(0)}), "PatientRead: agent:client"),
        (json!({"agent": without(1)}), "PatientRead: agent:server"),
        (json!({"agent": without(2)}), "OAUTHaccessTokenUse.Comprehensive: agent:oClient"),
        (json!({"id": "a b"}), ".id: \"a b\""),
        (json!({"outcomeDesc": "a\u{2028}b"}), ".outcomeDesc: \"a\u{2028}b\""),
        (json!({"outcomeDesc": ""}), ".outcomeDesc: \"\""),
    ];
    for (change, expected) in rows {
        let found = violations(&with(good.clone(), change));
        assert!(found.iter().any(|rule| rule == expected), "{expected}: {found:?}");
    }
}

#[test]
fn the_profiles_are_those_of_the_interaction_the_patient_and_the_token() {
    let rows: [(&str, &[&str]); 12] = [
        ("read", &["PatientRead", "OAUTHaccessTokenUse.Comprehensive"]),
        ("read-without-patient", &["Read", "OAUTHaccessTokenUse.Comprehensive"]),
        ("search-narrowed", &["PatientQuery", "OAUTHaccessTokenUse.Comprehensive"]),
        ("create", &["PatientCreate", "OAUTHaccessTokenUse.Comprehensive"]),
        ("patch-in-batch", &["PatientUpdate", "OAUTHaccessTokenUse.Comprehensive"]),
        ("delete", &["PatientDelete", "OAUTHaccessTokenUse.Comprehensive"]),
        ("operation", &["OAUTHaccessTokenUse.Comprehensive"]),
        ("backend", &["PatientRead", "OAUTHaccessTokenUse.Comprehensive"]),
        ("client-unknown", &["PatientRead", "OAUTHaccessTokenUse.Minimal"]),
        ("token-without-id", &["PatientRead"]),
        ("denied-by-scope", &["OAUTHaccessTokenUse.Comprehensive"]),
        ("public", &[]),
    ];
    for (name, profiles) in rows {
        let claimed = only(name)["meta"]["profile"].as_array().cloned().unwrap_or_default();
        let urls = profiles.iter().map(|profile| json!(format!("{PROFILES}{profile}")));
        assert_eq!(claimed, urls.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn each_patient_has_an_event_of_its_own() {
    let events = events_of("search-of-several-patients");
    let patients: Vec<&Value> =
        events.iter().map(|event| &slice(event, "entity", "1")[0]["what"]["reference"]).collect();
    assert_eq!(patients, ["Patient/123", "Patient/124", "Patient/125"]);
    let ids: HashSet<String> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    let id = events[2]["id"].as_str().unwrap();
    assert!(id.starts_with("5f1c0d3e9a7b2c44-") && id.ends_with("-2"), "{id}");
}

#[test]
fn the_patient_is_the_one_named_then_the_one_in_context() {
    let rows = [
        (json!({"patient": "1"}), json!({"issuer": "i", "patient": "2"}), Some("Patient/1")),
        (json!({}), json!({"issuer": "i", "patient": "2"}), Some("Patient/2")),
        (json!({}), json!({"issuer": "i"}), None),
    ];
    for (what, who, expected) in rows {
        let [event] = &events(&with(record(what), json!({ "who": who })), None)[..] else {
            panic!()
        };
        let patients = slice(event, "entity", "1");
        let named = patients.first().map(|patient| patient["what"]["reference"].as_str().unwrap());
        assert_eq!(named, expected);
    }
}

#[test]
fn the_same_record_gives_the_same_events_and_another_gives_others() {
    let records: Vec<Value> = samples().into_iter().map(|(_, record)| record).collect();
    assert_eq!(bundle(&records, SERVER), bundle(&records, SERVER));
    let bundle = bundle(&records, SERVER);
    let entries = bundle["entry"].as_array().unwrap();
    let urls: HashSet<&str> =
        entries.iter().map(|entry| entry["request"]["url"].as_str().unwrap()).collect();
    assert_eq!(urls.len(), entries.len());
    for entry in entries {
        let id = entry["resource"]["id"].as_str().unwrap();
        assert_eq!(entry["request"], json!({"method": "PUT", "url": format!("AuditEvent/{id}")}));
    }
}

#[test]
fn outcome_and_its_text_tell_who_failed() {
    let rows = [
        ("read", "rest", "0", None),
        ("observed", "rest", "0", Some("observed only: scope_insufficient")),
        ("denied-by-scope", "110113", "4", Some("scope_insufficient")),
        ("denied-for-token", "rest", "4", Some("token_signature_invalid")),
        ("error-without-keys", "rest", "8", Some("keys_unavailable")),
        ("not-found", "rest", "4", Some("status 404")),
        ("client-left", "rest", "4", Some("client_gone")),
        ("server-silent", "rest", "8", Some("upstream_timeout")),
    ];
    for (name, kind, outcome, text) in rows {
        let event = only(name);
        assert_eq!(event["type"]["code"], kind, "{name}");
        assert_eq!(event["outcome"], outcome, "{name}");
        assert_eq!(event["outcomeDesc"].as_str(), text, "{name}");
    }
}

#[test]
fn a_decision_names_phiward_as_the_one_who_decided() {
    let event = only("denied-by-scope");
    let [authorizer] = slice(&event, "agent", "authserver")[..] else { panic!() };
    assert_eq!(authorizer["who"], event["source"]["observer"]);
    assert_eq!(event["subtype"][0]["code"], "AuthZ-Role");
    assert_eq!(event["subtype"][1]["code"], "read");
}

#[test]
fn the_query_has_names_and_shown_values_and_nothing_that_could_be_taken_for_another_parameter() {
    let event = only("search-narrowed");
    let query = slice(&event, "entity", "2")[0];
    let request = "GET /Observation?category&_id=a,b%26c%3Dd&subject:identifier";
    assert_eq!(query["description"], request);
    assert_eq!(decoded(query["query"].as_str().unwrap()).unwrap(), request);
    for (name, request) in [
        (
            "search-of-compartment",
            "GET /Patient/123/Observation?category&_id=a,b%26c%3Dd&subject:identifier",
        ),
        ("history", "GET /Observation/pulse-1/_history"),
        ("operation", "POST /Patient/123/$everything"),
        ("batch", "POST /"),
    ] {
        assert_eq!(slice(&only(name), "entity", "2")[0]["description"], request, "{name}");
    }
}

#[test]
fn the_resource_is_named_by_reference_or_told_by_its_request() {
    for (name, what) in [
        ("read", json!({"reference": "Observation/pulse-1"})),
        ("vread", json!({"reference": "Observation/pulse-1/_history/4"})),
        ("create", json!({"display": "POST /Observation"})),
        ("delete-conditional", json!({"display": "DELETE /Observation?patient=123&code"})),
    ] {
        assert_eq!(slice(&only(name), "entity", "2")[0]["what"], what, "{name}");
    }
}

#[test]
fn a_server_that_is_not_named_is_said_to_be_unknown() {
    let event = &events(&record(json!({"method": "GET"})), None)[0];
    let [server] = slice(event, "agent", "110152")[..] else { panic!() };
    assert_eq!(server["who"]["display"], "FHIR server");
    assert_eq!(server["network"]["extension"][0]["valueCode"], "unknown");
}

#[test]
fn a_line_that_is_no_record_of_a_request_gives_no_event() {
    let checkpoint = json!({"schema": "phiward.audit.checkpoint/1", "count": 17});
    for line in [checkpoint, json!({}), json!("x"), Value::Null] {
        assert_eq!(events(&line, SERVER), Vec::<Value>::new(), "{line}");
    }
    assert_eq!(bundle(&[json!({})], SERVER)["type"], "batch");
}

#[test]
fn the_page_has_the_interactions_and_an_example() {
    let rows =
        ["read", "vread", "search-type", "search-system", "create", "update", "patch", "delete"];
    let others = ["operation", "history-type", "batch", "capabilities"];
    let rows = rows.into_iter().chain(others).map(|interaction| {
        let kind = Kind::of(&json!({"what": {"interaction": interaction}}));
        let profile =
            kind.profile.map_or_else(String::new, |name| format!("`{name}`, `Patient{name}`"));
        let entity = if kind.has_data { "the resource" } else { "the request" };
        let [client, server] = [&kind.client, &kind.server].map(|code| cell(code.display));
        format!(
            "| `{interaction}` | {profile} | {} | {client} | {server} | {entity} |\n",
            kind.action
        )
    });
    let head = "| interaction | profile | action | client | server | entity |\n|---|---|---|---|---|---|\n";
    let table = format!("\n{head}{}\n", rows.collect::<String>());
    generated("docs/audit.md", "fhir interactions", &table);
    let event = only("search-narrowed");
    generated("docs/audit.md", "fhir example", &format!("\n```json\n{event}\n```\n\n"));
}

proptest! {
    #[test]
    fn any_record_gives_events_as_fhir_and_balp_have_them(record in any_record()) {
        let events = events(&record, SERVER);
        prop_assert!(!events.is_empty());
        for event in events {
            prop_assert_eq!(violations(&event), Vec::<String>::new(), "{:#}", event);
        }
    }
}
