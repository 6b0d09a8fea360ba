//! Key sets and the metadata that says where they are: what can't be used leaves the last good set in
//! force.

use core::time::Duration;

use phiward::config::Configuration;
use phiward::store::{HttpAnswer, InstanceId};
use phiward::token::keys::Asked;
use serde_json::{Value, json};

use super::host::NOW;
use super::world::{ISSUER, World, bearer, key};

thread_local! {
    static CONFIGS: [Configuration; 2] =
        [false, true].map(|discovers| World::new(json!({"issuers": [issuer(discovers)]})).config);
}

/// First whether it is the metadata, then the document.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let discovers = choice % 2 == 1;
    let mut world = CONFIGS.with(|configs| World::of(configs[usize::from(discovers)].clone()));
    let instance = InstanceId::draw(&world.host);
    let good = json!({"keys": [key()]}).to_string().into_bytes();
    let metadata = json!({"issuer": ISSUER, "jwks_uri": "https://auth.clinic.example/jwks"});
    world.round(&instance, metadata.to_string().as_bytes(), &good);
    let token = bearer(json!({}));
    assert!(world.verify(token.as_bytes()).is_ok(), "the good set is in force");
    world.host.pass(Duration::from_secs(400));
    let bodies = if discovers { (body, good.as_slice()) } else { (good.as_slice(), body) };
    world.round(&instance, bodies.0, bodies.1);
    let still = world.verify(bearer(json!({"iat": NOW + 390, "exp": NOW + 900})).as_bytes());
    let holds = |document: &Value| {
        let keys = document["keys"].as_array();
        keys.is_some_and(|keys| keys.iter().any(|one| one["kid"] == "k"))
    };
    if discovers {
        // Another place for the keys takes the old ones along, until they came.
        return;
    }
    match phiward::base::json::parse(body) {
        // No set: the last good one counts.
        Err(_) => assert!(still.is_ok(), "{still:?}"),
        Ok(document) if holds(&document) => {}
        Ok(document) => {
            let usable = document["keys"].as_array().is_some_and(|keys| !keys.is_empty());
            assert!(usable || still.is_ok(), "{still:?}");
        }
    }
}

impl World {
    /// The calls of a tick, answered.
    fn round(&mut self, instance: &InstanceId, metadata: &[u8], set: &[u8]) {
        for _ in 0..2 {
            for (asked, _) in self.keys.due(instance, &self.host) {
                let body = if matches!(asked, Asked::Set(_)) { set } else { metadata };
                let answer = HttpAnswer { status: 200, etag: None, body: body.to_vec() };
                let _ = self.keys.answered(asked, Ok(answer), &self.host);
            }
            self.keys.refresh(&self.host);
        }
        let _ = self.keys.statuses(&self.host);
    }
}

fn issuer(discovers: bool) -> Value {
    let place = match discovers {
        true => json!({"cluster": "auth", "refresh": "5m"}),
        false => {
            json!({"cluster": "auth", "url": "https://auth.clinic.example/jwks", "refresh": "5m"})
        }
    };
    json!({"issuer": ISSUER, "audiences": [super::world::AUDIENCE], "jwks": place})
}
