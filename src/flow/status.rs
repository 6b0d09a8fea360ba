//! What operators can see: gauges of the sources and a line in the host's log once a minute, counters of
//! the audit trail.

use core::time::Duration;

use serde_json::{Value, json};

use crate::audit::Tally;
use crate::base::capabilities::Capabilities;
use crate::base::time::Instant;
use crate::store::lease::Lease;
use crate::store::{InstanceId, Status};

/// When this instance tells what.
#[derive(Debug)]
pub(super) struct Telling {
    lease: Option<Lease>,
    next: Instant,
}

/// What to tell now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Gauges: name and value. Whoever knows one of a configuration tells the same.
    pub gauges: Vec<(String, u64)>,
    /// What this instance counted since it began: name and number. The host adds up what all of them
    /// counted.
    pub counters: Vec<(String, u64)>,
    /// A line for the log, of one instance of all.
    pub line: Option<String>,
}

impl Telling {
    pub(super) const fn new() -> Telling {
        Telling { lease: None, next: Instant::from_nanoseconds(0) }
    }

    /// Whether it is time to tell again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let waits = now < self.next && self.next <= now.plus(EVERY);
        if !waits {
            self.next = now.plus(EVERY);
        }
        !waits
    }

    /// Tells of the sources.
    pub(super) fn tell(
        &mut self,
        instance: &InstanceId,
        statuses: &[Status],
        caps: &dyn Capabilities,
    ) -> Told {
        if statuses.is_empty() {
            return Told::default();
        }
        let lease = self.lease.get_or_insert_with(|| Lease::new(key(statuses), LINE_EVERY));
        let mine = lease.take(instance, LINE_EVERY, caps).unwrap_or_default();
        Told {
            gauges: statuses.iter().flat_map(gauges).collect(),
            line: mine.then(|| line(statuses)),
            ..Told::default()
        }
    }
}

impl Told {
    /// Tells of the audit trail as well.
    pub(super) fn add(&mut self, tally: &Tally) {
        let name = |what: &str| format!("phiward.audit.{}.{what}", tally.sink.word());
        let queue = &tally.queue;
        self.gauges.extend([(name("waiting"), queue.waiting), (name("slots"), queue.capacity)]);
        // While something waits only who sends knows since when.
        let oldest = queue.oldest.map(|age| age.as_secs()).or((queue.waiting == 0).then_some(0));
        self.gauges.extend(oldest.map(|age| (name("oldest_seconds"), age)));
        self.counters.extend([
            (name("queued"), queue.queued),
            (name("sent"), queue.sent),
            (name("retried"), queue.retried),
            (name("rejected"), queue.rejected),
            (name("spilled"), tally.spilled),
            (name("broken"), queue.broken),
        ]);
    }
}

fn gauges(status: &Status) -> [(String, u64); 3] {
    let name = |what: &str| format!("phiward.{}.{what}", status.metric);
    // A source that never answered is as old as can be: an alarm on age needs no second rule.
    let age = status.age.map_or(u64::from(u32::MAX), |age| age.as_secs());
    let entries = u64::try_from(status.entries).unwrap_or(u64::MAX);
    [
        (name("age_seconds"), age),
        (name("entries"), entries),
        (name("fresh"), u64::from(status.fresh)),
    ]
}

fn line(statuses: &[Status]) -> String {
    let sources: Vec<Value> = statuses.iter().map(of).collect();
    format!("phiward.status {}", json!({ "sources": sources }))
}

fn of(status: &Status) -> Value {
    let state = match (status.fresh, status.age) {
        (true, _) => "fresh",
        (false, Some(_)) => "stale",
        (false, None) => "missing",
    };
    json!({
        "source": status.source,
        "metric": status.metric,
        "state": state,
        "version": status.version,
        "age": status.age.map(|age| age.as_secs()),
        "entries": status.entries,
        "problem": status.problem,
    })
}

/// One for each set of sources: configurations with other sources tell of their own.
fn key(statuses: &[Status]) -> String {
    let mut hash = hmac_sha256::Hash::new();
    for status in statuses {
        hash.update(&status.source);
        hash.update([0]);
    }
    let short: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("phiward/{short}/status")
}

