//! A Binary is whose its `securityContext` is (<http://hl7.org/fhir/R4/binary.html#security>). One that
//! names the patient says so itself. One that names another resource, such as the DocumentReference
//! whose content it is, is the patient's when that resource is and the client may read it, which is
//! looked up. One step only: another Binary, another server's resource, or a version of one, which may
//! have been about somebody else, prove nothing.

use super::place;
use crate::base::node::Node;
use crate::fhir::compartment::{PATIENT, is_in_patient_compartment};
use crate::fhir::membership::type_of;
use crate::fhir::references::local;
use crate::fhir::{Id, ResourceType};
use crate::policy::case::{Case, Stop};
use crate::policy::grants::Standing;
use crate::policy::permission::Permission::{self, Read};
use crate::policy::permit::Permit;
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;
use crate::policy::sight::{BINARY, Vouched, World, security_context};

/// A read of a Binary, held by this permit: with somewhere to look it up, the stored one says which
/// resource tells whose it is. Without, the answer alone tells: what names the patient itself.
pub(super) fn read(
    case: &Case<'_>,
    permit: Permit,
    of: ResourceType,
    id: &Id,
) -> Result<Permit, Stop> {
    if case.api.cluster.is_none() {
        return Ok(permit);
    }
    let stored = place::stored(case, of, id)?.ok_or(&COMPARTMENT_NOT_MEMBER)?;
    let binary = stored.resource()?;
    if !reaches(case, Read, &binary)? {
        return Err((&COMPARTMENT_NOT_MEMBER).into());
    }
    Ok(permit.vouching(vouched(case, &binary)?))
}

/// Whether the context lets its client do this with a resource as it is stored. In there no alias of
/// the request's names anybody.
pub(super) fn reaches(
    case: &Case<'_>,
    permission: Permission,
    resource: &Node<'_>,
) -> Result<bool, Stop> {
    let vouched = vouched(case, resource)?;
    let world = World { aliases: &[], vouched: vouched.as_slice(), ..case.world() };
    Ok(world.reaches(case.grant, permission, resource))
}

/// Whether the `securityContext` of this Binary, stored or to be written, is another resource of the
/// patient's that the client may read. `false`: it is none that would tell.
///
/// # Errors
///
/// It would tell, and has to be looked up, or there is no such resource in the compartment.
pub(super) fn is_vouched(case: &Case<'_>, binary: &Node<'_>) -> Result<bool, Stop> {
    let release = case.api.release;
    let is_binary = type_of(release, binary).is_some_and(|of| of.name() == BINARY);
    let reference = security_context(binary).filter(|_| is_binary);
    let other = reference.and_then(|reference| local(reference, release, &case.api.base_urls));
    let tells = |of: ResourceType| of.name() != PATIENT && is_in_patient_compartment(release, of);
    let (Some((of, id)), Standing::Confined(_)) = (other, &case.grant.standing) else {
        return Ok(false);
    };
    if !tells(of) {
        return Ok(false);
    }
    let other = place::stored(case, of, &id)?.ok_or(&COMPARTMENT_NOT_MEMBER)?;
    let world = World { aliases: &[], ..case.world() };
    match world.reaches(case.grant, Read, &other.resource()?) {
        true => Ok(true),
        false => Err((&COMPARTMENT_NOT_MEMBER).into()),
    }
}

/// The stored Binary, if another resource tells that it is the patient's.
fn vouched(case: &Case<'_>, binary: &Node<'_>) -> Result<Option<Vouched>, Stop> {
    if !is_vouched(case, binary)? {
        return Ok(None);
    }
    let (id, reference) = (binary.text_of("id").and_then(Id::parse), security_context(binary));
    let context = case.grant.context;
    let vouched =
        |(id, reference): (Id, &str)| Vouched { context, id, reference: reference.to_owned() };
    Ok(id.zip(reference).map(vouched))
}
