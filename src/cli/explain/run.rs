//! Puts a request, its token and the feeds together and runs them.

use std::path::Path;

use serde_json::Value;

use super::stages::{self, Stage, Walk};
use super::token::{self, Given};
use super::{Arguments, Unusable};
use crate::audit::ALLOWED;
use crate::base::time::Instant;
use crate::cli::document::{self, Problems};
use crate::cli::gateway::{Answer, Fed, Feeds, Gateway};
use crate::cli::request::Request;
use crate::cli::signer::{Claims, Signer};
use crate::cli::stored::Stored;
use crate::cli::time;
use crate::config::{self, Configuration, Mode};
use crate::revocation::Settings;
use crate::token::reasons::KEYS_UNAVAILABLE;

/// A request that was explained.
#[derive(Debug)]
pub(super) struct Explained {
    /// `GET /fhir/Patient/1`
    pub(super) request: String,
    pub(super) at: Instant,
    pub(super) stages: Vec<Stage>,
    /// What the rules say, also where mode `observe` does not enforce them.
    pub(super) allowed: bool,
    /// The reason code.
    pub(super) reason: String,
    pub(super) mode: Mode,
}

/// How the token came to be believed.
#[derive(Debug)]
pub(super) enum Proof {
    /// There is no token.
    Nothing,
    /// By keys in the configuration.
    Inline,
    /// By the keys of `--keys`.
    Given,
    /// Not at all: there are no keys.
    Unchecked,
    /// Its claims are taken as proven.
    Claims {
        /// Those that were filled in.
        filled_in: Vec<&'static str>,
    },
}

/// Everything a run needs.
struct Setup {
    configuration: Configuration,
    feeds: Feeds,
    request: Request,
    proof: Proof,
    /// Whether the gateway would ask the token's issuer about it.
    would_ask: bool,
    at: Instant,
}

/// Explains a request.
pub(super) fn run(arguments: &Arguments, now: Instant) -> Result<Explained, Unusable> {
    let at = arguments.at.as_deref().map_or(Ok(now), time::instant)?;
    let request = request(&arguments.request)?;
    let line = format!("{} {}", request.method, request.target);
    let answer = arguments.answer.as_deref().map(|file| answer(file, arguments.status));
    let answer = answer.transpose()?;
    let stored = arguments.stored.as_deref().map(stored).transpose()?;
    let given = stored.is_some();
    let stored = stored.unwrap_or_default();
    let Setup { configuration, feeds, request, proof, would_ask, .. } =
        setup(arguments, request, at)?;
    let (mut gateway, fed) = Gateway::new(configuration.clone(), at, &feeds);
    if let Some(notice) = fed.revocations.filter(|notice| notice.level == log::Level::Warn) {
        let file = arguments.revocations.as_deref().unwrap_or(&arguments.config);
        return Err(Problems::whole(file, notice.text).into());
    }
    let mut outcome = gateway.exchange(&request, &stored, None);
    let mut stages = stages::walk(&Walk {
        configuration: &configuration,
        caps: &gateway.caps,
        request: &request,
        proof: &proof,
        would_ask,
        listed: arguments.revocations.is_some(),
        stored: (&stored, given),
        outcome: &outcome,
    });
    if let Some(answer) = answer.filter(|_| outcome.sent.is_some()) {
        outcome = gateway.exchange(&request, &stored, Some(&answer));
        stages.push(stages::answered(&answer, &outcome));
    }
    let reason = outcome.reason().to_owned();
    let (allowed, mode) = (reason == ALLOWED, configuration.mode);
    Ok(Explained { request: line, at, stages, allowed, reason, mode })
}

fn setup(arguments: &Arguments, request: Request, at: Instant) -> Result<Setup, Unusable> {
    let document = document::read(&arguments.config)?;
    let read = |value: &Value| {
        let read = config::from_document(value);
        read.map_err(|errors| Unusable::from(document.problems(&arguments.config, &errors)))
    };
    let asking = read(&document.value)?;
    let read = |value: &Value| read(value).map(asking_nobody);
    let configuration = read(&document.value)?;
    let revocations = revocations(arguments, &configuration)?;
    let given = token::read(arguments.token.as_deref(), &request)?;
    let feeds = Feeds { keys: None, revocations };
    let proof = Proof::Nothing;
    let setup = Setup { configuration, feeds, request, proof, would_ask: false, at };
    match given {
        Given::Nothing => Ok(setup),
        Given::Bearer(token) if token::is_opaque(&token) && asking.issuers.would_ask(None) => {
            Err(OPAQUE.to_owned().into())
        }
        Given::Bearer(token) => {
            let issuer = token::issuer(&token);
            let would_ask = issuer.is_some_and(|name| asking.issuers.would_ask(Some(&name)));
            let setup = Setup { would_ask, ..setup };
            bearer(arguments, setup, &token, &document.value, read)
        }
        Given::Claims(given) => {
            let signer = Signer::new();
            let claims = Claims::filled(&document.value, &given, at);
            let configuration = read(&signer.standing_in(&document.value))?;
            let token = signer.token(&document.value, &claims);
            let proof = Proof::Claims { filled_in: claims.filled_in };
            Ok(Setup { configuration, proof, ..setup }.with_token(&token))
        }
    }
}

