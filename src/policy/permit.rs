//! Proof that a request was decided and allowed.

use std::rc::Rc;

use super::sight::Sight;
use crate::fhir::{Id, ResourceType};

/// Proof that the policy allows a request, and what must hold for it to be lawful. Made only by
/// this folder.
#[derive(Debug, Clone)]
pub struct Permit {
    allowed_by: Option<Rc<str>>,
    patient: Option<Id>,
    narrowing: Option<Narrowing>,
    strict: bool,
    expected: Option<Expected>,
}

/// What the answer must keep to: an obligation, judged by `response` while the answer is held.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What kind of answer it is.
    pub form: Form,
    /// What of it the client may see.
    pub sight: Sight,
    /// Elements that prove it: what selects elements must not leave them out.
    pub proving: Vec<&'static str>,
    /// Whether the server counts only what the client may see: its `total` passes while nothing is
    /// removed. `false` where the request could not say all that the client's scopes ask for.
    pub counted: bool,
}

/// What kind of answer a request gets.
#[derive(Debug, Clone)]
pub enum Form {
    /// One resource of this type: read, vread.
    Resource(ResourceType),
    /// The versions of one resource of this type.
    History(ResourceType),
    /// What a search found: matches of this type (`None`: of any), and what they include.
    Searchset(Option<ResourceType>),
    /// A Bundle of any resources that belong together, such as the answer of `$everything`.
    Collection,
    /// What an operation gives: a resource, or a Bundle or Parameters with resources.
    Result,
    /// What a write gives: nothing, an `OperationOutcome`, or the resource of this type as it now is.
    Written(ResourceType),
    /// The answers of a batch or transaction, in the order of its entries; `None`: not looked at.
    Batch(Vec<Option<Expected>>),
}

/// A criterion that must be added to a search before it is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The search parameter.
    pub name: &'static str,
    /// Its value, not yet percent-encoded.
    pub value: String,
}

impl Permit {
    /// What anyone may read, without a token.
    pub(in crate::policy) const fn open() -> Permit {
        Permit { allowed_by: None, patient: None, narrowing: None, strict: false, expected: None }
    }

    /// Allowed by these scopes, for any patient.
    pub(in crate::policy) const fn unconfined(scopes: Rc<str>) -> Permit {
        Permit {
            allowed_by: Some(scopes),
            patient: None,
            narrowing: None,
            strict: false,
            expected: None,
        }
    }

    /// Allowed by these scopes, confined to a patient.
    pub(in crate::policy) const fn confined(scopes: Rc<str>, patient: Id) -> Permit {
        Permit {
            allowed_by: Some(scopes),
            patient: Some(patient),
            narrowing: None,
            strict: false,
            expected: None,
        }
    }

    /// Allowed only with this criterion added.
    pub(in crate::policy) fn narrowed(self, narrowing: Narrowing) -> Permit {
        Permit { narrowing: Some(narrowing), ..self }.strict()
    }

    /// Allowed only if the answer keeps to this.
    pub(in crate::policy) fn expecting(self, expected: Expected) -> Permit {
        Permit { expected: Some(expected), ..self }
    }

    /// Allowed only if the server refuses parameters it doesn't know.
    pub(in crate::policy) fn strict(self) -> Permit {
        Permit { strict: true, ..self }
    }

    /// The scopes that allowed it, as the token writes them, separated by spaces. `None`: public.
    pub fn allowed_by(&self) -> Option<&str> {
        self.allowed_by.as_deref()
    }

    /// The patient whom the request is confined to.
    pub fn patient(&self) -> Option<&Id> {
        self.patient.as_ref()
    }

    /// The criterion to add before forwarding.
    pub fn narrowing(&self) -> Option<&Narrowing> {
        self.narrowing.as_ref()
    }

    /// What the answer must keep to. `None`: it is not looked at.
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_ref()
    }

    /// Whether the server must be told to refuse parameters it doesn't know (`Prefer:
    /// handling=strict`, <http://hl7.org/fhir/R4/search.html#errors>): the decision relies on one.
    pub fn strict_handling(&self) -> bool {
        self.strict
    }
}
