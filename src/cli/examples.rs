//! Runs every folder of `examples/`: its configuration and its cases, through the whole core.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::yaml;
use crate::flow::testing::{Gateway, Sent};

#[test]
fn every_example_is_decided_as_it_says() {
    let mut cases = 0;
    for folder in folders() {
        let config = read(&folder.join("config.yaml"));
        let scenario = read(&folder.join("cases.yaml"));
        let list = scenario["revocations"].clone();
        assert!(scenario["cases"].is_array(), "{}", folder.display());
        for case in scenario["cases"].as_array().unwrap() {
            let told = format!("{}: {}", folder.display(), case["name"]);
            let mut gateway = Gateway::waiting(&config);
            gateway.tick(|_| json!({"entries": list.as_array().cloned().unwrap_or_default()}));
            check(case, &send(case, &mut gateway), &told);
            cases += 1;
        }
    }
    assert!(cases > 20, "only {cases} cases were found");
}

fn send(case: &Value, gateway: &mut Gateway) -> Sent {
    let (method, target) = case["request"].as_str().unwrap().split_once(' ').unwrap();
    let mut headers: Vec<(String, String)> = object(&case["headers"])
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    if !case["token"].is_null() {
        let mut claims = json!({"client_id": "growth-chart"});
        claims.as_object_mut().unwrap().extend(object(&case["token"]));
        headers.push(("authorization".to_owned(), gateway.bearer(claims)));
    }
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
    gateway.send(method, target, &headers, case["body"].as_str().unwrap_or_default().as_bytes())
}

fn check(case: &Value, sent: &Sent, told: &str) {
    let known = [
        "name", "request", "headers", "body", "token", "expect", "status", "target", "sent",
        "form", "would",
    ];
    for key in object(case).keys() {
        assert!(known.contains(&key.as_str()), "{told}: unknown key `{key}`");
    }
    assert_eq!(sent.reason(), case["expect"], "{told}: {}", sent.audit);
    if let Some(status) = case["status"].as_u64() {
        assert_eq!(
            sent.reply.as_ref().map(|reply| u64::from(reply.status)),
            Some(status),
            "{told}"
        );
    }
    if let Some(target) = case["target"].as_str() {
        assert_eq!(sent.header(":path"), Some(target), "{told}");
    }
    if let Some(form) = case["form"].as_str() {
        assert_eq!(String::from_utf8_lossy(&sent.body), form, "{told}");
    }
    if let Some(would) = case["would"].as_str() {
        assert_eq!(sent.audit["would"], would, "{told}");
    }
    for (name, value) in &object(&case["sent"]) {
        assert_eq!(sent.header(name), value.as_str(), "{told}: {name}");
    }
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn read(file: &Path) -> Value {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let document = yaml::read(&text);
    assert_eq!(document.errors, [], "{}", file.display());
    document.value
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
