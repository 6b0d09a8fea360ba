//! What deciding a request costs: a whole exchange of a client whose token is cached, from the header
//! fields to the permit and the audit line, compared with a plain request that is allowed as it came.
//! `make bench` runs it; it fails when a narrowed search costs more than [`MOST`] times that, or when a
//! signature is verified. Then the stages of the same requests, one by one.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "it fails so")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::disallowed_methods, reason = "the clock is what it measures by")]

mod client;
#[path = "../measured/mod.rs"]
mod measured;
mod stages;

use std::hint::black_box;
use std::process::ExitCode;

use client::Client;
use measured::{ROUNDS, Spread, once};

/// The most that a narrowed search may cost: so many plain requests, which take some six microseconds
/// each. On a busy machine both take longer.
const MOST: f64 = 2.0;

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
    println!("request                          µs   ±µs   more µs   ratio");
    let mut bound = f64::INFINITY;
    for (asked, time) in asked.iter().zip(&times) {
        let plain = || time.iter().zip(&times[0]);
        let more = Spread::of(plain().map(|(time, plain)| time - plain).collect()).median;
        let ratio = Spread::of(plain().map(|(time, plain)| time / plain).collect()).median;
        let Spread { median, around } = Spread::of(time.clone());
        println!("{:<28}{median:>7.2}{around:>6.2}{more:>10.2}{ratio:>8.2}", asked.name);
        if asked.name == BOUND {
            bound = ratio;
        }
    }
    println!("a narrowed search: ratio {bound:.2}, at most {MOST:.1}");
    println!("signatures verified: {learned} at first, {verified} while measured");
    stages::print(&asked);
    if bound > MOST || verified > 0 || learned == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
