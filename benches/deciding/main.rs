//! What deciding a request costs: a whole exchange of a client whose token is cached, from the header
//! fields to the permit and the audit line, compared with a plain request that is allowed as it came.
//! `make bench` runs it; it fails when a narrowed search costs more than [`MOST`] microseconds more
//! than that, or when a signature is verified.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it fails so")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::disallowed_methods, reason = "the clock is what it measures by")]

mod client;
#[path = "../measured/mod.rs"]
mod measured;

use std::hint::black_box;
use std::process::ExitCode;

use client::Client;
use measured::{ROUNDS, Spread, once};

/// The most that a search may cost more when it is narrowed, in microseconds.
const MOST: f64 = 10.0;

/// The search that is bound to that.
const BOUND: &str = "search, patient";

fn main() -> ExitCode {
    let mut client = Client::new();
    let asked = client::asked();
    asked.iter().for_each(|asked| client.learn(asked));
    let learned = client.verified();
    let headers: Vec<_> = asked.iter().map(client::Asked::headers).collect();
    let mut times = vec![Vec::new(); asked.len()];
    for _ in 0..ROUNDS {
        for (times, headers) in times.iter_mut().zip(&headers) {
            times.push(once(|| drop(black_box(client.send(headers)))));
        }
    }
    let verified = client.verified() - learned;
    println!("request                          µs   ±µs   more µs");
    let mut bound = f64::INFINITY;
    for (asked, time) in asked.iter().zip(&times) {
        let more = time.iter().zip(&times[0]).map(|(time, plain)| time - plain).collect();
        let (time, more) = (Spread::of(time.clone()), Spread::of(more).median);
        println!("{:<28}{:>7.2}{:>6.2}{more:>10.2}", asked.name, time.median, time.around);
        if asked.name == BOUND {
            bound = more;
        }
    }
    println!("a narrowed search: {bound:.2} µs more, at most {MOST:.1}");
    println!("signatures verified: {learned} at first, {verified} while measured");
    if bound > MOST || verified > 0 || learned == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
