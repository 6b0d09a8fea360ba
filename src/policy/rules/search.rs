//! Searches and histories of more than one resource. Confined to a patient, every criterion that can
//! name a patient names this one, and one that does is added; what granular scopes ask for is added
//! where a search can say it. Whatever the server makes of that, the answer is judged.

use super::binary;
use super::parameters::Reach;
use super::place::{self, Place};
use crate::base::refusal::Refusal;
use crate::fhir::compartment::{
    ENCOUNTER, Form as Written, PATIENT, encounter_parameter, is_in_encounter_compartment,
    subject_parameter,
};
use crate::fhir::membership::Membership;
use crate::fhir::{Body, Id, Interaction as I, Release, ResourceType};
use crate::policy::case::{Case, Covered, Stop};
use crate::policy::coverage::Need;
use crate::policy::permission::Permission::{Read, Search};
use crate::policy::permit::{Form, Narrowing, Permit};
use crate::policy::reasons::{
    COMPARTMENT_NOT_MEMBER, COMPARTMENT_OTHER_ENCOUNTER, COMPARTMENT_OTHER_PATIENT,
    COMPARTMENT_TYPE_OUTSIDE, HISTORY_UNCONFINED, SEARCH_COMPARTMENT_UNJUDGED,
    SEARCH_COUNT_UNJUDGED, SEARCH_FORM_UNCONFINED, SEARCH_PATIENT_REQUIRED, SEARCH_SUBJECT_UNKNOWN,
    SEARCH_SYSTEM_UNCONFINED,
};
use crate::policy::rules::named;
use crate::policy::smart::{ResponseCheck, SearchWithoutPatient};
use crate::request::Query;

/// Judges a covered search.
pub(super) fn judge(case: &Case<'_>, covered: &Covered<'_>, reach: &Reach) -> Result<Permit, Stop> {
    let permit = Permit::by(covered.scopes.clone(), covered.patient.cloned());
    let permit = permit.narrowed(reach.narrowing.clone());
    match (&case.request.interaction, covered.patient) {
        (I::SearchType(of), _) => of_type(case, covered, reach, *of, permit),
        (I::SearchCompartment(owner, id, Some(of)), patient) => {
            if owner.name() == PATIENT && patient.is_some_and(|patient| patient != id) {
                return Err((&COMPARTMENT_OTHER_PATIENT).into());
            }
            in_compartment(case, covered, reach, ((*owner, id), *of), permit)
        }
        (I::SearchCompartment(owner, id, None), Some(patient)) => {
            if owner.name() != PATIENT {
                return Err((&SEARCH_COMPARTMENT_UNJUDGED).into());
            }
            if id != patient {
                return Err((&COMPARTMENT_OTHER_PATIENT).into());
            }
            let by_definition = case.smart.membership == Membership::Definition;
            let counted = by_definition && covered.encounter.is_none();
            place::held(case, permit.strict(), Form::Searchset(None), &[], counted)
        }
        (I::HistoryType(_) | I::HistorySystem, Some(_)) => Err((&HISTORY_UNCONFINED).into()),
        (I::SearchSystem, Some(_)) => Err((&SEARCH_SYSTEM_UNCONFINED).into()),
        (I::HistoryType(of), None) if covered.granular => {
            place::held(case, permit, Form::History(*of), &[*of], false)
        }
        (I::SearchSystem, None) => of_types(case, covered, reach, permit.strict()),
        _ if reach.held => place::held(case, permit, Form::Searchset(None), &[], false),
        _ => Ok(permit),
    }
}

/// A search over all types, or over those in `_type`: a server that ignores it searches the others too.
fn of_types(
    case: &Case<'_>,
    covered: &Covered<'_>,
    reach: &Reach,
    permit: Permit,
) -> Result<Permit, Stop> {
    let said = !covered.granular && !reach.held;
    let trusted = case.smart.response_check == ResponseCheck::Off
        || case.covers_plainly(&[Need::on_all(&[Search])]);
    if said && trusted {
        return Ok(permit);
    }
    place::held(case, permit, Form::Searchset(None), &[], said)
}

