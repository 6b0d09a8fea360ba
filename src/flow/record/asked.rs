//! What a request asks and what a permit says of it, as audit events tell it.

use crate::audit::{Parameter, What};
use crate::fhir::compartment::PATIENT;
use crate::fhir::{self, Interaction, Request, ResourceType};
use crate::policy::{Permit, Search};

/// What such a request asks.
pub(super) fn what<'a>(method: Option<&'a [u8]>, request: &'a Request) -> What<'a> {
    let parameters = request.query.params().iter();
    let parameters =
        parameters.map(|param| Parameter { name: &param.name, value: &param.value }).collect();
    What { method, parameters, ..What::of(&request.interaction) }
}

/// The patients that a request names: in its path, by `patient` and `subject`, by `_id` where it asks for
/// patients.
pub(super) fn named(request: &Request) -> Vec<&str> {
    let of_patients = request.interaction.resource_type().map(ResourceType::name) == Some(PATIENT);
    let mut all: Vec<&str> = What::of(&request.interaction).patient.into_iter().collect();
    for param in request.query.params() {
        let values = param.value.split(',');
        match param.name.as_str() {
            "patient" => all.extend(values.filter_map(|one| patient(one).or_else(|| id(one)))),
            "subject" | "subject:Patient" | "patient:Patient" => {
                all.extend(values.filter_map(patient));
            }
            "_id" if of_patients => all.extend(values.filter_map(id)),
            _ => (),
        }
    }
    all
}

/// A value that is an id.
fn id(value: &str) -> Option<&str> {
    fhir::Id::parse(value).is_some().then_some(value)
}

/// The id in a reference to a patient.
fn patient(value: &str) -> Option<&str> {
    value.strip_prefix("Patient/").and_then(id)
}

/// Whether an interaction may write. Of an operation nobody knows.
pub(super) const fn may_write(interaction: &Interaction) -> bool {
    !matches!(
        interaction,
        Interaction::Capabilities
            | Interaction::Public(_)
            | Interaction::Read(..)
            | Interaction::Vread(..)
            | Interaction::HistoryInstance(..)
            | Interaction::HistoryType(_)
            | Interaction::HistorySystem
            | Interaction::SearchType(_)
            | Interaction::SearchSystem
            | Interaction::SearchCompartment(..)
    )
}

/// The patient to whom a permit confines.
pub(super) fn patient_of(permit: &Permit) -> Option<String> {
    permit.patient().map(|patient| patient.as_str().to_owned())
}

/// What a permit narrows: the criteria added, those of a condition that was looked up among them; the
/// compartment that is searched instead.
pub(super) fn narrowed(permit: &Permit) -> Vec<String> {
    let lookup = permit.resolved().map(|resolved| &resolved.by);
    let within = lookup.filter(|by| by.compartment.is_some()).map(Search::path);
    let added = lookup.map_or([].as_slice(), |by| &by.narrowing);
    let criteria = permit.narrowing().iter().chain(added);
    let criteria = criteria.map(|one| format!("{}={}", one.name, one.value));
    let compartment = permit.compartment().zip(permit.patient());
    let compartment =
        compartment.map(|(of, patient)| format!("Patient/{}/{}", patient.as_str(), of.name()));
    let entries = permit.entries().iter().flat_map(|entry| narrowed(&entry.permit));
    criteria.chain(compartment).chain(within).chain(entries).collect()
}
