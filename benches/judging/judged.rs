//! Judges the answers of [`super::records`] for a client confined to patient `P`.

use std::rc::Rc;

use phiward::fhir::{Api, Release, ResourceType};
use phiward::policy::{Expected, Form, Grants, Sight, Smart};
use phiward::response::{Verdict, body};
use phiward::token::Claims;

use super::records::{Answer, TYPES};

/// Judges one answer as often as asked.
#[derive(Debug)]
pub(crate) struct Judged {
    expected: Expected,
    api: Api,
    smart: Smart,
}

impl Judged {
    /// Prepares what the request that brought this answer expects.
    pub(crate) fn new(answer: &Answer) -> Judged {
        let api = Api {
            base_path: "/fhir".to_owned(),
            release: Release::R4,
            base_urls: vec!["https://api.example/fhir".to_owned()],
            cluster: None,
            public: Vec::new(),
            passthrough: Vec::new(),
        };
        let narrowed = if answer.form.starts_with("granular") { GRANULAR } else { "" };
        let scopes: Vec<String> =
            TYPES.iter().map(|name| format!("patient/{name}.rs{narrowed}")).collect();
        let claims =
            Claims { scope: scopes.join(" "), patient: Some("P".to_owned()), ..Claims::default() };
        let sight = Sight::new(Rc::new(Grants::of(&claims, &api, &Smart::default())));
        let expected = |form| Expected {
            form,
            sight: sight.clone(),
            proving: vec!["subject"],
            counted: true,
            concealed: true,
        };
        let observation = || ResourceType::parse(api.release, "Observation").unwrap();
        let expected = expected(match answer.form {
            "search" | "granular" => Form::Searchset(None),
            "everything" => Form::Collection,
            "history" => Form::History(observation()),
            "batch" => Form::Batch(vec![Some(expected(Form::Searchset(None))); 10]),
            _ => Form::Resource(observation()),
        });
        Judged { expected, api, smart: Smart::default() }
    }

    /// Judges its body.
    pub(crate) fn verdict(&self, text: &[u8]) -> Verdict {
        body(&self.expected, 200, text, &self.api, &self.smart)
    }
}

/// What a third of the resources match: an Observation does, by its category.
const GRANULAR: &str =
    "?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
