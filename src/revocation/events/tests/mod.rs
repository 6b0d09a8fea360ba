//! Several instances of the filter in one Envoy, one transmitter.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::base::capabilities::{HostFailed, HostSignature, HostVerdict, Native, Shared, Written};
use crate::base::time::{Instant, UnixSeconds};
use crate::config::section::read_document;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{NOW, Signer, config, issuers, merge};
use serde_json::{Value, json};

mod settings;
mod sets;
mod streams;
mod subjects;

const ISSUER: &str = "https://auth.clinic.example";
const AUDIENCE: &str = "https://api.clinic.example/fhir";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CHANGED: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";

/// A host whose shared data can be made to fail, that counts what is read.
#[derive(Default)]
struct Host {
    native: Native,
    fails: Cell<bool>,
    reads: Cell<usize>,
    environment: RefCell<HashMap<String, String>>,
}

impl Capabilities for Host {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.borrow().get(name).cloned()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.reads.set(self.reads.get().saturating_add(1));
        if self.fails.get() { Err(HostFailed) } else { self.native.shared(key) }
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        if self.fails.get() { Err(HostFailed) } else { self.native.set_shared(key, value, stamp) }
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

/// Several instances in one Envoy, and the transmitter, which keeps its events until they are
/// acknowledged.
struct Scene {
    host: Host,
    issuers: Issuers,
    keys: Keys,
    settings: Value,
    instances: Vec<(InstanceId, Events)>,
    /// The transmitter's events by `jti`.
    sets: BTreeMap<String, String>,
    /// How many it gives at a time.
    page: usize,
    /// What it answers instead.
    answer: Option<Result<HttpAnswer, CallFailed>>,
    /// The polls that came.
    polls: Vec<Value>,
    acknowledged: Vec<String>,
    /// By `jti` the code and why.
    errors: BTreeMap<String, (String, String)>,
    notices: Vec<String>,
}

impl Scene {
    fn of(instances: usize, changes: Value) -> Scene {
        let issuers = issuers(vec![
            config(vec![signer().jwk()], json!({"clock_skew": "30s"})),
            config(vec![signer().jwk()], json!({"issuer": "https://auth.other.example"})),
        ]);
        let mut scene = Scene {
            host: Host::default(),
            keys: Keys::new(&issuers),
            issuers,
            settings: stream(changes),
            instances: Vec::new(),
            sets: BTreeMap::new(),
            page: 100,
            answer: None,
            polls: Vec::new(),
            acknowledged: Vec::new(),
            errors: BTreeMap::new(),
            notices: Vec::new(),
        };
        scene.join();
        scene.at(0);
        (0..instances).for_each(|_| scene.add());
        scene
    }

    /// Makes the transmitter's own keys known, as the configuration does.
    fn join(&mut self) {
        let issuers = &mut self.issuers;
        let ((), errors) = read_document(&json!({"events": [self.settings]}), |section| {
            Settings::read(section).join(issuers, section);
        });
        assert_eq!(errors, []);
        self.keys = Keys::new(&self.issuers);
    }

    fn add(&mut self) {
        let document = json!({"events": [self.settings]});
        let (settings, errors) = read_document(&document, Settings::read);
        assert_eq!(errors, []);
        let events = Events::new(settings, &self.issuers);
        self.instances.push((InstanceId::draw(&self.host), events));
    }

    /// Envoy is started anew: nothing in shared data, new instances.
    fn restart(&mut self) {
        let now = self.host.now();
        self.host.native = Native::at(now);
        let count = self.instances.len();
        self.instances.clear();
        (0..count).for_each(|_| self.add());
    }

    fn at(&mut self, second: i64) -> &mut Scene {
        let now = UnixSeconds(NOW.saturating_add_signed(second));
        self.host.native.set_now(Instant::from_seconds(now));
        self
    }

    /// The transmitter has this event, under its `jti`.
    fn sends(&mut self, jti: &str, set: impl Into<String>) -> &mut Scene {
        self.sets.insert(jti.to_owned(), set.into());
        self
    }