/// From one setting of the gauges to the next.
const EVERY: Duration = Duration::from_secs(5);
/// From one line to the next.
const LINE_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::config::Sink;
    use crate::audit::queue::Counters;
    use crate::base::capabilities::Native;
    use crate::base::time::UnixSeconds;

    fn status(age: Option<u64>, fresh: bool) -> Status {
        Status {
            source: "revocation list".to_owned(),
            metric: "revocation_list".to_owned(),
            version: Some("42".to_owned()),
            age: age.map(Duration::from_secs),
            entries: 7,
            fresh,
            problem: Some("status 500".to_owned()),
        }
    }

    #[test]
    fn one_instance_writes_the_line_and_each_sets_the_gauges() {
        let at = |second| Instant::from_seconds(UnixSeconds(second));
        let caps = Native::at(at(1_000));
        let one = (InstanceId::draw(&caps), Telling::new());
        let mut instances = [one, (InstanceId::draw(&caps), Telling::new())];
        let (mut lines, mut gauges) = (0, 0);
        for second in 1_000..1_120 {
            caps.set_now(at(second));
            for (instance, telling) in &mut instances {
                if !telling.is_due(caps.now()) {
                    continue;
                }
                let told = telling.tell(instance, &[status(Some(3), true)], &caps);
                lines += usize::from(told.line.is_some());
                gauges += told.gauges.len();
            }
        }
        assert_eq!((lines, gauges), (2, 2 * 24 * 3), "two minutes, two instances");
    }

    #[test]
    fn what_is_told_is_what_is_in_force() {
        let caps = Native::at(Instant::from_seconds(UnixSeconds(1_000)));
        let cases = [
            (Some(3), true, "fresh", 3),
            (Some(300), false, "stale", 300),
            (None, false, "missing", u64::from(u32::MAX)),
        ];
        for (number, (age, fresh, state, seconds)) in (0..).zip(cases) {
            caps.set_now(Instant::from_seconds(UnixSeconds(1_000 + 100 * number)));
            let told = Telling::new().tell(&InstanceId::draw(&caps), &[status(age, fresh)], &caps);
            let name = |what: &str| format!("phiward.revocation_list.{what}");
            let expected = [
                (name("age_seconds"), seconds),
                (name("entries"), 7),
                (name("fresh"), fresh.into()),
            ];
            assert_eq!(told.gauges, expected);
            let line = told.line.unwrap();
            let line: Value =
                serde_json::from_str(line.strip_prefix("phiward.status ").unwrap()).unwrap();
            let told = json!({"sources": [{
                "source": "revocation list", "metric": "revocation_list", "state": state, "version": "42",
                "age": age, "entries": 7, "problem": "status 500",
            }]});
            assert_eq!(line, told);
        }
    }

    #[test]
    fn without_sources_there_is_nothing_to_tell() {
        let caps = Native::at(Instant::from_seconds(UnixSeconds(1_000)));
        let told = Telling::new().tell(&InstanceId::draw(&caps), &[], &caps);
        assert_eq!(told, Told::default());
    }

    #[test]
    fn what_became_of_records_is_counted_and_only_who_knows_tells_how_old_they_are() {
        let queue = |waiting, oldest: Option<u64>| Counters {
            queued: 9,
            sent: 4,
            retried: 3,
            rejected: 2,
            broken: 1,
            waiting,
            capacity: 64,
            oldest: oldest.map(Duration::from_secs),
        };
        for (waiting, oldest, expected) in
            [(5, Some(7), Some(7)), (5, None, None), (0, None, Some(0))]
        {
            let mut told = Told::default();
            told.add(&Tally { sink: Sink::Fhir, queue: queue(waiting, oldest), spilled: 6 });
            let name = |what: &str| format!("phiward.audit.fhir.{what}");
            let mut gauges = vec![(name("waiting"), waiting), (name("slots"), 64)];
            gauges.extend(expected.map(|age| (name("oldest_seconds"), age)));
            assert_eq!(told.gauges, gauges);
            let counters = [
                ("queued", 9),
                ("sent", 4),
                ("retried", 3),
                ("rejected", 2),
                ("spilled", 6),
                ("broken", 1),
            ];
            assert_eq!(told.counters, counters.map(|(what, count)| (name(what), count)));
        }
    }
}
