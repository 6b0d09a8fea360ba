//! Parameters of a query or a form, and what a search asks for.

use phiward::fhir::search::{self, alternatives};
use phiward::fhir::{Release, ResourceType};
use phiward::request::Query;

/// The text of a query.
pub fn check(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let again = Query::parse(&written(&query)).expect("what was read is read again");
    assert_eq!(query, again);
    for release in [Release::R4, Release::R5] {
        for searched in ["Patient", "Observation", "Encounter", ""] {
            let searched = ResourceType::parse(release, searched);
            for param in query.params() {
                let asked = search::read(release, searched, param);
                assert_eq!(asked, search::read(release, searched, param));
            }
        }
    }
    for param in query.params() {
        let Ok(values) = alternatives(&param.value) else { continue };
        let escaped: Vec<String> = values.iter().map(|value| escape(value)).collect();
        assert_eq!(alternatives(&escaped.join(",")).expect("escaped"), values);
    }
}

fn written(query: &Query) -> String {
    let value = |value: &str| value.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let pairs = query.params().iter().map(|p| format!("{}={}", p.name, value(&p.value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escape(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        if matches!(c, ',' | '$' | '|' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}
