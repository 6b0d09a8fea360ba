//! Whether a resource matches a criterion of a granular scope, `category=…|laboratory`, judged on the
//! resource itself by the elements that the release's search parameter looks at
//! (<https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters>,
//! <http://hl7.org/fhir/R4/search.html>).
//!
//! Token, reference, string and uri parameters whose definitions come down to elements are evaluated,
//! without modifiers. What can't be told does not match: a `code` with a system (which its definition
//! implies and the resource doesn't say), a bare id where the reference may be to several types, a
//! version in a reference, a reference by identifier only, to a contained resource or to another
//! server. Of a string the whole must be equal, letter for letter, where a search of a server takes
//! the beginning in any case; of a canonical or uri likewise the whole, with its version.

use std::borrow::Cow;

use super::element::{self, Element, Kind};
use super::{Id, Release, ResourceType, compartment, membership};
use crate::base::node::Node;

#[cfg(test)]
mod tests;

/// The elements, by their names at the top of the type, without which [`matches()`] can't tell: a client
/// that selects elements (`_elements`) must get these as well. `None`: the release has no such
/// parameter for the type, or it can't be evaluated.
pub fn elements(release: Release, of: ResourceType, parameter: &str) -> Option<Vec<&'static str>> {
    let mut names: Vec<&'static str> =
        element::of(release, of, parameter)?.map(Element::top).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Whether a resource matches `parameter=value`. The value is percent-decoded and else as it stands
/// in the scope: a comma separates alternatives, of which one is enough; `\,`, `\|`, `\$` and `\\`
/// stand for the letter itself. A token is `code` (of any system), `system|code`, `|code` (without a
/// system) or `system|`; a reference `Type/id`, below a base URL or not, or `id`. Base URLs are
/// absolute, without a slash at the end. Total; `false` when it can't be told.
pub fn matches(
    release: Release,
    resource: &Node<'_>,
    parameter: &str,
    value: &str,
    base_urls: &[String],
) -> bool {
    let Some(of) = membership::type_of(release, resource) else { return false };
    let Some(elements) = element::of(release, of, parameter) else { return false };
    let wanted: Vec<Wanted> = split(value, ',').into_iter().filter_map(Wanted::parse).collect();
    let targets = compartment::reference_targets(release, of, parameter).unwrap_or_default();
    elements.into_iter().any(|element| {
        let types = element.target.as_ref().map_or(targets, core::slice::from_ref);
        let types = References { release, types, base_urls };
        let holds = |end: &Node<'_>| wanted.iter().any(|one| one.is(element.kind, end, &types));
        element.any(resource, &holds)
    })
}

/// One alternative of a value.
struct Wanted<'v> {
    /// All of it.
    whole: Cow<'v, str>,
    /// A token's: `code`, or system and code.
    parts: Vec<Cow<'v, str>>,
}

impl<'v> Wanted<'v> {
    /// `None` when nothing is asked for, or a backslash stands before what needs none.
    fn parse(written: &'v str) -> Option<Wanted<'v>> {
        let whole = unescaped(written)?;
        let parts: Option<Vec<_>> = split(written, '|').into_iter().map(unescaped).collect();
        (!whole.is_empty()).then_some(Wanted { whole, parts: parts? })
    }

    fn is(&self, kind: Kind, end: &Node<'_>, references: &References<'_>) -> bool {
        match kind {
            Kind::CodeableConcept => {
                let codings = end.get("coding").and_then(Node::array).unwrap_or_default();
                codings.iter().any(|coding| self.is_token(coding, "code"))
            }
            Kind::Coding => self.is_token(end, "code"),
            Kind::Identifier => self.is_token(end, "value"),
            Kind::ContactPoint => self.is_code(end.text_of("value")),
            Kind::Token => self.is_code(end.text()),
            Kind::Boolean => self.is_code(match end {
                Node::Bool(true) => Some("true"),
                Node::Bool(false) => Some("false"),
                _ => None,
            }),
            Kind::Text => end.text() == Some(&self.whole),
            Kind::HumanName => {
                self.is_part(end, &["text", "family"], &["given", "prefix", "suffix"])
            }
            Kind::Address => self.is_part(end, &ADDRESS, &["line"]),
            Kind::Reference => {
                end.text_of("reference").is_some_and(|text| references.name(text, &self.whole))
            }
        }
    }

    /// A Coding or an Identifier.
    fn is_token(&self, end: &Node<'_>, code: &str) -> bool {
        let system_is = |text: &str| end.text_of("system") == Some(text);
        let code_is = |text: &str| end.text_of(code) == Some(text);
        match self.parts.iter().map(Cow::as_ref).collect::<Vec<_>>()[..] {
            [code] => code_is(code),
            ["", ""] => false,
            ["", code] => end.get("system").is_none() && code_is(code),
            [system, ""] => system_is(system),
            [system, code] => system_is(system) && code_is(code),
            _ => false,
        }
    }

    /// What has no system of its own.
    fn is_code(&self, text: Option<&str>) -> bool {
        matches!(&self.parts[..], [code] if text == Some(code))
    }

    fn is_part(&self, end: &Node<'_>, single: &[&str], repeating: &[&str]) -> bool {
        let is = |item: &Node<'_>| item.text() == Some(&self.whole);
        let lists = repeating.iter().filter_map(|name| end.get(name)?.array());
        single.iter().any(|name| end.get(name).is_some_and(is)) || lists.flatten().any(is)
    }
}

/// How references are read.
struct References<'r> {
    release: Release,
    /// The types that may be referred to.
    types: &'r [&'static str],
    base_urls: &'r [String],
}

impl References<'_> {
    /// Whether a literal reference in a resource is the one asked for.
    fn name(&self, reference: &str, wanted: &str) -> bool {
        let Some((found, id, _)) = self.local(reference) else { return false };
        if !self.types.contains(&found.name()) {
            return false;
        }
        match self.local(wanted) {
            Some((kind, wanted, versioned)) => !versioned && kind == found && wanted == id,
            None => self.types.len() == 1 && Id::parse(wanted).is_some() && wanted == id,
        }
    }

    /// Type and id of a resource of this server, and whether a version of it is meant: `Type/id` or
    /// `Type/id/_history/v`, relative or below a base URL, nothing decoded.
    fn local<'t>(&self, text: &'t str) -> Option<(ResourceType, &'t str, bool)> {
        let below = |base: &String| text.strip_prefix(base.as_str())?.strip_prefix('/');
        let mut places = core::iter::once(text).chain(self.base_urls.iter().filter_map(below));
        places.find_map(|place| {
            let segments: Vec<&str> = place.split('/').collect();
            let (name, id, versioned) = match segments[..] {
                [name, id] => (name, id, false),
                [name, id, "_history", version] if Id::parse(version).is_some() => (name, id, true),
                _ => return None,
            };
            Id::parse(id)?;
            Some((ResourceType::parse(self.release, name)?, id, versioned))
        })
    }
}

/// Splits at a letter where no backslash stands before it.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|letter| {
        let splits = letter == at && !escaped;
        escaped = letter == '\\' && !escaped;
        splits
    })
    .collect()
}

/// The text without its backslashes; `None` when one stands before what needs none, or at the end.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => letters.next().filter(|next| [',', '|', '$', '\\'].contains(next))?,
            other => other,
        });
    }
    Some(Cow::Owned(plain))
}

/// The parts of an Address that occur once.
const ADDRESS: [&str; 6] = ["text", "city", "district", "state", "postalCode", "country"];
