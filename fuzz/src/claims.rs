//! Claims of a token with a good signature: what is taken is for us, and for now.

use phiward::base::json;
use serde_json::{Value, json};

use super::token::is_for_us;
use super::world::{World, signed};

thread_local! {
    static WORLD: World = World::new(json!({}));
}

/// What was signed.
pub fn check(data: &[u8]) {
    let token = signed(&json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"}), data);
    WORLD.with(|world| {
        let Ok(verified) = world.verify(format!("Bearer {token}").as_bytes()) else { return };
        let Ok(Value::Object(members)) = json::parse(data) else { panic!("no object") };
        is_for_us(&members);
        let claims = verified.claims();
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        assert_eq!(claims.token_id.as_deref(), text("jti"));
        assert_eq!(claims.session.as_deref(), text("sid"));
        assert_eq!(claims.bound, members.contains_key("cnf"));
        if let Some(patient) = text("patient") {
            assert_eq!(
                claims.patient.as_deref(),
                Some(patient.strip_prefix("Patient/").unwrap_or(patient))
            );
        }
        assert_eq!(claims.patient.is_some(), members.contains_key("patient"));
        assert_eq!(claims.user.as_deref(), text("fhirUser"));
    });
}
