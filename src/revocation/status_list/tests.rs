//! Several instances of the filter, one issuer, its status lists.

use std::cell::Cell;
use std::collections::HashMap;

use core::time::Duration;

use super::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Native, Shared};
use crate::base::time::UnixSeconds;
use crate::config::section::read_document;
use crate::token::StatusReference;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{NOW, Signer, config, encode, issuers, merge};
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::{Value, json};

mod lists;
mod places;
mod statuses;

const ISSUER: &str = "https://auth.clinic.example";
const OTHER: &str = "https://auth.other.example";
const URI: &str = "https://auth.clinic.example/lists/1";
const WAITS: &str = "status_list_unavailable, pending";

/// A host whose shared data can be made to fail, that counts what is read, and whose clock moves on
/// by `pace` each time it is looked at.
#[derive(Default)]
struct Host {
    native: Native,
    fails: Cell<bool>,
    reads: Cell<usize>,
    pace: Cell<Duration>,
}

impl Capabilities for Host {
    fn now(&self) -> Instant {
        let now = self.native.now();
        self.native.set_now(now.plus(self.pace.get()));
        now
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
        if self.fails.get() { Err(HostFailed) } else { self.native.set_shared(key, value, stamp) }
    }

    fn verify_signature(&self, signed: &HostSignature<'_>) -> HostVerdict {
        self.native.verify_signature(signed)
    }
}

/// What a server has at each URL.
type Served = HashMap<String, Result<HttpAnswer, CallFailed>>;

/// Several instances in one Envoy, and the seconds since the start.
struct Scene {
    host: Host,
    issuers: Issuers,
    keys: Keys,
    instances: Vec<(InstanceId, StatusLists)>,
    served: Served,
    /// The paths that were asked for.
    asked: Vec<String>,
    notices: Vec<String>,
}

impl Scene {
    fn of(instances: usize, settings: &Value) -> Scene {
        let keys = |seed| vec![Signer::new(Algorithm::Es256, "a", seed).jwk()];
        let issuers =
            issuers(vec![config(keys(1), json!({})), config(keys(2), json!({"issuer": OTHER}))]);
        let mut scene = Scene {
            host: Host::default(),
            keys: Keys::new(&issuers),
            issuers,
            instances: Vec::new(),
            served: Served::new(),
            asked: Vec::new(),
            notices: Vec::new(),
        };
        scene.at(0);
        for _ in 0..instances {
            scene.add(settings);
        }
        scene
    }

    fn add(&mut self, settings: &Value) {
        let (settings, errors) = read_document(settings, Settings::read);
        assert_eq!(errors, []);
        let lists = StatusLists::new(settings, &self.issuers);
        self.instances.push((InstanceId::draw(&self.host), lists));
    }

    fn at(&mut self, second: i64) -> &mut Scene {
        let now = UnixSeconds(NOW.saturating_add_signed(second));
        self.host.native.set_now(Instant::from_seconds(now));
        self
    }

    fn serves(&mut self, uri: &str, list: &str) -> &mut Scene {
        self.answers(uri, Ok(HttpAnswer { status: 200, etag: None, body: list.into() }))
    }

    fn answers(&mut self, uri: &str, answer: Result<HttpAnswer, CallFailed>) -> &mut Scene {
        let path = uri.strip_prefix(ISSUER).unwrap();
        self.served.insert(path.to_owned(), answer);
        self
    }

    /// A tick of every instance, whose calls are answered at once.
    fn tick(&mut self) -> &mut Scene {
        for number in 0..self.instances.len() {
            self.tick_of(number);
        }
        self
    }

    fn tick_of(&mut self, number: usize) {
        let (host, (instance, lists)) = (&self.host, &mut self.instances[number]);
        lists.refresh(host);
        let notices = lists.work(&self.issuers, &self.keys, host);
        self.notices.extend(notices.into_iter().map(|notice| notice.text));
        for (place, call) in lists.due(instance, host) {
            assert_eq!(call.headers[0].1, "application/statuslist+jwt");
            assert_eq!((call.cluster.as_str(), call.body.as_ref()), ("auth", None));
            let answer = self.served.get(&call.path).cloned();
            let nothing = HttpAnswer { status: 404, etag: None, body: Vec::new() };
            let notice = lists.answered(place, answer.unwrap_or(Ok(nothing)), host);
            self.notices.extend(notice.map(|notice| notice.text));
            self.asked.push(call.path);
        }
    }

    /// Ticks until nothing is left to do.
    fn settle(&mut self) -> &mut Scene {
        for _ in 0..10_000 {
            self.tick();
            if self.instances.iter().all(|(_, lists)| !lists.busy()) {
                return self;
            }
        }
        panic!("it never ends");
    }

    fn checks(&mut self, who: usize, index: u64) -> Result<Freshness, String> {
        self.checks_of(who, &token(URI, index), &mut None)
    }

    fn checks_of(
        &mut self,
        who: usize,
        claims: &Claims,
        checked: &mut Checked,
    ) -> Result<Freshness, String> {
        self.instances[who].1.check(claims, checked, &self.host).map_err(|refusal| {
            assert_eq!(refusal.retry_after.is_some(), refusal.reason.status == 503);
            format!("{}{}", refusal.reason.code, if refusal.pending { ", pending" } else { "" })
        })
    }
}

fn settings() -> Value {
    json!({"status_lists": [{"cluster": "auth", "uri": "https://auth.clinic.example/lists/"}]})
}

/// The settings with these members of the entry changed.
fn with(changes: Value) -> Value {
    let mut settings = settings();
    settings["status_lists"][0] = merge(settings["status_lists"][0].clone(), changes);
    settings
}

fn token(uri: &str, index: u64) -> Claims {
    let status = Some(StatusReference { uri: uri.to_owned(), index });
    Claims { issuer: ISSUER.to_owned(), status, ..Claims::default() }
}

/// A list of these statuses, signed by the issuer.
fn list(bits: u8, statuses: &[u8]) -> String {
    signed(bits, statuses, json!({}))
}

/// A list with these claims changed; null takes one out.
fn signed(bits: u8, statuses: &[u8], changes: Value) -> String {
    let lst = encode(compress_to_vec_zlib(statuses, 6));
    let honest = json!({"sub": URI, "iat": NOW - 5, "exp": NOW + 86_400, "ttl": 60,
                        "status_list": {"bits": bits, "lst": lst}});
    sign(1, "statuslist+jwt", &merge(honest, changes))
}

fn sign(seed: u8, media_type: &str, claims: &Value) -> String {
    let signer = Signer::new(Algorithm::Es256, "a", seed);
    signer.token_with(json!({"typ": media_type}), claims).text().to_owned()
}
