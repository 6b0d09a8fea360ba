//! Writes of a client that is confined to a patient or by granular scopes: the stored resource is
//! looked up before it is changed, and what is written is judged as well. What was judged is what is
//! written: the request goes on with `If-Match` of the version that was looked up, or
//! `If-None-Match: *` where there was none.

use super::binary;
use super::conditional;
use super::place::{self, Place};
use crate::base::node::Node;
use crate::base::refusal::Refusal;
use crate::fhir::compartment::{ENCOUNTER, PATIENT};
use crate::fhir::{Id, Interaction as I, ResourceType, patch, written};
use crate::policy::case::{Case, Covered, Stop};
use crate::policy::coverage::Need;
use crate::policy::evidence::Version;
use crate::policy::permission::Permission::{self, Create, Delete, Read, Update};
use crate::policy::permit::{Form, Permit, Precondition};
use crate::policy::reasons::{
    COMPARTMENT_NOT_MEMBER, COMPARTMENT_OTHER_ENCOUNTER, COMPARTMENT_OTHER_PATIENT,
    COMPARTMENT_TYPE_OUTSIDE, CONDITIONAL_UNJUDGED, PATCH_MEMBERSHIP, WRITE_NOT_MEMBER,
    WRITE_OTHER_ENCOUNTER, WRITE_OTHER_PATIENT, WRITE_OUT_OF_SCOPE, WRITE_UNJUDGED,
    WRITE_VERSION_CONFLICT,
};
use crate::policy::smart::ResponseCheck;

/// Judges a covered write.
pub(super) fn judge(case: &Case<'_>, covered: &Covered<'_>) -> Result<Permit, Stop> {
    let permit = Permit::by(covered.scopes.clone(), covered.patient.cloned());
    if covered.patient.is_none() && !covered.granular {
        return Ok(permit);
    }
    let interaction = &case.request.interaction;
    let of = interaction.resource_type().ok_or(&CONDITIONAL_UNJUDGED)?;
    if place::of(case, covered, of)? == Place::Shared {
        return Err((&COMPARTMENT_TYPE_OUTSIDE).into());
    }
    let write = Write { case, covered, of };
    write.identity()?;
    let permit = match interaction {
        I::Create(_) => {
            write.body(None, Create)?;
            permit
        }
        I::Update(_, id) => {
            write.body(Some(id), Update)?;
            match write.stored(id)? {
                Some(version) => write.unchanged(permit, version, Update)?,
                None => permit.provided(Precondition::Absent),
            }
        }
        I::Patch(_, id) => {
            write.patch()?;
            write.unchanged(permit, write.existing(id)?, Update)?
        }
        I::Delete(_, id) => write.unchanged(permit, write.existing(id)?, Delete)?,
        I::ConditionalCreate(_) => conditional::create(write, permit)?,
        I::ConditionalUpdate(_) => conditional::update(write, permit)?,
        I::ConditionalPatch(_) => {
            write.patch()?;
            conditional::change(write, permit, Update)?
        }
        I::ConditionalDelete(_) => conditional::change(write, permit, Delete)?,
        _ => return Err((&WRITE_UNJUDGED).into()),
    };
    match case.smart.response_check {
        ResponseCheck::Off => Ok(permit),
        _ => place::held(case, permit, Form::Written(of), &[], true),
    }
}

/// A write that is judged.
#[derive(Clone, Copy)]
pub(super) struct Write<'w, 'a> {
    pub(super) case: &'w Case<'a>,
    pub(super) covered: &'w Covered<'a>,
    pub(super) of: ResourceType,
}