    /// A tick of every instance, whose calls are answered at once.
    fn tick(&mut self) -> &mut Scene {
        for number in 0..self.instances.len() {
            let (instance, events) = &mut self.instances[number];
            events.refresh(&self.host);
            let calls = events.due(instance, &self.host);
            let worked = events.work(&self.issuers, &self.keys, &self.host);
            self.notices.extend(worked.into_iter().map(|notice| notice.text));
            for (place, call) in calls {
                let answer = self.polled(&call);
                let (_, events) = &mut self.instances[number];
                let notice = events.answered(place, answer, &self.host);
                let worked = events.work(&self.issuers, &self.keys, &self.host);
                self.notices.extend(notice.into_iter().chain(worked).map(|notice| notice.text));
            }
        }
        self
    }

    /// Ticks every second from one to the other.
    fn run(&mut self, seconds: core::ops::RangeInclusive<i64>) -> &mut Scene {
        for second in seconds {
            self.at(second).tick();
        }
        self
    }

    fn polled(&mut self, call: &HttpCall) -> Result<HttpAnswer, CallFailed> {
        let poll: Value = serde_json::from_slice(call.body.as_deref().unwrap()).unwrap();
        self.polls.push(poll.clone());
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        for jti in poll["ack"].as_array().into_iter().flatten() {
            let jti = jti.as_str().unwrap();
            self.acknowledged.extend(self.sets.remove(jti).map(|_| jti.to_owned()));
        }
        for (jti, error) in poll["setErrs"].as_object().into_iter().flatten() {
            let text = |name: &str| error[name].as_str().unwrap().to_owned();
            self.sets.remove(jti);
            self.errors.insert(jti.clone(), (text("err"), text("description")));
        }
        let sets: BTreeMap<_, _> = self.sets.iter().take(self.page).collect();
        let more = self.sets.len() > sets.len();
        Ok(ok(&json!({"sets": sets, "moreAvailable": more}).to_string()))
    }

    /// What every instance says of the token: all the same.
    fn verdict(&mut self, claims: &Claims) -> &'static str {
        let host = &self.host;
        let verdicts: Vec<_> = self
            .instances
            .iter_mut()
            .map(|(_, events)| verdict(events.check(claims, &mut Checked::default(), host)))
            .collect();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
        verdicts[0]
    }
}

fn verdict(result: Result<Freshness, Refusal>) -> &'static str {
    match result {
        Ok(freshness) => freshness.word(),
        Err(refusal) if refusal.pending => "pending",
        Err(refusal) => refusal.reason.code,
    }
}

fn ok(body: &str) -> HttpAnswer {
    HttpAnswer { status: 200, etag: None, body: body.as_bytes().to_vec() }
}

fn signer() -> Signer {
    Signer::new(Algorithm::Es256, "a", 1)
}

fn stream(changes: Value) -> Value {
    let honest = json!({"issuer": ISSUER, "audience": AUDIENCE, "cluster": "auth",
        "url": "https://auth.clinic.example/poll", "every": "5s", "max_staleness": "20s",
        "after_restart": "trust"});
    merge(honest, changes)
}

/// An event that the transmitter would sign, with these members changed.
fn event(jti: &str, changes: Value) -> Value {
    let honest = json!({"iss": ISSUER, "aud": AUDIENCE, "jti": jti, "iat": NOW - 1,
        "sub_id": {"format": "iss_sub", "iss": ISSUER, "sub": "ann"},
        "events": {REVOKED: {"event_timestamp": NOW - 1}}});
    merge(honest, changes)
}

fn signed(event: &Value) -> String {
    signer().token_with(json!({"typ": "secevent+jwt"}), event).text().to_owned()
}

/// A token of Ann's, issued so many seconds ago.
fn token(ago: u64) -> Claims {
    Claims {
        issuer: ISSUER.to_owned(),
        subject: Some("ann".to_owned()),
        session: Some("s-1".to_owned()),
        token_id: Some("t-1".to_owned()),
        issued_at: UnixSeconds(NOW.saturating_sub(ago)),
        expires: UnixSeconds(NOW + 3600),
        ..Claims::default()
    }
}

fn other_token() -> Claims {
    Claims { subject: Some("ben".to_owned()), session: None, token_id: None, ..token(60) }
}
