//! What a revocation list costs: memory by entry, loading, one slice of it, a lookup, and loading what
//! changed. Natively, with shared data in a map. `make bench` runs it; it fails when an entry takes more
//! than [`MOST_BYTES`], or slices more than [`MOST_SLICE`].
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "it fails so")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

mod host;
mod server;

use std::process::ExitCode;

use host::{Clock, Counting};
use phiward::base::notice::Notice;
use phiward::binding::{self, BoundToken};
use phiward::config;
use phiward::revocation::{Checked, Revocation, check};
use phiward::store::InstanceId;
use phiward::token::{self, Keys};
use serde_json::json;
use server::Server;

/// The most that an entry may take in shared data, keys and all.
const MOST_BYTES: f64 = 16.0;

/// The most that a slice may take, in milliseconds. One in four may be interrupted by whatever else
/// the machine does: by how much the table says.
const MOST_SLICE: f64 = 5.0;

const SIZES: [u64; 4] = [0, 10_000, 1_000_000, 10_000_000];
const LOOKUPS: u32 = 20_000;

fn main() -> ExitCode {
    println!(
        "entries      bytes/entry  values   load ms  slices  50 % ms  95 % ms  longest  lookup µs  again µs  \
         1 % changed ms  longest"
    );
    let mut good = true;
    for entries in SIZES {
        let row = Row::measure(entries);
        let (load, lookup, change) = (&row.load, row.lookup, &row.change);
        println!(
            "{entries:<12}{:>12.2}{:>8}{:>10.0}{:>8}{:>9.2}{:>9.2}{:>9.2}{:>11.2}{:>10.2}{:>16.0}{:>9.2}",
            row.bytes,
            row.values,
            load.sum(),
            load.slices.len(),
            load.percentile(50),
            load.percentile(95),
            load.percentile(100),
            lookup.0,
            lookup.1,
            change.sum(),
            change.percentile(100),
        );
        let large = entries > 100_000;
        good &= !large || row.bytes <= MOST_BYTES;
        good &= load.percentile(75) <= MOST_SLICE && change.percentile(75) <= MOST_SLICE;
    }
    println!("at most {MOST_BYTES} bytes an entry, slices of at most {MOST_SLICE} ms");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one size of list costs.
struct Row {
    bytes: f64,
    values: usize,
    load: Slices,
    lookup: (f64, f64),
    change: Slices,
}

impl Row {
    fn measure(entries: u64) -> Row {
        let caps = Counting::default();
        let mut list = Listed::new(&caps);
        let mut server = Server::of(entries);
        let load = list.pull(&server, &caps);
        let (bytes, values) = caps.held();
        let lookup = list.look_up(&server, &caps);
        server.change();
        caps.clock.pass(10);
        let change = list.pull(&server, &caps);
        assert!(list.revokes(&server.added(), &caps), "what was added revokes");
        Row { bytes: bytes as f64 / entries.max(1) as f64, values, load, lookup, change }
    }
}

/// Whether nothing went wrong.
fn is_good(notice: Option<&Notice>) -> bool {
    notice.is_none_or(|notice| notice.level == log::Level::Info)
}

/// Milliseconds of each slice.
#[derive(Default)]
struct Slices {
    slices: Vec<f64>,
}

impl Slices {
    fn sum(&self) -> f64 {
        self.slices.iter().sum()
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.slices.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len() * percent / 100).min(sorted.len() - 1)).copied().unwrap()
    }
}

/// One instance with a list.
struct Listed {
    instance: InstanceId,
    revocation: Revocation,
    configuration: config::Configuration,
}

impl Listed {
    fn new(caps: &Counting) -> Listed {
        let configuration = config::from_document(&json!({
            "fhir": {"base_path": "/fhir"},
            "issuers": [{
                "issuer": server::ISSUER, "audiences": ["https://api.example/fhir"],
                "jwks": {"inline": server::keys()},
            }],
            "revocation": {"cluster": "lists", "url": "http://lists/v1", "every": "5s"},
        }));
        let configuration = configuration.unwrap_or_else(|errors| panic!("{errors:?}"));
        let revocation = Revocation::new(configuration.revocation.clone(), &configuration.issuers);
        Listed { instance: InstanceId::draw(caps), revocation, configuration }
    }

    /// Ticks until the list is in force and all is done: what each slice took.
    fn pull(&mut self, server: &Server, caps: &Counting) -> Slices {
        let mut slices = Slices::default();
        let keys = Keys::new(&self.configuration.issuers);
        let mut take = |start: Clock| slices.slices.push(start.milliseconds());
        let mut begun = false;
        loop {
            let start = Clock::start();
            self.revocation.refresh(caps);
            self.work(&keys, caps);
            take(start);
            let calls = self.revocation.due(&self.instance, caps);
            if begun && calls.is_empty() && !self.revocation.busy() {
                return slices;
            }
            begun = true;
            for (which, call) in calls {
                let answer = server.answer(&call.path);
                let start = Clock::start();
                // A worker goes on with it in the same callback.
                let notice = self.revocation.answered(which, Ok(answer), caps);
                self.work(&keys, caps);
                self.revocation.refresh(caps);
                take(start);
                assert!(is_good(notice.as_ref()), "{notice:?}");
            }
        }
    }

    fn work(&mut self, keys: &Keys, caps: &Counting) {
        let notices = self.revocation.work(&self.configuration.issuers, keys, caps);
        assert!(notices.iter().all(|notice| is_good(Some(notice))), "{notices:?}");
    }

    /// Microseconds of a first lookup, and of one after which nothing changed.
    fn look_up(&mut self, server: &Server, caps: &Counting) -> (f64, f64) {
        assert!(!self.revokes("not-listed", caps));
        if let Some(jti) = server.listed() {
            assert!(self.revokes(&jti, caps), "{jti} is listed");
        }
        let tokens: Vec<BoundToken> =
            (0..100).map(|number| self.token(&format!("token-{number}"), caps)).collect();
        let mut measure = |keep: bool| {
            let mut checked = vec![Checked::default(); tokens.len()];
            let start = Clock::start();
            for number in 0..LOOKUPS {
                let place = number as usize % tokens.len();
                if !keep {
                    checked[place] = Checked::default();
                }
                let token = tokens[place].clone();
                assert!(check(token, &mut self.revocation, &mut checked[place], caps).is_ok());
            }
            start.milliseconds() * 1000.0 / f64::from(LOOKUPS)
        };
        (measure(false), measure(true))
    }

    fn revokes(&mut self, jti: &str, caps: &Counting) -> bool {
        let token = self.token(jti, caps);
        check(token, &mut self.revocation, &mut Checked::default(), caps).is_err()
    }

    /// A token, whose signature the host takes for good.
    fn token(&self, jti: &str, caps: &Counting) -> BoundToken {
        let keys = Keys::new(&self.configuration.issuers);
        let header = format!("Bearer {}", server::token(jti));
        let raw = token::extract([header.as_bytes()].into_iter()).unwrap();
        let verified = token::verify(
            &raw,
            &self.configuration.issuers,
            &keys,
            &mut token::Introspection::default(),
            caps,
        );
        binding::bind(verified.unwrap_or_else(|rejected| panic!("{:?}", rejected.refusal))).unwrap()
    }
}