/// Nobody can be asked from here.
fn asking_nobody(configuration: Configuration) -> Configuration {
    let issuers = configuration.issuers.asking_nobody();
    Configuration { issuers, ..configuration }
}

fn revocations(
    arguments: &Arguments,
    configuration: &Configuration,
) -> Result<Option<Vec<u8>>, Unusable> {
    match &arguments.revocations {
        Some(_) if !configuration.revocation.as_ref().is_some_and(Settings::has_list) => {
            Err("the configuration has no revocation list".to_owned().into())
        }
        Some(file) => Ok(Some(document::text(file, document::MAX_CONTENT)?.into_bytes())),
        None => Ok(None),
    }
}

/// A JWT: verified where its issuer's keys are at hand. Where they aren't, its claims are taken, and
/// shape, issuer and algorithm are all that was checked of it.
fn bearer(
    arguments: &Arguments,
    setup: Setup,
    token: &str,
    document: &Value,
    read: impl Fn(&Value) -> Result<Configuration, Unusable>,
) -> Result<Setup, Unusable> {
    let parts = token::parts(token);
    let issuer = parts.as_ref().and_then(|(_, claims)| claims.get("iss")?.as_str());
    let place = setup.configuration.issuers.names().position(|name| Some(name) == issuer);
    let mut setup = setup.with_token(token);
    if let Some(file) = &arguments.keys {
        let keys = document::text(file, document::MAX_CONTENT)?.into_bytes();
        setup.feeds.keys = place.map(|place| (place, keys));
    }
    let (mut gateway, Fed { keys: notice, .. }) =
        Gateway::new(setup.configuration.clone(), setup.at, &setup.feeds);
    let reason = gateway.exchange(&setup.request, &Stored::default(), None).reason().to_owned();
    let unfetched = reason == KEYS_UNAVAILABLE.code;
    match (&arguments.keys, notice, parts) {
        (Some(file), Some(notice), _) if unfetched => {
            Err(Problems::whole(file, notice.text).into())
        }
        (Some(_), None, _) if place.is_some() => {
            Err("the issuer's keys stand in the configuration: leave out `--keys`"
                .to_owned()
                .into())
        }
        (None, _, Some((header, claims))) if unfetched => {
            let signer = Signer::new();
            let configuration = read(&signer.trusted(document))?;
            let token = signer.sign(&header, &claims);
            Ok(Setup { configuration, proof: Proof::Unchecked, ..setup }.with_token(&token))
        }
        (keys, ..) => {
            let proof = if keys.is_some() { Proof::Given } else { Proof::Inline };
            Ok(Setup { proof, ..setup })
        }
    }
}

impl Proof {
    /// How far to believe the claims.
    pub(super) const fn words(&self) -> &'static str {
        match self {
            Proof::Nothing => "there is no token",
            Proof::Inline => "the signature is verified by the keys in the configuration",
            Proof::Given => "the signature is verified by the keys given",
            Proof::Unchecked => {
                "THE SIGNATURE IS NOT CHECKED: its issuer's keys were not given (`--keys`)"
            }
            Proof::Claims { .. } => "the claims given are taken as proven",
        }
    }
}

impl Setup {
    fn with_token(mut self, token: &str) -> Setup {
        self.request.set("authorization".to_owned(), format!("Bearer {token}"));
        self
    }
}

fn request(argument: &str) -> Result<Request, Unusable> {
    match argument.strip_prefix('@') {
        None => Ok(Request::line(argument)?),
        Some(file) => {
            let text = document::text(Path::new(file), document::MAX_CONTENT)?;
            let request = Request::message(&text);
            request.map_err(|problem| Problems::whole(Path::new(file), problem).into())
        }
    }
}

fn stored(file: &Path) -> Result<Stored, Unusable> {
    let document = document::read(file)?;
    let Value::Object(members) = document.value else {
        return Err(Problems::whole(file, "is no object of resources by `Type/id`").into());
    };
    Stored::of(members).map_err(|problem| Problems::whole(file, problem).into())
}

fn answer(file: &Path, status: Option<u16>) -> Result<Answer, Unusable> {
    let body = document::text(file, document::MAX_CONTENT)?;
    Ok(Answer::json(status.unwrap_or(200), body.into_bytes()))
}

const OPAQUE: &str = "the token is opaque, and its issuer can't be asked from here: give what the issuer \
    would say of it, as claims (`--token @claims.json`)";
