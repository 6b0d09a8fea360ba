//! What is known when an exchange ends. Every field borrows: building an event copies nothing.

use core::fmt;
use core::time::Duration;

use crate::base::refusal::Reason;
use crate::base::time::Instant;
use crate::fhir::{Id, Interaction, ResourceType};
use crate::revocation::Freshness;
use crate::token::Claims;

use super::formats::phiward;
use super::{Discretion, Failure};

/// One exchange, from the request head to the last byte of the answer.
///
/// Fields that came from outside may be of any length and hold any byte: they are cut and escaped
/// when the line is written.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// When the request came.
    pub time: Instant,
    /// Unlike any other event's.
    pub id: EventId,
    /// The event that this one belongs to: this one is an entry of its batch, or says which further
    /// patients it touched.
    pub part_of: Option<EventId>,
    /// The `x-request-id` header as sent to the FHIR server.
    pub request_id: Option<&'a [u8]>,
    /// What the rules say. What was done differs only when [`Event::observe`] is set.
    pub decision: Decision,
    /// Mode `observe` let the request through, whatever the decision.
    pub observe: bool,
    /// Who asked. `None` as long as no signature was proven: an unproven name accuses the innocent.
    pub who: Option<Who<'a>>,
    /// Where the request came from.
    pub from: Origin<'a>,
    /// What was asked.
    pub what: What<'a>,
    /// What came of it.
    pub outcome: Outcome,
    /// The ids of the patients whose data it touched, as far as that is known.
    pub patients: Vec<&'a str>,
    /// An answer from which further patients should have been read could not be read whole.
    pub unread: bool,
    /// The scopes that allowed it, in the spelling of the token.
    pub scopes: Vec<&'a str>,
    /// What was added to the request so that it stays inside the patient compartment, for example
    /// `patient=123`.
    pub narrowed: Vec<&'a str>,
    /// How many resources were removed from the answer because they were not the client's to see; of an
    /// exported file, how many lines. `None` when none was.
    pub removed: Option<usize>,
    /// How fresh the revocation list was. `None` when the request ended before it was asked.
    pub revocation: Option<Freshness>,
}

impl Event<'_> {
    /// The event as one line of JSON in ASCII, without the line's end.
    pub fn line(&self, discretion: &Discretion) -> String {
        phiward::line(self, discretion)
    }
}

/// Tells events apart: random per filter instance, counted within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Drawn once by each filter instance.
    pub instance: u64,
    /// Counts the events of the instance.
    pub count: u64,
}

impl EventId {
    /// 16 hexadecimal digits, a hyphen, a decimal number. `format!` takes several times as long.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(40);
        for byte in self.instance.to_be_bytes() {
            text.extend(
                [byte >> 4, byte & 0xf]
                    .map(|half| char::from_digit(half.into(), 16))
                    .into_iter()
                    .flatten(),
            );
        }
        text.push('-');
        text.push_str(&self.count.to_string());
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())
    }
}

/// What the rules say of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The rules allow it.
    Allow,
    /// The rules forbid it: the caller asked for what it may not have, or asked wrongly.
    Deny(&'static Reason),
    /// Nothing could be decided: a key set, a list or a callout was missing. Refused as well.
    Error(&'static Reason),
}

impl Decision {
    /// The decision that a refusal for `reason` is: an error when its status is 500 or above.
    pub fn refused(reason: &'static Reason) -> Decision {
        if reason.status >= 500 { Decision::Error(reason) } else { Decision::Deny(reason) }
    }

    /// `allow`, `deny` or `error`.
    pub const fn word(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Deny(_) => "deny",
            Decision::Error(_) => "error",
        }
    }

    /// The reason's precise code, or `allowed`.
    pub const fn code(self) -> &'static str {
        match self {
            Decision::Allow => super::ALLOWED,
            Decision::Deny(reason) | Decision::Error(reason) => reason.code,
        }
    }
}

/// Who asked, as a token with a proven signature says.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `sub`
    pub subject: Option<&'a str>,
    /// `client_id`
    pub client: Option<&'a str>,
    /// `fhirUser`
    pub user: Option<&'a str>,
    /// `organization`
    pub organization: Option<&'a str>,
    /// `roles`
    pub roles: &'a [String],
    /// `jti`
    pub token_id: Option<&'a str>,
    /// The patient in context.
    pub patient: Option<&'a str>,
}

impl<'a> Who<'a> {
    /// The holder of a token with these verified claims.
    pub fn of(claims: &'a Claims) -> Who<'a> {
        Who {
            issuer: &claims.issuer,
            subject: claims.subject.as_deref(),
            client: claims.client.as_deref(),
            user: claims.user.as_deref(),
            organization: claims.organization.as_deref(),
            roles: &claims.roles,
            token_id: claims.token_id.as_deref(),
            patient: claims.patient.as_deref(),
        }
    }
}

/// Where the request came from, as the host says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// Address of the downstream peer with its port.
    pub address: Option<&'a [u8]>,
    /// Its TLS version, for example `TLSv1.3`. `None` without TLS.
    pub tls: Option<&'a [u8]>,
}

/// What was asked. Everything that was not understood before the request was refused is absent.
#[derive(Debug, Clone, Default)]
pub struct What<'a> {
    /// The request method as sent.
    pub method: Option<&'a [u8]>,
    /// The interaction, as [`Interaction::name`] has it.
    pub interaction: Option<&'a str>,
    /// The resource type.
    pub resource_type: Option<&'a str>,
    /// The resource's logical id.
    pub id: Option<&'a str>,
    /// The resource's version id.
    pub version: Option<&'a str>,
    /// The operation with its dollar sign.
    pub operation: Option<&'a str>,
    /// The compartment searched, for example `Patient/123`.
    pub compartment: Option<String>,
    /// The patient that the request names: `Patient/id` itself, or the compartment searched.
    pub patient: Option<&'a str>,
    /// Search parameters in order. Hand over all values: which of them are written is decided here.
    pub parameters: Vec<Parameter<'a>>,
}

impl<'a> What<'a> {
    /// What `interaction` asks; method and parameters are for the caller to add.
    pub fn of(interaction: &'a Interaction) -> What<'a> {
        let resource_type = interaction.resource_type().map(ResourceType::name);
        let compartment = interaction.compartment().map(|(owner, id)| (owner.name(), id.as_str()));
        let id = interaction.id().map(Id::as_str);
        let patient = match compartment {
            Some(("Patient", id)) => Some(id),
            _ => id.filter(|_| resource_type == Some("Patient")),
        };
        What {
            method: None,
            interaction: Some(interaction.name()),
            resource_type,
            id,
            version: interaction.version().map(Id::as_str),
            operation: interaction.operation(),
            compartment: compartment.map(|(owner, id)| format!("{owner}/{id}")),
            patient,
            parameters: Vec::new(),
        }
    }
}

/// A search parameter of the request.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Its name with modifier and chain, decoded.
    pub name: &'a str,
    /// Its value, decoded. Written as [`Discretion`] allows.
    pub value: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Status of the answer. `None` when the client left before there was one.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the event's time to the end of the exchange.
    pub duration: Duration,
    /// Why the answer did not come as the FHIR server sent it, whole.
    pub failure: Option<Failure>,
}
