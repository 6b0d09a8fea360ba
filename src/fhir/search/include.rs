//! `_include` and `_revinclude` (<http://hl7.org/fhir/R4/search.html#include>).

use super::{check_code, split};
use crate::base::refusal::Reason;
use crate::fhir::compartment::reference_targets;
use crate::fhir::reasons::{SEARCH_INCLUDE_INVALID, SEARCH_INCLUDE_UNKNOWN};
use crate::fhir::{Release, ResourceType};
use crate::request::query::Param;

/// What to put beside the resources that are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include<'p> {
    /// `_revinclude`: what refers to them, instead of what they refer to.
    pub reverse: bool,
    /// `:iterate`, in STU3 `:recurse`: beside what is included as well.
    pub iterate: bool,
    /// The type that refers; `None` for `*`.
    pub source: Option<ResourceType>,
    /// The parameter by which it refers; `None` for `*`.
    pub parameter: Option<&'p str>,
    /// What is put into the answer.
    pub included: Included,
}

/// The types that an include puts into the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Included {
    /// Any: `*`, and `_include=Type:*`, which follows references of the server's own making too.
    All,
    /// Each once: the targets of the parameter, or of these the one named; of `_revinclude` the
    /// type that refers.
    Types(Vec<ResourceType>),
}

/// Reads `*`, `Type:*`, `Type:parameter` and `Type:parameter:Target`.
pub(super) fn read(release: Release, param: &Param) -> Result<Include<'_>, &'static Reason> {
    let (name, modifier) = split(&param.name);
    let reverse = name == "_revinclude";
    let iterate = match modifier {
        None => false,
        Some("iterate" | "recurse") => true,
        Some(_) => return Err(&SEARCH_INCLUDE_INVALID),
    };
    let include =
        |source, parameter, included| Include { reverse, iterate, source, parameter, included };
    if param.value == "*" {
        return Ok(include(None, None, Included::All));
    }
    let (source, rest) = param.value.split_once(':').ok_or(&SEARCH_INCLUDE_INVALID)?;
    let source = ResourceType::parse(release, source).ok_or(&SEARCH_INCLUDE_UNKNOWN)?;
    let (parameter, target) = split(rest);
    let back = || Included::Types(vec![source]);
    if parameter == "*" {
        return match target {
            Some(_) => Err(&SEARCH_INCLUDE_INVALID),
            None if reverse => Ok(include(Some(source), None, back())),
            None => Ok(include(Some(source), None, Included::All)),
        };
    }
    check_code(parameter).map_err(|_| &SEARCH_INCLUDE_INVALID)?;
    let targets = targets(release, source, parameter, target)?;
    let included = if reverse { back() } else { Included::Types(targets) };
    Ok(include(Some(source), Some(parameter), included))
}

/// The targets of a parameter, or of these the one named.
fn targets(
    release: Release,
    source: ResourceType,
    parameter: &str,
    target: Option<&str>,
) -> Result<Vec<ResourceType>, &'static Reason> {
    let all = reference_targets(release, source, parameter).ok_or(&SEARCH_INCLUDE_UNKNOWN)?;
    let wanted = |name: &str| target.is_none_or(|target| target == name);
    let found: Vec<_> = all.iter().filter(|name| wanted(name)).copied().map(ResourceType).collect();
    if found.is_empty() { Err(&SEARCH_INCLUDE_UNKNOWN) } else { Ok(found) }
}
