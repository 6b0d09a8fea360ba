//! An operation of `smart.operations`. Unconfined, the operator vouches for it. Confined to a
//! patient, everything in the request that can name a patient must name this one, and the answer is
//! judged.

use super::{Ruling, held, is_plain, judged};
use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::fhir::membership::Naming;
use crate::fhir::{Id, Level, Operation};
use crate::policy::case::{Case, Denial};
use crate::policy::operations;
use crate::policy::permit::{Form, Permit};
use crate::policy::reasons::{
    COMPARTMENT_OTHER_PATIENT, OPERATION_BODY, OPERATION_OPAQUE, OPERATION_OTHER_PATIENT,
    OPERATION_RESOURCE_UNJUDGED, SCOPE_INSUFFICIENT,
};
use crate::policy::rules::parameters;

/// Judges an operation that this gateway doesn't know.
pub(super) fn judge(
    case: &Case<'_>,
    operation: &Operation,
    body: Option<&[u8]>,
) -> Result<Ruling, Denial> {
    let listed = operations::find(&case.smart.operations, operation)?;
    let lacking = || Refusal::new(&SCOPE_INSUFFICIENT).scope(listed.requires());
    let needs = listed.needs(case.grant.context, case.api.release).ok_or_else(lacking)?;
    let covered = case.covered(&needs)?;
    if !is_plain(case, &needs) {
        return Err(lacking().into());
    }
    let Some(patient) = covered.patient else {
        return Ok(Ruling::Permit(Permit::unconfined(covered.scopes)));
    };
    if OPAQUE.iter().any(|name| name.eq_ignore_ascii_case(&operation.name)) {
        return Err((&OPERATION_OPAQUE).into());
    }
    on_patient(&operation.level, patient)?;
    if let Some(refusal) = parameters::header_objection(case) {
        return Err(refusal.into());
    }
    let naming = Naming { patient, base_urls: &case.api.base_urls, aliases: &[] };
    in_query(case, &naming)?;
    let Some(body) = judged(case, body) else { return Ok(Ruling::Body) };
    in_body(body, &naming)?;
    held(case, Permit::confined(covered.scopes, patient.clone()), Form::Result)
}

/// What it does to another resource can't be told before: on an instance, only the patient's own.
fn on_patient(level: &Level, patient: &Id) -> Result<(), Refusal> {
    match level {
        Level::System | Level::Type(_) => Ok(()),
        Level::Instance(of, id) | Level::Version(of, id, _) if of.name() == "Patient" => {
            if id == patient { Ok(()) } else { Err(Refusal::new(&COMPARTMENT_OTHER_PATIENT)) }
        }
        Level::Instance(..) | Level::Version(..) => Err(Refusal::new(&OPERATION_RESOURCE_UNJUDGED)),
    }
}

fn in_query(case: &Case<'_>, naming: &Naming<'_>) -> Result<(), Refusal> {
    let stray = case.request.query.params().iter().find(|param| {
        let mut items = param.value.split(',');
        !items.all(|item| {
            if can_name_patient(&param.name) { is_it(item, naming) } else { no_other(item, naming) }
        })
    });
    stray.map_or(Ok(()), |param| {
        let shown: String = param.name.chars().take(64).collect();
        Err(Refusal::new(&OPERATION_OTHER_PATIENT).hint(format!("parameter `{shown}`")))
    })
}

/// Looks through a body, whatever resource it is: whom a server finds in it can't be known.
fn in_body(body: &[u8], naming: &Naming<'_>) -> Result<(), Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let resource = node::read(body).map_err(|_| Refusal::new(&OPERATION_BODY))?;
    if keeps_to(&resource, naming) { Ok(()) } else { Err(Refusal::new(&OPERATION_OTHER_PATIENT)) }
}

/// Whether nothing in a value names another patient.
fn keeps_to(value: &Node<'_>, naming: &Naming<'_>) -> bool {
    match value {
        Node::Null | Node::Bool(_) | Node::Number => true,
        Node::Text(text) => no_other(text, naming),
        Node::Array(items) => items.iter().all(|item| keeps_to(item, naming)),
        Node::Object(members) => {
            object_keeps_to(value, naming)
                && members.iter().all(|(_, member)| keeps_to(member, naming))
        }
    }
}

fn object_keeps_to(object: &Node<'_>, naming: &Naming<'_>) -> bool {
    let is_patient = object.text_of("resourceType") == Some("Patient");
    // A Patient without this id may be anybody: operations such as `$match` find people by it.
    let other_patient = is_patient && object.text_of("id") != Some(naming.patient.as_str());
    // A reference by identifier (<http://hl7.org/fhir/R4/references.html#logical>).
    let logical = object.text_of("type") == Some("Patient") && object.get("identifier").is_some();
    let parameter = object.text_of("name").is_some_and(can_name_patient) && has_value(object);
    !other_patient && !logical && (!parameter || parameter_is_it(object, naming))
}

fn has_value(object: &Node<'_>) -> bool {
    object.members().iter().any(|(name, _)| is_value(name))
}

fn is_value(name: &str) -> bool {
    name.starts_with("value") || matches!(name, "resource" | "part")
}

/// Whether every value of a parameter that can name a patient is this one.
fn parameter_is_it(parameter: &Node<'_>, naming: &Naming<'_>) -> bool {
    let mut values = parameter.members().iter().filter(|(name, _)| is_value(name));
    values.all(|(name, value)| match value {
        Node::Text(text) => is_it(text, naming),
        // That it is this one is told where resources are.
        Node::Object(_) if name == "resource" => value.text_of("resourceType") == Some("Patient"),
        Node::Object(_) => value.text_of("reference").is_some_and(|text| naming.names(text)),
        _ => false,
    })
}

/// Whether a parameter's name says that it is a patient's: `patient`, `subject.name`, `patientId`.
fn can_name_patient(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let first = name.split(['.', ':']).next().unwrap_or_default();
    name.contains("patient") || name.contains("subject") || NAMES.contains(&first)
}

/// Whether a text is this patient: `P`, or a reference to it.
fn is_it(text: &str, naming: &Naming<'_>) -> bool {
    text == naming.patient.as_str() || naming.names(text)
}

/// Whether a text that looks like a reference to a patient is one to this one.
fn no_other(text: &str, naming: &Naming<'_>) -> bool {
    !REFERENCE.iter().any(|start| text.contains(start)) || naming.names(text)
}

/// What they do is said in a language, or a message, that this gateway doesn't read.
const OPAQUE: &[&str] = &["$graphql", "$process-message"];

/// Names that say who is meant without saying that it is a patient.
const NAMES: &[&str] = &["id", "_id", "member", "beneficiary"];

/// What a reference to a patient starts with, as it is and encoded once more.
const REFERENCE: &[&str] =
    &["Patient/", "Patient?", "Patient%2F", "Patient%2f", "Patient%3F", "Patient%3f"];