impl<'a> Write<'_, 'a> {
    /// A patient is who their id says, and so is an encounter: another id, or one that the server gives,
    /// is another.
    fn identity(self) -> Result<(), Stop> {
        let (own, reason) = match self.of.name() {
            PATIENT => (self.covered.patient, &COMPARTMENT_OTHER_PATIENT),
            ENCOUNTER => (self.covered.encounter, &COMPARTMENT_OTHER_ENCOUNTER),
            _ => return Ok(()),
        };
        let is_own = own.is_none() || self.case.request.interaction.id() == own;
        if is_own { Ok(()) } else { Err(reason.into()) }
    }

    /// Judges the resource in the body.
    pub(super) fn body(self, id: Option<&Id>, permission: Permission) -> Result<Node<'a>, Stop> {
        let Write { case, of, .. } = self;
        written::judgeable(case.head.headers(), case.api.release)?;
        let resource = written::resource(case.body()?, of, id)?;
        if let Some(patient) = self.covered.patient {
            let is_of = case.world().is_of(&resource, of, patient);
            if !is_of && !binary::is_vouched(case, &resource)? {
                return Err((&WRITE_NOT_MEMBER).into());
            }
            self.names_nobody_else(&resource, patient)?;
        }
        if let Some(encounter) = self.covered.encounter
            && !case.world().is_of_encounter(&resource, of, encounter)
        {
            return Err((&WRITE_OTHER_ENCOUNTER).into());
        }
        self.in_scope(&resource, permission)?;
        Ok(resource)
    }

    /// Judges a patch: it may neither move the resource out of what was judged nor bring in anybody.
    fn patch(self) -> Result<(), Stop> {
        let Write { case, of, .. } = self;
        patch::judgeable(case.head.headers())?;
        let patch = patch::read(case.body()?, case.head.headers())?;
        let read = Need::on(of, &[Read]);
        if patch.tests && !case.covers_plainly(&[read]) {
            // Whether a test holds tells what is stored.
            return Err(case.lacking(&[read]).into());
        }
        for element in place::proves(case, of) {
            if patch.touches(element) {
                let hint = format!("element `{element}`");
                return Err(Refusal::new(&PATCH_MEMBERSHIP).hint(hint).into());
            }
        }
        if let Some(patient) = self.covered.patient {
            for value in &patch.values {
                self.names_nobody_else(value, patient)?;
            }
        }
        Ok(())
    }

    fn names_nobody_else(self, value: &Node<'_>, patient: &Id) -> Result<(), Stop> {
        let another = self.case.world().names_another(value, patient);
        if another { Err((&WRITE_OTHER_PATIENT).into()) } else { Ok(()) }
    }

    pub(super) fn in_scope(self, resource: &Node<'_>, permission: Permission) -> Result<(), Stop> {
        let Case { grant, api, .. } = *self.case;
        if grant.coverage.grants(self.of, permission, resource, api) {
            return Ok(());
        }
        Err((&WRITE_OUT_OF_SCOPE).into())
    }

    /// The stored resource; `None` where there is none.
    fn stored(self, id: &Id) -> Result<Option<&'a Version>, Stop> {
        place::stored(self.case, self.of, id)
    }

    /// The stored resource. Which ids exist is nobody's to learn.
    fn existing(self, id: &Id) -> Result<&'a Version, Stop> {
        Ok(self.stored(id)?.ok_or(&COMPARTMENT_NOT_MEMBER)?)
    }

    /// Judges the stored resource, and ties the write to the version that was judged.
    fn unchanged(
        self,
        permit: Permit,
        version: &Version,
        permission: Permission,
    ) -> Result<Permit, Stop> {
        let resource = version.resource()?;
        if !binary::reaches(self.case, permission, &resource)? {
            return Err((&COMPARTMENT_NOT_MEMBER).into());
        }
        self.tied(permit, version.tag()?)
    }

    /// Ties the write to the version that was judged, and to what the client asked for besides.
    pub(super) fn tied(self, permit: Permit, tag: String) -> Result<Permit, Stop> {
        let headers = self.case.head.headers();
        let asked = |name| headers.all(name).map(<[u8]>::trim_ascii);
        if asked("if-match").any(|given| given != tag.as_bytes() && given != b"*")
            || asked("if-none-match").next().is_some()
        {
            return Err((&WRITE_VERSION_CONFLICT).into());
        }
        Ok(permit.provided(Precondition::Unchanged(tag)))
    }
}
