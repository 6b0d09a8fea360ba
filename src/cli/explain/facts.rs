//! What a stage tells of its verdict. Never the token.

use core::time::Duration;

use serde_json::{Value, json};

use super::run::Proof;
use crate::base::refusal::{Reason, Refusal};
use crate::cli::gateway::{Answer, Outcome, resources};
use crate::cli::meanings;
use crate::cli::request::Request;
use crate::cli::time;
use crate::config::setting::Setting;
use crate::fhir::{Body, Id, Interaction, Release, Routed};
use crate::flow::{Reply, answer};
use crate::limits::{AdmittedToken, Applied, Settings};
use crate::policy::{
    Becomes, EntryPermit, Expected, Form, Narrowing, Permit, Precondition, Resolved,
};
use crate::request::Head;
use crate::token::Claims;

/// A name and what stands under it: a text or a list of texts.
pub(super) type Fact = (&'static str, Value);

/// A fact that is one text.
pub(super) fn text(name: &'static str, text: impl Into<String>) -> Fact {
    (name, Value::String(text.into()))
}

/// A fact that may not be there.
fn maybe(name: &'static str, value: Option<impl Into<String>>) -> Option<Fact> {
    value.map(|value| text(name, value))
}

/// A fact that is a list, left out when it is empty.
fn list(name: &'static str, items: Vec<String>) -> Option<Fact> {
    (!items.is_empty()).then(|| (name, json!(items)))
}

/// The request's head as it is read.
pub(super) fn of_head(head: &Head) -> Vec<Fact> {
    let parameters = head.query().params().iter();
    let parameters = parameters.map(|param| format!("{}={}", param.name, param.value)).collect();
    let facts = [text("method", head.method().name()), text("path", head.path())];
    facts.into_iter().chain(list("parameters", parameters)).collect()
}

/// What the request is in FHIR.
pub(super) fn of_interaction(routed: &Routed, release: Release) -> Vec<Fact> {
    let Routed::Fhir(request) = routed else {
        return vec![text("interaction", "none: a path of `fhir.passthrough`, not looked at")];
    };
    let interaction = &request.interaction;
    let id = interaction.id().map(Id::as_str);
    let compartment = interaction.compartment();
    let facts = [
        Some(text("interaction", kind(interaction))),
        Some(text("release", release.word())),
        maybe("type", interaction.resource_type().map(|resource| resource.name())),
        maybe("id", id),
        maybe("version", interaction.version().map(Id::as_str)),
        maybe("operation", interaction.operation()),
        maybe(
            "compartment",
            compartment.map(|(owner, id)| format!("{}/{}", owner.name(), id.as_str())),
        ),
        (request.body == Body::Form)
            .then(|| text("form", "its parameters count with those of the query")),
    ];
    facts.into_iter().flatten().collect()
}

/// The interaction's code, and whether it has conditions.
fn kind(interaction: &Interaction) -> String {
    let conditional = matches!(
        interaction,
        Interaction::ConditionalCreate(_)
            | Interaction::ConditionalUpdate(_)
            | Interaction::ConditionalPatch(_)
            | Interaction::ConditionalDelete(_)
            | Interaction::ConditionalDeleteSystem
    );
    let name = interaction.name();
    if conditional { format!("conditional {name}") } else { name.to_owned() }
}

/// Who calls, and how far that is proven.
pub(super) fn of_claims(claims: &Claims, proof: &Proof, would_ask: bool) -> Vec<Fact> {
    let filled_in = match proof {
        Proof::Claims { filled_in } if !filled_in.is_empty() => Some(filled_in.join(" ")),
        _ => None,
    };
    let expires = crate::base::time::Instant::from_seconds(claims.expires);
    let facts = [
        Some(text("proof", proof.words())),
        would_ask.then(|| text("introspection", "NOT ASKED: the gateway asks the issuer about it")),
        maybe("filled_in", filled_in),
        Some(text("issuer", &claims.issuer)),
        maybe("subject", claims.subject.as_deref()),
        maybe("client", claims.client.as_deref()),
        maybe("user", claims.user.as_deref()),
        maybe("patient", claims.patient.as_deref()),
        Some(text("scope", &claims.scope)),
        Some(text("expires", time::text(expires))),
    ];
    facts.into_iter().flatten().collect()
}

/// That the token is a bearer token.
pub(super) fn of_binding() -> Vec<Fact> {
    vec![text("holder", "whoever sends it: a bearer token")]
}

/// Where the token was looked up. `given`: whether a list was; `None`: none is configured.
pub(super) fn of_revocation(given: Option<bool>, has_status: bool, has_events: bool) -> Vec<Fact> {
    let told = match given {
        None => "none is configured: tokens are not looked up",
        Some(true) => "no entry of the list given matches",
        Some(false) => "NOT LOOKED UP: no list was given (`--revocations`)",
    };
    let status = "NOT LOOKED UP: status lists are not fetched here; taken for valid";
    let events = "NOT LOOKED UP: nobody is asked for events here; taken for none";
    let more =
        [has_status.then(|| text("status", status)), has_events.then(|| text("events", events))];
    [Some(text("list", told))].into_iter().chain(more).flatten().collect()
}

/// Which rule of `sessions` applies.
pub(super) fn of_sessions(settings: Option<&Settings>, token: &AdmittedToken) -> Vec<Fact> {
    let Some(settings) = settings else {
        return vec![text("session", "none is configured: it lasts as long as its tokens")];
    };
    let Applied { rule: Some(rule), place } = settings.applied(token.claims()) else {
        return vec![text("session", "no rule fits: it lasts as long as its tokens")];
    };
    let length = |length: Option<Duration>| {
        length.map(|length| length.json().as_str().unwrap_or_default().to_owned())
    };
    let facts = [
        Some(text(
            "session",
            format!("`sessions.rules[{place}]` fits; no other request of it is known"),
        )),
        maybe("ends_when_idle_for", length(rule.idle)),
        maybe("ends_after", length(rule.lifetime)),
    ];
    facts.into_iter().flatten().collect()
}

/// What the policy asked for before it decided.
pub(super) fn of_asked(body: bool, looked_up: Vec<String>) -> Vec<Fact> {
    let body = body.then(|| text("body", "held and judged"));
    body.into_iter().chain(list("looked_up", looked_up)).collect()
}

/// What allowed the request, and what must hold for it. `body` is that of the request.
pub(super) fn of_permit(permit: &Permit, body: &[u8]) -> Vec<Fact> {
    let confined = permit.patient().map(|patient| format!("Patient/{}", patient.as_str()));
    let facts = [
        maybe("allowed_by", permit.allowed_by()),
        Some(text("confined_to", confined.as_deref().unwrap_or("no patient"))),
    ];
    let strict = permit
        .strict_handling()
        .then(|| text("handling", "the server must refuse parameters it doesn't know"));
    let answer = text("answer", permit.expected().map_or("not looked at".to_owned(), expectation));
    let facts = facts.into_iter().flatten().chain(of_changes(permit)).chain(strict);
    facts.chain(list("entries", entries(permit, body))).chain([answer]).collect()
}

/// What makes the request fit what was judged.
fn of_changes(permit: &Permit) -> Vec<Fact> {
    let criteria = |all: &[Narrowing]| {
        all.iter().map(|one| format!("{}={}", one.name, one.value)).collect::<Vec<_>>()
    };
    let compartment = permit.compartment().zip(permit.patient());
    let compartment =
        compartment.map(|(of, patient)| format!("Patient/{}/{}", patient.as_str(), of.name()));
    let holds = permit.precondition().map(|precondition| match precondition {
        Precondition::Unchanged(tag) => format!("If-Match: {tag}"),
        Precondition::Absent => "If-None-Match: *".to_owned(),
    });
    let facts = [
        maybe("searched_in", compartment),
        list("narrowed_by", criteria(permit.narrowing())),
        maybe("criteria_mean", permit.resolved().map(meaning)),
        maybe("written_only_if", holds),
    ];
    facts.into_iter().flatten().collect()
}

/// What the criteria of a conditional write turned out to mean.
fn meaning(resolved: &Resolved) -> String {
    match &resolved.becomes {
        Becomes::Known { id, .. } => {
            format!("{}/{}: written by its id", resolved.by.resource.name(), id.as_str())
        }
        Becomes::New(Some(condition)) => format!("a create, If-None-Exist: {condition}"),
        Becomes::New(None) => "a create, without If-None-Exist".to_owned(),
    }
}

/// Each entry of a Bundle and what is decided of it.
fn entries(permit: &Permit, body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let method = |index: usize| {
        let method = body.pointer(&format!("/entry/{index}/request/method"));
        method.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let line = |(index, entry): (usize, &EntryPermit)| {
        let facts = of_permit(&entry.permit, &[]);
        let facts = facts.into_iter().map(|(name, value)| format!("{name}: {}", one_line(&value)));
        let facts = facts.collect::<Vec<_>>().join("; ");
        format!("{index} {} {}: {facts}", method(index), entry.url)
    };
    permit.entries().iter().enumerate().map(line).collect()
}

fn one_line(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match value {
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(" and "),
        one => text(one),
    }
}

/// What the answer is judged by.
fn expectation(expected: &Expected) -> String {
    let Expected { form, proving, counted, .. } = expected;
    let form = match form {
        Form::Resource(of) => format!("one {}", of.name()),
        Form::History(of) => format!("versions of {}", of.name()),
        Form::Searchset(Some(of)) => format!("a searchset of {}", of.name()),
        Form::Searchset(None) => "a searchset of any types".to_owned(),
        Form::Collection => "a Bundle of resources that belong together".to_owned(),
        Form::Result => "what the operation gives".to_owned(),
        Form::Written(of) => format!("nothing, an outcome or the {} as it now is", of.name()),
        Form::Batch(entries) => format!("the answers to {} entries", entries.len()),
    };
    let proven = match proving.is_empty() {
        true => String::new(),
        false => format!(", proven by `{}`", proving.join("`, `")),
    };
    let total = match (&expected.form, counted) {
        (Form::Searchset(_), true) => "; its `total` stays while nothing is removed",
        (Form::Searchset(_), false) => "; without its `total`",
        _ => "",
    };
    format!("held and judged: {form}{proven}{total}")
}

/// What goes on to the FHIR server, as far as it differs from what came.
pub(super) fn of_sent(request: &Request, outcome: &Outcome) -> Vec<Fact> {
    let Some(sent) = &outcome.sent else { return Vec::new() };
    let method = (sent.method != request.method).then_some(sent.method.as_str());
    let target = (sent.target != request.target).then_some(sent.target.as_str());
    let is_new = |(name, value): &&(String, String)| request.all(name).next() != Some(value);
    let set = sent.headers.iter().filter(is_new);
    let set = set.map(|(name, value)| format!("{name}: {value}")).collect();
    let mut removed: Vec<String> = request.headers.iter().map(|(name, _)| name.clone()).collect();
    removed.retain(|name| sent.all(name).next().is_none());
    removed.dedup();
    let body = (sent.body != request.body).then(|| String::from_utf8_lossy(&sent.body));
    let facts = [
        maybe("method", method),
        Some(text("target", target.unwrap_or("as it came"))),
        list("headers_set", set),
        list("headers_removed", removed),
        maybe("body", body),
        outcome.would().map(|_| text("mode", "observe: nothing but this is changed or refused")),
    ];
    facts.into_iter().flatten().collect()
}

/// Why a stage refuses, and what the client sees of that.
pub(super) fn of_refusal(refusal: &Refusal) -> Vec<Fact> {
    let reason: &Reason = refusal.reason;
    let reply = answer::refused(refusal, None);
    let facts = [
        Some(text("reason", reason.code)),
        maybe("meaning", meanings::of(reason.code)),
        maybe("at", refusal.hint.as_deref()),
        maybe("scope_that_would_do", refusal.scope.as_deref()),
    ];
    facts.into_iter().flatten().chain(of_reply(&reply)).collect()
}

/// Why the exchange as a whole refuses.
pub(super) fn of_outcome(outcome: &Outcome) -> Vec<Fact> {
    let reason = outcome.reason();
    let facts = [Some(text("reason", reason)), maybe("meaning", meanings::of(reason))];
    let reply = outcome.reply.as_ref().map(of_reply);
    facts.into_iter().flatten().chain(reply.into_iter().flatten()).collect()
}

/// What the client reads.
fn of_reply(reply: &Reply) -> Vec<Fact> {
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let details = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let fields = reply.headers.iter().filter(|(name, _)| !EVERY_REPLY.contains(name));
    let facts = [
        Some(text("status", reply.status.to_string())),
        Some(text("client_code", details("/issue/0/details/coding/0/code"))),
        Some(text("client_text", details("/issue/0/details/text"))),
        list("client_headers", fields.map(|(name, value)| format!("{name}: {value}")).collect()),
    ];
    facts.into_iter().flatten().collect()
}

/// What the client sees of the FHIR server's answer.
pub(super) fn of_answer(answer: &Answer, outcome: &Outcome) -> Vec<Fact> {
    let Some((status, body)) = &outcome.shown else { return Vec::new() };
    let shown = if *body == answer.body { "as it came" } else { "changed" };
    let removed = outcome.removed();
    let facts = [
        Some(text("status", status.to_string())),
        Some(text("body", shown)),
        (removed > 0).then(|| text("removed", removed.to_string())),
        list("resources", resources(body)),
    ];
    facts.into_iter().flatten().collect()
}

/// Header fields that say nothing about the reason.
const EVERY_REPLY: [&str; 2] = ["content-type", "cache-control"];
