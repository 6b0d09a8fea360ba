//! Parameters that reach further than what was judged: other types, other versions, whatever an
//! opaque cursor points at. Only parameters known not to do that pass.

use crate::base::refusal::{Reason, Refusal};
use crate::fhir::Interaction as I;
use crate::policy::case::Case;
use crate::policy::reasons::{
    HEADER_UNJUDGED, PARAMETER_UNJUDGED, SEARCH_CHAIN_UNJUDGED, SEARCH_CONTAINED_UNJUDGED,
    SEARCH_FILTER_UNJUDGED, SEARCH_HAS_UNJUDGED, SEARCH_INCLUDE_UNJUDGED, SEARCH_LIST_UNJUDGED,
    SEARCH_PARAMETER_UNJUDGED, SEARCH_QUERY_UNJUDGED, SEARCH_TYPES_UNJUDGED,
};
use crate::request::query::{Param, Query};

/// The first header or parameter that reaches further; `None` when there is none.
pub(super) fn objection(case: &Case<'_>) -> Option<Refusal> {
    header_objection(case).or_else(|| {
        let interaction = &case.request.interaction;
        let mut in_query = case.request.query.params().iter();
        in_query
            .find_map(|param| reaching(interaction, param).map(|reason| refusal(param, reason)))
            .or_else(|| in_condition(case))
    })
}

/// The first header that reaches further.
pub(super) fn header_objection(case: &Case<'_>) -> Option<Refusal> {
    let header = REACHING_HEADERS.iter().find(|name| has(case, name))?;
    Some(Refusal::new(&HEADER_UNJUDGED).hint(format!("header `{header}`")))
}

/// The first criterion of `If-None-Exist` that reaches further, or why the header can't be read.
fn in_condition(case: &Case<'_>) -> Option<Refusal> {
    let value = case.head.headers().all("if-none-exist").next()?;
    let text = core::str::from_utf8(value).unwrap_or("\u{fffd}");
    match Query::parse(text) {
        Err(refusal) => Some(refusal.hint("header `if-none-exist`")),
        Ok(criteria) => criteria
            .params()
            .iter()
            .find_map(|param| criterion(param).map(|reason| refusal(param, reason))),
    }
}

fn refusal(param: &Param, reason: &'static Reason) -> Refusal {
    let shown: String = code(&param.name).chars().take(64).collect();
    Refusal::new(reason).hint(format!("parameter `{shown}`"))
}

/// Why a parameter reaches further than the interaction.
fn reaching(interaction: &I, param: &Param) -> Option<&'static Reason> {
    match interaction {
        I::SearchSystem if param.name == "_type" => None,
        I::SearchType(_)
        | I::SearchCompartment(..)
        | I::SearchSystem
        | I::ConditionalUpdate(_)
        | I::ConditionalPatch(_)
        | I::ConditionalDelete(_)
        | I::ConditionalDeleteSystem => criterion(param),
        I::HistoryInstance(..) | I::HistoryType(_) | I::HistorySystem => {
            (!SHAPE.contains(&param.name.as_str()) && !is_history(param))
                .then_some(&PARAMETER_UNJUDGED)
        }
        I::Read(..)
        | I::Vread(..)
        | I::Create(_)
        | I::ConditionalCreate(_)
        | I::Update(..)
        | I::Patch(..)
        | I::Delete(..)
        | I::DeleteHistory(..)
        | I::Capabilities
        | I::Public(_)
        | I::Batch
        | I::Operation(_) => (!SHAPE.contains(&param.name.as_str())).then_some(&PARAMETER_UNJUDGED),
    }
}

/// Why a search parameter reaches further than the type that is searched. Names that careless
/// servers might take for a known one, such as `_INCLUDE`, are not on the list and so refused.
fn criterion(param: &Param) -> Option<&'static Reason> {
    let code = code(&param.name);
    let lower = code.to_ascii_lowercase();
    if let Some((_, reason)) = REACHING.iter().find(|(name, _)| *name == lower) {
        return Some(reason);
    }
    if param.name.contains('.') {
        return Some(&SEARCH_CHAIN_UNJUDGED);
    }
    match code {
        // Some servers sort along a chain.
        "_sort" => param.value.contains(['.', ':']).then_some(&SEARCH_CHAIN_UNJUDGED),
        // A number is a place in this search; anything else may be a cursor into another one.
        "_offset" | "_page" => (!is_number(&param.value)).then_some(&SEARCH_PARAMETER_UNJUDGED),
        _ if code.starts_with(|first: char| first.is_ascii_alphabetic()) => None,
        _ if SHAPE.contains(&code) || CRITERIA.contains(&code) => None,
        _ => Some(&SEARCH_PARAMETER_UNJUDGED),
    }
}

/// Whether the parameter belongs to a history (<http://hl7.org/fhir/R4/http.html#history>).
fn is_history(param: &Param) -> bool {
    match param.name.as_str() {
        "_offset" | "_page" => is_number(&param.value),
        name => HISTORY.contains(&name),
    }
}

/// The name without its modifier.
fn code(name: &str) -> &str {
    name.split_once(':').map_or(name, |(code, _)| code)
}

fn is_number(value: &str) -> bool {
    (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn has(case: &Case<'_>, header: &str) -> bool {
    case.head.headers().all(header).next().is_some()
}

/// How an answer is shaped.
const SHAPE: &[&str] = &["_format", "_pretty", "_summary", "_elements"];

/// What besides [`SHAPE`] concerns only the resources that are searched
/// (<http://hl7.org/fhir/R4/search.html#all>).
const CRITERIA: &[&str] = &[
    "_id",
    "_lastUpdated",
    "_tag",
    "_profile",
    "_security",
    "_source",
    "_text",
    "_content",
    "_count",
    "_total",
];

/// What besides [`SHAPE`] belongs to a history.
const HISTORY: &[&str] = &["_since", "_at", "_count", "_sort"];

/// What reaches further, by name in lower case.
const REACHING: &[(&str, &Reason)] = &[
    ("_has", &SEARCH_HAS_UNJUDGED),
    ("_include", &SEARCH_INCLUDE_UNJUDGED),
    ("_revinclude", &SEARCH_INCLUDE_UNJUDGED),
    ("_filter", &SEARCH_FILTER_UNJUDGED),
    ("_query", &SEARCH_QUERY_UNJUDGED),
    ("_list", &SEARCH_LIST_UNJUDGED),
    ("_contained", &SEARCH_CONTAINED_UNJUDGED),
    ("_containedtype", &SEARCH_CONTAINED_UNJUDGED),
    ("_type", &SEARCH_TYPES_UNJUDGED),
];

/// Headers with which a write reaches further: HAPI deletes referring resources too; `X-Provenance`
/// creates a Provenance beside the resource (<http://hl7.org/fhir/R4/provenance.html#header>).
const REACHING_HEADERS: &[&str] = &["x-cascade", "x-provenance"];
