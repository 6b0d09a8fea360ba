//! One request under the scopes of one context.

use std::rc::Rc;

use super::Asked;
use super::coverage::{Cover, Need};
use super::evidence::{Evidence, Lookup};
use super::grants::{Confined, Grant, Grants, Standing};
use super::reasons::SCOPE_INSUFFICIENT;
use super::rules::needs;
use super::scope::Context;
use super::sight::{Sight, World};
use super::smart::Smart;
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::config::Api;
use crate::fhir::{Id, Interaction, Request};
use crate::request::Head;

/// One request under the scopes of one context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) grants: &'a Rc<Grants>,
    pub(super) grant: &'a Grant,
    pub(super) request: &'a Request,
    pub(super) head: &'a Head,
    pub(super) evidence: Evidence<'a>,
    pub(super) api: &'a Api,
    pub(super) smart: &'a Smart,
}

/// Why one context does not allow a request, or not yet.
#[derive(Debug)]
pub(super) enum Stop {
    /// It doesn't.
    Denied(Denial),
    /// The request's body has to be read first.
    Body,
    /// This has to be looked up first.
    Stored(Vec<Lookup>),
}

/// Why one context does not allow a request.
#[derive(Debug)]
pub(super) struct Denial {
    rank: Rank,
    pub(super) refusal: Refusal,
}

/// How much a refusal tells when another context refuses too: the later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The scopes don't cover it.
    Lacking,
    /// They would, were the context worth something.
    Void,
    /// They do, and a rule refuses.
    Rule,
}

/// Whose resources a covered request may touch.
#[derive(Debug, Clone)]
pub(super) struct Covered<'a> {
    /// The scopes that cover it.
    pub(super) scopes: Rc<str>,
    /// `None`: anyone's.
    pub(super) patient: Option<&'a Id>,
    /// Of the types in the Encounter compartment, only what is of this one.
    pub(super) encounter: Option<&'a Id>,
    /// Only those that match the granular scopes.
    pub(super) granular: bool,
}

impl<'a> Case<'a> {
    pub(super) fn new(asked: Asked<'a>, grant: &'a Grant) -> Case<'a> {
        let Asked { grants, request, head, evidence, api, smart } = asked;
        Case { grants, grant, request, head, evidence, api, smart }
    }

    /// Whether the scopes cover all of `needs` and the context is worth something.
    pub(super) fn covered(&self, needs: &[Need]) -> Result<Covered<'a>, Denial> {
        let (scopes, granular) = match self.grant.coverage.cover(needs, self.api.release) {
            Cover::Full(scopes) => (scopes, false),
            Cover::Granular(scopes) => (scopes, true),
            Cover::Lacking => {
                let refusal = lacking(self.grant.context, needs);
                return Err(Denial { rank: Rank::Lacking, refusal });
            }
        };
        self.standing(scopes, granular)
    }

    /// Whose resources these scopes open.
    pub(super) fn standing(&self, scopes: Rc<str>, granular: bool) -> Result<Covered<'a>, Denial> {
        match &self.grant.standing {
            Standing::Void(void) => Err(Denial { rank: Rank::Void, refusal: void.refusal() }),
            Standing::Unconfined => {
                Ok(Covered { scopes, patient: None, encounter: None, granular })
            }
            Standing::Confined(Confined { patient, encounter }) => {
                let encounter = encounter.as_ref();
                Ok(Covered { scopes, patient: Some(patient), encounter, granular })
            }
        }
    }

    /// Whether plain scopes cover all of `needs`.
    pub(super) fn covers_plainly(&self, needs: &[Need]) -> bool {
        self.covered(needs).is_ok_and(|covered| !covered.granular)
    }

    /// The scopes of a client, confined to nobody, that may do this with every type.
    pub(super) fn sweeping(&self, interaction: &Interaction) -> Option<Rc<str>> {
        let covered = self.covered(&[needs::sweeping(interaction)]).ok()?;
        (covered.patient.is_none() && !covered.granular).then_some(covered.scopes)
    }

    /// The request's body.
    pub(super) fn body(&self) -> Result<&'a [u8], Stop> {
        self.evidence.body.ok_or(Stop::Body)
    }

    /// What the whole token may see.
    pub(super) fn sight(&self) -> Sight {
        Sight::new(Rc::clone(self.grants))
    }

    /// What resources are judged by besides the token.
    pub(super) fn world(&self) -> World<'a> {
        World { api: self.api, smart: self.smart, aliases: self.evidence.aliases, vouched: &[] }
    }

    /// The refusal of what none of the scopes covers.
    pub(super) fn lacking(&self, needs: &[Need]) -> Refusal {
        lacking(self.grant.context, needs)
    }
}

impl Denial {
    /// The one that tells more; this one when both tell the same.
    pub(super) fn or(self, other: Denial) -> Denial {
        if other.rank > self.rank { other } else { self }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Denial {
        Denial { rank: Rank::Rule, refusal }
    }
}

impl From<&'static Reason> for Denial {
    fn from(reason: &'static Reason) -> Denial {
        Denial::from(Refusal::new(reason))
    }
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Stop {
        Stop::Denied(denial)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Denied(refusal.into())
    }
}

impl From<&'static Reason> for Stop {
    fn from(reason: &'static Reason) -> Stop {
        Stop::Denied(reason.into())
    }
}

/// The refusal of what no scope covers, with the smallest scopes that would.
pub(super) fn lacking(context: Context, needs: &[Need]) -> Refusal {
    let scopes: Vec<String> = needs.iter().map(|need| need.scope(context)).collect();
    Refusal::new(&SCOPE_INSUFFICIENT).scope(scopes.join(" "))
}
