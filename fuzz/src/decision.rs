//! A whole request, decided and changed: what goes on asks for no more than what came.

use phiward::base::refusal::Refusal;
use phiward::fhir::{self, Body, Interaction, Routed};
use phiward::forward::{self, Edit};
use phiward::policy::{Decision, Permit, Stored};
use phiward::request::{self, Head, Headers, Query};
use phiward::store::{CallFailed, HttpAnswer};
use serde_json::{Value, json};

use super::world::{Caller, Text, World};

thread_local! {
    static WORLD: (World, Vec<Caller>) = {
        let operations = json!([{"name": "$lastn", "level": "type", "requires": "patient/Observation.rs"}]);
        let world = World::new(json!({"smart": {"operations": operations}}));
        let callers = CALLERS.map(|claims| world.caller(claims()).unwrap());
        (world, callers.into())
    };
}

/// First who asks and what the server has, then the request.
pub fn check(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let Some(text) = Text::of(text) else { return };
    let Ok(head) = request::read(Headers::new(text.fields)) else { return };
    WORLD.with(|(world, callers)| {
        let caller = &callers[usize::from(choice % 8) % callers.len()];
        let has = usize::from(choice / 8);
        let Ok(Routed::Fhir(request)) = fhir::route(&head, &world.config.fhir) else { return };
        let Ok(request) = with_form(request, text.body) else { return };
        let asked = Asked { world, caller, has };
        let Ok(permit) = asked.decide(&head, &request, text.body) else { return };
        let claims = caller.token.claims();
        assert!(
            !claims.scope.is_empty() || phiward::policy::public(&request.interaction).is_some()
        );
        let body = (!text.body.is_empty()).then_some((request.body, text.body));
        let settings = &world.config.forward;
        let Ok(went_on) = forward::forward(&permit, &head, body, Some(claims), settings) else {
            return;
        };
        let fields = edited(&head, &went_on.edits);
        assert!(!fields.iter().any(|(name, _)| name == b"authorization"));
        let after = request::read(Headers::new(fields)).expect("what goes on can be read");
        let form = request.body == Body::Form;
        let sent = went_on.body.as_deref().unwrap_or(text.body);
        if let Interaction::SearchType(_) = request.interaction {
            let before = params(&head, form.then_some(text.body));
            let now = params(&after, form.then_some(sent));
            keeps(&before, &now);
            if permit.patient().is_some() {
                let again = asked.again(&after, form.then_some(sent));
                assert!(again.is_ok(), "{:?} is refused: {again:?}", after.raw_target());
            }
        }
        is_narrowed(&permit, &request.interaction, &after, form.then_some(sent));
    });
}

/// A question to the policy.
struct Asked<'a> {
    world: &'a World,
    caller: &'a Caller,
    has: usize,
}

impl Asked<'_> {
    /// Decides, with what the server has where that is asked for.
    fn decide(
        &self,
        head: &Head,
        request: &fhir::Request,
        body: &[u8],
    ) -> Result<Box<Permit>, Refusal> {
        let mut stored = Stored::default();
        for _ in 0..3 {
            match self.world.decide(self.caller, (head, request), Some(body), &stored)? {
                Decision::Permit(permit) => return Ok(permit),
                Decision::Body => panic!("the body is there"),
                Decision::Stored(lookups) => {
                    assert!(!lookups.is_empty() && lookups.len() <= 50);
                    for (number, lookup) in lookups.into_iter().enumerate() {
                        let answer = answer(self.has.wrapping_add(number));
                        stored.answered(lookup, answer)?;
                    }
                }
            }
        }
        panic!("asked a third time");
    }

    /// Decides what went on as if it had come.
    fn again(&self, head: &Head, form: Option<&[u8]>) -> Result<Box<Permit>, Refusal> {
        let routed = fhir::route(head, &self.world.config.fhir)?;
        let Routed::Fhir(request) = routed else { panic!("not below the base any more") };
        let request = with_form(request, form.unwrap_or_default())?;
        self.decide(head, &request, form.unwrap_or_default())
    }
}

fn with_form(request: fhir::Request, body: &[u8]) -> Result<fhir::Request, Refusal> {
    if request.body == Body::Form { request.with_form(body) } else { Ok(request) }
}

