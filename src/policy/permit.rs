//! Proof that a request was decided and allowed.

use std::rc::Rc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::found::Search;
use super::sight::{Sight, Vouched};
use crate::base::set_of;
use crate::fhir::{Id, ResourceType};

/// Proof that the policy allows a request, and what must hold for it to be lawful. Made only by
/// this folder.
#[derive(Debug, Clone, Default)]
pub struct Permit {
    allowed_by: Option<Rc<str>>,
    patient: Option<Id>,
    narrowing: Vec<Narrowing>,
    resolved: Option<Resolved>,
    compartment: Option<ResourceType>,
    strict: bool,
    precondition: Option<Precondition>,
    expected: Option<Expected>,
    entries: Vec<EntryPermit>,
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
    /// Whether it is a secret that there is such a resource: one that is missing must look like
    /// somebody else's. `false` for what the request alone decides.
    pub concealed: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Narrowing {
    /// The search parameter.
    pub name: String,
    /// Its value, not yet percent-encoded.
    pub value: String,
}

/// An entry of a batch or transaction that may go on.
#[derive(Debug, Clone)]
pub struct EntryPermit {
    /// What it asks for, relative to the base.
    pub url: String,
    /// Whether it said so by an absolute URL, which must go on as the relative one.
    pub absolute: bool,
    /// What it is allowed by.
    pub permit: Permit,
}

/// A conditional write after its criteria were looked up: it goes on without them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The search that told what they find.
    pub by: Search,
    /// What it becomes.
    pub becomes: Becomes,
    /// What is left of its query: how the answer is shaped. Encoded as it came.
    pub query: String,
}

/// What a conditional write becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becomes {
    /// The update, patch or deletion of this resource by its id.
    Known {
        /// Its id.
        id: Id,
        /// Whether it is written in full and the body does not say its id yet.
        unnamed: bool,
    },
    /// A create. What its `If-None-Exist` says, as in a query, whatever the client's said; `None`: it has
    /// none.
    New(Option<String>),
}

/// What must still hold when the server writes, so that what was judged is what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match`: the stored resource is still of this version.
    Unchanged(String),
    /// `If-None-Match: *`: there is still no such resource.
    Absent,
}

impl Permit {
    /// What anyone may read, without a token.
    pub(in crate::policy) fn open() -> Permit {
        Permit::default()
    }

    /// Allowed by these scopes, confined to a patient or not.
    pub(in crate::policy) fn by(scopes: Rc<str>, patient: Option<Id>) -> Permit {
        Permit { allowed_by: Some(scopes), patient, ..Permit::default() }
    }

    /// Allowed only with these criteria added.
    pub(in crate::policy) fn narrowed(mut self, narrowing: Vec<Narrowing>) -> Permit {
        self.strict |= !narrowing.is_empty();
        self.narrowing.extend(narrowing);
        self
    }

    /// Allowed only as what its criteria were found to mean.
    pub(in crate::policy) fn resolved_to(self, resolved: Resolved) -> Permit {
        let strict = self.strict || matches!(resolved.becomes, Becomes::New(Some(_)));
        Permit { resolved: Some(resolved), strict, ..self }
    }

    /// Allowed only as a search of this type in the compartment of the permit's patient.
    pub(in crate::policy) fn in_compartment(self, searched: ResourceType) -> Permit {
        Permit { compartment: Some(searched), ..self }.strict()
    }

    /// Allowed only if this still holds when the server writes.
    pub(in crate::policy) fn provided(self, precondition: Precondition) -> Permit {
        Permit { precondition: Some(precondition), ..self }
    }

    /// Allowed only if the answer keeps to this.
    pub(in crate::policy) fn expecting(self, expected: Expected) -> Permit {
        Permit { expected: Some(expected), ..self }
    }

    /// The client may know whether there is such a resource.
    pub(in crate::policy) fn unconcealed(self) -> Permit {
        let expected = self.expected.map(|expected| Expected { concealed: false, ..expected });
        Permit { expected, ..self }
    }

    /// The answer may show this Binary, too.
    pub(in crate::policy) fn vouching(self, vouched: Option<Vouched>) -> Permit {
        let expected = self.expected.map(|expected| {
            let sight = expected.sight.vouching(vouched);
            Expected { sight, ..expected }
        });
        Permit { expected, ..self }
    }

    /// Allowed only without what the server counts.
    pub(in crate::policy) fn uncounted(self) -> Permit {
        let expected = self.expected.map(|expected| Expected { counted: false, ..expected });
        Permit { expected, ..self }
    }

    /// Allowed only if the server refuses parameters it doesn't know.
    pub(in crate::policy) fn strict(self) -> Permit {
        Permit { strict: true, ..self }
    }

    /// A Bundle whose entries are allowed, each by its own permit.
    pub(in crate::policy) fn of_entries(entries: Vec<EntryPermit>) -> Permit {
        let permits = || entries.iter().map(|entry| &entry.permit);
        let scopes = permits().filter_map(Permit::allowed_by);
        let scopes = set_of(scopes.flat_map(|scopes| scopes.split(' ')));
        let scopes = scopes.into_iter().collect::<Vec<_>>().join(" ");
        let patient = permits().find_map(|permit| permit.patient.clone());
        let strict = permits().any(|permit| permit.strict);
        Permit { strict, entries, ..Permit::by(Rc::from(scopes), patient) }
    }

