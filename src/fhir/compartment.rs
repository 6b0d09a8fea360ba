//! Who a resource is about, and which parameters can say so
//! (<http://hl7.org/fhir/R4/compartmentdefinition-patient.html> and the release's search parameters).

use super::element::{self, Element, Kind};
use super::membership::Membership;
use super::{Release, ResourceType, tables};

/// The parameter that narrows a search of a type to one patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectParameter {
    /// Its name.
    pub name: &'static str,
    /// How a patient is written in its value.
    pub form: Form,
}

/// How a patient `P` is written in a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `P`: of `_id`.
    Bare,
    /// `Patient/P`: also of `patient`, which for many types may refer to a Group of the same id.
    Reference,
}

/// Whether the release's Patient compartment has members of this type. Patient is one: by identity.
pub fn is_in_patient_compartment(release: Release, resource: ResourceType) -> bool {
    resource.name() == PATIENT || is_member(release, PATIENT, resource)
}

/// Whether the release's Encounter compartment has members of this type. Encounter is one: by identity.
pub fn is_in_encounter_compartment(release: Release, resource: ResourceType) -> bool {
    resource.name() == ENCOUNTER || is_member(release, ENCOUNTER, resource)
}

/// Whether the compartment of `owner` has members of this type. `false` when `owner` has none.
pub fn is_member(release: Release, owner: &str, resource: ResourceType) -> bool {
    let compartments = tables::of(release).compartments;
    let compartment = compartments.iter().find(|compartment| compartment.owner == owner);
    compartment.is_some_and(|found| tables::find(found.members, resource.name()).is_some())
}

/// Whether the release defines a compartment for resources of this type.
pub fn has_compartment(release: Release, owner: ResourceType) -> bool {
    tables::of(release).compartments.iter().any(|compartment| compartment.owner == owner.name())
}

/// The parameter that says who a resource of this type is about: `_id` for Patient, else `patient`
/// where the type has one that can refer to a Patient, else `subject` likewise. `None` when there
/// is none (Group and Schedule, for example, which are in the compartment all the same).
pub fn subject_parameter(release: Release, resource: ResourceType) -> Option<SubjectParameter> {
    if resource.name() == PATIENT {
        return Some(SubjectParameter { name: "_id", form: Form::Bare });
    }
    let name = tables::find(tables::of(release).subjects, resource.name())?;
    Some(SubjectParameter { name, form: Form::Reference })
}

/// Whether resources of this type can say whose they are: Binary by its `securityContext`; otherwise
/// by the subject parameter, or by any of the compartment's.
pub fn is_decidable(release: Release, membership: Membership, resource: ResourceType) -> bool {
    match membership {
        _ if resource.name() == "Binary" => true,
        Membership::Subject => subject_parameter(release, resource).is_some(),
        Membership::Definition => is_in_patient_compartment(release, resource),
    }
}

/// The parameters by which a resource of this type says that it is in the compartment of a resource of
/// type `owner`; one is enough. None for the owner, which is its own by identity, whatever it links
/// to. [`Membership::Subject`] is for Patient: other compartments are as they are defined.
pub fn membership_parameters(
    release: Release,
    owner: &str,
    membership: Membership,
    resource: ResourceType,
) -> impl Iterator<Item = &'static str> {
    let tables = tables::of(release);
    let (one, several) = match membership {
        _ if resource.name() == owner => (None, None),
        Membership::Subject if owner == PATIENT => {
            (tables::find(tables.subjects, resource.name()), None)
        }
        Membership::Subject | Membership::Definition => {
            let owners = tables.compartments.iter().find(|found| found.owner == owner);
            (None, owners.and_then(|found| tables::find(found.members, resource.name())))
        }
    };
    one.into_iter().chain(several.unwrap_or_default().iter().copied())
}

/// The parameter that narrows a search of a type in the Encounter compartment to one encounter: `_id`
/// for Encounter. `None` where the compartment has no such parameter for the type, or several.
pub fn encounter_parameter(release: Release, resource: ResourceType) -> Option<&'static str> {
    if resource.name() == ENCOUNTER {
        return Some("_id");
    }
    let mut parameters =
        membership_parameters(release, ENCOUNTER, Membership::Definition, resource);
    parameters.next().filter(|_| parameters.next().is_none())
}

/// Every parameter of the type whose value can name a patient: those of the compartment, reference
/// parameters with Patient among their targets, composites with such a part, and Patient's `_id`.
pub fn patient_parameters(release: Release, resource: ResourceType) -> &'static [&'static str] {
    tables::find(tables::of(release).patient_parameters, resource.name()).unwrap_or_default()
}

/// The types that a reference parameter of the type can refer to: never empty, all types where the
/// definition names none. `None`: no reference parameter of that name.
pub fn reference_targets(
    release: Release,
    resource: ResourceType,
    parameter: &str,
) -> Option<&'static [&'static str]> {
    let parameters = tables::find(tables::of(release).references, resource.name())?;
    tables::find(parameters, parameter)
}

/// Whether a resource refers to one other at most by the parameter: a Reference without repetition (a
/// canonical may name several versions). `false` when the release has no such parameter, or none whose
/// elements are known.
pub fn refers_to_one(release: Release, resource: ResourceType, parameter: &str) -> bool {
    let Some(mut elements) = element::of(release, resource, parameter) else { return false };
    let single = |element: Element| element.kind == Kind::Reference && element.is_single();
    elements.next().is_some_and(single) && elements.next().is_none()
}

/// The owner of the Patient compartment.
pub const PATIENT: &str = "Patient";
/// The owner of the Encounter compartment.
pub const ENCOUNTER: &str = "Encounter";
