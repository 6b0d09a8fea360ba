//! The reference pages: written from the code, so that they can't differ from it.

use std::collections::HashSet;

use serde_json::Value;

use super::section::Key;
use super::*;
use crate::base::refusal::Reason;
use crate::base::testing::{cell, generated, sentence};

/// The keys of one section as a table; `below` is left out of their names.
fn table(keys: &[&Key], below: &str) -> String {
    let rows = keys.iter().map(|key| {
        let name = key.path.strip_prefix(below).unwrap_or(&key.path);
        let default = match &key.default {
            Some(Value::String(default)) => format!("`{default}`"),
            Some(default) => format!("`{default}`"),
            None if key.required => "required".to_owned(),
            None => String::new(),
        };
        let (expected, doc) = (cell(&key.expected), sentence(&key.doc));
        format!("| `{name}` | {expected} | {default} | {doc} |\n")
    });
    let rows: String = rows.collect();
    format!("\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}\n")
}

#[test]
fn the_reference_page_has_every_key() {
    let keys = keys();
    let top: Vec<&Key> = keys.iter().filter(|key| !key.path.contains('.')).collect();
    generated("docs/configuration.md", "document", &table(&top, ""));
    for section in top {
        let list = format!("{}[].", section.path);
        let object = format!("{}.", section.path);
        let below = [&list, &object];
        let inner: Vec<&Key> = keys
            .iter()
            .filter(|key| below.iter().any(|start| key.path.starts_with(start.as_str())))
            .collect();
        let Some(first) = inner.first() else { continue };
        let prefix = if first.path.starts_with(&list) { &list } else { &object };
        generated("docs/configuration.md", &section.path, &table(&inner, prefix));
    }
}

type Folder = (&'static str, &'static [&'static Reason], &'static [&'static str]);

/// Every folder that refuses, in the order of the flow.
fn folders() -> [Folder; 11] {
    use crate::{
        audit, binding, export, fhir, flow, limits, policy, request, response, revocation, token,
    };
    [
        ("request", request::reasons::ALL, request::reasons::MEANINGS),
        ("fhir", fhir::reasons::ALL, fhir::reasons::MEANINGS),
        ("token", token::reasons::ALL, token::reasons::MEANINGS),
        ("binding", binding::reasons::ALL, binding::reasons::MEANINGS),
        ("revocation", revocation::reasons::ALL, revocation::reasons::MEANINGS),
        ("limits", limits::reasons::ALL, limits::reasons::MEANINGS),
        ("policy", policy::reasons::ALL, policy::reasons::MEANINGS),
        ("audit", audit::reasons::ALL, audit::reasons::MEANINGS),
        ("response", response::reasons::ALL, response::reasons::MEANINGS),
        ("export", export::reasons::ALL, export::reasons::MEANINGS),
        ("flow", flow::reasons::ALL, flow::reasons::MEANINGS),
    ]
}

#[test]
fn the_page_of_reasons_has_every_reason() {
    for (folder, reasons, meanings) in folders() {
        let rows = reasons.iter().zip(meanings).map(|(reason, meaning)| {
            let Reason { code, public, status, text, .. } = reason;
            let shown = if code == public { String::new() } else { format!("`{public}`: ") };
            // Links of the source's comments lead nowhere on a page.
            let meaning = meaning.replace("[`", "`").replace("`]", "`").replace("super::", "");
            format!("| `{code}` | {status} | {} | {shown}{} |\n", sentence(&meaning), cell(text))
        });
        let head = "\n| code | status | why | what the client reads |\n|---|---|---|---|\n";
        let table = format!("{head}{}\n", rows.collect::<String>());
        generated("docs/reasons.md", folder, &table);
    }
}

#[test]
fn every_reason_has_its_own_code_and_says_what_it_means() {
    let mut codes = HashSet::new();
    for (folder, reasons, meanings) in folders() {
        assert_eq!(reasons.len(), meanings.len(), "{folder}");
        for (reason, meaning) in reasons.iter().zip(meanings) {
            let code = reason.code;
            assert!(codes.insert(code), "`{code}` twice");
            assert!(!meaning.trim().is_empty(), "`{code}` has no comment");
            assert!((400..600).contains(&reason.status), "`{code}`: {}", reason.status);
            let snake =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(code.bytes().all(snake), "`{code}`");
            let text = reason.text;
            assert!(!text.is_empty() && !text.ends_with('.'), "`{code}`: {text}");
        }
    }
    assert!(codes.len() > 80, "only {} reasons", codes.len());
}
