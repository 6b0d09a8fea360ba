//! Chains and `_has`. They decide by what stands at their end, and nobody judges that on the answer.
//! Confined, one may lead to shared resources, to the patient itself and to what is about the patient:
//! an encounter, or what else a resource of the patient refers to, may be somebody else's. Where a chain
//! can lead to one resource only, the search is narrowed along it: that one must be the patient's too.

use super::named::{self, Criterion};
use super::parameters::{Judge, Reach};
use super::place::{self, Place};
use super::search::subject_criterion;
use crate::base::refusal::Reason;
use crate::fhir::compartment::{PATIENT, membership_parameters, refers_to_one, subject_parameter};
use crate::fhir::membership::Membership;
use crate::fhir::search::{Link, Way};
use crate::fhir::{Id, Interaction as I, Release, ResourceType};
use crate::policy::case::{Case, Stop};
use crate::policy::permit::Narrowing;
use crate::policy::reasons::{SEARCH_CHAIN_OUTSIDE, SEARCH_CHAIN_PATIENT};
use crate::request::query::Param;

impl Judge<'_, '_> {
    /// Judges a chain or `_has` that passes these types.
    pub(super) fn chain(
        self,
        param: &Param,
        types: &[ResourceType],
        way: &Way<'_>,
        reach: &mut Reach,
    ) -> Result<(), Stop> {
        self.searched(types)?;
        let Some(patient) = self.covered.patient else { return Ok(()) };
        let mut here = self.case.request.interaction.resource_type();
        // The way so far, while the search is narrowed along all of it.
        let mut narrowed = Some(String::new());
        for link in &way.links {
            let walked = narrowed.take();
            if let Some(reason) = self.leads_away(here, link) {
                let along = walked.and_then(|walked| self.along(&walked, here, link, patient));
                let Some((walked, narrowing)) = along else { return self.refuse(param, reason) };
                reach.narrow(narrowing);
                narrowed = Some(walked);
            }
            here = match link {
                Link::To { types, .. } => types.first().copied().filter(|_| types.len() == 1),
                Link::From { resource, .. } => Some(*resource),
            };
        }
        let ends: &[ResourceType] = match way.links.last() {
            Some(Link::To { types, .. }) => types,
            Some(Link::From { resource, .. }) => core::slice::from_ref(resource),
            None => &[],
        };
        for end in ends {
            let subject = subject_parameter(self.case.api.release, *end);
            let subject = subject.filter(|_| narrowed.is_some()).map(|subject| subject.name);
            let Way { code, modifier, .. } = *way;
            let criterion = Criterion { code, modifier, value: &param.value };
            named::one(self.case, criterion, *end, subject, patient)?;
        }
        Ok(())
    }

    /// Why a link leads away from the patient and from what is shared; `here` is where it starts. Along
    /// a parameter with several values it may lead to somebody else who is named beside the patient.
    fn leads_away(self, here: Option<ResourceType>, link: &Link<'_>) -> Option<&'static Reason> {
        let release = self.case.api.release;
        match link {
            Link::From { resource, parameter } => {
                let from_patient = here.is_some_and(|here| here.name() == PATIENT);
                match from_patient {
                    _ if self.is_shared(Some(*resource)) => None,
                    true if self.is_membership(*resource, parameter) => None,
                    // What refers to a patient otherwise is about somebody else.
                    true => Some(&SEARCH_CHAIN_PATIENT),
                    false => Some(&SEARCH_CHAIN_OUTSIDE),
                }
            }
            Link::To { parameter, types, .. } => {
                // Elsewhere the patient may be the performer, and the subject somebody else.
                let by_subject = self.case.smart.membership == Membership::Subject;
                let single = |of| {
                    is_subject(release, of, parameter) && refers_to_one(release, of, parameter)
                };
                let own = by_subject && here.is_some_and(single);
                let mut away = types.iter().filter(|of| !self.is_shared(Some(**of)));
                match away.next().map(|of| of.name()) {
                    None => None,
                    Some(PATIENT) if own && away.next().is_none() => None,
                    Some(PATIENT) => Some(&SEARCH_CHAIN_PATIENT),
                    Some(_) => Some(&SEARCH_CHAIN_OUTSIDE),
                }
            }
        }
    }

    /// The way with this link, and what keeps its end with the patient. One resource of the compartment
    /// must lead to one other at most: then that criterion and the client's ask about the same one.
    fn along(
        self,
        walked: &str,
        here: Option<ResourceType>,
        link: &Link<'_>,
        patient: &Id,
    ) -> Option<(String, Narrowing)> {
        // A condition has no answer to be judged, and servers need not be strict with it.
        let interaction = &self.case.request.interaction;
        let searches = matches!(interaction, I::SearchType(_) | I::SearchCompartment(..));
        let Link::To { parameter, types, .. } = link else { return None };
        let (Some(here), &[end], true) = (here, types.as_slice(), searches) else { return None };
        // Of patients there is one to be found: that would say no more than `asserter=Patient/P`, and who
        // asks for another one, a parent for example, would find nothing without being told why.
        let inside = |of: ResourceType| {
            of.name() != PATIENT && place::of(self.case, self.covered, of) == Ok(Place::Inside)
        };
        let to_one = refers_to_one(self.case.api.release, here, parameter);
        if !to_one || !inside(here) || !inside(end) {
            return None;
        }
        let Narrowing { name, value } = subject_criterion(self.case, end, patient).ok()?;
        let walked = format!("{walked}{parameter}:{}.", end.name());
        let name = format!("{walked}{name}");
        Some((walked, Narrowing { name, value }))
    }

    /// Whether a parameter makes a resource of the type the patient's whom it refers to.
    fn is_membership(self, of: ResourceType, parameter: &str) -> bool {
        let Case { api, smart, .. } = self.case;
        is_subject(api.release, of, parameter)
            || membership_parameters(api.release, PATIENT, smart.membership, of)
                .any(|one| one == parameter)
    }
}

/// Whether a parameter says whom a resource of the type is about: `patient` and `subject` both do.
fn is_subject(release: Release, of: ResourceType, parameter: &str) -> bool {
    subject_parameter(release, of).is_some() && matches!(parameter, "patient" | "subject")
}
