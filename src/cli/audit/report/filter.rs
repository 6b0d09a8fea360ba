//! Which records a report is about.

use serde::Serialize;

use super::words;
use crate::base::time::Instant;
use crate::cli::audit::record::{Decision, Record, patient_id};

/// Records must have all of these.
#[derive(Debug, Default, Clone, Serialize)]
pub(in crate::cli::audit) struct Filter {
    /// The id of a patient, with or without `Patient/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::audit) patient: Option<String>,
    /// `jti`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::audit) token: Option<String>,
    /// `fhirUser` or `sub`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::audit) user: Option<String>,
    /// The client's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::audit) client: Option<String>,
    /// From this time on.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub(in crate::cli::audit) since: Option<Instant>,
    /// Before this time.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub(in crate::cli::audit) until: Option<Instant>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::audit) decision: Option<Decision>,
}

impl Filter {
    /// Whether the report is about a record of these patients.
    pub(super) fn takes(&self, record: &Record<'_>, patients: &[&str], time: Instant) -> bool {
        let who = record.who.as_ref();
        let same = |wanted: &Option<String>, has: [Option<&str>; 2]| match wanted.as_deref() {
            None => true,
            wanted => has.contains(&wanted),
        };
        let token = who.and_then(|who| who.jti.as_deref());
        let client = who.and_then(|who| who.client.as_deref());
        let user = who.and_then(|who| who.user.as_deref());
        let sub = who.and_then(|who| who.sub.as_deref());
        self.since.is_none_or(|since| since <= time)
            && self.until.is_none_or(|until| time < until)
            && self.decision.is_none_or(|decision| decision == record.decision)
            && self.patient.as_deref().is_none_or(|id| patients.contains(&patient_id(id)))
            && same(&self.token, [token, None])
            && same(&self.client, [client, None])
            && same(&self.user, [user, sub])
    }

    /// Whether it asks for somebody or something: then every access is listed.
    pub(super) fn names_one(&self) -> bool {
        self.patient.is_some() || self.names_a_holder()
    }

    /// Whether it asks for a token, user or client: then all their patients are listed.
    pub(super) fn names_a_holder(&self) -> bool {
        self.token.is_some() || self.user.is_some() || self.client.is_some()
    }

    /// Whether it asks for a patient or a token: then everybody with it is listed.
    pub(super) fn names_a_patient_or_token(&self) -> bool {
        self.patient.is_some() || self.token.is_some()
    }

    /// Each condition in words.
    pub(super) fn conditions(&self) -> Vec<(&'static str, String)> {
        let time = |time: Option<Instant>| time.map(|time| words::time(time.seconds()));
        let decision = self.decision.map(|decision| decision.word().to_owned());
        let all = [
            ("patient", self.patient.clone()),
            ("token", self.token.clone()),
            ("user", self.user.clone()),
            ("client", self.client.clone()),
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("decision", decision),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn time<S: serde::Serializer>(time: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| words::time(time.seconds())).serialize(serializer)
}
