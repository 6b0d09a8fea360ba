//! Read, vread and the history of one resource.

use super::binary;
use super::place::{self, Place};
use crate::fhir::compartment::{ENCOUNTER, is_decidable};
use crate::fhir::{Id, Interaction as I, ResourceType};
use crate::policy::case::{Case, Covered, Stop};
use crate::policy::permit::{Form, Permit};
use crate::policy::reasons::{
    BY_ID_UNJUDGED, COMPARTMENT_OTHER_ENCOUNTER, COMPARTMENT_OTHER_PATIENT, SEARCH_SUBJECT_UNKNOWN,
};
use crate::policy::sight::BINARY;
use crate::policy::smart::ResponseCheck;

/// Judges access by id. Ids are compared whole and by case
/// (<http://hl7.org/fhir/R4/datatypes.html#id>); of other types than Patient only the answer tells
/// whose they are.
pub(super) fn judge(case: &Case<'_>, covered: &Covered<'_>) -> Result<Permit, Stop> {
    let permit = Permit::by(covered.scopes.clone(), covered.patient.cloned());
    let (resource, id, form) = match &case.request.interaction {
        I::HistoryInstance(of, id) => (*of, id, Form::History(*of)),
        I::Read(of, id) | I::Vread(of, id, _) => (*of, id, Form::Resource(*of)),
        _ => return Ok(permit),
    };
    match must_be_held(case, covered, resource, id)? {
        true if case.smart.response_check == ResponseCheck::Off => Err((&BY_ID_UNJUDGED).into()),
        true => {
            let permit = place::held(case, permit, form, &[resource], true)?;
            let whole = matches!(case.request.interaction, I::HistoryInstance(..));
            let asks_whose = resource.name() == BINARY && covered.patient.is_some() && !whole;
            if asks_whose { binary::read(case, permit, resource, id) } else { Ok(permit) }
        }
        false if covered.patient.is_some() => place::watched(case, permit, form, resource),
        false => Ok(permit),
    }
}

/// Whether only the answer tells if the client may have this resource.
fn must_be_held(
    case: &Case<'_>,
    covered: &Covered<'_>,
    resource: ResourceType,
    id: &Id,
) -> Result<bool, Stop> {
    match place::of(case, covered, resource)? {
        Place::Inside if resource.name() == "Patient" => {
            if covered.patient != Some(id) {
                return Err((&COMPARTMENT_OTHER_PATIENT).into());
            }
            Ok(covered.granular)
        }
        Place::Inside
            if resource.name() == ENCOUNTER && covered.encounter.is_some_and(|own| own != id) =>
        {
            Err((&COMPARTMENT_OTHER_ENCOUNTER).into())
        }
        Place::Inside if !is_decidable(case.api.release, case.smart.membership, resource) => {
            Err((&SEARCH_SUBJECT_UNKNOWN).into())
        }
        Place::Inside => Ok(true),
        Place::Free | Place::Shared => Ok(covered.granular),
    }
}
