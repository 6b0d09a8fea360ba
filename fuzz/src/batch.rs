//! A batch or transaction: each entry is read as it stands there, and what is not changed stays.

use phiward::base::json;
use phiward::fhir::Api;
use phiward::fhir::bundle::{self, Change};
use phiward::request::{self, Head};
use serde_json::{Value, json};

use super::world::{World, fields};

thread_local! {
    static AROUND: (Head, Api) = {
        let pairs = [(":method", "POST"), (":path", "/fhir"), (":authority", "api.clinic.example"),
            ("content-type", "application/fhir+json")];
        (request::read(fields(&pairs)).unwrap(), World::new(json!({})).config.fhir)
    };
}

/// The Bundle.
pub fn check(data: &[u8]) {
    AROUND.with(|(around, api)| {
        let _ = bundle::rewrite(data, &[Change::default()]);
        let Ok(batch) = bundle::read(data, around, api) else { return };
        let _ = batch.aliases(api);
        let bundle: Value = serde_json::from_slice(data).expect("a Bundle is JSON");
        let none = Vec::new();
        let entries = bundle["entry"].as_array().unwrap_or(&none);
        assert_eq!(entries.len(), batch.entries.len());
        for (entry, read) in entries.iter().zip(&batch.entries) {
            assert_eq!(entry["request"]["method"], read.head.method().name());
            let target = bundle::relative(read.head.raw_target(), api);
            let url = entry["request"]["url"].as_str().expect("a URL");
            let target = target.expect("below the base");
            assert!(url == target || read.absolute && url.ends_with(target), "{url} {target}");
            assert!(read.head.headers().all("authorization").next().is_none());
        }
        let same = vec![Change::default(); batch.entries.len()];
        let same = bundle::rewrite(data, &same).expect("as many changes as entries");
        assert_eq!(serde_json::from_slice::<Value>(&same).expect("JSON"), bundle);
        let other = Change { if_match: Some("W/\"7\"".to_owned()), ..Change::default() };
        let changed = bundle::rewrite(data, &vec![other; batch.entries.len()]).expect("as many");
        let changed = json::parse(&changed);
        let Ok(changed) = changed else { return };
        for entry in changed["entry"].as_array().unwrap_or(&none) {
            assert_eq!(entry["request"]["ifMatch"], "W/\"7\"");
        }
    });
}
