//! Where records and checkpoints go, and what is told of it.

use serde_json::{Value, json};

use super::*;
use crate::audit::{Decision, Origin, Outcome, What};
use crate::base::capabilities::Native;
use crate::base::time::UnixSeconds;
use crate::config::section::read_document;

fn at(millis: u64) -> Instant {
    Instant::from_seconds(UnixSeconds(1_000_000)).plus(Duration::from_millis(millis))
}

fn native() -> Native {
    let caps = Native::at(at(0));
    caps.set_environment("KEY", "a secret of at least 32 characters");
    caps
}

fn server(more: &Value) -> Value {
    let mut section = json!({"cluster": "logs", "url": "http://logs.clinic.example/v1"});
    section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    section
}

/// A trail with these sinks, each server with `more` settings.
fn trail(sinks: &[&str], more: &Value, caps: &Native) -> Trail {
    let mut document =
        json!({"sinks": sinks, "seal": {"key": "KEY", "key_id": "1", "every": "1s"}});
    for sink in ["collector", "fhir"] {
        if sinks.contains(&sink) {
            document[sink] = server(more);
        }
    }
    let (settings, errors) = read_document(&document, Settings::read);
    assert_eq!(errors, []);
    Trail::new(settings, InstanceId::draw(caps), None)
}

fn record(trail: &mut Trail, caps: &Native) -> Left {
    let mut left = Left::default();
    let id = trail.next_id();
    let event = Event {
        time: caps.now(),
        id,
        part_of: None,
        request_id: None,
        decision: Decision::Allow,
        observe: false,
        who: None,
        from: Origin::default(),
        what: What::default(),
        outcome: Outcome::default(),
        patients: Vec::new(),
        unread: false,
        scopes: Vec::new(),
        narrowed: Vec::new(),
        removed: None,
        revocation: None,
    };
    trail.record(&event, &mut left, caps);
    left
}

fn tally(trail: &Trail, sink: Sink) -> Tally {
    trail.tallies().find(|tally| tally.sink == sink).unwrap()
}

#[test]
fn records_and_checkpoints_go_where_there_is_a_place_for_them() {
    for (sinks, logged, accessed, checkpoints, collected, events) in [
        (&["log"][..], 1, 0, 1, 0, 0),
        (&["access_log"], 0, 1, 1, 0, 0),
        (&["collector"], 0, 0, 0, 2, 0),
        (&["fhir"], 0, 0, 1, 0, 1),
        (&["collector", "fhir"], 0, 0, 0, 2, 1),
        (&["access_log", "collector"], 0, 1, 1, 2, 0),
        (&["log", "access_log", "collector", "fhir"], 1, 1, 1, 2, 1),
    ] {
        let caps = native();
        let mut trail = trail(sinks, &json!({}), &caps);
        let _ = trail.due(&caps);
        let left = record(&mut trail, &caps);
        assert_eq!((left.log.len(), left.access_log.len()), (logged, accessed), "{sinks:?}");
        caps.set_now(at(1500));
        let (_, left, _) = trail.due(&caps);
        assert_eq!((left.log.len(), left.access_log.len()), (checkpoints, 0), "{sinks:?}");
        assert!(left.log.iter().all(|line| line.contains("phiward.audit.checkpoint/1")));
        let queued = |sink| {
            let found = trail.tallies().find(|tally| tally.sink == sink);
            found.map_or(0, |tally| tally.queue.queued)
        };
        assert_eq!((queued(Sink::Collector), queued(Sink::Fhir)), (collected, events), "{sinks:?}");
    }
}

#[test]
fn a_full_queue_spills_or_refuses() {
    let caps = native();
    let mut trail = trail(&["collector"], &json!({"queue_mib": 1}), &caps);
    trail.settings.when_full = WhenFull::Refuse;
    let mut spilled = 0;
    let mut refused = None;
    for count in 0..8000 {
        if let Err(refusal) = trail.admit(&caps) {
            refused.get_or_insert((count, refusal.reason.code, refusal.retry_after));
        }
        spilled += u64::try_from(record(&mut trail, &caps).log.len()).unwrap();
    }
    let (first, code, later) = refused.unwrap();
    assert_eq!((code, later), ("audit_full", Some(Duration::from_secs(1))));
    let tally = tally(&trail, Sink::Collector);
    assert_eq!((tally.spilled, tally.queue.queued), (spilled, 8000 - spilled));
    assert!(spilled > 0 && first < tally.queue.queued);
}

#[test]
fn what_is_left_at_the_end_is_counted_as_spilled() {
    let caps = native();
    let mut trail = trail(&["collector"], &json!({}), &caps);
    for _ in 0..3 {
        assert_eq!(record(&mut trail, &caps), Left::default());
    }
    assert_eq!(trail.end(&caps).log.len(), 4, "and the last checkpoint");
    assert_eq!(tally(&trail, Sink::Collector).spilled, 4);
}

#[test]
fn a_server_that_is_away_is_told_of_once_whichever_instance_finds_it_so() {
    let caps = native();
    let mut instances = [0, 1].map(|_| trail(&["collector"], &json!({}), &caps));
    let _ = record(&mut instances[0], &caps);
    let answer = |status| Ok(HttpAnswer { status, etag: None, body: Vec::new() });
    let mut told: Vec<String> = Vec::new();
    let mut senders = [0, 0];
    for half in 0..340 {
        caps.set_now(at(half * 500));
        for (instance, sent) in instances.iter_mut().zip(&mut senders) {
            for (batch, _) in instance.due(&caps).0 {
                *sent += 1;
                let status = if half < 200 { 503 } else { 200 };
                let (_, notice) = instance.answered(batch, &answer(status), &caps);
                told.extend(notice.map(|notice| notice.text));
            }
        }
    }
    assert!(senders.iter().all(|sent| (3..15).contains(sent)), "{senders:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("does not take records: status 503"), "{told:?}");
    assert!(told[1].contains("takes records again"), "{told:?}");
}
