//! What an operation is given: the parameters of its query or form, and those of a `Parameters` body
//! (<http://hl7.org/fhir/R4/parameters.html>), taken together as a server might.

use std::borrow::Cow;

use super::ALL_TYPES;
use crate::base::node::Node;
use crate::base::refusal::Refusal;
use crate::fhir::search::{self, Asked};
use crate::fhir::{Release, ResourceType, written};
use crate::policy::case::Case;
use crate::policy::coverage::Need;
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::reasons::{
    EXPORT_FILTER_UNJUDGED, OPERATION_BODY, OPERATION_TYPES, PARAMETER_UNJUDGED,
};
use crate::request::Query;

/// The parameters of an operation, wherever they stood.
pub(super) struct Inputs(Vec<Input>);

struct Input {
    name: String,
    /// Empty for what is not a text.
    value: String,
}

impl Inputs {
    /// The parameters of the request and of its whole body, which may be empty.
    pub(super) fn read(case: &Case<'_>, body: &[u8]) -> Result<Inputs, Refusal> {
        let params = case.request.query.params().iter();
        let mut inputs: Vec<Input> = params
            .map(|param| Input { name: param.name.clone(), value: param.value.clone() })
            .collect();
        if !body.is_empty() {
            let of = ResourceType::parse(case.api.release, "Parameters").ok_or(&OPERATION_BODY)?;
            let resource = written::resource(body, of, None)?;
            inputs.extend(parameters(&resource).ok_or(&OPERATION_BODY)?);
        }
        Ok(Inputs(inputs))
    }

    /// `rs` on each type in `_type`, without it on every type.
    pub(super) fn needs(&self, release: Release) -> Result<Vec<Need>, Refusal> {
        let mut needs = Vec::new();
        for name in self.values("_type").flat_map(|value| value.split(',')) {
            let of = ResourceType::parse(release, name).ok_or(&OPERATION_TYPES)?;
            needs.push(Need::on(of, &[Read, Search]));
        }
        if needs.is_empty() {
            needs.push(ALL_TYPES);
        }
        Ok(needs)
    }

    /// What the criteria in `_typeFilter` need: `rs` on the types that they filter, `s` on those that
    /// they look at (`Observation?status=final,Condition?encounter.status=finished`).
    pub(super) fn filtered(&self, release: Release) -> Result<Vec<Need>, Refusal> {
        let mut needs = Vec::new();
        for filter in self.values("_typeFilter").flat_map(|value| filters(value, release)) {
            let found = filtered(&filter, release);
            needs.extend(found.ok_or_else(|| Refusal::new(&EXPORT_FILTER_UNJUDGED))?);
        }
        Ok(needs)
    }

    /// That every parameter is one of `known`.
    pub(super) fn keep_to(&self, known: &[&str]) -> Result<(), Refusal> {
        let Some(stray) = self.0.iter().find(|input| !known.contains(&input.name.as_str())) else {
            return Ok(());
        };
        let visible = stray.name.chars().filter(|shown| !shown.is_control());
        let shown: String = visible.take(64).collect();
        Err(Refusal::new(&PARAMETER_UNJUDGED).hint(format!("parameter `{shown}`")))
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |input| input.name == name);
        named.map(|input| input.value.as_str())
    }
}

/// The parameters of a `Parameters`, each with one value at most: parts and resources are nothing
/// that these operations take.
fn parameters(resource: &Node<'_>) -> Option<Vec<Input>> {
    match resource.get("parameter") {
        None => Some(Vec::new()),
        Some(list) => list.array()?.iter().map(parameter).collect(),
    }
}

fn parameter(parameter: &Node<'_>) -> Option<Input> {
    let name = parameter.text_of("name")?.to_owned();
    let is_value = |(known, _): &&(Cow<'_, str>, Node<'_>)| known != "name";
    let mut values = parameter.members().iter().filter(is_value);
    match (values.next(), values.next()) {
        (None, _) => Some(Input { name, value: String::new() }),
        (Some((kind, value)), None) if kind.starts_with("value") => {
            Some(Input { name, value: value.text().unwrap_or_default().to_owned() })
        }
        _ => None,
    }
}

/// The filters of a list. A comma may also stand in a value: only before a type and `?` it ends a
/// filter.
fn filters(value: &str, release: Release) -> Vec<String> {
    let mut filters: Vec<String> = Vec::new();
    for piece in value.split(',') {
        let starts = piece
            .split_once('?')
            .is_some_and(|(name, _)| ResourceType::parse(release, name).is_some());
        match filters.last_mut().filter(|_| !starts) {
            Some(last) => {
                last.push(',');
                last.push_str(piece);
            }
            None => filters.push(piece.to_owned()),
        }
    }
    filters
}

/// What one filter needs; `None` when it can't be told.
fn filtered(filter: &str, release: Release) -> Option<Vec<Need>> {
    let (name, criteria) = filter.split_once('?')?;
    let of = ResourceType::parse(release, name)?;
    let mut needs = vec![Need::on(of, &[Read, Search])];
    for param in Query::parse(criteria).ok()?.params() {
        match search::read(release, Some(of), param).ok()? {
            asked @ (Asked::Criterion { .. } | Asked::Chain { .. } | Asked::Has { .. }) => {
                needs.extend(asked.types().iter().map(|of| Need::on(*of, &[Search])));
            }
            Asked::Control(_) => {}
            _ => return None,
        }
    }
    Some(needs)
}
