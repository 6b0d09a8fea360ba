//! Identity headers: what the FHIR server is told of the caller.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Edit, IdentityHeader, PREFIX};
use crate::policy::Permit;
use crate::token::Claims;

/// One header for each setting whose claim the token has.
pub(super) fn headers(
    permit: &Permit,
    claims: &Claims,
    settings: &[IdentityHeader],
) -> impl Iterator<Item = Edit> {
    settings.iter().filter_map(|header| {
        let name = format!("{PREFIX}{}", header.word());
        value(*header, permit, claims).map(|value| Edit::Set(name, value))
    })
}

fn value(header: IdentityHeader, permit: &Permit, claims: &Claims) -> Option<String> {
    let one = |text: &str| visible(text).into_owned();
    match header {
        IdentityHeader::Subject => claims.subject.as_deref().map(one),
        IdentityHeader::Client => claims.client.as_deref().map(one),
        IdentityHeader::User => claims.user.as_deref().map(one),
        IdentityHeader::Patient => {
            let confined = permit.patient().map(|patient| patient.as_str());
            confined.or(claims.patient.as_deref()).map(one)
        }
        IdentityHeader::Scopes => {
            let scopes = claims.scope.split(' ').filter(|scope| !scope.is_empty());
            Some(scopes.map(visible).collect::<Vec<_>>().join(" "))
        }
    }
}

/// Keeps visible ASCII; everything else, and `%` itself, is percent-encoded as UTF-8, so that no
/// value ends a header field or reads like another value.
fn visible(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, HIDDEN).into()
}

/// Every character outside ASCII is encoded as well.
const HIDDEN: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
