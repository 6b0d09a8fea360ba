//! Bodies that wait take room, and give it back however their exchange ends.

use serde_json::{Value, json};

use super::super::testing::{Gateway, fields};
use super::super::{End, Event, Exchange, Next, Step};
use super::*;

const LONG: usize = 15 * 1024 * 1024;
const SHORT: usize = 1024 * 1024;

fn held(room: &Room) -> usize {
    room.0.get()
}

#[test]
fn room_is_taken_up_to_its_end_and_given_back() {
    let (room, mut one, mut other) = (Room::default(), None, None);
    assert!(room.take(&mut one, 60, 100).is_ok());
    assert!(room.take(&mut other, 40, 100).is_ok());
    assert_eq!(held(&room), 100);
    assert!(room.take(&mut one, 61, 100).is_err(), "more than there is");
    assert_eq!((held(&room), one.is_none()), (40, true), "what it had is given back");
    assert!(room.take(&mut other, 100, 100).is_ok(), "in place of what it had");
    assert_eq!(held(&room), 100);
    assert!(room.take(&mut one, 0, 100).is_ok() && one.is_none(), "nothing takes no room");
    assert!(room.take(&mut one, usize::MAX, usize::MAX - 1).is_err());
    drop(other);
    assert_eq!(held(&room), 0);
}

fn document() -> Value {
    let issuer = json!({
        "issuer": "https://auth.clinic.example",
        "audiences": ["https://api.clinic.example/fhir"],
        "jwks": {"cluster": "auth", "url": "https://auth.clinic.example/jwks", "refresh": "5m"},
    });
    json!({"fhir": {"base_path": "/fhir", "cluster": "fhir"}, "issuers": [issuer]})
}

/// An update with a body of so many bytes and some more, until it waits or was refused.
fn update(gateway: &mut Gateway, bytes: usize) -> (Exchange, Step) {
    let claims = json!({"scope": "patient/*.cruds", "patient": "123", "fhirUser": "Patient/123"});
    let bearer = gateway.bearer(claims);
    let head = fields(&[
        (":method", "PUT"),
        (":path", "/fhir/Observation/1"),
        (":authority", "api.clinic.example"),
        ("authorization", &bearer),
        ("content-type", "application/fhir+json"),
    ]);
    let note = "x".repeat(bytes);
    let resource = json!({"resourceType": "Observation", "id": "1", "status": "final",
        "subject": {"reference": "Patient/123"}, "note": [{"text": note}]});
    let mut exchange = Exchange::default();
    let head = Event::RequestHead { headers: head, end_of_stream: false };
    exchange.on(head, &mut gateway.worker, &gateway.caps);
    let body = Event::RequestBody { body: resource.to_string().into_bytes() };
    let step = exchange.on(body, &mut gateway.worker, &gateway.caps);
    (exchange, step)
}

fn reason(gateway: &mut Gateway, exchange: &mut Exchange) -> String {
    let lines = exchange.end(End::default(), &mut gateway.worker, &gateway.caps).log;
    let record: Value = serde_json::from_str(&lines.concat()).unwrap();
    record["reason"].as_str().unwrap().to_owned()
}

/// Sends bodies of 15 MB until one is refused, and gives those that wait.
fn fill(gateway: &mut Gateway) -> Vec<Exchange> {
    let mut waiting = Vec::new();
    loop {
        let (mut exchange, step) = update(gateway, LONG);
        if step.next == Next::Pause && step.effects.len() < 2 {
            waiting.push(exchange);
            assert!(waiting.len() < 100, "there is no end");
            continue;
        }
        assert_eq!(reason(gateway, &mut exchange), "held_enough");
        return waiting;
    }
}

#[test]
fn bodies_that_wait_for_a_lookup_are_held_up_to_the_end_of_the_room() {
    let mut gateway = Gateway::new(&document());
    let mut waiting = fill(&mut gateway);
    assert_eq!(waiting.len(), 8);
    assert!(held(&gateway.worker.room) <= MAX_HELD);
    let (short, step) = update(&mut gateway, SHORT);
    assert_eq!(step.effects.len(), 1, "for a small one there is room: it looks up");
    let answer = Err(crate::store::CallFailed::NoAnswer);
    let answered = Event::CallAnswered { answer };
    waiting[0].on(answered, &mut gateway.worker, &gateway.caps);
    assert_eq!(reason(&mut gateway, &mut waiting[0]), "probe_failed");
    let (again, step) = update(&mut gateway, LONG);
    assert_eq!(step.effects.len(), 1, "one was answered");
    drop((again, waiting, short));
    assert_eq!(held(&gateway.worker.room), 0, "clients that left");
}

#[test]
fn who_is_not_known_yet_has_half_of_the_room() {
    let mut gateway = Gateway::waiting(&document());
    let waiting = fill(&mut gateway);
    assert_eq!(waiting.len(), 4);
    assert!(held(&gateway.worker.room) <= MAX_HELD_UNPROVEN);
    drop(waiting);
    assert_eq!(held(&gateway.worker.room), 0);
}
