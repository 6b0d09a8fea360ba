use super::*;
use crate::base::capabilities::Native;
use crate::token::algorithm::Algorithm;
use crate::token::testing::{self, NOW, Signer, config, issuers, merge, now};
use proptest::prelude::*;
use serde_json::json;

const ISSUER: &str = "https://auth.clinic.example";

fn signer() -> Signer {
    Signer::new(Algorithm::Es256, "a", 1)
}

/// Two issuers, each with a key of the same name.
fn both() -> Issuers {
    let other = Signer::new(Algorithm::Es256, "a", 2).jwk();
    issuers(vec![
        config(vec![signer().jwk()], json!({"clock_skew": "30s"})),
        config(vec![other], json!({"issuer": "https://auth.other.example"})),
    ])
}

fn document(changes: Value) -> Value {
    merge(json!({"sub": "https://auth.clinic.example/list", "iat": NOW - 10}), changes)
}

fn verified(text: &str, issuer: &str) -> Result<Signed, &'static str> {
    let issuers = both();
    let keys = Keys::new(&issuers);
    let caps = Native::at(now());
    verify(text, "statuslist+jwt", issuer, &issuers, &keys, &caps)
        .map_err(|refusal| refusal.reason.code)
}

#[test]
fn a_document_of_the_issuer_is_read_with_its_times() {
    for media_type in ["statuslist+jwt", "application/statuslist+jwt", "StatusList+JWT"] {
        let claims = document(json!({"iss": ISSUER, "exp": NOW + 60, "x": [1]}));
        let text = signer().token_with(json!({"typ": media_type}), &claims);
        let signed = verified(text.text(), ISSUER).unwrap();
        assert_eq!(signed.claims["x"], json!([1]), "{media_type}");
        assert_eq!(signed.issued_at, UnixSeconds(NOW - 10));
        assert_eq!(signed.expires, Some(UnixSeconds(NOW + 60)));
        assert_eq!(signed.clock_skew, Duration::from_secs(30));
    }
}

#[test]
fn what_another_signed_or_meant_otherwise_is_refused() {
    let other = Signer::new(Algorithm::Es256, "a", 2);
    let rows = [
        (signer(), json!({"typ": "at+jwt"}), json!({}), "token_type_refused"),
        (signer(), json!({"typ": null}), json!({}), "token_type_refused"),
        (signer(), json!({"typ": "secevent+jwt"}), json!({}), "token_type_refused"),
        (signer(), json!({"kid": "b"}), json!({}), "token_key_unknown"),
        (signer(), json!({"kid": null}), json!({}), "token_key_unnamed"),
        (signer(), json!({"alg": "none"}), json!({}), "token_algorithm_refused"),
        (signer(), json!({"alg": "RS256"}), json!({}), "token_key_mismatch"),
        (signer(), json!({"zip": "DEF"}), json!({}), "token_payload_compressed"),
        (other, json!({}), json!({}), "token_signature_invalid"),
        (signer(), json!({}), json!({"iss": "https://auth.other.example"}), "token_issuer_unknown"),
        (signer(), json!({}), json!({"iss": 7}), "token_issuer_unknown"),
        (signer(), json!({}), json!({"iat": null}), "token_claim_missing"),
        (signer(), json!({}), json!({"iat": "1"}), "token_claim_invalid"),
        (signer(), json!({}), json!({"iat": NOW + 31}), "token_issued_in_future"),
        (signer(), json!({}), json!({"nbf": NOW + 31}), "token_not_yet_valid"),
        (signer(), json!({}), json!({"exp": NOW - 30}), "token_expired"),
        (signer(), json!({}), json!({"exp": 1.5}), "token_claim_invalid"),
    ];
    for (signer, header, changes, code) in rows {
        let mut header = header;
        if header.get("typ").is_none() {
            header["typ"] = json!("statuslist+jwt");
        }
        let row = format!("{header} {changes}");
        let text = signer.token_with(header, &document(changes));
        assert_eq!(verified(text.text(), ISSUER).err(), Some(code), "{row}");
    }
}

#[test]
fn the_edges_of_its_times_are_within_the_clock_skew() {
    for changes in [json!({"iat": NOW + 30}), json!({"nbf": NOW + 30}), json!({"exp": NOW - 29})] {
        let text =
            signer().token_with(json!({"typ": "statuslist+jwt"}), &document(changes.clone()));
        assert!(verified(text.text(), ISSUER).is_ok(), "{changes}");
    }
}

#[test]
fn an_issuer_that_is_not_configured_signs_nothing() {
    let text = signer().token_with(json!({"typ": "statuslist+jwt"}), &document(json!({})));
    assert_eq!(verified(text.text(), "https://nobody.example").err(), Some("token_issuer_unknown"));
    assert_eq!(
        verified(text.text(), "https://auth.other.example").err(),
        Some("token_signature_invalid")
    );
}

#[test]
fn trust_changes_with_the_keys_their_source_and_the_algorithms() {
    let key = |seed| vec![Signer::new(Algorithm::Es256, "a", seed).jwk()];
    let remote = |url: &str| json!({"jwks": {"cluster": "auth", "url": url}});
    let configs = [
        config(key(1), json!({})),
        config(key(2), json!({})),
        config(key(1), json!({"algorithms": ["ES256"]})),
        config(key(1), remote("http://auth/a")),
        config(key(1), remote("http://auth/b")),
        config(key(1), json!({"issuer": "https://auth.other.example"})),
    ];
    let of = |config: &Value| {
        let issuers = issuers(vec![config.clone()]);
        trust(config["issuer"].as_str().unwrap(), &issuers).unwrap()
    };
    let trusts: std::collections::HashSet<_> = configs.iter().map(of).collect();
    assert_eq!(trusts.len(), configs.len());
    assert_eq!(of(&configs[0]), of(&configs[0].clone()));
    assert_eq!(trust("https://nobody.example", &testing::issuers(vec![configs[0].clone()])), None);
}

proptest! {
    #[test]
    fn never_panics_and_takes_nothing_that_was_not_signed(text in "\\PC{0,60}|[A-Za-z0-9_-]{0,20}(\\.[A-Za-z0-9_-]{0,20}){2}") {
        prop_assert!(verified(&text, ISSUER).is_err());
    }
}
