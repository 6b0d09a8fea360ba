//! What the command line reads of an audit record (docs/audit.md). Fields that others added are left
//! alone.

use std::borrow::Cow;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The record of one exchange.
#[derive(Debug, Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) id: Text<'a>,
    pub(super) part_of: Option<Text<'a>>,
    pub(super) decision: Decision,
    pub(super) would: Option<Decision>,
    pub(super) reason: Text<'a>,
    pub(super) who: Option<Who<'a>>,
    #[serde(default)]
    pub(super) what: What<'a>,
    #[serde(default)]
    pub(super) outcome: Outcome<'a>,
    #[serde(default)]
    pub(super) patients: Vec<Text<'a>>,
    #[serde(default)]
    pub(super) patients_unread: bool,
    pub(super) removed: Option<u64>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    Allow,
    Deny,
    Error,
}

/// Who asked.
#[derive(Debug, Deserialize)]
pub(super) struct Who<'a> {
    #[serde(borrow)]
    pub(super) issuer: Text<'a>,
    pub(super) sub: Option<Text<'a>>,
    pub(super) client: Option<Text<'a>>,
    pub(super) user: Option<Text<'a>>,
    pub(super) jti: Option<Text<'a>>,
    pub(super) patient: Option<Text<'a>>,
}

/// What was asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct What<'a> {
    #[serde(borrow)]
    pub(super) method: Option<Text<'a>>,
    pub(super) interaction: Option<Text<'a>>,
    #[serde(rename = "type")]
    pub(super) resource_type: Option<Text<'a>>,
    pub(super) id: Option<Text<'a>>,
    pub(super) operation: Option<Text<'a>>,
    pub(super) compartment: Option<Text<'a>>,
    pub(super) patient: Option<Text<'a>>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// A search parameter.
#[derive(Debug, Deserialize)]
pub(super) struct Parameter<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) value: Option<Text<'a>>,
}

/// What came of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Outcome<'a> {
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(borrow)]
    pub(super) failure: Option<Text<'a>>,
}

/// How many records an instance had written at a time.
#[derive(Debug, Deserialize)]
pub(super) struct Checkpoint<'a> {
    #[serde(borrow)]
    pub(super) stream: Text<'a>,
    pub(super) count: u64,
    pub(super) time: Text<'a>,
}

/// Text that is borrowed where it has no escapes, inside of an `Option` too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Decision {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
            Decision::Error => "error",
        }
    }
}

impl Record<'_> {
    /// The instance that wrote the record, and which of its records it is.
    pub(super) fn place_in_stream(&self) -> Option<(u64, u64)> {
        let (instance, count) = self.id.split_once('-')?;
        Some((stream(instance)?, count.parse().ok()?))
    }

    /// The user: `fhirUser`, otherwise `sub`.
    pub(super) fn user(&self) -> Option<&str> {
        self.who.as_ref().and_then(|who| who.user.as_deref().or(who.sub.as_deref()))
    }

    /// The ids of the patients whose data was asked for, as far as the record says.
    pub(super) fn patients(&self) -> Vec<&str> {
        let what = &self.what;
        let mut ids = Vec::new();
        let context = self.who.as_ref().and_then(|who| who.patient.as_deref());
        let listed = self.patients.iter().map(Deref::deref);
        let named = [context, what.patient.as_deref()].into_iter().flatten();
        for id in listed.chain(named).chain(what.resource()).chain(what.searched()) {
            let id = patient_id(id);
            if !id.is_empty() && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }
}

impl What<'_> {
    /// The patient that is read or written itself.
    fn resource(&self) -> Option<&str> {
        self.id.as_deref().filter(|_| self.resource_type.as_deref() == Some("Patient"))
    }

    /// The patients that are searched for: the compartment, and values of `patient` and `subject`.
    fn searched(&self) -> impl Iterator<Item = &str> {
        let of_patients = self.resource_type.as_deref() == Some("Patient");
        let values = self.parameters.iter().flat_map(move |parameter| {
            let value = parameter.value.as_deref().unwrap_or_default();
            let name = &*parameter.name;
            value.split(',').filter(move |value| match name {
                "patient" => true,
                "subject" => value.contains("Patient/"),
                "_id" => of_patients,
                _ => false,
            })
        });
        let compartment = self.compartment.as_deref().filter(|name| name.starts_with("Patient/"));
        compartment.into_iter().chain(values)
    }
}

/// A patient's id without the type or URL before it.
pub(super) fn patient_id(reference: &str) -> &str {
    reference.rsplit_once("Patient/").map_or(reference, |(_, id)| id)
}

/// The number of an instance: 16 hexadecimal digits.
pub(super) fn stream(instance: &str) -> Option<u64> {
    (instance.len() == 16).then(|| u64::from_str_radix(instance, 16).ok()).flatten()
}
