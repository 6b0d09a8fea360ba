//! The elements of a resource that a search parameter looks at, as the release's definitions have
//! it, and the way to them in JSON.
//!
//! The tables write an element as a letter, how its datatype is compared with a value ([`Kind`]), and
//! the names on the way to it, for example `Ccomponent*.value+CodeableConcept`:
//!
//! | written | means |
//! |---|---|
//! | `code` | a member, no array |
//! | `category*` | a member that is an array; each of its items |
//! | `value+Coding` | the choice element `value[x]` as a Coding: the member `valueCoding` |
//! | `telecom*[system=phone]` | the objects of the array whose member `system` is `phone` |
//! | `subject>Patient` | at the end: a Reference that must be to a Patient |

use super::{Release, ResourceType, tables};
use crate::base::node::Node;

/// One element that a parameter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    /// How a value is compared with it.
    pub(super) kind: Kind,
    /// The names on the way to it.
    pub(super) path: &'static str,
    /// The only type it may refer to.
    pub(super) target: Option<&'static str>,
}

/// What an element is, as far as comparing it with a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    CodeableConcept,
    Coding,
    Identifier,
    ContactPoint,
    Boolean,
    /// A code, id, string or uri that a token parameter looks at.
    Token,
    /// A string, uri or canonical that a string, uri or reference parameter looks at.
    Text,
    HumanName,
    Address,
    Reference,
}

/// What a parameter of a type looks at; `None` when the release has no such parameter, or none that
/// can be evaluated exactly.
pub(super) fn of(
    release: Release,
    resource: ResourceType,
    parameter: &str,
) -> Option<impl Iterator<Item = Element>> {
    let elements = tables::of(release).elements;
    let named = |owner: &str| tables::find(tables::find(elements, owner)?, parameter);
    let written = named(resource.name()).or_else(|| named(EVERY_TYPE))?;
    Some(written.split(',').filter_map(Element::parse))
}

impl Element {
    fn parse(written: &'static str) -> Option<Element> {
        let mut letters = written.chars();
        let kind = match letters.next()? {
            'A' => Kind::Address,
            'C' => Kind::CodeableConcept,
            'D' => Kind::Coding,
            'I' => Kind::Identifier,
            'N' => Kind::HumanName,
            'P' => Kind::ContactPoint,
            'R' => Kind::Reference,
            'b' => Kind::Boolean,
            't' => Kind::Token,
            'u' => Kind::Text,
            _ => return None,
        };
        let rest = letters.as_str();
        let (path, target) = rest.split_once('>').map_or((rest, None), |(p, t)| (p, Some(t)));
        Some(Element { kind, path, target })
    }

    /// The element at the top of the resource through which it leads, by the name that `_elements`
    /// takes: that of a choice element without its type.
    pub(super) fn top(self) -> &'static str {
        let end = self.path.find(|letter: char| !letter.is_ascii_alphanumeric());
        end.and_then(|end| self.path.get(..end)).unwrap_or(self.path)
    }

    /// Whether it leads to one value at most.
    pub(super) fn is_single(self) -> bool {
        !self.path.contains('*')
    }

    /// Whether anything it leads to in the resource passes the test. An array where the release
    /// allows one value, or one value where it has an array, leads nowhere: a server may read it as
    /// another.
    pub(super) fn any(self, resource: &Node<'_>, test: &impl Fn(&Node<'_>) -> bool) -> bool {
        reaches(resource, Some(self.path), test)
    }
}

fn reaches(value: &Node<'_>, path: Option<&str>, test: &impl Fn(&Node<'_>) -> bool) -> bool {
    let Some(path) = path else { return test(value) };
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let (step, condition) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
        Some((step, condition)) => (step, condition.split_once('=')),
        None => (step, None),
    };
    let goes_on = |item: &Node<'_>| {
        condition.is_none_or(|(name, code)| item.text_of(name) == Some(code))
            && reaches(item, rest, test)
    };
    let (name, repeats) = step.strip_suffix('*').map_or((step, false), |name| (name, true));
    match (repeats, member(value, name)) {
        (true, Some(Node::Array(items))) => items.iter().any(goes_on),
        (false, Some(item)) => goes_on(item),
        _ => false,
    }
}

/// The member of a name as it is written: of `value+Coding` that is `valueCoding`.
fn member<'n, 'a>(value: &'n Node<'a>, written: &str) -> Option<&'n Node<'a>> {
    let (name, datatype) = written.split_once('+').unwrap_or((written, ""));
    let mut members = value.members().iter();
    members.find(|(known, _)| known.strip_prefix(name) == Some(datatype)).map(|(_, item)| item)
}

/// What the tables call the parameters of all types.
const EVERY_TYPE: &str = "Resource";

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASES: [(Release, usize); 3] =
        [(Release::R4, 1_439), (Release::R4B, 1_474), (Release::R5, 1_677)];

    #[test]
    fn every_element_in_the_tables_is_read_and_none_is_lost() {
        for (release, expected) in RELEASES {
            let tables = tables::of(release);
            let mut count = 0usize;
            for (owner, parameters) in tables.elements {
                for (name, written) in *parameters {
                    let row = format!("{release:?} {owner} {name} {written}");
                    count = count.saturating_add(1);
                    for one in written.split(',') {
                        let element = Element::parse(one).unwrap();
                        assert!(!element.top().is_empty(), "{row}");
                        if let Some(target) = element.target {
                            assert!(ResourceType::parse(release, target).is_some(), "{row}");
                            assert_eq!(element.kind, Kind::Reference, "{row}");
                        }
                    }
                    if let Some(owner) = ResourceType::parse(release, owner) {
                        let elements: Vec<Element> = of(release, owner, name).unwrap().collect();
                        assert_eq!(elements.len(), written.split(',').count(), "{row}");
                    }
                }
            }
            assert_eq!(count, expected, "{release:?}");
        }
    }

    #[test]
    fn what_can_not_be_reduced_exactly_is_not_evaluated() {
        let cases = [
            ("Patient", "deceased"),
            ("Bundle", "composition"),
            ("QuestionnaireResponse", "item-subject"),
            ("Observation", "date"),
            ("Observation", "value-quantity"),
            ("Observation", "_text"),
            ("Observation", "_content"),
            ("Observation", "_filter"),
            ("Observation", "_has"),
        ];
        for (release, _) in RELEASES {
            for (owner, parameter) in cases {
                let owner = ResourceType::parse(release, owner).unwrap();
                assert!(of(release, owner, parameter).is_none(), "{release:?} {parameter}");
            }
        }
    }
}
