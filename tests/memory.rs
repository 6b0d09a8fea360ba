//! Judging an answer takes little memory besides the answer, also when it is one huge resource: the
//! body, the body that replaces it, and what is being judged fit in three times its size.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::arithmetic_side_effects, clippy::cast_precision_loss, reason = "small numbers")]

#[path = "../benches/judging/judged.rs"]
mod judged;
#[path = "../benches/judging/records.rs"]
mod records;

use judged::Judged;
use peak_alloc::PeakAlloc;
use phiward::fhir::Release;
use phiward::response::Verdict;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[test]
fn judging_takes_at_most_three_times_the_body() {
    // The release's tables are read once and stay, so they do not count.
    assert!(!Release::R4.types().is_empty());
    let mut replaced = 0;
    for answer in records::answers() {
        // The body comes as one vector; what was there before it does not count.
        let before = MEMORY.current_usage() - answer.body.len();
        let judged = Judged::new(&answer);
        MEMORY.reset_peak_usage();
        let verdict = judged.verdict(answer.body.as_bytes());
        let peak = MEMORY.peak_usage() - before;
        assert!(!matches!(verdict, Verdict::Refuse(_)), "{}: {verdict:?}", answer.name);
        replaced += usize::from(matches!(verdict, Verdict::Replace { .. }));
        let (bytes, times) = (answer.body.len(), peak as f64 / answer.body.len() as f64);
        println!("{:<24}{bytes:>10} bytes {times:>6.2} times", answer.name);
        // Small answers: a token's scopes and a few names weigh more than the body.
        assert!(peak <= bytes * 3 + 8_192, "{}: {bytes} bytes took {peak}", answer.name);
    }
    assert!(replaced >= 3, "answers of which something was removed are among them");
}
