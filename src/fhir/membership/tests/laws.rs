//! Laws that hold for every resource and every reference.

use proptest::prelude::*;

use super::*;

/// Every string in a value with the way to it: `.participant[].actor.reference`.
fn strings(value: &Value, way: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((way.to_owned(), text.clone())),
        Value::Array(items) => {
            items.iter().for_each(|item| strings(item, &format!("{way}[]"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| strings(item, &format!("{way}.{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Member names of the paths and of references, so that random values meet them often.
const NAMES: [&str; 22] = [
    "subject",
    "patient",
    "participant",
    "actor",
    "agent",
    "who",
    "entity",
    "what",
    "link",
    "target",
    "beneficiary",
    "for",
    "instance",
    "performer",
    "author",
    "recipient",
    "member",
    "contained",
    "reference",
    "resource",
    "resourceType",
    "id",
];

fn references_at_random() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&NAMING[..]).prop_map(str::to_owned),
        prop::sample::select(&OTHER[..]).prop_map(str::to_owned),
        "(Patient|Group)/[PQ]{1,2}",
    ]
}

fn noise() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => references_at_random().prop_map(Value::from),
        3 => references_at_random().prop_map(|reference| json!({"reference": reference})),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..4)
                .prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

/// A resource of a random type, with noise, and something where one of its paths leads.
fn resources() -> impl Strategy<Value = (Release, Membership, Value)> {
    let pick = any::<prop::sample::Index>;
    let end = prop_oneof![
        3 => references_at_random().prop_map(|reference| json!({"reference": reference})),
        1 => noise(),
    ];
    let mode = (prop::sample::select(&ALL[..]), prop::sample::select(&BOTH[..]));
    let parts = (mode, pick(), pick(), end, 0..8, noise());
    parts.prop_map(|((release, membership), kind, path, end, shape, noise)| {
        let found =
            ResourceType::parse(release, release.types()[kind.index(release.types().len())])
                .unwrap();
        let mut members = noise.as_object().cloned().unwrap_or_default();
        let paths = paths(release, membership, found);
        if !paths.is_empty() && shape > 0 {
            let mut planted = at(paths[path.index(paths.len())], &end, shape == 1);
            // Arrays get more than what was planted.
            let lists = planted.values_mut().filter_map(Value::as_array_mut);
            lists.for_each(|list| list.insert(0, noise.clone()));
            members.extend(planted);
        }
        (release, membership, resource(found.name(), members))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_resource_is_of_the_patient_if_and_only_if_a_path_holds_a_reference_that_names_it(
        (release, membership, given) in resources(),
    ) {
        let found = type_found(release, &given).unwrap();
        let mut all = Vec::new();
        strings(&given, "", &mut all);
        let paths = paths(release, membership, found).into_iter();
        let in_json = |path: &str| path.replace('*', "[]").replace('+', "");
        let paths: Vec<String> = paths.map(|path| format!(".{}.reference", in_json(path))).collect();
        let naming = |(way, text): &(String, String)| {
            paths.contains(way) && NAMING.contains(&text.as_str())
                || found.name() == PATIENT && way == ".id" && text == "P"
        };
        let member = is_of(release, membership, &given, &patient());
        prop_assert_eq!(member, all.iter().any(naming), "{:?}", given);
    }

    #[test]
    fn no_value_and_no_reference_makes_it_panic_or_is_of_two_patients_by_one_reference(
        (release, membership, given) in resources(), any in noise(), text in ".*",
        id in "[A-Za-z0-9.-]{1,64}",
    ) {
        type_found(release, &any);
        is_of(release, membership, &any, &patient());
        names_patient(&text, &patient(), &bases());
        let Some(id) = Id::parse(&id) else { return Ok(()) };
        prop_assume!(id != patient());
        for reference in [format!("Patient/{}", id.as_str()), text] {
            let both = [&id, &patient()].map(|id| names_patient(&reference, id, &bases()));
            prop_assert!(both != [true, true], "{:?}", reference);
        }
        is_of(release, membership, &given, &id);
    }
}
