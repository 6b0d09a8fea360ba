//! Parameters that reach further than the type that was judged: other types, other versions, whatever
//! an opaque cursor points at. What they reach must be covered too; only parameters whose reach is
//! known pass. To those who may do as much with every type, they are all allowed.

use super::place::{self, Place};
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::compartment::is_in_encounter_compartment;
use crate::fhir::search::{self, Asked, Include, Included};
use crate::fhir::{Interaction as I, ResourceType};
use crate::policy::case::{Case, Covered, Stop};
use crate::policy::coverage::Need;
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::permit::Narrowing;
use crate::policy::reasons::{
    HEADER_UNJUDGED, PARAMETER_UNJUDGED, SEARCH_CHAIN_ENCOUNTER, SEARCH_CHAIN_OUTSIDE,
    SEARCH_CHAIN_UNJUDGED, SEARCH_CONTAINED_UNJUDGED, SEARCH_FILTER_UNJUDGED, SEARCH_HAS_OUTSIDE,
    SEARCH_LIST_UNJUDGED, SEARCH_PARAMETER_UNJUDGED, SEARCH_QUERY_UNJUDGED, SEARCH_TYPES_UNJUDGED,
};
use crate::request::query::{Param, Query};
use crate::request::reasons::PARAMETER_CHARACTER;

/// What a request's parameters reach besides the type itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Only the answer tells whether the client may have what they reach.
    pub(super) held: bool,
    /// A place in another search: what the server counts is counted there.
    pub(super) elsewhere: bool,
    /// What keeps chains with the patient.
    pub(super) narrowing: Vec<Narrowing>,
    /// Types that are included.
    included: Vec<ResourceType>,
}

impl Reach {
    /// The type that is searched and those included.
    pub(super) fn types(&self, of: ResourceType) -> Vec<ResourceType> {
        [of].into_iter().chain(self.included.iter().copied()).collect()
    }

    /// Adds what keeps a chain with the patient, once.
    pub(super) fn narrow(&mut self, narrowing: Narrowing) {
        if !self.narrowing.contains(&narrowing) {
            self.narrowing.push(narrowing);
        }
    }
}

/// Whether this asks for a page of a search that only the server knows: a cursor at the base.
pub(super) fn is_page(case: &Case<'_>) -> bool {
    let params = case.request.query.params();
    let asked = |param| search::read(case.api.release, None, param);
    let of_page = |param| matches!(asked(param), Ok(Asked::Cursor(_) | Asked::Control(_)));
    case.request.interaction == I::SearchSystem
        && params.iter().any(|param| matches!(asked(param), Ok(Asked::Cursor(_))))
        && params.iter().all(of_page)
}

/// Judges headers and parameters.
pub(super) fn judge(case: &Case<'_>, covered: &Covered<'_>) -> Result<Reach, Stop> {
    let judge = Judge { case, covered };
    if let Some(refusal) = header(case) {
        judge.unless_sweeping(refusal)?;
    }
    let mut reach = Reach::default();
    for param in case.request.query.params() {
        judge.param(param, &mut reach)?;
    }
    if let Some(value) = case.head.headers().all("if-none-exist").next() {
        for param in condition(value)?.params() {
            judge.criterion(param, &mut reach)?;
        }
    }
    Ok(reach)
}

/// The refusal of the first header that reaches further.
pub(super) fn header(case: &Case<'_>) -> Option<Refusal> {
    let header = REACHING_HEADERS.iter().find(|name| has(case, name))?;
    Some(Refusal::new(&HEADER_UNJUDGED).hint(format!("header `{header}`")))
}

/// The criteria of `If-None-Exist`. A server that reads them as part of a URL cuts off what follows a `#`,
/// and with it what narrows them.
pub(super) fn condition(value: &[u8]) -> Result<Query, Refusal> {
    let text = core::str::from_utf8(value).ok().filter(|text| !text.contains('#'));
    let query = text.map_or(Err(Refusal::new(&PARAMETER_CHARACTER)), Query::parse);
    query.map_err(|refusal| refusal.hint("header `if-none-exist`"))
}

#[derive(Clone, Copy)]
pub(super) struct Judge<'j, 'a> {
    pub(super) case: &'j Case<'a>,
    pub(super) covered: &'j Covered<'a>,
}

impl Judge<'_, '_> {
    fn param(self, param: &Param, reach: &mut Reach) -> Result<(), Stop> {
        match &self.case.request.interaction {
            I::SearchType(_)
            | I::SearchCompartment(..)
            | I::SearchSystem
            | I::ConditionalUpdate(_)
            | I::ConditionalPatch(_)
            | I::ConditionalDelete(_)
            | I::ConditionalDeleteSystem => self.criterion(param, reach),
            I::HistoryInstance(..) | I::HistoryType(_) | I::HistorySystem if is_history(param) => {
                Ok(())
            }
            _ if SHAPE.contains(&param.name.as_str()) => Ok(()),
            _ => self.refuse(param, &PARAMETER_UNJUDGED),
        }
    }

