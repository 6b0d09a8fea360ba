//! What one parameter of a search asks for, and which types it reaches
//! (<http://hl7.org/fhir/R4/search.html>). Pure and total: what this grammar doesn't know is an
//! error with its own reason, so that nobody takes it for a harmless criterion.
//!
//! It knows HL7's reference parameters with their targets. A server that gives a parameter of the
//! same name other targets answers more than is said here.

mod include;
mod value;
mod way;

#[cfg(test)]
mod tests;

pub use include::{Include, Included};
pub use value::alternatives;
pub use way::{Link, MAX_LINKS, Way};

use super::reasons::{
    SEARCH_MODIFIER_UNKNOWN, SEARCH_NAME_CASE, SEARCH_NAME_INVALID, SEARCH_TYPE_UNKNOWN,
};
use super::{Release, ResourceType};
use crate::base::refusal::Reason;
use crate::request::query::Param;

/// What one parameter of a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<'p> {
    /// A criterion of the type that is searched: `code`, `code:in`, `subject:Patient`, `_id`.
    Criterion {
        /// The parameter.
        code: &'p str,
        /// A modifier of FHIR or a type of the release.
        modifier: Option<&'p str>,
        /// Types the server walks through to decide: those of the hierarchy in
        /// `location:below=Location/1`. Empty in all other cases.
        types: Vec<ResourceType>,
    },
    /// `subject:Patient.name`, `encounter.location.name`, `patient._has:Group:member:_id`.
    Chain {
        /// The first reference parameter.
        first: &'p str,
        /// The type written behind it.
        first_type: Option<ResourceType>,
        /// Every type the chain may pass or end on, each once, in the order reached.
        types: Vec<ResourceType>,
        /// Link by link.
        way: Way<'p>,
    },
    /// `_has:Observation:patient:code`, nested or ending in a chain too.
    Has {
        /// As of a chain.
        types: Vec<ResourceType>,
        /// Link by link.
        way: Way<'p>,
    },
    /// `_include`, `_revinclude`.
    Include(Include<'p>),
    /// How the answer is shaped, sorted or cut into pages: `_count`, `_sort`, `_summary`,
    /// `_elements`, `_total`, `_format`, `_pretty`, `_maxresults`, `_score`; `_offset`, `_page` and
    /// `page` with a number.
    Control(&'static str),
    /// `_type`: the types to search.
    Types(Vec<ResourceType>),
    /// A place in another search, known to the server only: `_getpages`, `_page_token`, `ct`, …
    Cursor(&'static str),
    /// May reach anything: `_filter`, `_query`, `_list`, `_in`, `_contained`, `_containedType`,
    /// `_graph`, `_sort` along a chain; every other name that begins with `_`.
    Unjudged(&'p str),
}

impl Asked<'_> {
    /// The types besides the one searched whose resources decide what is found: who may not search
    /// one of them learns of it from the answer. Included types are not among them.
    pub fn types(&self) -> &[ResourceType] {
        match self {
            Asked::Criterion { types, .. }
            | Asked::Chain { types, .. }
            | Asked::Has { types, .. } => types,
            Asked::Include(_)
            | Asked::Control(_)
            | Asked::Types(_)
            | Asked::Cursor(_)
            | Asked::Unjudged(_) => &[],
        }
    }
}

/// What a parameter asks for in a search of the type `searched`; of all types where it is `None`.
///
/// # Errors
///
/// A reason of [`super::reasons`] whose code starts with `search`: what is malformed, and what
/// HL7's definitions of the release don't have. As with [`Asked::Unjudged`], a server may take it
/// for anything.
pub fn read<'p>(
    release: Release,
    searched: Option<ResourceType>,
    param: &'p Param,
) -> Result<Asked<'p>, &'static Reason> {
    let (code, modifier) = split(&param.name);
    let known = SPECIAL.iter().find(|(name, _)| name.eq_ignore_ascii_case(code));
    let Some((name, kind)) = known else {
        return match is_foreign(code) {
            true => Ok(Asked::Unjudged(&param.name)),
            false => way::read(release, searched, &param.name),
        };
    };
    if *name != code {
        return Err(&SEARCH_NAME_CASE);
    }
    let asked = match kind {
        Kind::Way => return way::read(release, searched, &param.name),
        Kind::Include => return include::read(release, param).map(Asked::Include),
        Kind::Cursor => return Ok(Asked::Cursor(name)),
        Kind::Unjudged => return Ok(Asked::Unjudged(name)),
        Kind::Place if !is_number(&param.value) => return Ok(Asked::Cursor(name)),
        Kind::Sort if !param.value.split(',').all(is_sort) => return Ok(Asked::Unjudged(name)),
        Kind::Control | Kind::Place | Kind::Sort => Asked::Control(name),
        Kind::Types => types(release, &param.value).map(Asked::Types)?,
    };
    match modifier {
        None => Ok(asked),
        Some(_) => Err(&SEARCH_MODIFIER_UNKNOWN),
    }
}

/// Reads the list of `_type`.
fn types(release: Release, value: &str) -> Result<Vec<ResourceType>, &'static Reason> {
    let mut found = Vec::new();
    for name in value.split(',') {
        let resource = ResourceType::parse(release, name).ok_or(&SEARCH_TYPE_UNKNOWN)?;
        add(&mut found, &[resource]);
    }
    Ok(found)
}

