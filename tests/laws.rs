//! The laws of the fuzz targets (`fuzz/`), without a fuzzer: for every seed, for seeds that were damaged and
//! for random bytes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a law fails by panicking"
)]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "places are within")]

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of another package")]
mod laws;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

fn target(name: &str) -> laws::Target {
    laws::TARGETS.iter().find(|(known, _)| *known == name).unwrap().1
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_seed_of_every_target_keeps_the_laws() {
    for (name, check) in laws::TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() > 2, "{name} has {} seeds", seeds.len());
        seeds.iter().for_each(|seed| check(seed));
    }
}

#[test]
fn every_target_has_its_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut programs: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    programs.sort();
    let names: Vec<_> =
        programs.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, laws::TARGETS.map(|(name, _)| name));
}

/// A seed with some bytes changed, taken out or put in.
fn damaged(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seed = prop::sample::select(seeds(name));
    let changes = prop::collection::vec((any::<Index>(), any::<u8>(), 0..3_u8), 0..6);
    (seed, changes).prop_map(|(mut seed, changes)| {
        for (at, byte, what) in changes {
            let at = at.index(seed.len() + 1);
            match what {
                0 if at < seed.len() => seed[at] = byte,
                1 if at < seed.len() => drop(seed.remove(at)),
                _ => seed.insert(at, byte),
            }
        }
        seed
    })
}

macro_rules! laws {
    ($($(#[$doc:meta])* $test:ident: $target:literal, $cases:literal;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $test() {
            let check = target($target);
            let random = prop::collection::vec(any::<u8>(), 0..120);
            let any = prop_oneof![3 => damaged($target), 1 => random];
            proptest!(ProptestConfig::with_cases($cases), |(bytes in any)| check(&bytes));
        }
    )*};
}

laws! {
    /// In any order of events nothing goes on without a permit or after a refusal, and each exchange ends in
    /// one audit event.
    events_in_any_order_forward_nothing_refused_and_end_in_one_record: "flow", 3000;
    more_scope_never_means_less_access: "scopes", 600;
    what_goes_on_asks_for_no_more_than_what_came: "decision", 1500;
    nothing_of_other_patients_comes_back: "answer", 600;
    a_token_is_taken_only_when_it_was_signed_for_us_and_now: "token", 600;
    claims_are_taken_only_when_they_are_for_us_and_now: "claims", 600;
    an_encrypted_token_that_was_changed_is_not_opened: "jwe", 60;
    a_key_set_that_cant_be_used_leaves_the_last_one_in_force: "jwks", 300;
    only_a_plain_yes_of_the_issuer_is_one: "introspection", 300;
    a_list_revokes_what_it_names_however_its_work_is_cut: "list", 300;
    a_status_list_says_the_same_however_its_work_is_cut: "status_list", 300;
    what_nobody_signed_revokes_nothing: "events", 300;
    a_target_that_is_accepted_has_one_reading: "target", 1000;
    parameters_read_again_are_the_same: "query", 600;
    all_readers_of_json_agree: "json", 600;
    whose_a_resource_is_is_told_alike: "written", 600;
    a_patch_hides_no_place: "patch", 600;
    a_batch_that_is_not_changed_stays_the_same: "batch", 600;
    a_file_is_sifted_alike_however_it_is_cut: "file", 600;
    headers_of_answers_and_urls_are_read_or_refused: "http", 600;
    the_same_configuration_is_always_judged_alike: "config", 300;
    a_changed_trail_is_not_called_whole: "audit", 300;
}
