//! What an operation is given: the parameters of its query or form, and those of a `Parameters` body
//! (<http://hl7.org/fhir/R4/parameters.html>), taken together as a server might.

use std::borrow::Cow;

use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::fhir::{Release, ResourceType};
use crate::policy::case::Case;
use crate::policy::coverage::Need;
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::reasons::{
    EXPORT_FILTER_UNJUDGED, OPERATION_BODY, OPERATION_TYPES, PARAMETER_UNJUDGED,
};

/// A parameter, wherever it stood.
pub(super) struct Input {
    name: String,
    /// `None`: not a text.
    value: Option<String>,
}

/// The parameters of the request and of its whole body. No body: nothing.
pub(super) fn all(case: &Case<'_>, body: &[u8]) -> Result<Vec<Input>, Refusal> {
    let params = case.request.query.params().iter();
    let mut inputs: Vec<Input> = params
        .map(|param| Input { name: param.name.clone(), value: Some(param.value.clone()) })
        .collect();
    if !body.trim_ascii().is_empty() {
        inputs.extend(parameters(body).ok_or_else(|| Refusal::new(&OPERATION_BODY))?);
    }
    Ok(inputs)
}

/// The needs of `rs` on each type in `_type`, none twice.
pub(super) fn types(inputs: &[Input], release: Release) -> Result<Vec<Need>, Refusal> {
    let mut needs: Vec<Need> = Vec::new();
    for input in inputs.iter().filter(|input| input.name == "_type") {
        let value = input.value.as_deref().unwrap_or_default();
        for name in value.split(',') {
            let of = ResourceType::parse(release, name).ok_or(&OPERATION_TYPES)?;
            let need = Need::on(of, &[Read, Search]);
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    }
    Ok(needs)
}

/// The needs of what `_typeFilter` searches, `Observation?status=final,Condition?code=x`: only
/// criteria that look at resources of the type itself.
pub(super) fn filtered_types(inputs: &[Input], release: Release) -> Result<Vec<Need>, Refusal> {
    let mut needs = Vec::new();
    for input in inputs.iter().filter(|input| input.name == "_typeFilter") {
        let value = input.value.as_deref().unwrap_or_default();
        let filters = filters(value, release).ok_or(&EXPORT_FILTER_UNJUDGED)?;
        needs.extend(filters.into_iter().map(|of| Need::on(of, &[Read, Search])));
    }
    Ok(needs)
}

/// The first parameter that is none of `known`.
pub(super) fn stray(inputs: &[Input], known: &[&str]) -> Option<Refusal> {
    let stray = inputs.iter().find(|input| !known.contains(&input.name.as_str()))?;
    let shown: String = stray.name.chars().take(64).filter(|shown| !shown.is_control()).collect();
    Some(Refusal::new(&PARAMETER_UNJUDGED).hint(format!("parameter `{shown}`")))
}

fn parameters(body: &[u8]) -> Option<Vec<Input>> {
    let resource = node::read(body).ok()?;
    if resource.text_of("resourceType") != Some("Parameters") {
        return None;
    }
    match resource.get("parameter") {
        None => Some(Vec::new()),
        Some(list) => list.array()?.iter().map(parameter).collect(),
    }
}

/// One with a single value: parts and resources are nothing that these operations take.
fn parameter(parameter: &Node<'_>) -> Option<Input> {
    let name = parameter.text_of("name")?.to_owned();
    let is_value = |(known, _): &&(Cow<'_, str>, Node<'_>)| known != "name";
    let mut values = parameter.members().iter().filter(is_value);
    let value = match (values.next(), values.next()) {
        (None, _) => None,
        (Some((kind, value)), None) if kind.starts_with("value") => value.text().map(str::to_owned),
        _ => return None,
    };
    Some(Input { name, value })
}

/// The types of filters joined by commas. A comma may also stand in a value: what has no `?` behind
/// it goes on with the filter before.
fn filters(value: &str, release: Release) -> Option<Vec<ResourceType>> {
    let mut types = Vec::new();
    for piece in value.split(',') {
        let criteria = match piece.split_once('?') {
            Some((name, criteria)) => {
                types.push(ResourceType::parse(release, name)?);
                criteria
            }
            None if types.is_empty() => return None,
            None => piece.split_once('&').map_or("", |(_, criteria)| criteria),
        };
        let mut criteria = criteria.split('&').filter(|criterion| !criterion.is_empty());
        if !criteria.all(looks_at_itself) {
            return None;
        }
    }
    Some(types)
}

/// No chain, no `_has`, nothing encoded: a criterion that does not look at other resources.
fn looks_at_itself(criterion: &str) -> bool {
    let name = criterion.split_once('=').map_or(criterion, |(name, _)| name);
    let code = name.split_once(':').map_or(name, |(code, _)| code);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_');
    (code.starts_with(|first: char| first.is_ascii_alphabetic()) || OWN.contains(&code))
        && name.bytes().all(plain)
}

/// Parameters of all types that look at the resource itself.
const OWN: &[&str] = &["_id", "_lastUpdated", "_tag", "_profile", "_security"];