    /// What both allow together. The request is narrowed by no more than what holds for both, and the
    /// answer judged by what the whole token may see. Where that would not be enough, because nobody
    /// judges the answer, because something is written or because no search is in two compartments,
    /// this one alone: either is enough to allow the request.
    pub(in crate::policy) fn or(self, other: Permit) -> Permit {
        if self.is_whole() {
            return self;
        }
        if other.is_whole() {
            return other;
        }
        if other.is_within(&self) {
            return self.with_scopes_of(other, true);
        }
        if self.is_within(&other) {
            let narrowing = other.narrowing.clone();
            return Permit { narrowing, ..self.with_scopes_of(other, true) };
        }
        if self.creates() && other.resolved.is_some() && !other.creates() {
            return other;
        }
        let narrowing = either(&self.narrowing, &other.narrowing);
        let only_narrows = self.only_narrows() && other.only_narrows();
        let lists = [&self.narrowing, &other.narrowing, &narrowing];
        let exact = only_narrows && lists.iter().all(|list| list.len() == 1);
        let one_place = self.searches_where(&other);
        let in_two = self.compartment.is_some() && other.compartment.is_some() && !one_place;
        if !exact && (in_two || !self.is_sifted() || !other.is_sifted()) {
            return self;
        }
        let compartment = self.compartment.filter(|_| one_place);
        Permit { narrowing, compartment, ..self.with_scopes_of(other, exact) }
    }

    /// This one, by the scopes of both. `exact`: the server still counts only what the client may see,
    /// if it does for each.
    fn with_scopes_of(self, other: Permit, exact: bool) -> Permit {
        let patient = self.patient.filter(|patient| Some(patient) == other.patient.as_ref());
        let expected = match (self.expected, other.expected) {
            (Some(mut one), Some(other)) => {
                one.sight = one.sight.and(other.sight);
                one.proving.extend(other.proving);
                one.proving.sort_unstable();
                one.proving.dedup();
                one.counted &= other.counted && exact;
                one.concealed &= other.concealed;
                Some(one)
            }
            (one, other) => one.or(other),
        };
        Permit {
            allowed_by: both(self.allowed_by, other.allowed_by),
            strict: self.strict || other.strict,
            patient,
            expected,
            ..self
        }
    }

    /// Whether the request goes on unchanged and its answer unjudged.
    fn is_whole(&self) -> bool {
        self.only_narrows() && self.narrowing.is_empty() && self.expected.is_none()
    }

    /// Whether the request is changed in no other way than by criteria.
    fn only_narrows(&self) -> bool {
        self.resolved.is_none() && self.precondition.is_none() && self.compartment.is_none()
    }

    /// Whether a conditional write becomes a create: its criteria found nothing.
    fn creates(&self) -> bool {
        matches!(self.becomes(), Some(Becomes::New(_)))
    }

    fn becomes(&self) -> Option<&Becomes> {
        self.resolved.as_ref().map(|resolved| &resolved.becomes)
    }

    /// Whether the other changes the request in the same way, and by no criterion that this one has not:
    /// it finds all that this one finds.
    fn is_within(&self, other: &Permit) -> bool {
        let among = |few: &[Narrowing], all: &[Narrowing]| few.iter().all(|one| all.contains(one));
        among(&other.narrowing, &self.narrowing)
            && self.becomes() == other.becomes()
            && self.precondition == other.precondition
            && self.searches_where(other)
    }

    /// Whether both search the same compartment, or both none.
    fn searches_where(&self, other: &Permit) -> bool {
        self.compartment == other.compartment
            && (self.compartment.is_none() || self.patient == other.patient)
    }

    /// Whether only what the client may see is left of the answer, whatever the server finds.
    pub(in crate::policy) fn is_sifted(&self) -> bool {
        let form = self.expected.as_ref().map(|expected| &expected.form);
        form.is_some_and(|form| !matches!(form, Form::Written(_)))
    }

    /// The scopes that allowed it, as the token writes them, separated by spaces. `None`: public.
    pub fn allowed_by(&self) -> Option<&str> {
        self.allowed_by.as_deref()
    }

    /// The patient whom the request is confined to.
    pub fn patient(&self) -> Option<&Id> {
        self.patient.as_ref()
    }

    /// The criteria to add before forwarding.
    pub fn narrowing(&self) -> &[Narrowing] {
        &self.narrowing
    }

    /// What a conditional write goes on as.
    pub fn resolved(&self) -> Option<&Resolved> {
        self.resolved.as_ref()
    }

    /// The type that must be searched in the compartment of [`Permit::patient`].
    pub fn compartment(&self) -> Option<ResourceType> {
        self.compartment
    }

    /// What must still hold when the server writes.
    pub fn precondition(&self) -> Option<&Precondition> {
        self.precondition.as_ref()
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

    /// The permits of a batch's or transaction's entries, in their order; of anything else none.
    pub fn entries(&self) -> &[EntryPermit] {
        &self.entries
    }
}

impl Narrowing {
    /// As in a query: `name=value`, the value percent-encoded.
    pub fn written(&self) -> String {
        format!("{}={}", self.name, utf8_percent_encode(&self.value, RESERVED))
    }
}

/// All but the unreserved characters (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Criteria that hold for what either list finds: those on the same parameter, their values as
/// alternatives (<http://hl7.org/fhir/R4/search.html#combining>).
fn either(one: &[Narrowing], other: &[Narrowing]) -> Vec<Narrowing> {
    let joined = |one: &Narrowing| {
        let mut same = other.iter().filter(|other| other.name == one.name);
        let other = same.next().filter(|_| same.next().is_none())?;
        let value = match one.value == other.value {
            true => one.value.clone(),
            false => format!("{},{}", one.value, other.value),
        };
        Some(Narrowing { name: one.name.clone(), value })
    };
    one.iter().filter_map(joined).collect()
}

fn both(one: Option<Rc<str>>, other: Option<Rc<str>>) -> Option<Rc<str>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Some(Rc::from(format!("{one} {other}"))),
        (one, other) => one.or(other),
    }
}
