//! The access token: what is taken was signed, by a known key, for us, and for now.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::host::{GENUINE, NOW};
use super::world::{AUDIENCE, ISSUER, World, encode};

thread_local! {
    static WORLD: World = World::new(json!({}));
}

/// The value of `Authorization`.
pub fn check(data: &[u8]) {
    WORLD.with(|world| match world.verify(data) {
        Ok(verified) => {
            let token =
                core::str::from_utf8(data).expect("text").split_once(' ').expect("a scheme").1;
            assert!(token.ends_with(&format!(".{}", encode(&GENUINE))), "a forged signature");
            let mut parts = token.split('.');
            let (header, claims) = (object(parts.next()), object(parts.next()));
            assert_eq!((parts.next().is_some(), parts.next()), (true, None), "three parts");
            assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("k")));
            assert!(!["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name)));
            is_for_us(&claims);
            assert_eq!(verified.claims().issuer, ISSUER);
            assert_eq!(verified.claims().subject.as_deref(), claims["sub"].as_str());
        }
        Err(refusal) => {
            let status = refusal.reason.status;
            assert!(status == 401 || status == 400, "{status}");
        }
    });
}

/// Claims that a good token may have.
pub(super) fn is_for_us(claims: &Map<String, Value>) {
    assert_eq!(claims["iss"], ISSUER);
    let audience = &claims["aud"];
    let ours = |one: &Value| one == AUDIENCE;
    assert!(ours(audience) || audience.as_array().is_some_and(|all| all.iter().any(ours)));
    let seconds = |name: &str| claims[name].as_u64().expect(name);
    assert!(seconds("exp").saturating_add(30) > NOW, "it has expired");
    assert!(seconds("iat") <= NOW.saturating_add(30), "it is from the future");
    assert!(seconds("exp").saturating_sub(seconds("iat")) <= 3600, "it lives too long");
    assert!(claims["jti"].is_string() && claims["sub"].is_string());
    if let Some(begins) = claims.get("nbf") {
        assert!(begins.as_u64().expect("nbf") <= NOW.saturating_add(30));
    }
}

fn object(part: Option<&str>) -> Map<String, Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part.expect("a part")).expect("base64url");
    let Ok(Value::Object(members)) = phiward::base::json::parse(&bytes) else {
        panic!("no object")
    };
    members
}