/// The header fields after the changes.
fn edited(head: &Head, edits: &[Edit]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let headers = head.headers();
    let mut names: Vec<Vec<u8>> = headers.names().map(<[u8]>::to_vec).collect();
    names.sort();
    names.dedup();
    let mut fields = Vec::new();
    for name in names {
        let text = core::str::from_utf8(&name).unwrap_or_default();
        fields.extend(headers.all(text).map(|value| (name.clone(), value.to_vec())));
    }
    for edit in edits {
        let (Edit::Remove(name) | Edit::Set(name, _)) = edit;
        fields.retain(|(known, _)| known != name.as_bytes());
        if let Edit::Set(name, value) = edit {
            assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            fields.push((name.clone().into(), value.clone().into()));
        }
    }
    fields
}

/// Names and values of the query and, behind them, of the form.
fn params(head: &Head, form: Option<&[u8]>) -> Vec<(String, String)> {
    let form = form.map(|form| core::str::from_utf8(form).expect("a form that was judged"));
    let form = form.map(|form| Query::parse(form).expect("a form that was judged"));
    let all = head.query().params().iter().chain(form.iter().flat_map(|form| form.params()));
    all.map(|param| (param.name.clone(), param.value.clone())).collect()
}

/// Every criterion of before is there now, but for what shapes the answer.
fn keeps(before: &[(String, String)], now: &[(String, String)]) {
    let mut now = now.to_vec();
    for param in before.iter().filter(|(name, _)| name != "_elements" && name != "_summary") {
        let place = now.iter().position(|one| one == param);
        now.remove(place.unwrap_or_else(|| panic!("{param:?} is gone")));
    }
}

/// A search that is confined to a patient names the patient.
fn is_narrowed(permit: &Permit, interaction: &Interaction, head: &Head, form: Option<&[u8]>) {
    let (Some(patient), Interaction::SearchType(of)) = (permit.patient(), interaction) else {
        return;
    };
    if ["Observation", "Condition", "Encounter", "MedicationRequest"].contains(&of.name()) {
        let named = [format!("Patient/{}", patient.as_str()), patient.as_str().to_owned()];
        let names = |(name, value): &(String, String)| {
            (name == "patient" || name == "subject") && named.contains(value)
        };
        assert!(params(head, form).iter().any(names), "{:?} is not narrowed", head.raw_target());
        assert!(permit.expected().is_some(), "nobody judges the answer");
    }
}

/// What the FHIR server has.
pub(super) fn answer(number: usize) -> Result<HttpAnswer, CallFailed> {
    let of = |subject: &str| {
        json!({"resourceType": "Observation", "id": "1", "meta": {"versionId": "3"},
            "subject": {"reference": subject}})
    };
    let found = |entries: Vec<Value>| {
        let entries: Vec<Value> = entries
            .into_iter()
            .map(|resource| json!({"resource": resource, "search": {"mode": "match"}}))
            .collect();
        json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
    };
    let patient = json!({"resourceType": "Patient", "id": "P", "meta": {"versionId": "1"}});
    let (status, body) = match number % 8 {
        0 => (200, of("Patient/P")),
        1 => (200, of("Patient/A")),
        2 => (404, json!({})),
        3 => (200, found(vec![])),
        4 => (200, found(vec![of("Patient/P")])),
        5 => (200, found(vec![of("Patient/P"), of("Patient/A")])),
        6 => (200, patient),
        _ => return Err(CallFailed::NoAnswer),
    };
    Ok(HttpAnswer { status, etag: None, body: body.to_string().into_bytes() })
}

const CALLERS: [fn() -> Value; 5] = [
    || json!({"scope": "patient/*.cruds", "patient": "P"}),
    || json!({"scope": "patient/Observation.rs?category=vital-signs patient/Observation.u?code=x", "patient": "P"}),
    || json!({"scope": "user/*.cruds patient/*.rs", "patient": "P", "fhirUser": "Practitioner/7"}),
    || json!({"scope": "system/*.rs"}),
    || json!({"scope": "", "patient": "P"}),
];