/// A page of a search that only the server can tell from another: its members are judged.
pub(super) fn page(case: &Case<'_>) -> Result<Permit, Stop> {
    if let Some(scopes) = case.sweeping(&I::SearchSystem) {
        return Ok(Permit::by(scopes, None));
    }
    let Some(scopes) = case.grant.coverage.any(Search) else {
        return Err(case.lacking(&[Need::on_all(&[Search])]).into());
    };
    let covered = case.standing(scopes, true)?;
    let permit = Permit::by(covered.scopes.clone(), covered.patient.cloned());
    place::held(case, permit, Form::Searchset(None), &[], false)
}

fn of_type(
    case: &Case<'_>,
    covered: &Covered<'_>,
    reach: &Reach,
    of: ResourceType,
    permit: Permit,
) -> Result<Permit, Stop> {
    match (place::of(case, covered, of)?, covered.patient) {
        (Place::Inside, Some(patient)) => {
            let permit = confine(case, of, patient, permit)?;
            narrow_and_hold(case, covered, reach, of, permit)
        }
        _ if covered.granular => narrow_and_hold(case, covered, reach, of, permit),
        _ if reach.held => {
            let counted = !reach.elsewhere;
            place::held(case, permit, Form::Searchset(Some(of)), &reach.types(of), counted)
        }
        (Place::Shared, _) => place::watched(case, permit, Form::Searchset(Some(of)), of),
        _ => Ok(permit),
    }
}

/// A search in the compartment of one resource (<http://hl7.org/fhir/R4/compartmentdefinition.html>).
fn in_compartment(
    case: &Case<'_>,
    covered: &Covered<'_>,
    reach: &Reach,
    ((owner, id), of): ((ResourceType, &Id), ResourceType),
    permit: Permit,
) -> Result<Permit, Stop> {
    let by_definition = case.smart.membership == Membership::Definition;
    match (place::of(case, covered, of)?, covered.patient) {
        // Who links to the patient is in the compartment as well, and another person.
        (Place::Inside, Some(patient)) if by_definition && of.name() != PATIENT => {
            if owner.name() != PATIENT {
                return Err((&SEARCH_COMPARTMENT_UNJUDGED).into());
            }
            named::all(case, &case.request.query, of, None, patient)?;
            narrow_and_hold(case, covered, reach, of, permit.strict())
        }
        (Place::Shared, _) => Err((&COMPARTMENT_TYPE_OUTSIDE).into()),
        (_, Some(_)) if owner.name() != PATIENT => {
            may_own(case, covered, owner, id)?;
            of_type(case, covered, reach, of, permit)
        }
        _ => of_type(case, covered, reach, of, permit),
    }
}

/// Whether a client confined to a patient may ask what is in the compartment of this resource: of a shared
/// one, and of one of the patient's that it may read. Servers answer 404 where there is no such owner, and
/// which encounters exist is nobody's to learn, so that it is looked up.
fn may_own(
    case: &Case<'_>,
    covered: &Covered<'_>,
    owner: ResourceType,
    id: &Id,
) -> Result<(), Stop> {
    match place::of(case, covered, owner) {
        Ok(Place::Shared) => return Ok(()),
        Ok(_) if owner.name() == ENCOUNTER && covered.encounter.is_some_and(|own| own != id) => {
            return Err((&COMPARTMENT_OTHER_ENCOUNTER).into());
        }
        Ok(_) => {}
        Err(_) => return Err((&SEARCH_COMPARTMENT_UNJUDGED).into()),
    }
    case.covered(&[Need::on(owner, &[Read])])?;
    let stored = place::stored(case, owner, id)?.ok_or(&COMPARTMENT_NOT_MEMBER)?;
    match binary::reaches(case, Read, &stored.resource()?)? {
        true => Ok(()),
        false => Err((&COMPARTMENT_NOT_MEMBER).into()),
    }
}