/// Name and modifier.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    }
}

/// Adds the types, none of them twice, that are not there yet. A chain may pass every type of the
/// release on each of its links: all of them, or none, are added at once.
fn add(types: &mut Vec<ResourceType>, more: &[ResourceType]) {
    if types.is_empty() {
        types.extend_from_slice(more);
    }
    if types == more {
        return;
    }
    for resource in more {
        if !types.contains(resource) {
            types.push(*resource);
        }
    }
}

/// A parameter's code: a letter, then letters, digits, `-` and `_`.
fn check_code(code: &str) -> Result<(), &'static Reason> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let starts = code.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts && code.bytes().all(fits) { Ok(()) } else { Err(&SEARCH_NAME_INVALID) }
}

/// A server's own control parameter: `_` and a code.
fn is_foreign(code: &str) -> bool {
    code.strip_prefix('_').is_some_and(|rest| check_code(rest).is_ok())
}

/// `code` or `-code`; nothing at all sorts nothing.
fn is_sort(item: &str) -> bool {
    let code = item.strip_prefix('-').unwrap_or(item);
    code.is_empty() || check_code(code.strip_prefix('_').unwrap_or(code)).is_ok()
}

fn is_number(value: &str) -> bool {
    (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a special name is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A criterion of every type, or `_has`.
    Way,
    Include,
    Control,
    Sort,
    Types,
    /// A page's place: by number in this search, else perhaps in another one.
    Place,
    Cursor,
    Unjudged,
}

/// Names with a meaning of their own. A server might read them without regard to case; this grammar
/// refuses any other spelling.
const SPECIAL: &[(&str, Kind)] = &[
    // Criteria of every type (<http://hl7.org/fhir/R4/search.html#all>, R5 for `_language`).
    ("_id", Kind::Way),
    ("_lastUpdated", Kind::Way),
    ("_tag", Kind::Way),
    ("_profile", Kind::Way),
    ("_security", Kind::Way),
    ("_source", Kind::Way),
    ("_language", Kind::Way),
    ("_text", Kind::Way),
    ("_content", Kind::Way),
    ("_has", Kind::Way),
    ("_include", Kind::Include),
    ("_revinclude", Kind::Include),
    ("_type", Kind::Types),
    // How the answer looks.
    ("_sort", Kind::Sort),
    ("_count", Kind::Control),
    ("_summary", Kind::Control),
    ("_elements", Kind::Control),
    ("_total", Kind::Control),
    ("_format", Kind::Control),
    ("_pretty", Kind::Control),
    ("_maxresults", Kind::Control),
    ("_score", Kind::Control),
    // Pages.
    ("_offset", Kind::Place),
    ("_page", Kind::Place),
    ("page", Kind::Place),
    ("_getpages", Kind::Cursor),
    ("_getpagesoffset", Kind::Cursor),
    ("_pageId", Kind::Cursor),
    ("_bundletype", Kind::Cursor),
    ("_cursor", Kind::Cursor),
    ("_page_token", Kind::Cursor),
    ("ct", Kind::Cursor),
    // What reaches as far as its value says.
    ("_filter", Kind::Unjudged),
    ("_query", Kind::Unjudged),
    ("_list", Kind::Unjudged),
    ("_in", Kind::Unjudged),
    ("_contained", Kind::Unjudged),
    ("_containedType", Kind::Unjudged),
    ("_graph", Kind::Unjudged),
];
