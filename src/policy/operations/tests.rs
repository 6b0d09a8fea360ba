//! `smart.operations`, read.

use super::*;
use crate::config::section::{describe, read_document};
use crate::fhir::Id;

fn read(list: Value) -> (Vec<Listed>, Vec<String>) {
    let document = json!({"operations": list});
    let (listed, errors) = read_document(&document, Listed::read);
    (listed, errors.iter().map(ToString::to_string).collect())
}

fn one(name: &str, level: &str, requires: &str) -> Value {
    json!({"name": name, "level": level, "requires": requires})
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_hint() {
    let observation = "patient/Observation.rs";
    let cases = [
        (json!([one("docref", "type", observation)]), "operations/0/name", "write `$docref`"),
        (
            json!([one("$everything", "type", observation)]),
            "/operations/0/name",
            "needs no listing",
        ),
        (json!([one("$Export", "system", observation)]), "/operations/0/name", "needs no listing"),
        (json!([one("$do cref", "type", observation)]), "/operations/0/name", "`$do cref`"),
        (json!([one("$", "type", observation)]), "/operations/0/name", "`$`"),
        (
            json!([one("$docref", "typ", observation)]),
            "/operations/0/level",
            "did you mean `type`?",
        ),
        (json!([one("$docref", "type", "")]), "/operations/0/requires", "names no scope"),
        (
            json!([one("$docref", "type", "patient/Observaton.rs")]),
            "/operations/0/requires",
            "did you mean `Observation`?",
        ),
        (
            json!([one("$docref", "type", "patient/Observation.sr")]),
            "/operations/0/requires",
            "`patient/Observation.sr` is not a clinical scope",
        ),
        (
            json!([one("$docref", "type", "patient/Observation.rs?code=x")]),
            "/operations/0/requires",
            "search parameters",
        ),
        (json!([{"name": "$docref", "level": "type"}]), "/operations/0/requires", "is missing"),
        (
            json!([{"name": "$x", "level": "system", "type": "Patient", "requires": observation}]),
            "/operations/0/type",
            "leave `type` out",
        ),
        (
            json!([{"name": "$x", "level": "type", "type": "patient", "requires": observation}]),
            "/operations/0/type",
            "did you mean `Patient`?",
        ),
        (
            json!([{"name": "$x", "level": "type", "requires": observation, "levels": []}]),
            "/operations/0/levels",
            "did you mean `level`?",
        ),
        (
            json!([one("$x", "type", observation), one("$x", "type", "user/Patient.r")]),
            "/operations/1/name",
            "one `requires`",
        ),
        (json!({}), "/operations", "not such a list"),
    ];
    for (list, place, told) in cases {
        let (_, errors) = read(list.clone());
        assert_eq!(errors.len(), 1, "{list}: {errors:?}");
        assert!(errors[0].contains(place) && errors[0].contains(told), "{list}: {errors:?}");
    }
}

#[test]
fn an_operation_may_be_listed_for_several_levels_and_types() {
    let (listed, errors) = read(json!([
        one("$meta", "instance", "user/*.r"),
        one("$meta", "type", "user/*.rs"),
        {"name": "$meta", "level": "type", "type": "Patient", "requires": "user/Patient.rs"},
    ]));
    assert!(errors.is_empty(), "{errors:?}");
    let patients = ResourceType::parse(Release::R4, "Patient").unwrap();
    let groups = ResourceType::parse(Release::R4, "Group").unwrap();
    let (id, version) = (Id::parse("1").unwrap(), Id::parse("2").unwrap());
    let rows = [
        (Level::Instance(groups, id.clone()), Some("user/*.r")),
        (Level::Version(groups, id, version), Some("user/*.r")),
        (Level::Type(groups), Some("user/*.rs")),
        (Level::Type(patients), Some("user/Patient.rs")),
        (Level::System, None),
    ];
    for (level, requires) in rows {
        let operation = Operation { name: "$meta".to_owned(), level };
        let found = find(&listed, &operation).ok().map(Listed::requires);
        assert_eq!(found, requires, "{operation:?}");
    }
}

#[test]
fn the_scopes_of_one_context_count_together_and_contexts_are_alternatives() {
    let requires = "patient/Patient.r patient/Observation.rs  system/*.read";
    let (listed, errors) = read(json!([one("$x", "system", requires)]));
    assert!(errors.is_empty(), "{errors:?}");
    let shown = |context| {
        let needs = listed[0].needs(context, Release::R4)?;
        let scopes: Vec<String> = needs.iter().map(|need| need.scope(context)).collect();
        Some(scopes.join(" "))
    };
    let both = "patient/Patient.r patient/Observation.rs";
    assert_eq!(shown(Context::Patient).as_deref(), Some(both));
    assert_eq!(shown(Context::System).as_deref(), Some("system/*.rs"));
    assert_eq!(shown(Context::User), None);
}

#[test]
fn the_schema_describes_the_list() {
    let schema = describe(Listed::read);
    let items = &schema["properties"]["operations"]["items"];
    assert_eq!(items["required"], json!(["name", "level", "requires"]));
    assert_eq!(items["properties"]["level"]["enum"], json!(["system", "type", "instance"]));
}
