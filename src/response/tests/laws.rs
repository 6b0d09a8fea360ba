//! Laws that hold for every answer.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::base::node;
use crate::fhir::membership::Membership;
use crate::policy::By;

/// Any JSON, with the names that the judge looks at.
fn any_json() -> impl Strategy<Value = Value> {
    let names = select(vec![
        "resourceType",
        "type",
        "entry",
        "resource",
        "search",
        "mode",
        "fullUrl",
        "subject",
        "reference",
        "contained",
        "id",
        "request",
        "method",
        "url",
        "link",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(1)),
        select(vec![
            "Observation",
            "Bundle",
            "searchset",
            "history",
            "Patient/P",
            "Patient/SECRET",
            "match",
            "include",
            "OperationOutcome",
            "DELETE",
            "Observation/1",
            "1",
        ])
        .prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

/// Entries of which some are members, some foreign, some nonsense.
fn entry() -> impl Strategy<Value = Value> {
    let id = select(vec!["1", "2", "3"]);
    prop_oneof![
        4 => id.clone().prop_map(|id| found(&mine(id))),
        2 => id.clone().prop_map(|id| version(&mine(id))),
        3 => id.clone().prop_map(|id| found(&foreign(id))),
        1 => id.clone().prop_map(|id| version(&foreign(id))),
        1 => id.prop_map(|id| deletion(&format!("Observation/{id}"))),
        1 => Just(json!({"resource": outcome_resource(), "search": {"mode": "outcome"}})),
        1 => any_json().prop_map(|resource| found(&resource)),
        1 => any_json(),
    ]
}

/// Bodies of every kind, and entries of a batch's answer, with whatever in them.
fn content() -> impl Strategy<Value = Value> {
    let kind = select(vec!["searchset", "history", "collection", "document", "batch-response"]);
    let resource =
        prop_oneof![Just(mine("1")), Just(foreign("1")), Just(outcome_resource()), any_json(),];
    let parameter = (resource.clone(), any::<bool>()).prop_map(|(resource, in_part)| {
        let parameter = json!({"name": "x", "resource": resource});
        if in_part { json!({"name": "p", "part": [parameter]}) } else { parameter }
    });
    prop_oneof![
        2 => resource,
        3 => (kind, vec(entry(), 0..4)).prop_map(|(kind, entries)| bundle(kind, &entries)),
        1 => vec(parameter, 0..3).prop_map(|list| json!({"resourceType": "Parameters", "parameter": list})),
    ]
}

fn answer() -> impl Strategy<Value = Value> {
    let status = select(vec!["200 OK", "201", "204", "404 Not Found", "500", "304", "x"]);
    (content(), status, any::<bool>(), any::<bool>()).prop_map(|(content, status, bare, told)| {
        let mut answer = json!({"response": {"status": status}});
        if !bare {
            answer["resource"] = content.clone();
        }
        if told {
            answer["response"]["outcome"] = content;
        }
        answer
    })
}

/// The types of all resources in a value that are neither the patient's nor without patient data.
fn leaks(value: &Value) -> Vec<&Value> {
    let inner = match value {
        Value::Array(items) => items.iter().flat_map(leaks).collect(),
        Value::Object(members) => members.values().flat_map(leaks).collect(),
        _ => Vec::new(),
    };
    let own = value.get("resourceType").filter(|of| match of.as_str() {
        Some("Observation") => value["subject"]["reference"] != "Patient/P",
        Some("OperationOutcome" | "Bundle" | "Parameters") | None => false,
        Some(_) => true,
    });
    inner.into_iter().chain(own).collect()
}

fn form() -> impl Strategy<Value = Form> {
    select(forms())
}

/// Members of resources, those that are judged among others.
fn element() -> impl Strategy<Value = (&'static str, Value)> {
    let reference = |id: &str| json!({"reference": format!("Patient/{id}")});
    let coded = |code: &str| json!([{"coding": [{"system": "s", "code": code}]}]);
    select(vec![
        ("id", json!("P")),
        ("id", json!("1")),
        ("meta", json!({"tag": [{"code": "a"}], "security": [{"system": "s", "code": "R"}]})),
        ("subject", reference("P")),
        ("subject", reference("Q")),
        ("patient", reference("P")),
        ("performer", json!([reference("P")])),
        ("recorder", reference("P")),
        ("encounter", json!({"reference": "Encounter/1"})),
        ("participant", json!([{"actor": reference("P")}, {"individual": reference("Q")}])),
        ("category", coded("laboratory")),
        ("category", coded("vital-signs")),
        ("code", json!({"coding": [{"system": "s", "code": "c"}]})),
        ("status", json!("final")),
        (
            "component",
            json!([{"code": {"coding": [{"code": "c"}]}, "valueCodeableConcept": {"coding": [{"code": "v"}]}}]),
        ),
        ("valueCodeableConcept", json!({"coding": [{"code": "v"}]})),
        ("contained", json!([{"resourceType": "Practitioner", "reference": "Patient/Q"}])),
        (
            "contained",
            json!([{"resourceType": "Practitioner", "x": [{"y": {"reference": "Patient/P"}}]}]),
        ),
        (
            "contained",
            json!([{"x": [[{"y": {"reference": "Patient/Q"}}]], "resourceType": "Practitioner"}]),
        ),
        (
            "contained",
            json!([{"resourceType": "Practitioner"}, {"resourceType": "Practitioner", "a": {"reference": "Encounter?x=1"}}]),
        ),
        ("contained", json!([{"resourceType": "Practitioner", "id": "p"}])),
        (
            "contained",
            json!([{"resourceType": "Observation", "subject": {"reference": "Patient/Q"}}]),
        ),
        (
            "contained",
            json!([{"resourceType": "Observation", "category": coded("laboratory"), "note": [{"authorReference": {"reference": "Patient/Q"}}]}]),
        ),
        ("extension", json!([{"url": "x", "valueReference": {"reference": "Patient/Q"}}])),
        ("securityContext", reference("P")),
        ("text", json!({"div": "<div/>"})),
    ])
}

/// Scopes of which some look at elements of the resource.
fn scopes() -> impl Strategy<Value = String> {
    let scope = select(vec![
        "patient/*.rs",
        "patient/Observation.rs",
        "patient/Observation.r?category=s|laboratory",
        "patient/Observation.rs?category=vital-signs&status=final",
        "patient/Observation.rs?combo-code=c",
        "patient/Observation.rs?value-concept=v",
        "patient/*.rs?_tag=a",
        "patient/*.r?_security=s|R",
        "patient/Observation.rs?performer=Patient/P",
        "patient/Condition.rs?encounter=Encounter/1",
        "patient/Practitioner.r",
        "user/Observation.r?code=s|c",
    ]);
    vec(scope, 1..4).prop_map(|scopes| scopes.join(" "))
}

/// The form, with every entry of a batch looked at: the others pass as they come.
fn looked_at_whole(form: Form) -> Form {
    match form {
        Form::Batch(asked) => {
            let judged = |one: Option<Expected>| one.or_else(|| Some(expected(&read())));
            Form::Batch(asked.into_iter().map(judged).collect())
        }
        form => form,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_not_kept_of_a_resource_makes_no_difference(
        name in select(vec!["Observation", "Condition", "Patient", "Appointment", "Encounter", "Binary", "Practitioner"]),
        elements in vec(element(), 0..9),
        at in any::<prop::sample::Index>(),
        scope in scopes(),
        definition: bool,
    ) {
        let mut members: Vec<(&str, Value)> = Vec::new();
        for (name, value) in elements {
            if members.iter().all(|(known, _)| *known != name) {
                members.push((name, value));
            }
        }
        members.insert(at.index(members.len().saturating_add(1)), ("resourceType", json!(name)));
        let text = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
        let text = format!("{{{}}}", text.collect::<Vec<_>>().join(","));
        let whole = node::read(text.as_bytes()).unwrap();
        let membership = if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, ..Smart::default() };
        let sight = sight(&scope);
        for (form, by) in [(Form::Resource(named(name)), By::Read), (Form::Searchset(None), By::Search)] {
            let seen = sight.sees(&whole, by, &api(), &smart);
            let expected = Expected { sight: sight.clone(), ..expected(&form) };
            let answer = match by {
                By::Read => text.clone(),
                By::Search => format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{text}}}]}}"#),
            };
            let verdict = body(&expected, 200, answer.as_bytes(), &api(), &smart);
            prop_assert_eq!(verdict == Verdict::Whole, seen, "{} {:?} {}", scope, by, text);
        }
    }
}

