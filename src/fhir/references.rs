//! References anywhere in a resource.

use super::membership::Naming;
use super::{Id, Release, ResourceType};
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

/// The resource of this API that a literal reference names: `Type/id`, relative or below one of the base
/// URLs (absolute, without a slash at the end). `None` for anything else: a version, `#contained`, a
/// `urn:`, a resource of another server, a conditional reference.
pub fn local(
    reference: &str,
    release: Release,
    base_urls: &[String],
) -> Option<(ResourceType, Id)> {
    let below = |base: &String| reference.strip_prefix(base.as_str())?.strip_prefix('/');
    let named = |path: &str| {
        let (of, id) = path.split_once('/')?;
        Some((ResourceType::parse(release, of)?, Id::parse(id)?))
    };
    named(reference).or_else(|| base_urls.iter().filter_map(below).find_map(named))
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

    #[test]
    fn what_a_reference_names_here_is_known_by_type_and_id() {
        let bases = ["https://api.example/fhir".to_owned(), "https://api.example".to_owned()];
        let rows = [
            ("DocumentReference/1", Some("DocumentReference 1")),
            ("https://api.example/fhir/DocumentReference/1", Some("DocumentReference 1")),
            ("https://api.example/DocumentReference/1", Some("DocumentReference 1")),
            ("Binary/a.b-c", Some("Binary a.b-c")),
            ("DocumentReference/1/_history/2", None),
            ("/DocumentReference/1", None),
            ("DocumentReference/1/", None),
            ("DocumentReference/1?x=1", None),
            ("DocumentReference/1#x", None),
            ("DocumentReference/%31", None),
            ("DocumentReference?identifier=x", None),
            ("documentreference/1", None),
            ("Nope/1", None),
            ("#d", None),
            ("urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", None),
            ("https://other.example/fhir/DocumentReference/1", None),
            ("https://api.example/fhir/x/DocumentReference/1", None),
            ("https://api.example.evil/fhir/DocumentReference/1", None),
            ("", None),
        ];
        for (reference, expected) in rows {
            let named = local(reference, Release::R4, &bases);
            let named = named.map(|(of, id)| format!("{} {}", of.name(), id.as_str()));
            assert_eq!(named.as_deref(), expected, "{reference}");
        }
    }
}
