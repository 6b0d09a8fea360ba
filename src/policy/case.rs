//! One request under the scopes of one context.

use std::rc::Rc;

use super::coverage::{Cover, Need};
use super::grants::{Grant, Grants, Standing};
use super::reasons::{SCOPE_GRANULAR_UNJUDGED, SCOPE_INSUFFICIENT};
use super::scope::Context;
use super::smart::Smart;
use crate::base::refusal::{Reason, Refusal};
use crate::fhir::config::Api;
use crate::fhir::{Id, Request};
use crate::request::Head;

/// One request under the scopes of one context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) grants: &'a Rc<Grants>,
    pub(super) grant: &'a Grant,
    pub(super) request: &'a Request,
    pub(super) head: &'a Head,
    pub(super) api: &'a Api,
    pub(super) smart: &'a Smart,
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
    /// They would, could granular scopes be judged.
    Granular,
    /// They do, and a rule refuses.
    Rule,
}

/// Whose resources a covered request may touch.
pub(super) struct Covered<'a> {
    /// The scopes that cover it.
    pub(super) scopes: Rc<str>,
    /// `None`: anyone's.
    pub(super) patient: Option<&'a Id>,
}

impl<'a> Case<'a> {
    /// Whether the scopes cover all of `needs` and the context is worth something.
    pub(super) fn covered(&self, needs: &[Need]) -> Result<Covered<'a>, Denial> {
        let cover = self.grant.coverage.cover(needs);
        let patient = match &self.grant.standing {
            _ if cover == Cover::Lacking => {
                return Err(Denial {
                    rank: Rank::Lacking,
                    refusal: lacking(self.context(), needs),
                });
            }
            Standing::Void(void) => {
                return Err(Denial { rank: Rank::Void, refusal: void.refusal() });
            }
            Standing::Unconfined => None,
            Standing::Confined(patient) => Some(patient),
        };
        match cover {
            Cover::Full(scopes) => Ok(Covered { scopes, patient }),
            Cover::Granular | Cover::Lacking => {
                let refusal = Refusal::new(&SCOPE_GRANULAR_UNJUDGED);
                let scope = scopes(self.context(), needs);
                Err(Denial { rank: Rank::Granular, refusal: refusal.scope(scope) })
            }
        }
    }

    fn context(&self) -> Context {
        self.grant.context
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

/// The refusal of what no scope covers, with the smallest scopes that would.
pub(super) fn lacking(context: Context, needs: &[Need]) -> Refusal {
    Refusal::new(&SCOPE_INSUFFICIENT).scope(scopes(context, needs))
}

fn scopes(context: Context, needs: &[Need]) -> String {
    needs.iter().map(|need| need.scope(context)).collect::<Vec<_>>().join(" ")
}
