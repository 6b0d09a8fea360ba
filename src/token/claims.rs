//! The claims that later stages read, and how they are read: a claim that is there has the JSON type
//! and form it must have, or the token is refused.

use serde_json::{Map, Value};

use super::reasons;
use crate::base::refusal::Refusal;
use crate::base::time::UnixSeconds;
use crate::config::section::Section;

/// Claims of an access token, under the names that the configuration gives them (`issuers[].claims`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: Option<String>,
    /// `jti`
    pub token_id: Option<String>,
    /// `aud`, always as a list
    pub audience: Vec<String>,
    /// `exp`
    pub expires: UnixSeconds,
    /// `iat`
    pub issued_at: UnixSeconds,
    /// `nbf`
    pub not_before: Option<UnixSeconds>,
    /// `auth_time`: when the user signed in. Not 0, which some issuers write for never
    pub authenticated: Option<UnixSeconds>,
    /// The SMART scopes: one string separated by spaces, or a list joined with spaces
    pub scope: String,
    /// The patient in context: a bare id
    pub patient: Option<String>,
    /// The encounter in context: a bare id; a claim that holds none is the empty text, which is no id.
    /// It opens nothing, so it does not refuse the token
    pub encounter: Option<String>,
    /// `fhirUser`: a reference, relative or absolute
    pub user: Option<String>,
    /// `client_id`
    pub client: Option<String>,
    /// `roles`
    pub roles: Vec<String>,
    /// `organization`
    pub organization: Option<String>,
    /// `sid`
    pub session: Option<String>,
    /// `kid` of the key that signed it, if one did
    pub key_id: Option<String>,
    /// Whether the token is bound to its holder (`cnf`, RFC 7800)
    pub bound: bool,
    /// Where its status is kept (`status.status_list`, draft-ietf-oauth-status-list section 6.2)
    pub status: Option<StatusReference>,
}

/// A place in a Token Status List.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusReference {
    /// `uri`: where the list is, and its `sub`
    pub uri: String,
    /// `idx`: the place in the list, from 0
    pub index: u64,
}

/// Names of the claims that later stages read.
#[derive(Debug, Clone, Default)]
pub(super) struct ClaimNames {
    pub(super) scope: String,
    pub(super) patient: String,
    pub(super) encounter: String,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) roles: String,
    pub(super) organization: String,
    pub(super) session: String,
}

impl Claims {
    /// The patients whose records the token opens: the one in context, and the user who is one
    /// (`fhirUser` naming `Patient/id`, relative or absolute). Bare ids, none twice.
    pub fn patients(&self) -> impl Iterator<Item = &str> {
        let context = self.patient.as_deref();
        let user = self.user.as_deref().and_then(|user| {
            let (rest, id) = user.rsplit_once('/')?;
            (rest == "Patient" || rest.ends_with("/Patient")).then_some(id)
        });
        context.into_iter().chain(user.filter(move |user| Some(*user) != context))
    }
}

impl Claims {
    /// Reads the claims of a token whose signature is proven, or what its issuer says of it.
    ///
    /// # Errors
    ///
    /// [`reasons::TOKEN_CLAIM_MISSING`] for `exp` and `iat`, [`reasons::TOKEN_CLAIM_INVALID`],
    /// [`reasons::TOKEN_PATIENT_INVALID`], [`reasons::TOKEN_STATUS_INVALID`].
    pub(super) fn read(
        members: &Map<String, Value>,
        names: &ClaimNames,
        key_id: Option<&str>,
    ) -> Result<Claims, Refusal> {
        let missing = |name| missing(name);
        Ok(Claims {
            issuer: text(members, "iss")?.ok_or_else(|| missing("iss"))?,
            subject: text(members, "sub")?,
            token_id: text(members, "jti")?,
            audience: texts(members, "aud")?,
            expires: seconds(members, "exp")?.ok_or_else(|| missing("exp"))?,
            issued_at: seconds(members, "iat")?.ok_or_else(|| missing("iat"))?,
            not_before: seconds(members, "nbf")?,
            authenticated: seconds(members, "auth_time")?.filter(|at| at.0 > 0),
            scope: scope(members, &names.scope)?,
            patient: patient(members, &names.patient)?,
            encounter: encounter(members, &names.encounter),
            user: text(members, &names.user)?,
            client: text(members, &names.client)?,
            roles: texts(members, &names.roles)?,
            organization: text(members, &names.organization)?,
            session: text(members, &names.session)?,
            key_id: key_id.map(str::to_owned),
            bound: members.contains_key("cnf"),
            status: status(members)?,
        })
    }
}

