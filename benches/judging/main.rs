//! What judging an answer costs, compared with one plain parse of its body by serde_json into values
//! that borrow its texts. `make bench` runs it; it fails when judging costs more than [`MOST`] times
//! the parse.
#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "it fails so")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::disallowed_methods, reason = "the clock is what it measures by")]

mod judged;
#[path = "../measured/mod.rs"]
mod measured;
mod parsed;
mod records;

use std::hint::black_box;
use std::process::ExitCode;

use judged::Judged;
use measured::{ROUNDS, Spread, once};
use parsed::Parsed;
use phiward::response::Verdict;

/// The most that judging may cost: so many plain parses.
const MOST: f64 = 2.0;

fn main() -> ExitCode {
    println!(
        "answer                       bytes    parse µs  ±%     judge µs  ±%   ratio  removed"
    );
    let mut worst: f64 = 0.0;
    for answer in records::answers() {
        let judged = Judged::new(&answer);
        let text = answer.body.as_bytes();
        let removed = match judged.verdict(text) {
            Verdict::Whole => 0,
            Verdict::Replace { removed, .. } => removed,
            Verdict::Refuse(refusal) => panic!("{}: {refusal:?}", answer.name),
        };
        let (mut parse, mut judge, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            parse.push(once(|| {
                drop(black_box(serde_json::from_slice::<Parsed<'_>>(text).unwrap()))
            }));
            judge.push(once(|| drop(black_box(judged.verdict(text)))));
            ratios.push(judge[judge.len() - 1] / parse[parse.len() - 1]);
        }
        let (parse, judge, ratio) = (Spread::of(parse), Spread::of(judge), Spread::of(ratios));
        worst = worst.max(ratio.median);
        println!(
            "{:<24}{:>10}{:>12.1}{:>4.0}{:>13.1}{:>4.0}{:>8.2}{removed:>9}",
            answer.name,
            text.len(),
            parse.median,
            parse.around / parse.median * 100.0,
            judge.median,
            judge.around / judge.median * 100.0,
            ratio.median,
        );
    }
    println!("worst ratio {worst:.2}, at most {MOST:.1}");
    if worst > MOST { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
