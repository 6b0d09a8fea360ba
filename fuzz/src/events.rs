//! Security events: what nobody signed revokes nothing, and each event is taken or refused, never both.

use core::time::Duration;

use phiward::base::json;
use phiward::binding;
use phiward::revocation::{Checked, Revocation, check as look_up};
use phiward::store::{HttpAnswer, InstanceId};
use serde_json::{Value, json};

use super::host::{GENUINE, Host};
use super::world::{AUDIENCE, ISSUER, World, bearer, encode, signed};

thread_local! {
    static WORLD: World = World::new(json!({"revocation": {"events": [{
        "issuer": ISSUER, "audience": AUDIENCE, "cluster": "auth", "every": "5s",
        "url": "https://auth.clinic.example/poll", "after_restart": "trust",
    }]}}));
}

/// First what follows: what is signed, the event, or the whole answer.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let Ok(text) = core::str::from_utf8(rest) else { return };
    let (jti, set) = match choice % 3 {
        0 => (jti(rest), signed(&json!({"alg": "ES256", "typ": "secevent+jwt", "kid": "k"}), rest)),
        1 => ("e".to_owned(), text.to_owned()),
        _ => Default::default(),
    };
    let body = match choice % 3 {
        2 => text.to_owned(),
        _ => json!({"sets": {&jti: &set}, "moreAvailable": choice % 2 == 1}).to_string(),
    };
    WORLD.with(|world| {
        let at_once = Taken::of(world, Host::new(), &body);
        let in_slices = Taken::of(world, Host::stepping(Duration::from_millis(1)), &body);
        assert_eq!(at_once, in_slices, "whole and in slices");
        if !body.contains(&encode(&GENUINE)) {
            assert!(at_once.verdicts.iter().all(|verdict| *verdict != Some("token_revoked")));
            assert!(
                at_once.polls.iter().all(|poll| poll["ack"].as_array().is_none_or(Vec::is_empty))
            );
        }
        if choice % 3 != 2 {
            let told =
                |place: &str| at_once.polls.iter().filter(|poll| has(&poll[place], &jti)).count();
            let (taken, refused) = (told("ack"), told("setErrs"));
            assert!(taken.min(refused) == 0 && taken + refused > 0, "{jti:?}: {:?}", at_once.polls);
            let revokes = at_once.verdicts.contains(&Some("token_revoked"));
            assert!(!revokes || taken > 0, "it revokes and is not taken");
        }
    });
}

fn has(told: &Value, jti: &str) -> bool {
    told.get(jti).is_some() || told.as_array().is_some_and(|all| all.iter().any(|one| one == jti))
}

fn jti(claims: &[u8]) -> String {
    let claims = json::parse(claims).unwrap_or_default();
    claims["jti"].as_str().filter(|jti| !jti.is_empty()).unwrap_or("e").to_owned()
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    polls: Vec<Value>,
    verdicts: Vec<Option<&'static str>>,
}

impl Taken {
    fn of(world: &World, host: Host, body: &str) -> Taken {
        let config = &world.config;
        let mut revocation = Revocation::new(config.revocation.clone(), &config.issuers);
        let instance = InstanceId::draw(&host);
        let mut polls = Vec::new();
        for round in 0..4 {
            host.pass(Duration::from_secs(6));
            for _ in 0..20 {
                revocation.refresh(&host);
                for (which, call) in revocation.due(&instance, &host) {
                    polls.push(json::parse(call.body.as_deref().unwrap()).unwrap());
                    let body = if round == 0 { body } else { r#"{"sets": {}}"# };
                    let answer = HttpAnswer { status: 200, etag: None, body: body.into() };
                    let _ = revocation.answered(which, Ok(answer), &host);
                }
                let _ = revocation.work(&config.issuers, &world.keys, &host);
                if !revocation.busy() {
                    break;
                }
            }
        }
        let tokens = [json!({}), json!({"sid": "s", "sub": "ann"}), json!({"jti": "t-2"})];
        let verdict = |claims: &Value| {
            let token = binding::bind(world.verify(bearer(claims.clone()).as_bytes()).unwrap());
            let found = look_up(token.unwrap(), &mut revocation, &mut Checked::default(), &host);
            found.err().map(|refusal| refusal.reason.code)
        };
        Taken { polls, verdicts: tokens.iter().map(verdict).collect() }
    }
}