/// Narrows a search of a type in the patient compartment to its patient.
///
/// The criterion is added even where the client gave it: repeats are joined by AND, so it costs
/// nothing, and what is forwarded never depends on how the client wrote it.
fn confine(
    case: &Case<'_>,
    of: ResourceType,
    patient: &Id,
    permit: Permit,
) -> Result<Permit, Stop> {
    let release = case.api.release;
    let subject = subject_parameter(release, of);
    let name = subject.map(|subject| subject.name);
    let named = named::all(case, &case.request.query, of, name, patient)?;
    let in_path = matches!(case.request.interaction, I::SearchCompartment(..));
    let must_name = case.smart.search_without_patient == SearchWithoutPatient::Refuse;
    if must_name && !named && !in_path {
        return Err((&SEARCH_PATIENT_REQUIRED).into());
    }
    if case.smart.membership == Membership::Definition && of.name() != PATIENT {
        // Before R5 a compartment is searched by GET alone.
        let by_form = case.request.body == Body::Form && release != Release::R5;
        return match of.name() {
            "Binary" => Err((&SEARCH_SUBJECT_UNKNOWN).into()),
            _ if by_form => Err((&SEARCH_FORM_UNCONFINED).into()),
            _ => Ok(permit.in_compartment(of)),
        };
    }
    Ok(permit.narrowed(vec![subject_criterion(case, of, patient)?]))
}

/// The criterion that narrows a type to a patient.
pub(super) fn subject_criterion(
    case: &Case<'_>,
    of: ResourceType,
    patient: &Id,
) -> Result<Narrowing, Stop> {
    let subject = subject_parameter(case.api.release, of).ok_or(&SEARCH_SUBJECT_UNKNOWN)?;
    let value = match subject.form {
        Written::Bare => patient.as_str().to_owned(),
        Written::Reference => format!("Patient/{}", patient.as_str()),
    };
    Ok(Narrowing { name: subject.name.to_owned(), value })
}

/// The criteria that narrow a type of the Encounter compartment to the encounter in context: none for
/// other types and without one. `None`: a search can't say it.
pub(super) fn encounter_criteria(
    case: &Case<'_>,
    covered: &Covered<'_>,
    of: ResourceType,
    query: &Query,
) -> Result<Option<Vec<Narrowing>>, Refusal> {
    let release = case.api.release;
    let belongs = is_in_encounter_compartment(release, of);
    let Some(encounter) = covered.encounter.filter(|_| belongs) else {
        return Ok(Some(Vec::new()));
    };
    let Some(name) = encounter_parameter(release, of) else { return Ok(None) };
    named::encounter(case, query, name, encounter)?;
    let value = match name {
        "_id" => encounter.as_str().to_owned(),
        _ => format!("{ENCOUNTER}/{}", encounter.as_str()),
    };
    Ok(Some(vec![Narrowing { name: name.to_owned(), value }]))
}

/// Adds what the encounter in context and granular scopes ask for where a search can say it, and holds
/// the answer.
fn narrow_and_hold(
    case: &Case<'_>,
    covered: &Covered<'_>,
    reach: &Reach,
    of: ResourceType,
    permit: Permit,
) -> Result<Permit, Stop> {
    let release = case.api.release;
    let said = match covered.granular {
        true => case.grant.coverage.criteria(of, release),
        false => Some(Vec::new()),
    };
    let within = encounter_criteria(case, covered, of, &case.request.query)?;
    let counted = said.is_some() && within.is_some();
    let mut summaries = case.request.query.values("_summary");
    if !counted && summaries.any(|summary| summary == "count") {
        return Err((&SEARCH_COUNT_UNJUDGED).into());
    }
    let criteria = said.unwrap_or_default().into_iter();
    let criteria = criteria.map(|one| Narrowing { name: one.name, value: one.value }).collect();
    let permit = permit.narrowed(within.unwrap_or_default()).narrowed(criteria);
    if case.smart.response_check == ResponseCheck::Off && counted && !reach.held {
        return Ok(permit);
    }
    let counted = counted && !reach.elsewhere;
    place::held(case, permit, Form::Searchset(Some(of)), &reach.types(of), counted)
}
