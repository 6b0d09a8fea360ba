//! What an issuer says of a token: only a plain yes is one.

use core::time::Duration;

use phiward::base::json;
use phiward::config::Configuration;
use phiward::store::HttpAnswer;
use phiward::token::{self, Introspection, Keys};
use serde_json::{Value, json};

use super::host::{Host, NOW};
use super::world::{AUDIENCE, ISSUER, World};

thread_local! {
    static CONFIG: Configuration = {
        let issuer = json!({"issuer": ISSUER, "audiences": [AUDIENCE], "introspection": {
            "cluster": "auth", "url": "https://auth.clinic.example/introspect", "client_id": "gateway",
            "client_secret_inline": "s3cret",
        }});
        World::new(json!({"issuers": [issuer]})).config
    };
}

/// First the status, then the body.
pub fn check(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let status = [200, 200, 200, 200, 401, 500, 204, 302][usize::from(choice % 8)];
    let config = CONFIG.with(Clone::clone);
    let (host, keys) = (Host::new(), Keys::new(&config.issuers));
    let mut asked = Introspection::new(&config.issuers);
    let raw = token::extract([&b"Bearer 0paque-token"[..]].into_iter()).unwrap();
    let verify =
        |asked: &mut Introspection| token::verify(&raw, &config.issuers, &keys, asked, &host);
    assert!(verify(&mut asked).is_err_and(|rejected| rejected.refusal.pending));
    let calls = asked.due(&host);
    assert_eq!(calls.len(), 1);
    for (inquiry, call) in calls {
        assert!(!format!("{call:?}").contains("0paque"));
        let answer = HttpAnswer { status, etag: None, body: body.to_vec() };
        let notice = asked.answered(inquiry, Ok(answer), &config.issuers, &host);
        assert!(!format!("{notice:?}").contains("0paque"));
    }
    let Ok(verified) = verify(&mut asked) else { return };
    assert_eq!(status, 200);
    let Ok(Value::Object(said)) = json::parse(body) else { panic!("no object") };
    assert_eq!(said["active"], true);
    assert!(said.get("iss").is_none_or(|issuer| issuer == ISSUER));
    assert!(said.get("exp").is_none_or(|end| end.as_u64().unwrap() + 30 > NOW));
    let bearer = |kind: &Value| kind.as_str().unwrap().eq_ignore_ascii_case("bearer");
    assert!(said.get("token_type").is_none_or(bearer) || verified.claims().bound);
    // For a while only: then its issuer is asked again.
    host.pass(Duration::from_secs(3601));
    assert!(verify(&mut asked).is_err());
}
