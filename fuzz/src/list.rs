//! The revocation list, whole, in pages and as changes: however its work is cut into slices, it revokes the
//! same tokens, and those that its entries name.

use core::time::Duration;

use phiward::binding::{self, BoundToken};
use phiward::revocation::{Checked, Revocation, check as look_up};
use phiward::store::{HttpAnswer, InstanceId};
use serde_json::{Map, Value, json};

use super::host::{Host, NOW};
use super::world::{World, bearer, claims, split};

thread_local! {
    static WORLD: World = World::new(json!({
        "revocation": {"cluster": "lists", "url": "http://lists.example/v1", "every": "5s"},
    }));
}

/// The server's answers, one after another, with a line of three dashes between them.
pub fn check(data: &[u8]) {
    let answers = pieces(data);
    WORLD.with(|world| {
        let at_once = Loaded::of(world, Host::new(), &answers);
        let in_slices = Loaded::of(world, Host::stepping(Duration::from_millis(1)), &answers);
        assert_eq!(at_once, in_slices, "whole and in slices");
        if let ([list], true) = (&answers[..], at_once.fresh) {
            at_once.agrees(list);
        }
    });
}

fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let mut rest = data;
    let mut pieces = Vec::new();
    while let Some((piece, after)) = split(rest, b"\n---\n")
        && pieces.len() < 7
    {
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// What came of a list.
#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    fresh: bool,
    /// For each token why it was refused.
    verdicts: Vec<Option<&'static str>>,
}

impl Loaded {
    fn of(world: &World, host: Host, answers: &[&[u8]]) -> Loaded {
        let config = &world.config;
        let mut revocation = Revocation::new(config.revocation.clone(), &config.issuers);
        let instance = InstanceId::draw(&host);
        let mut left = answers.iter();
        for _ in 0..=answers.len() {
            host.pass(Duration::from_secs(6));
            for _ in 0..40 {
                revocation.refresh(&host);
                let _ = revocation.work(&config.issuers, &world.keys, &host);
                for (which, _) in revocation.due(&instance, &host) {
                    let (status, body) = left.next().map_or((304, &[][..]), |body| (200, *body));
                    let answer = HttpAnswer { status, etag: None, body: body.to_vec() };
                    let _ = revocation.answered(which, Ok(answer), &host);
                }
                if !revocation.busy() {
                    break;
                }
            }
            assert!(!revocation.busy(), "there is always something to do");
        }
        let fresh = revocation.statuses(&host)[0].fresh;
        let verdict = |token: BoundToken| {
            let verdict = look_up(token, &mut revocation, &mut Checked::default(), &host);
            verdict.err().map(|refusal| refusal.reason.code)
        };
        Loaded { fresh, verdicts: tokens(world).into_iter().map(verdict).collect() }
    }

    /// The tokens that the entries of this list name are revoked, and no others.
    fn agrees(&self, list: &[u8]) {
        let Ok(list) = serde_json::from_slice::<Value>(list) else { return };
        let Some(entries) = list["entries"].as_array() else { return };
        if list.get("next").is_some_and(|next| !next.is_null()) || list.get("since").is_some() {
            return;
        }
        for (token, verdict) in TOKENS.iter().zip(&self.verdicts) {
            let token = claims(token());
            let names =
                |entry: &&Value| entry.as_object().is_some_and(|entry| is_named(entry, &token));
            let lasting = |entry: &&Value| {
                entry.get("expires").is_none_or(|end| end.as_u64() > Some(NOW + 9999))
            };
            let mut named = entries.iter().filter(names).peekable();
            match verdict {
                Some("token_revoked") => assert!(named.peek().is_some(), "{token} is not named"),
                Some(other) => panic!("{other} with a list that is fresh"),
                None => assert!(!named.any(|entry| lasting(&entry)), "{token} is named"),
            }
        }
    }
}

/// Whether the token has all that the entry names.
fn is_named(entry: &Map<String, Value>, token: &Value) -> bool {
    entry.iter().all(|(name, value)| match name.as_str() {
        "expires" => true,
        "issued_before" => token["iat"].as_u64() < value.as_u64(),
        "kid" => value == "k",
        "patient" => [&token["patient"], &token["user"]].contains(&value),
        name => token.get(name) == Some(value),
    })
}

fn tokens(world: &World) -> Vec<BoundToken> {
    let token = |changes: &fn() -> Value| {
        let mut changes = changes();
        changes["user"] = Value::Null;
        binding::bind(world.verify(bearer(changes).as_bytes()).unwrap()).unwrap()
    };
    TOKENS.iter().map(token).collect()
}

/// `user` is the id behind `fhirUser`, for the oracle.
const TOKENS: [fn() -> Value; 5] = [
    || json!({}),
    || json!({"jti": "t-2", "sub": "a", "client_id": "b", "iat": NOW - 3}),
    || json!({"patient": "P", "sid": "s"}),
    || json!({"fhirUser": "Patient/Q", "user": "Q", "organization": "o"}),
    || json!({"jti": "\u{e9}\"\\", "patient": "1"}),
];
