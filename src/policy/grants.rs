//! What a token grants: its scopes read and its contexts resolved, once per token.

use std::rc::Rc;

use super::coverage::Coverage;
use super::covered::{Coverages, Covered};
use super::reasons::{
    SCOPE_ENCOUNTER_INVALID, SCOPE_PATIENT_INVALID, SCOPE_PATIENT_MISSING, SCOPE_SYSTEM_WITH_USER,
};
use super::scope::Context;
use super::smart::{EncounterContext, Smart};
use super::user;
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::compartment::ENCOUNTER;
use crate::fhir::config::Api;
use crate::fhir::membership::{Membership, proving_elements};
use crate::fhir::{Id, Release, ResourceType};
use crate::token::Claims;

/// What a token grants. Keep it beside the token: deciding reads no claim again.
#[derive(Debug, Clone)]
pub struct Grants {
    system: Grant,
    user: Grant,
    patient: Grant,
}

/// What the scopes of one context grant.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) context: Context,
    pub(super) standing: Standing,
    pub(super) coverage: Rc<Coverage>,
}

/// Whose resources the scopes of a context open.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Anyone's, as far as the type goes.
    Unconfined,
    /// Those of one patient.
    Confined(Confined),
    /// Nobody's.
    Void(Void),
}

/// To whom a context is confined.
#[derive(Debug, Clone)]
pub(super) struct Confined {
    pub(super) patient: Id,
    /// Of the types that belong to encounters, only what belongs to this one.
    pub(super) encounter: Option<Id>,
}

/// Why the scopes of a context grant nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Void {
    reason: &'static Reason,
    would_do: Option<&'static str>,
}

impl Grants {
    /// Reads a token's scopes and resolves its contexts.
    pub fn of(claims: &Claims, api: &Api, smart: &Smart) -> Grants {
        Grants::with(Covered::of(&claims.scope, api.release), claims, api, smart)
    }

    /// The same, where its scopes may have been read before. `coverages` are those of one configuration.
    pub fn known(claims: &Claims, coverages: &mut Coverages, api: &Api, smart: &Smart) -> Grants {
        Grants::with(coverages.of(&claims.scope, api.release), claims, api, smart)
    }

    fn with(covered: Covered, claims: &Claims, api: &Api, smart: &Smart) -> Grants {
        let patient = claims.patient.as_deref().and_then(Id::parse);
        let user = user::standing(claims.user.as_deref(), patient.as_ref(), api);
        let grant = |context, standing, coverage| Grant { context, standing, coverage };
        Grants {
            system: grant(Context::System, system(claims), covered.system),
            user: grant(Context::User, user, covered.user),
            patient: grant(Context::Patient, in_context(claims, patient, smart), covered.patient),
        }
    }

    /// The contexts that have scopes, those that reach furthest first.
    pub(super) fn contexts(&self) -> impl Iterator<Item = &Grant> {
        let wide = |grant: &&Grant| matches!(grant.standing, Standing::Unconfined);
        let narrow = move |grant: &&Grant| !wide(grant);
        // Of two patients, the one in context goes before the one who signed in.
        let of_anyone = [&self.system, &self.user, &self.patient].into_iter().filter(wide);
        let of_one = [&self.patient, &self.user, &self.system].into_iter().filter(narrow);
        of_anyone.chain(of_one).filter(|grant| !grant.coverage.is_empty())
    }

    /// The context in which a token without any clinical scope would ask for one.
    pub(super) fn likely_context(&self) -> Context {
        let grants_something = |grant: &&Grant| !matches!(grant.standing, Standing::Void(_));
        let all = [&self.patient, &self.user, &self.system];
        all.into_iter().find(grants_something).map_or(Context::User, |grant| grant.context)
    }
}

impl Grant {
    /// The elements at the top of a resource of this type that prove it to be of the encounter to which
    /// the context is confined.
    pub(super) fn encounter_elements(
        &self,
        of: ResourceType,
        release: Release,
    ) -> Vec<&'static str> {
        match &self.standing {
            Standing::Confined(Confined { encounter: Some(_), .. }) => {
                proving_elements(release, ENCOUNTER, Membership::Definition, of)
            }
            _ => Vec::new(),
        }
    }
}

impl Standing {
    /// Those of this patient, of any encounter.
    pub(super) const fn of_patient(patient: Id) -> Standing {
        Standing::Confined(Confined { patient, encounter: None })
    }

    /// Grants nothing, for this reason.
    pub(super) const fn void(reason: &'static Reason) -> Standing {
        Standing::Void(Void { reason, would_do: None })
    }

    /// Names the scopes that would bring what is missing.
    pub(super) fn would_do(self, scopes: &'static str) -> Standing {
        match self {
            Standing::Void(void) => Standing::Void(Void { would_do: Some(scopes), ..void }),
            other => other,
        }
    }
}

impl Void {
    /// The refusal of what the scopes would cover.
    pub(super) fn refusal(self) -> Refusal {
        let refusal = Refusal::new(self.reason);
        match self.would_do {
            Some(scopes) => refusal.scope(scopes),
            None => refusal,
        }
    }
}

/// `system/` scopes are for backend services: a token with a user or a patient has none of that.
fn system(claims: &Claims) -> Standing {
    if claims.user.is_none() && claims.patient.is_none() {
        Standing::Unconfined
    } else {
        Standing::void(&SCOPE_SYSTEM_WITH_USER)
    }
}

/// `patient/` scopes open what concerns the patient in context, and with `smart.encounter: confine` of
/// that only the encounter in context.
fn in_context(claims: &Claims, patient: Option<Id>, smart: &Smart) -> Standing {
    let Some(patient) = patient else {
        return match claims.patient {
            Some(_) => Standing::void(&SCOPE_PATIENT_INVALID),
            None => Standing::void(&SCOPE_PATIENT_MISSING).would_do("launch/patient"),
        };
    };
    let encounter = match smart.encounter {
        EncounterContext::Ignore => None,
        EncounterContext::Confine => claims.encounter.as_deref(),
    };
    match encounter.map(Id::parse) {
        Some(None) => Standing::void(&SCOPE_ENCOUNTER_INVALID),
        encounter => Standing::Confined(Confined { patient, encounter: encounter.flatten() }),
    }
}