proptest! {
    #[test]
    fn nothing_makes_the_judge_panic(
        form in form(), status in 0u16..700, text in vec(any::<u8>(), 0..200), value in any_json(),
    ) {
        let expected = expected(&form);
        let field = |name: &str| (name.as_bytes().to_vec(), text.clone());
        let headers = Headers::new(vec![field("content-type"), field("content-encoding")]);
        let _ = head(&expected, status, &headers, text.len() % 2 == 0);
        let _ = body(&expected, status, &text, &api(), &Smart::default());
        let _ = body(&expected, status, value.to_string().as_bytes(), &api(), &Smart::default());
    }

    #[test]
    fn a_cut_or_flipped_body_never_shows_what_is_foreign(
        entries in vec(entry(), 0..5), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool,
    ) {
        let mut text = bundle("searchset", &entries).to_string().into_bytes();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Verdict::Replace { body: new, .. } = answered(&search(), 200, &text) {
            prop_assert_eq!(answered(&search(), 200, &new), Verdict::Whole);
        }
    }

    #[test]
    fn a_replaced_body_judged_again_is_whole(history: bool, entries in vec(entry(), 0..8)) {
        let (form, kind) = if history {
            (super::history(), "history")
        } else {
            (search(), "searchset")
        };
        if let Verdict::Replace { body: new, removed } = judged(&form, &bundle(kind, &entries)) {
            prop_assert!((1..=entries.len()).contains(&removed));
            prop_assert_eq!(answered(&form, 200, &new), Verdict::Whole);
            // Said without the judge: every resource in the new body, however it got there.
            let new = serde_json::from_slice::<Value>(&new).unwrap();
            for entry in new["entry"].as_array().unwrap() {
                if let Some(resource) = entry.get("resource") {
                    let mine = resource["resourceType"] == "Observation"
                        && resource["subject"]["reference"] == "Patient/P";
                    prop_assert!(mine || resource["resourceType"] == "OperationOutcome", "{}", entry);
                }
            }
        }
    }

    #[test]
    fn whatever_the_server_answers_no_foreign_resource_passes_in_any_form(
        form in form(), status in select(vec![200, 201, 204, 404, 500]), value in content(),
    ) {
        let form = looked_at_whole(form);
        let text = value.to_string();
        match answered(&form, status, text.as_bytes()) {
            Verdict::Whole => prop_assert!(leaks(&value).is_empty(), "{:?} {}", form, value),
            Verdict::Replace { body: new, .. } => {
                let shown = serde_json::from_slice(&new).unwrap();
                prop_assert!(leaks(&shown).is_empty(), "{:?} {} {}", form, value, shown);
                prop_assert_eq!(answered(&form, status, &new), Verdict::Whole, "{}", shown);
            }
            Verdict::Refuse(_) => {}
        }
    }

    #[test]
    fn no_entry_of_a_batch_shows_what_its_request_would_not(
        asked in vec((form(), answer()), 0..5),
    ) {
        let (forms, entries): (Vec<Form>, Vec<Value>) = asked.into_iter().unzip();
        let forms: Vec<Form> = forms.into_iter().map(looked_at_whole).collect();
        let asked = forms.iter().map(|form| Some(expected(form))).collect();
        let form = Form::Batch(asked);
        let value = bundle("batch-response", &entries);
        match judged(&form, &value) {
            Verdict::Whole => prop_assert!(leaks(&value).is_empty(), "{:?} {}", forms, value),
            Verdict::Replace { body: new, removed } => {
                let shown: Value = serde_json::from_slice(&new).unwrap();
                prop_assert!(removed > 0);
                prop_assert_eq!(shown["entry"].as_array().map(Vec::len), Some(entries.len()));
                prop_assert!(leaks(&shown).is_empty(), "{:?} {} {}", forms, value, shown);
                prop_assert_eq!(answered(&form, 200, &new), Verdict::Whole, "{}", shown);
            }
            Verdict::Refuse(refusal) => prop_assert!(false, "{refusal:?} {value}"),
        }
    }

    #[test]
    fn all_members_stay_in_their_order(entries in vec(entry(), 0..8)) {
        let members: Vec<&Value> = entries.iter().filter(|entry| {
            **entry == found(&entry["resource"]) && entry["resource"] == mine(entry["resource"]["id"].as_str().unwrap_or(""))
        }).collect();
        match judged(&search(), &bundle("searchset", &entries)) {
            Verdict::Whole => {}
            Verdict::Replace { body, .. } => {
                let new = serde_json::from_slice::<Value>(&body).unwrap();
                let kept: Vec<&Value> = new["entry"].as_array().unwrap().iter()
                    .filter(|entry| members.contains(entry)).collect();
                prop_assert_eq!(kept, members);
            }
            Verdict::Refuse(refusal) => prop_assert!(false, "{:?}", refusal),
        }
    }

    #[test]
    fn a_bundle_of_members_alone_is_whole(ids in vec("[a-z0-9]{1,8}", 1..8)) {
        let entries: Vec<Value> = ids.iter().map(|id| found(&mine(id))).collect();
        prop_assert_eq!(judged(&search(), &bundle("searchset", &entries)), Verdict::Whole);
        let versions: Vec<Value> = ids.iter().map(|id| version(&mine(id))).collect();
        prop_assert_eq!(judged(&history(), &bundle("history", &versions)), Verdict::Whole);
    }

    #[test]
    fn a_resource_passes_alone_just_when_it_passes_in_a_search(value in any_json(), id in "[a-z]{1,3}") {
        for resource in [value, mine(&id), foreign(&id)] {
            let alone = judged(&read(), &resource) == Verdict::Whole;
            let outcome = resource.get("resourceType").is_some_and(|name| name == "OperationOutcome");
            let among = judged(&search(), &bundle("searchset", &[found(&resource)]));
            prop_assert!(outcome || alone == (among == Verdict::Whole), "{}", resource);
        }
    }
}
