//! Laws that hold for every resource and every value.

use proptest::prelude::*;

use super::*;

/// Names and texts that the parameters below look for, so that random values meet them often.
const NAMES: [&str; 20] = [
    "resourceType",
    "id",
    "category",
    "code",
    "coding",
    "system",
    "value",
    "identifier",
    "subject",
    "performer",
    "reference",
    "status",
    "component",
    "valueCodeableConcept",
    "telecom",
    "name",
    "given",
    "active",
    "meta",
    "tag",
];
const TEXTS: [&str; 9] =
    ["Observation", "Patient", "a", "b", "http://s", "Patient/a", "phone", "Group/b", ""];
const PARAMETERS: [&str; 14] = [
    "category",
    "code",
    "combo-code",
    "value-concept",
    "identifier",
    "subject",
    "patient",
    "performer",
    "status",
    "phone",
    "name",
    "active",
    "_tag",
    "_id",
];

fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => prop::sample::select(&TEXTS[..]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 32, 4, |inner| {
        let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..5)
                .prop_map(|members| Value::from(serde_json::Map::from_iter(members))),
        ]
    })
}

fn resources() -> impl Strategy<Value = Value> {
    let concept = prop_oneof![
        3 => prop::sample::select(&TEXTS[..]).prop_map(|code| json!({"coding": [{"code": code}]})),
        1 => noise(),
    ];
    let kind = prop::sample::select(&["Observation", "Patient"][..]);
    (noise(), kind, concept).prop_map(|(noise, kind, concept)| {
        let mut members = noise.as_object().cloned().unwrap_or_default();
        members.insert("resourceType".to_owned(), kind.into());
        members.insert("category".to_owned(), json!([concept]));
        Value::from(members)
    })
}

/// What stands for the text in a value.
fn escaped(text: &str) -> String {
    let escape = |letter| if ",|$\\".contains(letter) { vec!['\\', letter] } else { vec![letter] };
    text.chars().flat_map(escape).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_value_and_no_document_makes_it_panic(any in noise(), resource in resources(),
        parameter in ".{0,12}", value in ".*", known in prop::sample::select(&PARAMETERS[..])) {
        for release in ALL {
            meets(release, &any, known, &value);
            meets(release, &resource, known, &value);
            meets(release, &resource, &parameter, &value);
            if let Some(patient) = ResourceType::parse(release, "Patient") {
                elements(release, patient, &parameter);
            }
        }
    }

    #[test]
    fn one_more_alternative_never_matches_less(resource in resources(),
        parameter in prop::sample::select(&PARAMETERS[..]),
        value in "(a|b|http://s\\||Patient/a|\\||x){0,3}", more in "[ab|,\\\\x]{0,6}",
        release in prop::sample::select(&ALL[..])) {
        let before = meets(release, &resource, parameter, &value);
        for longer in [format!("{value},{more}"), format!("x,{value}"), format!(",{value},")] {
            prop_assert!(!before || meets(release, &resource, parameter, &longer), "{}", longer);
        }
    }

    #[test]
    fn a_list_matches_if_and_only_if_one_of_its_alternatives_does(resource in resources(),
        parameter in prop::sample::select(&PARAMETERS[..]),
        alternatives in prop::collection::vec("[ab|\\\\,]{0,3}|Patient/a", 0..4),
        release in prop::sample::select(&ALL[..])) {
        let alternatives: Vec<String> = alternatives.iter().map(|text| escaped(text)).collect();
        let one = alternatives.iter().any(|value| meets(release, &resource, parameter, value));
        let list = alternatives.join(",");
        prop_assert_eq!(meets(release, &resource, parameter, &list), one, "{}", list);
    }

    #[test]
    fn an_escaped_code_matches_that_code_and_no_other(code in "[ab,|$\\\\]{1,6}", other in "[ab,|$\\\\]{1,6}") {
        let resource = json!({"resourceType": "Observation", "code": {"coding": [{"code": code}]}});
        prop_assert!(meets(Release::R4, &resource, "code", &escaped(&code)));
        prop_assert_eq!(meets(Release::R4, &resource, "code", &escaped(&other)), other == code);
    }
}