impl ClaimNames {
    /// Reads `claims` of an issuer.
    pub(super) fn read(section: &mut Section<'_>) -> ClaimNames {
        let mut name = |key: &'static str, default: &str, doc: &str| {
            section.default(key, default.to_owned(), doc)
        };
        ClaimNames {
            scope: name("scope", "scope", "The SMART scopes: text or a list of texts."),
            patient: name(
                "patient",
                "patient",
                "The patient in context: an id or `Patient/` and an id.",
            ),
            encounter: name(
                "encounter",
                "encounter",
                "The encounter in context: an id or `Encounter/` and an id. Read with `smart.encounter: confine`.",
            ),
            user: name("user", "fhirUser", "The user as a FHIR reference."),
            client: name("client", "client_id", "The app."),
            roles: name("roles", "roles", "The user's roles: text or a list of texts."),
            organization: name("organization", "organization", "The user's organization."),
            session: name("session", "sid", "The session at the issuer."),
        }
    }
}

/// A claim that is required is not there.
pub(super) fn missing(name: &str) -> Refusal {
    Refusal::new(&reasons::TOKEN_CLAIM_MISSING).hint(format!("claim `{name}`"))
}

fn invalid(name: &str) -> Refusal {
    Refusal::new(&reasons::TOKEN_CLAIM_INVALID).hint(format!("claim `{name}`"))
}

/// Text that is not empty.
fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(invalid(name)),
    }
}

/// Text or a list of texts, none of them empty.
fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Refusal> {
    let one = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err(invalid(name)),
    };
    match members.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(one).collect(),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// A `NumericDate` that is a whole number below 2^53: what every JSON parser reads alike.
pub(super) fn seconds(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Option<UnixSeconds>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => match whole(value) {
            Some(seconds) => Ok(Some(UnixSeconds(seconds))),
            None => Err(invalid(name)),
        },
    }
}

/// A whole number below 2^53.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().filter(|number| *number < 1 << 53)
}

/// Scopes: one text, or a list of which each member is one scope. An empty text grants nothing.
fn scope(members: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    if let Some(Value::String(scope)) = members.get(name) {
        return Ok(scope.clone());
    }
    let list = texts(members, name)?;
    if list.iter().any(|scope| scope.contains(char::is_whitespace)) {
        return Err(invalid(name));
    }
    Ok(list.join(" "))
}

/// `123` or `Patient/123`, as `123`.
fn patient(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| invalid(name))?;
    let id = text.strip_prefix("Patient/").unwrap_or(text);
    if !is_fhir_id(id) {
        return Err(Refusal::new(&reasons::TOKEN_PATIENT_INVALID).hint(format!("claim `{name}`")));
    }
    Ok(Some(id.to_owned()))
}

/// `123` or `Encounter/123`, as `123`; anything else as the empty text.
fn encounter(members: &Map<String, Value>, name: &str) -> Option<String> {
    let text = members.get(name)?.as_str().unwrap_or_default();
    let id = text.strip_prefix("Encounter/").unwrap_or(text);
    Some(if is_fhir_id(id) { id.to_owned() } else { String::new() })
}

/// `status.status_list`. Other members of `status` are other ways to tell a status: passed over, so a
/// token that has only those is one without a status here.
fn status(members: &Map<String, Value>) -> Result<Option<StatusReference>, Refusal> {
    let invalid = || Refusal::new(&reasons::TOKEN_STATUS_INVALID);
    let Some(status) = members.get("status") else { return Ok(None) };
    let Some(list) = status.as_object().ok_or_else(invalid)?.get("status_list") else {
        return Ok(None);
    };
    let index = list.get("idx").and_then(whole).ok_or_else(invalid)?;
    let uri = list.get("uri").and_then(Value::as_str).filter(|uri| !uri.is_empty());
    Ok(Some(StatusReference { uri: uri.ok_or_else(invalid)?.to_owned(), index }))
}

/// `[A-Za-z0-9\-\.]{1,64}` (<http://hl7.org/fhir/R4/datatypes.html#id>), and no step in a path.
fn is_fhir_id(id: &str) -> bool {
    id != "."
        && id != ".."
        && (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

#[cfg(test)]
mod tests;
