//! Real threads, as Envoy's workers are.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::world::settings;
use crate::audit::queue::*;
use crate::base::capabilities::{HostSignature, HostVerdict, Shared, Written};
use crate::base::time::UnixSeconds;

/// A host that many threads use at once: one lock, held for one call. Its clock goes on a
/// microsecond with every call.
#[derive(Default)]
struct Workers {
    shared: Mutex<HashMap<String, Shared>>,
    stamps: AtomicU32,
    calls: AtomicU32,
}

impl Capabilities for Workers {
    fn now(&self) -> Instant {
        let calls = self.calls.load(Ordering::Relaxed);
        let start = Instant::from_seconds(UnixSeconds(1_000));
        start.plus(Duration::from_micros(calls.into()))
    }

    fn random(&self) -> [u8; 16] {
        u128::from(self.calls.fetch_add(1, Ordering::Relaxed) + 1).to_be_bytes()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostFailed> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(self.shared.lock().unwrap().get(key).cloned())
    }

    fn set_shared(
        &self,
        key: &str,
        value: &[u8],
        stamp: Option<u32>,
    ) -> Result<Written, HostFailed> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut shared = self.shared.lock().unwrap();
        if let (Some(stamp), Some(known)) = (stamp, shared.get(key))
            && known.stamp != stamp
        {
            return Ok(Written::Raced);
        }
        let stamp = self.stamps.fetch_add(1, Ordering::Relaxed) + 1;
        shared.insert(key.to_owned(), Shared { value: value.to_vec(), stamp });
        Ok(Written::Done)
    }

    fn verify_signature(&self, _: &HostSignature<'_>) -> HostVerdict {
        HostVerdict::Unavailable
    }
}

/// One worker: stores lines as long as the ring has room, ticks, and sends what it is given.
fn work(thread: usize, lines: usize, caps: &Workers, sent: &Mutex<Vec<String>>) -> usize {
    let mut queue = Queue::new(QueueSettings { every: Duration::from_millis(1), ..settings() });
    let instance = InstanceId::draw(caps);
    let mut full = 0;
    for line in 0..lines {
        let line = format!("{thread}-{line}-{}", "x".repeat(line % 2_000));
        while queue.push(&line, &instance, caps) != Stored::Done {
            full += 1;
            tick(&mut queue, &instance, caps, sent);
        }
        if queue.counters().queued.is_multiple_of(20) {
            tick(&mut queue, &instance, caps, sent);
        }
    }
    while queue.counters().waiting > 0 {
        tick(&mut queue, &instance, caps, sent);
    }
    full
}

fn tick(queue: &mut Queue, instance: &InstanceId, caps: &Workers, sent: &Mutex<Vec<String>>) {
    std::thread::yield_now();
    for batch in queue.due(instance, caps) {
        sent.lock().unwrap().extend(batch.lines().map(str::to_owned));
        queue.sent(batch.id(), caps);
    }
}

#[test]
fn workers_that_store_and_send_at_once_lose_nothing_and_send_nothing_twice() {
    const THREADS: usize = 4;
    const LINES: usize = 1_000;
    let (caps, sent, full) = (Workers::default(), Mutex::default(), AtomicUsize::default());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (caps, sent, full) = (&caps, &sent, &full);
            scope.spawn(move || {
                full.fetch_add(work(thread, LINES, caps, sent), Ordering::Relaxed);
            });
        }
    });
    let sent = sent.into_inner().unwrap();
    let different: HashSet<&String> = sent.iter().collect();
    assert_eq!(different.len(), THREADS * LINES);
    println!("{} lines, {} times the ring was full", sent.len(), full.into_inner());
    assert_eq!(sent.len(), THREADS * LINES, "twice");
}
