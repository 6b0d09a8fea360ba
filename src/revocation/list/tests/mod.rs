mod changes;
mod force;
mod laws;
mod lookup;
mod page;
mod steps;
mod work;

use std::cell::Cell;

use super::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Native, Shared, Written};
use crate::base::time::UnixSeconds;
use crate::binding::BoundToken;
use crate::config::section::read_document;
use crate::revocation::list::bucket::Bucket;
use crate::revocation::{Checked, Revocation, Settings, Which, check};
use crate::token::{Issuers, Keys};
use serde_json::{Value, json};

const START: u64 = 1_790_000_000;

/// A host whose shared data can be made to fail, and that counts what is read and written.
#[derive(Default)]
struct Host {
    native: Native,
    fails: Cell<bool>,
    reads: Cell<usize>,
    writes: Cell<usize>,
}

impl Capabilities for Host {
    fn now(&self) -> Instant {
        self.native.now()
    }

    fn random(&self) -> [u8; 16] {
        self.native.random()
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
        self.writes.set(self.writes.get().saturating_add(1));
        if self.fails.get() { Err(HostFailed) } else { self.native.set_shared(key, value, stamp) }
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

/// A slice of work, for which a list needs nobody's keys.
fn work(revocation: &mut Revocation, host: &Host) -> Option<Notice> {
    let issuers = Issuers::default();
    revocation.work(&issuers, &Keys::new(&issuers), host).pop()
}

/// Several instances of the filter in one Envoy, and the seconds since the start.
struct Scene {
    host: Host,
    instances: Vec<(InstanceId, Revocation)>,
}

impl Scene {
    fn of(instances: usize, settings: &Value) -> Scene {
        let host = Host::default();
        let mut scene = Scene { host, instances: Vec::new() };
        scene.at(0);
        for _ in 0..instances {
            scene.add(settings);
        }
        scene
    }

    fn add(&mut self, settings: &Value) {
        let (settings, errors) = read_document(settings, Settings::read);
        assert_eq!(errors, []);
        self.instances
            .push((InstanceId::draw(&self.host), Revocation::new(settings, &Issuers::default())));
    }

    /// Makes every instance's lists small.
    fn limits(&mut self, limits: Limits) {
        for (_, revocation) in &mut self.instances {
            revocation.list.as_mut().unwrap().limits = limits.clone();
        }
    }

    fn list(&self, who: usize) -> &List {
        self.instances[who].1.list.as_ref().unwrap()
    }

    fn at(&mut self, second: i64) -> &mut Scene {
        let now = UnixSeconds(START.saturating_add_signed(second));
        self.host.native.set_now(Instant::from_seconds(now));
        self
    }

    /// A tick of every instance: which of them makes a call.
    fn tick(&mut self) -> Option<(usize, HttpCall)> {
        let host = &self.host;
        let mut calls = Vec::new();
        for (number, (instance, revocation)) in self.instances.iter_mut().enumerate() {
            revocation.refresh(host);
            calls
                .extend(revocation.due(instance, host).into_iter().map(|(_, call)| (number, call)));
        }
        assert!(calls.len() <= 1, "{calls:?}");
        calls.pop()
    }

    /// A tick in which a call is due and gets this answer.
    fn answers(&mut self, answer: Result<HttpAnswer, CallFailed>) -> Option<Notice> {
        let (who, _) = self.tick().expect("a call is due");
        self.answered(who, answer)
    }

    fn answered(&mut self, who: usize, answer: Result<HttpAnswer, CallFailed>) -> Option<Notice> {
        let (_, revocation) = &mut self.instances[who];
        let mut notice = revocation.answered(Which::List, answer, &self.host);
        while !self.list(who).is_idle() {
            notice = work(&mut self.instances[who].1, &self.host).or(notice);
        }
        notice
    }

    fn serves(&mut self, list: &Value) -> Option<Notice> {
        self.answers(answer(200, &list.to_string()))
    }

    fn checks(&mut self, who: usize) -> Result<Freshness, &'static str> {
        self.checks_again(who, &mut Checked::default())
    }

    fn checks_again(
        &mut self,
        who: usize,
        checked: &mut Checked,
    ) -> Result<Freshness, &'static str> {
        let token = BoundToken::for_tests(nurse());
        check(token, &mut self.instances[who].1, checked, &self.host)
            .map(|live| live.listed_as())
            .map_err(|refusal| refusal.reason.code)
    }
}

/// Everything goes to the large tier, a few entries at a time.
fn tiny() -> Limits {
    Limits { of_a_mask: 0, small: 0, batch: 3, ..Limits::default() }
}

fn nurse() -> Claims {
    Claims {
        subject: Some("nurse-17".to_owned()),
        expires: UnixSeconds(START + 3_600),
        ..Claims::default()
    }
}

fn settings() -> Value {
    json!({"cluster": "lists", "url": "http://lists/v1/list", "every": "5s", "max_staleness": "20s"})
}

fn allowing() -> Value {
    let mut settings = settings();
    settings["when_stale"] = json!("allow");
    settings
}

fn answer(status: u16, body: &str) -> Result<HttpAnswer, CallFailed> {
    Ok(HttpAnswer { status, etag: Some("\"1\"".to_owned()), body: body.as_bytes().to_vec() })
}

fn with_nurse() -> Value {
    json!({"version": "v42", "entries": [{"sub": "nurse-17"}]})
}

fn without_nurse() -> Value {
    json!({"version": "v41", "entries": [{"sub": "nurse-18"}]})
}
