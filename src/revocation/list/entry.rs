//! One entry of a revocation list.

use std::borrow::Cow;

use crate::base::time::UnixSeconds;
use crate::token::Claims;

/// A key of an entry that says whose tokens it revokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jti,
    Sid,
    Sub,
    Patient,
    ClientId,
    Organization,
    Kid,
    Iss,
}

impl Kind {
    pub(super) const ALL: [Kind; 8] = [
        Kind::Jti,
        Kind::Sid,
        Kind::Sub,
        Kind::Patient,
        Kind::ClientId,
        Kind::Organization,
        Kind::Kid,
        Kind::Iss,
    ];

    /// The key in an entry.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Jti => "jti",
            Kind::Sid => "sid",
            Kind::Sub => "sub",
            Kind::Patient => "patient",
            Kind::ClientId => "client_id",
            Kind::Organization => "organization",
            Kind::Kid => "kid",
            Kind::Iss => "iss",
        }
    }

    /// Its mark in a [`super::record::Mask`].
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What a token has under this key. It may open the records of two patients: `patient` is one.
    pub(super) fn of<'a>(self, claims: &'a Claims, patient: Option<&'a str>) -> Option<&'a str> {
        match self {
            Kind::Jti => claims.token_id.as_deref(),
            Kind::Sid => claims.session.as_deref(),
            Kind::Sub => claims.subject.as_deref(),
            Kind::Patient => patient,
            Kind::ClientId => claims.client.as_deref(),
            Kind::Organization => claims.organization.as_deref(),
            Kind::Kid => claims.key_id.as_deref(),
            Kind::Iss => Some(&claims.issuer),
        }
    }
}

/// One entry: revokes every token that matches all that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry<'v> {
    /// In the order of [`Kind::ALL`].
    names: [Option<Cow<'v, str>>; 8],
    /// Only tokens issued earlier.
    pub(super) issued_before: Option<UnixSeconds>,
    /// When the entry may be forgotten.
    pub(super) expires: Option<UnixSeconds>,
}

impl<'v> Entry<'v> {
    /// What it names, in the order of [`Kind::ALL`].
    pub(super) fn names(&self) -> impl Iterator<Item = (Kind, &str)> {
        let names = Kind::ALL.into_iter().zip(&self.names);
        names.filter_map(|(kind, name)| Some((kind, name.as_deref()?)))
    }

    /// Adds a name.
    pub(super) fn name(&mut self, kind: Kind, name: Cow<'v, str>) -> Result<(), String> {
        let key = kind.name();
        if name.is_empty() {
            return Err(format!("`{key}` is empty"));
        }
        if kind == Kind::Patient && !is_bare_id(&name) {
            return Err("`patient` is not a bare id: leave out `Patient/`".to_owned());
        }
        let mut slots = Kind::ALL.into_iter().zip(&mut self.names);
        let slot = slots.find(|(other, _)| *other == kind);
        slot.map_or(Ok(()), |(_, slot)| once(slot, name, key))
    }

    /// Adds an instant.
    pub(super) fn instant(&mut self, key: Instants, second: u64) -> Result<(), String> {
        match key {
            Instants::IssuedBefore => {
                once(&mut self.issued_before, UnixSeconds(second), key.name())
            }
            Instants::Expires => once(&mut self.expires, UnixSeconds(second), key.name()),
        }
    }

    /// An entry that names nothing would revoke every token there is.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.names().next().is_none() && self.issued_before.is_none() {
            return Err("it names no tokens: it would revoke every token there is".to_owned());
        }
        Ok(())
    }
}

/// A key of an entry that holds seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instants {
    IssuedBefore,
    Expires,
}

impl Instants {
    /// The key in an entry.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Instants::IssuedBefore => "issued_before",
            Instants::Expires => "expires",
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{key}` stands twice")),
    }
}

/// `id` of <http://hl7.org/fhir/R4/datatypes.html#id>: what a token's `patient` claim holds. Another
/// form would match no token.
fn is_bare_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    text.len() <= 64 && text.bytes().all(allowed)
}
