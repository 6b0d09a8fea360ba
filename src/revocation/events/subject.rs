//! Whom an event is about: `sub_id` (RFC 9493; OpenID Shared Signals section 3), as names that tokens
//! carry.
//!
//! A part of a subject that tokens have nothing to compare with (a device, a group, an e-mail address
//! beside a session) is left out. That widens what is revoked, never narrows it. A subject of which
//! nothing is left can't be acted on.

use serde_json::{Map, Value};

/// Names that a token must carry, all of them, to be revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// `iss`
    pub(super) issuer: Option<String>,
    /// `sub`
    pub(super) subject: Option<String>,
    /// `sid`
    pub(super) session: Session,
    /// `jti`
    pub(super) token: Option<String>,
}

/// What a token's session must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Session {
    /// Any, or none.
    #[default]
    Any,
    /// This one.
    Named(String),
    /// None: the token does not say which session it belongs to.
    Unsaid,
}

/// Why nothing can be done about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// It does not have the form its format asks for.
    Malformed,
    /// Nothing in it can be compared with a token.
    Unmatchable,
}

/// Reads a subject: every token that has all names of one of these is meant.
pub(super) fn read(subject: &Value) -> Result<Vec<Names>, Problem> {
    let members = subject.as_object().ok_or(Problem::Malformed)?;
    match format(members)? {
        "complex" => complex(members),
        _ => simple(members, Role::Alone),
    }
}

/// What a simple subject stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is the whole subject. Transmitters use an opaque id for a user and for a session.
    Alone,
    User,
    Session,
}

fn simple(members: &Map<String, Value>, role: Role) -> Result<Vec<Names>, Problem> {
    match format(members)? {
        "iss_sub" => {
            let (issuer, id) = (text(members, "iss")?, text(members, "sub")?);
            let names = if role == Role::Session { session(id) } else { user(id) };
            Ok(vec![Names { issuer: Some(issuer.to_owned()), ..names }])
        }
        "jwt_id" => {
            let (issuer, id) = (text(members, "iss")?, text(members, "jti")?);
            let (issuer, token) = (Some(issuer.to_owned()), Some(id.to_owned()));
            Ok(vec![Names { issuer, token, ..Names::default() }])
        }
        "opaque" => {
            let id = text(members, "id")?;
            Ok(match role {
                Role::Alone => vec![user(id), session(id)],
                Role::User => vec![user(id)],
                Role::Session => vec![session(id)],
            })
        }
        "aliases" => aliases(members, role),
        _ => Err(Problem::Unmatchable),
    }
}

/// Each of them names the same subject (RFC 9493 section 3.2.8). They don't nest.
fn aliases(members: &Map<String, Value>, role: Role) -> Result<Vec<Names>, Problem> {
    let list = members.get("identifiers").and_then(Value::as_array).ok_or(Problem::Malformed)?;
    let mut all = Vec::new();
    for alias in list {
        let alias = alias.as_object().ok_or(Problem::Malformed)?;
        match format(alias)? {
            "aliases" | "complex" => return Err(Problem::Malformed),
            _ => all.extend(or_nothing(simple(alias, role))?),
        }
    }
    found(all)
}

/// All members must match.
fn complex(members: &Map<String, Value>) -> Result<Vec<Names>, Problem> {
    let mut parts = Vec::new();
    for (name, role) in [("user", Role::User), ("session", Role::Session)] {
        let Some(member) = members.get(name) else { continue };
        let member = member.as_object().ok_or(Problem::Malformed)?;
        if format(member)? == "complex" {
            return Err(Problem::Malformed);
        }
        let names = or_nothing(simple(member, role))?;
        parts.extend((!names.is_empty()).then_some(names));
    }
    let mut parts = parts.into_iter();
    let first = found(parts.next().unwrap_or_default())?;
    let Some(second) = parts.next() else { return Ok(first) };
    let pairs = first.iter().flat_map(|user| second.iter().map(move |session| (user, session)));
    let both = pairs.filter_map(|(user, session)| user.and(session)).flatten();
    let both: Vec<Names> = both.collect();
    if both.is_empty() { Err(Problem::Malformed) } else { Ok(both) }
}

impl Names {
    /// Tokens that have the names of both. Of the user's tokens that say nothing of a session nobody
    /// knows that they don't belong to this one, so they are meant too. `None` when both can't be.
    fn and(&self, other: &Names) -> Option<Vec<Names>> {
        let names = Names {
            issuer: one_of(&self.issuer, &other.issuer)?,
            subject: one_of(&self.subject, &other.subject)?,
            session: other.session.clone(),
            token: one_of(&self.token, &other.token)?,
        };
        let unsaid = matches!(names.session, Session::Named(_)) && names.subject.is_some();
        let unsaid = unsaid.then(|| Names { session: Session::Unsaid, ..names.clone() });
        Some([names].into_iter().chain(unsaid).collect())
    }

    /// Whether only tokens of one session or one token are meant.
    pub(super) fn is_narrow(&self) -> bool {
        matches!(self.session, Session::Named(_)) || self.token.is_some()
    }
}

/// What both say, or the one that says something.
fn one_of(one: &Option<String>, other: &Option<String>) -> Option<Option<String>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        _ => Some(one.clone().or_else(|| other.clone())),
    }
}

fn user(id: &str) -> Names {
    Names { subject: Some(id.to_owned()), ..Names::default() }
}

fn session(id: &str) -> Names {
    Names { session: Session::Named(id.to_owned()), ..Names::default() }
}

/// A part that can't be compared is left out.
fn or_nothing(names: Result<Vec<Names>, Problem>) -> Result<Vec<Names>, Problem> {
    match names {
        Err(Problem::Unmatchable) => Ok(Vec::new()),
        other => other,
    }
}

fn found(names: Vec<Names>) -> Result<Vec<Names>, Problem> {
    if names.is_empty() { Err(Problem::Unmatchable) } else { Ok(names) }
}

fn format(members: &Map<String, Value>) -> Result<&str, Problem> {
    text(members, "format")
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    let text = members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or(Problem::Malformed)
}
