//! Stage 8: what the FHIR server gets to see. A permit is carried out: the search is narrowed, the
//! token stripped, the caller's identity written into headers whose inbound copies are removed
//! first. What the client sent is never encoded anew: criteria are only added behind it.

mod condition;
mod entries;
mod identity;
mod narrow;
mod provable;
mod resolved;
mod settings;

#[cfg(test)]
mod tests;

pub use settings::{IdentityHeader, Settings, TokenHandling};

use crate::base::refusal::Refusal;
use crate::fhir::Body;
use crate::policy::Permit;
use crate::request::{Head, Headers, OVERRIDES};
use crate::token::Claims;

/// A change of the request's header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Remove every field of this name.
    Remove(String),
    /// Set this field, in place of every field of that name.
    Set(String, String),
}

/// How a permitted request is changed before it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Changes of the header fields, in this order.
    pub edits: Vec<Edit>,
    /// The body to send instead of the one that came.
    pub body: Option<Vec<u8>>,
}

/// Carries out a permit. `body` is the body if it was held: the form of a search by POST, or what is
/// written. `claims` are those of the token that was judged.
///
/// # Errors
///
/// A Bundle that can't be rewritten.
pub fn forward(
    permit: &Permit,
    head: &Head,
    body: Option<(Body, &[u8])>,
    claims: Option<&Claims>,
    settings: &Settings,
) -> Result<Forward, Refusal> {
    let mut edits = sanitize(head.headers());
    if settings.token == TokenHandling::Strip {
        edits.push(Edit::Remove("authorization".to_owned()));
    }
    if let Some(claims) = claims {
        edits.extend(identity::headers(permit, claims, &settings.headers));
    }
    edits.extend(prefer(permit, head));
    let (form, held) = match body {
        Some((Body::Form, form)) => (Some(form), None),
        Some((_, held)) => (None, Some(held)),
        None => (None, None),
    };
    let mut sent = Sent { target: head.raw_target().to_owned(), form: form.map(<[u8]>::to_vec) };
    if let Some(resolved) = permit.resolved() {
        sent.target = resolved::target(&sent.target, resolved);
        edits.extend(resolved::edits(resolved, head));
    }
    if let Some(expected) = permit.expected() {
        edits.extend(provable::whole(expected));
        provable::select(expected, &mut sent);
    }
    if let Some((of, patient)) = permit.compartment().zip(permit.patient()) {
        sent.target = narrow::in_compartment(&sent.target, of, patient);
    }
    for narrowing in permit.narrowing() {
        narrow::apply(narrowing, &mut sent);
    }
    edits.extend(condition::edits(permit));
    let mut body = sent.changes(head, form, &mut edits);
    if let Some(held) = held
        && let Some(changed) = rewritten(permit, held)?
    {
        edits.push(Edit::Remove("transfer-encoding".to_owned()));
        edits.push(Edit::Set("content-length".to_owned(), changed.len().to_string()));
        body = Some(changed);
    }
    Ok(Forward { edits: needed(edits, head.headers()), body })
}

/// The edits without those that remove what is not there: each one costs a call of the host.
fn needed(edits: Vec<Edit>, headers: &Headers) -> Vec<Edit> {
    let mut needed: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        let changes = match &edit {
            Edit::Remove(name) => headers.all(name).next().is_some() || sets(&needed, name),
            Edit::Set(..) => true,
        };
        if changes {
            needed.push(edit);
        }
    }
    needed
}

fn sets(edits: &[Edit], name: &str) -> bool {
    edits.iter().any(|edit| matches!(edit, Edit::Set(set, _) if set == name))
}

/// What is written instead of what came: a Bundle with other entries, a resource with its id.
fn rewritten(permit: &Permit, held: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    match permit.resolved() {
        Some(resolved) => Ok(resolved::with_id(held, resolved)),
        None => entries::rewritten(permit, held),
    }
}

/// What the server is asked to prefer: to refuse parameters it doesn't know where the decision relies
/// on one, and of the client's wishes only what to return. `respond-async` would move the answer to
/// where nobody judges it.
fn prefer(permit: &Permit, head: &Head) -> Option<Edit> {
    if !permit.strict_handling() && permit.expected().is_none() {
        return None;
    }
    let asked = head.headers().all("prefer").filter_map(|value| core::str::from_utf8(value).ok());
    let asked = asked.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let returned = asked.filter(|one| RETURNED.contains(one)).take(1);
    let strict = permit.strict_handling().then_some("handling=strict");
    let wishes: Vec<&str> = strict.into_iter().chain(returned).collect();
    Some(match wishes.as_slice() {
        [] => Edit::Remove("prefer".to_owned()),
        wishes => Edit::Set("prefer".to_owned(), wishes.join(", ")),
    })
}

/// What a client may want of a write's answer (<http://hl7.org/fhir/R4/http.html#ops>).
const RETURNED: [&str; 3] = ["return=minimal", "return=representation", "return=OperationOutcome"];

/// Target and form as they go on.
#[derive(Debug)]
struct Sent {
    target: String,
    form: Option<Vec<u8>>,
}

impl Sent {
    /// The edits for what differs from what came; the form, if it is another.
    fn changes(
        self,
        head: &Head,
        form_body: Option<&[u8]>,
        edits: &mut Vec<Edit>,
    ) -> Option<Vec<u8>> {
        if self.target != head.raw_target() {
            edits.push(Edit::Set(":path".to_owned(), self.target));
        }
        let form = self.form.filter(|form| Some(form.as_slice()) != form_body)?;
        edits.push(Edit::Remove("transfer-encoding".to_owned()));
        edits.push(Edit::Set("content-length".to_owned(), form.len().to_string()));
        Some(form)
    }
}

/// The changes that every forwarded request gets, whatever was decided: identity headers that only
/// this filter may set, headers that replace the method or target that was judged or bend the URLs that
/// the server gives out, and names with an underscore are removed.
pub fn sanitize(headers: &Headers) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let removed = |name: &&[u8]| is_untrusted(name) || bends_urls(headers, name);
    for name in headers.names().filter(removed) {
        let edit = Edit::Remove(String::from_utf8_lossy(name).into_owned());
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }
    edits
}

/// Names are compared without regard to case. Servers that read `_` as `-` would take
/// `if_none_exist` or `x_phiward_patient` for a header that nobody judged.
fn is_untrusted(name: &[u8]) -> bool {
    let prefix = name.get(..PREFIX.len()).unwrap_or_default();
    name.contains(&b'_')
        || prefix.eq_ignore_ascii_case(PREFIX.as_bytes())
        || OVERRIDES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether it tells the server under which URL it is reached, with a query in it: the server would give
/// out URLs of another path, with its own path behind the `?`.
fn bends_urls(headers: &Headers, name: &[u8]) -> bool {
    let of_url = FORWARDED.iter().find(|known| known.as_bytes() == name);
    of_url.is_some_and(|known| headers.all(known).any(|value| value.contains(&b'?')))
}

/// What servers that stand behind a proxy make their URLs of (RFC 7239 section 5 and its forerunners).
const FORWARDED: [&str; 6] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
];

/// What the names of our identity headers start with.
const PREFIX: &str = "x-phiward-";
