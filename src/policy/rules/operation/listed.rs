//! An operation of `smart.operations`. Unconfined, the operator vouches for it. Confined to a
//! patient, everything in the request that can name a patient must name this one, and the answer is
//! judged.

use super::body;
use crate::base::node::{self, Node};
use crate::base::refusal::Refusal;
use crate::fhir::compartment::PATIENT;
use crate::fhir::membership::{Naming, type_of};
use crate::fhir::{Id, Level, Operation, written};
use crate::policy::case::{Case, Stop};
use crate::policy::operations;
use crate::policy::permit::{Form, Permit};
use crate::policy::reasons::{
    COMPARTMENT_OTHER_PATIENT, OPERATION_BODY, OPERATION_OPAQUE, OPERATION_OTHER_PATIENT,
    OPERATION_RESOURCE_UNJUDGED, SCOPE_INSUFFICIENT,
};
use crate::policy::rules::{parameters, place};

/// Judges an operation that this gateway doesn't know.
pub(super) fn judge(case: &Case<'_>, operation: &Operation) -> Result<Permit, Stop> {
    let listed = operations::find(&case.smart.operations, operation)?;
    let lacking = || Refusal::new(&SCOPE_INSUFFICIENT).scope(listed.requires());
    let needs = listed.needs(case.grant.context, case.api.release).ok_or_else(lacking)?;
    let covered = case.covered(&needs)?;
    // What it does can't be held to a scope's search parameters.
    if covered.granular {
        return Err(lacking().into());
    }
    let Some(patient) = covered.patient else { return Ok(Permit::by(covered.scopes, None)) };
    if OPAQUE.iter().any(|name| name.eq_ignore_ascii_case(&operation.name)) {
        return Err((&OPERATION_OPAQUE).into());
    }
    on_patient(&operation.level, patient)?;
    if let Some(refusal) = parameters::header(case) {
        return Err(refusal.into());
    }
    let naming =
        Naming { owner: PATIENT, id: patient, base_urls: &case.api.base_urls, aliases: &[] };
    in_query(case, &naming)?;
    in_body(case, body(case)?, &naming)?;
    let permit = Permit::by(covered.scopes, Some(patient.clone()));
    place::held(case, permit, Form::Result, &[], false)
}

/// What it does to another resource can't be told before: on an instance, only the patient's own.
fn on_patient(level: &Level, patient: &Id) -> Result<(), Refusal> {
    match level {
        Level::System | Level::Type(_) => Ok(()),
        Level::Instance(of, id) | Level::Version(of, id, _) if of.name() == PATIENT => {
            if id == patient { Ok(()) } else { Err(Refusal::new(&COMPARTMENT_OTHER_PATIENT)) }
        }
        Level::Instance(..) | Level::Version(..) => Err(Refusal::new(&OPERATION_RESOURCE_UNJUDGED)),
    }
}

fn in_query(case: &Case<'_>, naming: &Naming<'_>) -> Result<(), Refusal> {
    for param in case.request.query.params() {
        let fits = |item| match can_name_patient(&param.name) {
            true => is_it(item, naming),
            false => is_no_other(item, naming),
        };
        if !param.value.split(',').all(fits) {
            let shown: String = param.name.chars().take(64).collect();
            let refusal = Refusal::new(&OPERATION_OTHER_PATIENT);
            return Err(refusal.hint(format!("parameter `{shown}`")));
        }
    }
    Ok(())
}

/// Looks through a body, whatever resource it is: whom a server finds in it can't be known.
fn in_body(case: &Case<'_>, body: &[u8], naming: &Naming<'_>) -> Result<(), Refusal> {
    if body.is_empty() {
        return Ok(());
    }
    let read = node::read(body).map_err(|_| Refusal::new(&OPERATION_BODY))?;
    let of = type_of(case.api.release, &read).ok_or(&OPERATION_BODY)?;
    let resource = written::resource(body, of, None)?;
    let another = case.world().names_another(&resource, naming.id);
    if another || !keeps_to(&resource, naming) {
        return Err(Refusal::new(&OPERATION_OTHER_PATIENT));
    }
    Ok(())
}

/// Whether nothing in a value names another patient.
fn keeps_to(value: &Node<'_>, naming: &Naming<'_>) -> bool {
    match value {
        Node::Text(text) => is_no_other(text, naming),
        Node::Array(items) => items.iter().all(|item| keeps_to(item, naming)),
        Node::Object(members) => {
            object_keeps_to(value, naming)
                && members.iter().all(|(_, member)| keeps_to(member, naming))
        }
        _ => true,
    }
}

fn object_keeps_to(object: &Node<'_>, naming: &Naming<'_>) -> bool {
    // A Patient without this id may be anybody: operations such as `$match` find people by it.
    let is_patient = object.text_of("resourceType") == Some(PATIENT);
    let other_patient = is_patient && object.text_of("id") != Some(naming.id.as_str());
    // A reference by identifier (<http://hl7.org/fhir/R4/references.html#logical>).
    let logical = object.text_of("type") == Some(PATIENT) && object.get("identifier").is_some();
    let parameter = object.text_of("name").is_some_and(can_name_patient);
    !other_patient && !logical && (!parameter || parameter_is_it(object, naming))
}

/// Whether every value of a parameter that can name a patient is this one.
fn parameter_is_it(parameter: &Node<'_>, naming: &Naming<'_>) -> bool {
    parameter.members().iter().all(|(name, value)| match name.as_ref() {
        // That it is this one is told where resources are.
        "resource" => value.text_of("resourceType") == Some(PATIENT),
        "part" => false,
        name if name.starts_with("value") => match value {
            Node::Text(text) => is_it(text, naming),
            other => other.text_of("reference").is_some_and(|text| naming.names(text)),
        },
        _ => true,
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
    text == naming.id.as_str() || naming.names(text)
}

/// Whether a text is no reference to a patient, or one to this one.
fn is_no_other(text: &str, naming: &Naming<'_>) -> bool {
    !REFERENCES.iter().any(|start| text.contains(start)) || naming.names(text)
}

/// What they do is said in a language, or a message, that this gateway doesn't read.
const OPAQUE: &[&str] = &["$graphql", "$process-message"];

/// Names that say who is meant without saying that it is a patient.
const NAMES: &[&str] = &["id", "_id", "member", "beneficiary"];

/// What a reference to a patient starts with, as it is and encoded once more.
const REFERENCES: &[&str] =
    &["Patient/", "Patient?", "Patient%2F", "Patient%2f", "Patient%3F", "Patient%3f"];
