//! `audit`: where events go, and what of them is written.

use core::time::Duration;
use std::collections::HashSet;

use serde_json::{Value, json};

use super::shapes::Shape;
use crate::config::section::{ConfigError, Section, excerpt};
use crate::config::setting::{Setting, Variable};
use crate::store::HttpUrl;

/// Where audit events go, and what of them is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Each once. None: nothing is recorded.
    pub sinks: Vec<Sink>,
    /// What happens to an event for which a queue has no room.
    pub when_full: WhenFull,
    /// How patients are found whose data an exchange touched.
    pub patients: Patients,
    /// Search parameters whose values are written.
    pub show: Vec<String>,
    /// The key by which other values are hashed; `None`: they are left out.
    pub hash_key: Option<Variable>,
    /// How records are sealed.
    pub seal: Option<SealSettings>,
    /// Of [`Sink::Collector`].
    pub collector: Option<Target>,
    /// Of [`Sink::Fhir`].
    pub fhir: Option<Target>,
}

crate::words! {
    /// A place that takes audit events.
    pub enum Sink {
        /// The host's log, one line at level `info`.
        Log = "log",
        /// Filter state, for Envoy's access loggers.
        AccessLog = "access_log",
        /// An HTTP server that takes batches of records.
        Collector = "collector",
        /// A FHIR server that takes AuditEvents.
        Fhir = "fhir",
    }
}

crate::words! {
    /// What happens to an event for which a queue has no room.
    pub enum WhenFull {
        /// It goes to the host's log.
        Spill = "spill",
        /// Requests are refused before that.
        Refuse = "refuse",
    }
}

crate::words! {
    /// How patients are found whose data an exchange touched.
    pub enum Patients {
        /// By the request and the token.
        Request = "request",
        /// By the answers as well, which are read as they pass.
        Answers = "answers",
    }
}

/// How records are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealSettings {
    /// Where the key is.
    pub key: Variable,
    /// The key's name, which goes into each seal.
    pub key_id: String,
    /// How often a checkpoint is written while there are records.
    pub every: Duration,
}

/// A server that takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The Envoy cluster that reaches it.
    pub cluster: String,
    /// Where records are posted.
    pub url: HttpUrl,
    /// The form of what is posted; `None`: AuditEvents.
    pub shape: Option<Shape>,
    /// Where the value of `authorization` is.
    pub authorization: Option<Variable>,
    /// The longest that a record waits for others to be sent with.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Bytes of the queue in the host's shared data.
    pub queue_bytes: usize,
}

impl Settings {
    /// Reads `audit`.
    pub fn read(section: &mut Section<'_>) -> Settings {
        let Sinks(sinks) = section.default("sinks", Sinks(vec![Sink::Log]), DOC_SINKS);
        let when_full = section.default("when_full", WhenFull::Spill, DOC_WHEN_FULL);
        let patients = section.default("patients", Patients::Request, DOC_PATIENTS);
        let show = section.default("show", SHOWN.map(str::to_owned).to_vec(), DOC_SHOW);
        let hash_key = section.optional("hash_key", DOC_HASH_KEY);
        let seal = section.optional_section("seal", DOC_SEAL, SealSettings::read);
        let collector = section.optional_section("collector", DOC_COLLECTOR, Target::collector);
        let fhir = section.optional_section("fhir", DOC_FHIR, Target::fhir);
        for (sink, name) in [(Sink::Collector, "collector"), (Sink::Fhir, "fhir")] {
            let problem = match (sinks.contains(&sink), section.has(name)) {
                (true, false) => format!("`sinks` names `{name}`, and there is no such section"),
                (false, true) => format!("`sinks` does not name `{name}`, so nothing goes there"),
                _ => continue,
            };
            section.problem(name, problem, "a section for each sink that has one", None);
        }
        Settings { sinks, when_full, patients, show, hash_key, seal, collector, fhir }
    }

    /// The same where there are no servers and no secrets: records are logged.
    #[must_use]
    pub fn offline(self) -> Settings {
        let sinks = vec![Sink::Log];
        Settings { sinks, hash_key: None, seal: None, collector: None, fhir: None, ..self }
    }

    /// The sinks that a queue is kept for.
    pub fn targets(&self) -> impl Iterator<Item = (Sink, &Target)> {
        let collector = self.collector.iter().map(|target| (Sink::Collector, target));
        collector.chain(self.fhir.iter().map(|target| (Sink::Fhir, target)))
    }
}

impl SealSettings {
    fn read(section: &mut Section<'_>) -> Option<SealSettings> {
        let key = section.required("key", DOC_SEAL_KEY);
        let key_id = section.required("key_id", DOC_SEAL_KEY_ID);
        let every = section.default("every", Duration::from_secs(60), DOC_SEAL_EVERY);
        check_range(section, "every", every, LONGEST_CHECKPOINT);
        Some(SealSettings { key: key?, key_id: key_id?, every })
    }
}

impl Target {
    fn collector(section: &mut Section<'_>) -> Option<Target> {
        let shape = section.default("shape", Shape::Ndjson, DOC_SHAPE);
        Target::read(section, Some(shape), Duration::from_secs(1))
    }

    fn fhir(section: &mut Section<'_>) -> Option<Target> {
        Target::read(section, None, Duration::from_secs(5))
    }

