//! References anywhere in a resource.

use super::membership::Naming;
use crate::base::node::Node;

/// Whether any reference in a value, at any depth, names a patient, or encounter, other than this one, or might:
/// a conditional reference (`Patient?identifier=…`, <http://hl7.org/fhir/R4/http.html#trules>) is
/// resolved by the server, to whom nobody can tell.
pub fn names_another(value: &Node<'_>, naming: &Naming<'_>) -> bool {
    match value {
        Node::Array(items) => items.iter().any(|item| names_another(item, naming)),
        Node::Object(members) => members.iter().any(|(name, value)| match value {
            Node::Text(text) if name == "reference" => is_another(text, naming),
            value => names_another(value, naming),
        }),
        _ => false,
    }
}

/// Whether a reference is to one of that type, or to nobody knows whom, and not to this one.
fn is_another(reference: &str, naming: &Naming<'_>) -> bool {
    if naming.names(reference) {
        return false;
    }
    let path = reference.split(['?', '#', '|']).next().unwrap_or_default();
    reference.contains('?') || path.split('/').any(|part| part.eq_ignore_ascii_case(naming.owner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::node::read;
    use crate::fhir::Id;

    #[test]
    fn a_reference_to_another_patient_is_found_wherever_it_stands() {
        let patient = Id::parse("P").unwrap();
        let base_urls = ["https://api.example/fhir".to_owned()];
        let aliases = ["urn:uuid:1".to_owned()];
        let naming =
            Naming { owner: "Patient", id: &patient, base_urls: &base_urls, aliases: &aliases };
        let rows = [
            (r#"{"subject":{"reference":"Patient/P"}}"#, false),
            (r#"{"subject":{"reference":"https://api.example/fhir/Patient/P"}}"#, false),
            (r#"{"subject":{"reference":"Patient/P/_history/3"}}"#, false),
            (r#"{"subject":{"reference":"urn:uuid:1"}}"#, false),
            (
                r##"{"subject":{"reference":"#p"},"performer":[{"reference":"Practitioner/P"}]}"##,
                false,
            ),
            (r#"{"encounter":{"reference":"Encounter/1"}}"#, false),
            (r#"{"subject":{"reference":"Patient/Q"}}"#, true),
            (r#"{"subject":{"reference":"patient/P"}}"#, true),
            (r#"{"subject":{"reference":"https://elsewhere/fhir/Patient/P"}}"#, true),
            (r#"{"contained":[{"subject":{"reference":"Patient/Q"}}]}"#, true),
            (r#"{"a":[[{"b":{"reference":"Patient/Q/_history/1"}}]]}"#, true),
            (r#"{"extension":[{"valueReference":{"reference":"Patient/PP"}}]}"#, true),
            (r#"{"subject":{"reference":"Patient?identifier=x"}}"#, true),
            (r#"{"encounter":{"reference":"Encounter?identifier=x"}}"#, true),
        ];
        for (text, another) in rows {
            assert_eq!(names_another(&read(text.as_bytes()).unwrap(), &naming), another, "{text}");
        }
    }
}