    /// A parameter of a search or of a condition.
    fn criterion(self, param: &Param, reach: &mut Reach) -> Result<(), Stop> {
        let interaction = &self.case.request.interaction;
        let searches =
            matches!(interaction, I::SearchType(_) | I::SearchCompartment(..) | I::SearchSystem);
        let of = interaction.resource_type();
        match search::read(self.case.api.release, of, param) {
            Err(reason) => self.refuse(param, reason),
            Ok(Asked::Criterion { types, .. }) => self.searched(&types),
            Ok(Asked::Chain { types, way, .. }) => self.chain(param, &types, &way, reach),
            Ok(Asked::Has { types, way }) => {
                if self.covered.patient.is_some() && self.is_shared(of) {
                    return self.refuse(param, &SEARCH_HAS_OUTSIDE);
                }
                self.chain(param, &types, &way, reach)
            }
            Ok(Asked::Include(include)) if searches => self.include(include, reach),
            Ok(Asked::Control(_)) => Ok(()),
            Ok(Asked::Types(_)) if *interaction == I::SearchSystem => Ok(()),
            Ok(Asked::Types(_)) => self.refuse(param, &SEARCH_TYPES_UNJUDGED),
            Ok(Asked::Cursor(_)) if searches => {
                reach.held |= !self.sweeps();
                reach.elsewhere = true;
                Ok(())
            }
            Ok(Asked::Unjudged(name)) => self.refuse(param, unjudged(name)),
            Ok(Asked::Include(_) | Asked::Cursor(_)) => {
                self.refuse(param, &SEARCH_PARAMETER_UNJUDGED)
            }
        }
    }

    /// Criteria on other types tell what is stored there: all of them must be searchable.
    pub(super) fn searched(self, types: &[ResourceType]) -> Result<(), Stop> {
        let needs: Vec<Need> = types.iter().map(|of| Need::on(*of, &[Search])).collect();
        if !needs.is_empty() && !self.case.covers_plainly(&needs) {
            return Err(self.case.lacking(&needs).into());
        }
        let belongs = |of: &ResourceType| is_in_encounter_compartment(self.case.api.release, *of);
        if self.covered.encounter.is_some() && types.iter().any(belongs) {
            return Err((&SEARCH_CHAIN_ENCOUNTER).into());
        }
        let outside = |of: &ResourceType| place::of(self.case, self.covered, *of).is_err();
        if types.iter().any(outside) { Err((&SEARCH_CHAIN_OUTSIDE).into()) } else { Ok(()) }
    }

    fn include(self, include: Include<'_>, reach: &mut Reach) -> Result<(), Stop> {
        let needs: Vec<Need> = match &include.included {
            Included::All => vec![Need::on_all(&[Read])],
            Included::Types(types) => types.iter().map(|of| Need::on(*of, &[Read])).collect(),
        };
        let granular = self.case.covered(&needs)?.granular;
        reach.held |= granular || self.covered.patient.is_some();
        if let Included::Types(types) = include.included {
            reach.included.extend(types);
        }
        Ok(())
    }

    pub(super) fn is_shared(self, of: Option<ResourceType>) -> bool {
        of.is_some_and(|of| place::of(self.case, self.covered, of) == Ok(Place::Shared))
    }

    pub(super) fn refuse(self, param: &Param, reason: &'static Reason) -> Result<(), Stop> {
        let name = param.name.split_once(':').map_or(param.name.as_str(), |(code, _)| code);
        let shown: String = name.chars().take(64).collect();
        self.unless_sweeping(Refusal::new(reason).hint(format!("parameter `{shown}`")))
    }

    /// Who may do as much with every type may do it any way.
    fn unless_sweeping(self, refusal: Refusal) -> Result<(), Stop> {
        if self.sweeps() { Ok(()) } else { Err(refusal.into()) }
    }

    fn sweeps(self) -> bool {
        self.case.sweeping(&self.case.request.interaction).is_some()
    }
}

/// Why a parameter that may reach anything is refused.
fn unjudged(name: &str) -> &'static Reason {
    let named = UNJUDGED.iter().find(|(known, _)| *known == name);
    named.map_or(&SEARCH_PARAMETER_UNJUDGED, |(_, reason)| reason)
}

/// Whether the parameter belongs to a history (<http://hl7.org/fhir/R4/http.html#history>).
fn is_history(param: &Param) -> bool {
    let is_number = |value: &str| {
        (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
    };
    match param.name.as_str() {
        "_offset" | "_page" => is_number(&param.value),
        name => HISTORY.contains(&name) || SHAPE.contains(&name),
    }
}

fn has(case: &Case<'_>, header: &str) -> bool {
    case.head.headers().all(header).next().is_some()
}

/// How an answer is shaped.
const SHAPE: &[&str] = &["_format", "_pretty", "_summary", "_elements"];

/// What besides [`SHAPE`] belongs to a history.
const HISTORY: &[&str] = &["_since", "_at", "_count", "_sort"];

/// What may reach anything.
const UNJUDGED: &[(&str, &Reason)] = &[
    ("_filter", &SEARCH_FILTER_UNJUDGED),
    ("_query", &SEARCH_QUERY_UNJUDGED),
    ("_list", &SEARCH_LIST_UNJUDGED),
    ("_contained", &SEARCH_CONTAINED_UNJUDGED),
    ("_containedType", &SEARCH_CONTAINED_UNJUDGED),
    ("_sort", &SEARCH_CHAIN_UNJUDGED),
];

/// Headers with which a write reaches further: HAPI deletes referring resources too; `X-Provenance`
/// creates a Provenance beside the resource (<http://hl7.org/fhir/R4/provenance.html#header>);
/// `X-Security-Context` says whose a Binary is (<http://hl7.org/fhir/R4/binary.html#rest>).
const REACHING_HEADERS: &[&str] = &["x-cascade", "x-provenance", "x-security-context"];