    fn read(section: &mut Section<'_>, shape: Option<Shape>, every: Duration) -> Option<Target> {
        let cluster = section.required("cluster", DOC_CLUSTER);
        let url = section.required("url", DOC_URL);
        let authorization = section.optional("authorization", DOC_AUTHORIZATION);
        let every = section.default("every", every, DOC_EVERY);
        check_range(section, "every", every, LONGEST_WAIT);
        let timeout = section.default("timeout", Duration::from_secs(5), DOC_TIMEOUT);
        check_range(section, "timeout", timeout, LONGEST_WAIT);
        let Mebibytes(queue) = section.default("queue_mib", Mebibytes(64), DOC_QUEUE);
        let queue_bytes = queue.saturating_mul(1024 * 1024);
        let (cluster, url) = (cluster?, url?);
        Some(Target { cluster, url, shape, authorization, every, timeout, queue_bytes })
    }
}

fn check_range(section: &mut Section<'_>, name: &str, length: Duration, longest: Duration) {
    if length < SHORTEST || length > longest {
        let text = |length: Duration| length.json().as_str().unwrap_or_default().to_owned();
        let problem = format!("`{}` is out of range", text(length));
        let expected = format!("from `{}` to `{}`", text(SHORTEST), text(longest));
        section.problem(name, problem, &expected, None);
    }
}

/// Sinks, each once.
struct Sinks(Vec<Sink>);

impl Setting for Sinks {
    const EXPECTED: &'static str =
        "a list of `log`, `access_log`, `collector` and `fhir`, each once; `[]` records nothing";

    fn parse(value: &Value) -> Result<Sinks, String> {
        let sinks = Vec::<Sink>::parse(value)?;
        if sinks.iter().collect::<HashSet<_>>().len() < sinks.len() {
            return Err("the list names a sink twice".to_owned());
        }
        Ok(Sinks(sinks))
    }

    fn parse_at(value: &Value, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Sinks> {
        Vec::<Sink>::parse_at(value, pointer, errors)?;
        match Sinks::parse(value) {
            Ok(sinks) => Some(sinks),
            Err(problem) => {
                errors.push(Sinks::error(pointer, problem, value));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({"type": "array", "items": Sink::schema(), "uniqueItems": true})
    }

    fn json(&self) -> Value {
        self.0.json()
    }
}

/// So many times 1024 * 1024 bytes.
struct Mebibytes(usize);

impl Setting for Mebibytes {
    const EXPECTED: &'static str = "a whole number of MiB from 1 to 1024";

    fn parse(value: &Value) -> Result<Mebibytes, String> {
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        match number {
            Some(number) if (1..=MOST_MIB).contains(&number) => Ok(Mebibytes(number)),
            _ => Err(format!("`{}` is not such a number", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1, "maximum": MOST_MIB})
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

/// Search parameters whose value is the id of a resource or a reference to one.
const SHOWN: [&str; 3] = ["_id", "patient", "subject"];

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_CHECKPOINT: Duration = Duration::from_secs(3600);
const MOST_MIB: usize = 1024;

const DOC_SINKS: &str = "Where audit events go. `[]`: nothing is recorded.";
const DOC_WHEN_FULL: &str = "What happens when a queue is full because its server stays away: events go to the \
    host's log (`spill`), or requests are refused with 503 as long as three quarters of it are taken (`refuse`).";
const DOC_PATIENTS: &str = "How the patients are found whose data an exchange touched: by the request and the token \
    (`request`), or by the answers as well, which are read as they pass (`answers`).";
const DOC_SHOW: &str = "Search parameters whose values are written, by their whole names (`patient`, not `patient:identifier`).";
const DOC_HASH_KEY: &str = "The environment variable with the key by which the values of other search parameters are \
    hashed, so that equal ones can be matched; 32 characters or more. Without it they are left out.";
const DOC_SEAL: &str = "How records are sealed, so that `phiward audit verify` finds a record that was changed, \
    removed or inserted.";
const DOC_SEAL_KEY: &str = "The environment variable with the key; 32 characters or more. Without it in the VM, requests are refused.";
const DOC_SEAL_KEY_ID: &str = "The key's name. Another key, another name.";
const DOC_SEAL_EVERY: &str =
    "How often each instance of the filter writes a checkpoint while it has records.";
const DOC_COLLECTOR: &str = "A server that takes batches of records.";
const DOC_FHIR: &str = "A FHIR R4 server that takes batches of AuditEvents (IHE BALP).";
const DOC_SHAPE: &str = "What is posted: the records, one a line (`ndjson`; \
    `json`: called `application/json`, as Fluent Bit's input `http` wants it), as ECS documents (`ecs`), or as \
    Splunk's HTTP Event Collector (`splunk_hec`) or OpenTelemetry (`otlp`) take them.";
const DOC_CLUSTER: &str = "The Envoy cluster that reaches `url`.";
const DOC_URL: &str = "Where batches are posted; of a FHIR server its base.";
const DOC_AUTHORIZATION: &str = "The environment variable with the value of the header `authorization`, such as \
    `Splunk 5f…` or `Bearer …`.";
const DOC_EVERY: &str = "The longest that a record waits for others to be sent with.";
const DOC_TIMEOUT: &str = "How long an answer may take. What is not answered is sent again.";
const DOC_QUEUE: &str =
    "MiB of the host's memory in which all workers together keep what is not sent yet.";
