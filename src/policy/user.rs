//! Whom `fhirUser` names, and so what `user/` scopes are worth.

use super::grants::Standing;
use super::reasons::{
    SCOPE_USER_ELSEWHERE, SCOPE_USER_INVALID, SCOPE_USER_MISSING, SCOPE_USER_PATIENT_MISSING,
    SCOPE_USER_TYPE,
};
use crate::fhir::Id;
use crate::fhir::config::Api;

/// A professional may see what the types of the scopes allow; a patient, what concerns them; a
/// related person, what concerns the patient in context. Anyone else, nothing.
pub(super) fn standing(user: Option<&str>, patient: Option<&Id>, api: &Api) -> Standing {
    let Some(user) = user else {
        return Standing::void(&SCOPE_USER_MISSING).would_do("openid fhirUser");
    };
    let Some(user) = Reference::parse(user) else {
        return Standing::void(&SCOPE_USER_INVALID);
    };
    match user.resource {
        "Practitioner" | "PractitionerRole" => Standing::Unconfined,
        "Patient" if user.is_of(api) => Standing::of_patient(user.id),
        "Patient" => Standing::void(&SCOPE_USER_ELSEWHERE),
        "RelatedPerson" => patient.cloned().map_or(
            Standing::void(&SCOPE_USER_PATIENT_MISSING).would_do("launch/patient"),
            Standing::of_patient,
        ),
        _ => Standing::void(&SCOPE_USER_TYPE),
    }
}

/// `Type/id`, relative or below an absolute `http` or `https` URL.
struct Reference<'a> {
    base: Option<&'a str>,
    resource: &'a str,
    id: Id,
}

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> Option<Reference<'a>> {
        let (rest, id) = text.rsplit_once('/')?;
        let id = Id::parse(id)?;
        match rest.rsplit_once('/') {
            None => Some(Reference { base: None, resource: rest, id }),
            Some((base, resource)) => {
                let authority =
                    ["https://", "http://"].iter().find_map(|s| base.strip_prefix(s))?;
                let clean = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
                let whole = !authority.is_empty() && authority.bytes().all(clean);
                whole.then_some(Reference { base: Some(base), resource, id })
            }
        }
    }

    /// Whether it names a resource of this API.
    fn is_of(&self, api: &Api) -> bool {
        self.base.is_none_or(|base| api.base_urls.iter().any(|url| url == base))
    }
}
