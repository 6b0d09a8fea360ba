//! Conditional writes of a client that is confined to a patient or by granular scopes: what the criteria
//! find is looked up first, and the write goes on by the id of what was found, without the criteria.
//! Nothing is left to a server that would read them differently.
//!
//! Criteria tell what exists: they find what the client may search for and write, and the rest is as if
//! it were not there.

use super::named;
use super::parameters::condition;
use super::place;
use super::search::{encounter_criteria, subject_criterion};
use super::write::Write;
use crate::base::refusal::Refusal;
use crate::fhir::Id;
use crate::fhir::membership::Membership;
use crate::fhir::reasons::BODY_ID;
use crate::fhir::search::{self, Asked};
use crate::policy::case::Stop;
use crate::policy::coverage::Need;
use crate::policy::found::{Matched, Search as Lookup};
use crate::policy::permission::Permission::{self, Create, Search, Update};
use crate::policy::permit::{Becomes, Narrowing, Permit, Resolved};
use crate::policy::reasons::{
    CONDITIONAL_ID, CONDITIONAL_MANY_MATCHES, CONDITIONAL_NO_MATCH, SEARCH_PARAMETER_UNJUDGED,
    SEARCH_SUBJECT_UNKNOWN, WRITE_VERSION_CONFLICT,
};
use crate::policy::sight::World;
use crate::request::Query;

/// A create by `If-None-Exist`. Where there is such a resource, the server is told which: it answers
/// with that one and writes nothing.
pub(super) fn create(write: Write<'_, '_>, permit: Permit) -> Result<Permit, Stop> {
    let value = write.case.head.headers().all("if-none-exist").next().unwrap_or_default();
    let text = core::str::from_utf8(value.trim_ascii()).unwrap_or_default();
    let mut criteria = Criteria::read(write, text, &condition(value)?, &[])?;
    criteria.shape = raw_query(write).to_owned();
    write.body(None, Create)?;
    let one = match criteria.found(write, None)? {
        Matched::None => return Ok(criteria.anew(permit)),
        Matched::One(id, _) => Narrowing { name: "_id".to_owned(), value: id.as_str().to_owned() },
        Matched::Many => return Err((&CONDITIONAL_MANY_MATCHES).into()),
    };
    Ok(criteria.resolved(permit, Becomes::New(Some(one.written()))))
}

/// An update, which creates what the criteria do not find.
pub(super) fn update(write: Write<'_, '_>, permit: Permit) -> Result<Permit, Stop> {
    let criteria = Criteria::of_query(write)?;
    let body = write.body(None, Update)?;
    let named = body.get("id");
    match criteria.found(write, Some(Update))? {
        Matched::One(id, _) if named.is_some_and(|named| named.text() != Some(id.as_str())) => {
            Err((&BODY_ID).into())
        }
        Matched::One(id, tag) => {
            let permit = write.tied(permit, tag?)?;
            Ok(criteria.resolved(permit, Becomes::Known { id, unnamed: named.is_none() }))
        }
        // Its id may be anybody's.
        Matched::None if named.is_some() => Err((&CONDITIONAL_ID).into()),
        Matched::None => {
            write.in_scope(&body, Create)?;
            if write.case.head.headers().all("if-match").next().is_some() {
                return Err((&WRITE_VERSION_CONFLICT).into());
            }
            Ok(criteria.anew(permit))
        }
        Matched::Many => Err((&CONDITIONAL_MANY_MATCHES).into()),
    }
}

/// A patch or a deletion. Whether nothing is found or somebody else's reads alike.
pub(super) fn change(
    write: Write<'_, '_>,
    permit: Permit,
    permission: Permission,
) -> Result<Permit, Stop> {
    let criteria = Criteria::of_query(write)?;
    match criteria.found(write, Some(permission))? {
        Matched::One(id, tag) => {
            let permit = write.tied(permit, tag?)?;
            Ok(criteria.resolved(permit, Becomes::Known { id, unnamed: false }))
        }
        Matched::None => Err((&CONDITIONAL_NO_MATCH).into()),
        Matched::Many => Err((&CONDITIONAL_MANY_MATCHES).into()),
    }
}

/// The criteria of a conditional write.
struct Criteria {
    search: Lookup,
    /// Whether the same can be said in `If-None-Exist`, which has no compartment and no answer that
    /// anybody judges.
    sayable: bool,
    /// What of the query is none of them.
    shape: String,
}

