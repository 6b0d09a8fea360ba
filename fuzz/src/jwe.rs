//! Encrypted tokens: none is opened but those that were made for us.

use phiward::config::Configuration;
use serde_json::{Value, json};

use super::world::World;

thread_local! {
    static VECTORS: Value =
        serde_json::from_str(include_str!("../../src/token/testdata/encrypted.json")).unwrap();
    static CONFIG: Configuration = {
        let keys: Vec<Value> = ["128", "256"]
            .map(|bits| json!({"kid": format!("ec-{bits}"), "algorithm": format!("ECDH-ES+A{bits}KW"), "key": "KEY"}))
            .into();
        let mut document = super::world::document(json!({}));
        document["issuers"][0]["encryption"] = json!({"keys": keys});
        World::new(document).config
    };
}

/// The token.
pub fn check(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let world = CONFIG.with(|document| World::of(document.clone()));
    VECTORS.with(|vectors| {
        world.host.set_environment("KEY", vectors["keys"]["ec"]["pkcs8"].as_str().unwrap());
        let refusal = match world.verify(format!("Bearer {text}").as_bytes()) {
            Ok(_) => panic!("nobody signed it with the key of the issuer"),
            Err(refusal) => refusal,
        };
        let made = |one: &Value| one["token"] == text;
        if vectors["tokens"].as_array().unwrap().iter().any(made) {
            return;
        }
        // Whatever was changed, nothing of what is inside is read.
        let inside = ["token_signature_invalid", "token_issuer_unknown", "token_key_unknown"];
        let sealed = text.matches('.').count() == 4;
        assert!(!sealed || !inside.contains(&refusal.reason.code), "{}", refusal.reason.code);
    });
}