impl Criteria {
    /// Those in the query.
    fn of_query(write: Write<'_, '_>) -> Result<Criteria, Stop> {
        Criteria::read(write, raw_query(write), &write.case.request.query, &SHAPE)
    }

    /// Those of a text and the same decoded. Parameters of these names are none of them.
    fn read(
        write: Write<'_, '_>,
        text: &str,
        query: &Query,
        shape: &[&str],
    ) -> Result<Criteria, Stop> {
        let pieces = text.split('&').filter(|piece| !piece.is_empty());
        let (mut criteria, mut shapes) = (Vec::new(), Vec::new());
        for (piece, param) in pieces.zip(query.params()) {
            match search::read(write.case.api.release, Some(write.of), param) {
                Ok(Asked::Control(name)) if shape.contains(&name) => shapes.push(piece),
                // What cuts an answer into pages would tell which of several matches is written.
                Ok(Asked::Control(name)) => {
                    let hint = format!("parameter `{name}`");
                    return Err(Refusal::new(&SEARCH_PARAMETER_UNJUDGED).hint(hint).into());
                }
                _ => criteria.push(piece),
            }
        }
        let Confinement { compartment, narrowing, sayable } = Confinement::of(write, query)?;
        let criteria = criteria.join("&");
        let search = Lookup { resource: write.of, compartment, criteria, narrowing };
        Ok(Criteria { search, sayable, shape: shapes.join("&") })
    }

    /// What they find that the client may search for and, unless `None`, this as well.
    fn found(&self, write: Write<'_, '_>, permission: Option<Permission>) -> Result<Matched, Stop> {
        let case = write.case;
        place::can_look_up(case)?;
        let Some(found) = case.evidence.stored.searched(&self.search) else {
            return Err(Stop::Stored(vec![self.search.clone().into()]));
        };
        // What a transaction calls its entries is nothing to what is stored.
        let world = World { aliases: &[], vouched: &[], ..case.world() };
        let all = [Some(Search), permission];
        Ok(found?.matched(|resource| {
            all.iter().flatten().all(|one| world.reaches(case.grant, *one, resource))
        })?)
    }

    /// A create of what is not there. If somebody creates it meanwhile, `If-None-Exist` keeps from a second
    /// one; where it can't be narrowed it would tell what others have.
    fn anew(self, permit: Permit) -> Permit {
        let condition = self.sayable.then(|| self.search.condition());
        self.resolved(permit, Becomes::New(condition))
    }

    fn resolved(self, permit: Permit, becomes: Becomes) -> Permit {
        permit.resolved_to(Resolved { by: self.search, becomes, query: self.shape })
    }
}

/// What keeps criteria to what is the client's.
struct Confinement {
    compartment: Option<Id>,
    narrowing: Vec<Narrowing>,
    /// Whether the narrowing says all of it.
    sayable: bool,
}

impl Confinement {
    fn of(write: Write<'_, '_>, query: &Query) -> Result<Confinement, Stop> {
        let Write { case, covered, of } = write;
        let (mut compartment, mut narrowing) = (None, Vec::new());
        if let Some(patient) = covered.patient {
            if case.smart.membership == Membership::Definition {
                if of.name() == "Binary" {
                    return Err((&SEARCH_SUBJECT_UNKNOWN).into());
                }
                named::all(case, query, of, None, patient)?;
                compartment = Some(patient.clone());
            } else {
                let subject = subject_criterion(case, of, patient)?;
                named::all(case, query, of, Some(&subject.name), patient)?;
                narrowing.push(subject);
            }
        }
        let within = encounter_criteria(case, covered, of, query)?;
        let granular = match case.covers_plainly(&[Need::on(of, &[Search])]) {
            true => Some(Vec::new()),
            false => case.grant.coverage.criteria(of, case.api.release),
        };
        let sayable = compartment.is_none() && within.is_some() && granular.is_some();
        narrowing.extend(within.unwrap_or_default());
        let granular = granular.unwrap_or_default().into_iter();
        narrowing.extend(granular.map(|one| Narrowing { name: one.name, value: one.value }));
        Ok(Confinement { compartment, narrowing, sayable })
    }
}

/// The query as it came.
fn raw_query<'w>(write: Write<'w, '_>) -> &'w str {
    write.case.head.raw_query().unwrap_or_default()
}

/// How an answer is shaped: no criteria.
const SHAPE: [&str; 4] = ["_format", "_pretty", "_summary", "_elements"];
