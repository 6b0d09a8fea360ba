//! What a list says, by its bits.

use super::super::statuses::{Found, Summary};
use super::*;
use proptest::prelude::*;

/// The statuses that a list with this `lst` gives, one after another, until it ends.
fn read(bits: u8, lst: &str) -> Vec<Result<Freshness, String>> {
    let mut scene = Scene::of(1, &settings());
    let claims = json!({"status_list": {"bits": bits, "lst": lst}});
    scene.checks(0, 0).unwrap_err();
    scene.serves(URI, &signed(bits, &[], claims)).settle();
    let statuses = (0..).map(|index| scene.checks(0, index));
    statuses.take_while(|status| *status != Err("token_status_unlisted".to_owned())).collect()
}

fn words(statuses: &[u8]) -> Vec<Result<Freshness, String>> {
    let word = |status: &u8| match status {
        0 => Ok(Freshness::Fresh),
        2 => Err("token_suspended".to_owned()),
        _ => Err("token_revoked".to_owned()),
    };
    statuses.iter().map(word).collect()
}

#[test]
fn the_vectors_of_the_draft_are_read_bit_by_bit() {
    let one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
    assert_eq!(read(1, "eNrbuRgAAhcBXQ"), words(&one));
    let two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
    assert_eq!(read(2, "eNo76fITAAPfAgc"), words(&two));
}

#[test]
fn statuses_of_four_and_eight_bits_are_read_whole() {
    let four = encode(compress_to_vec_zlib(&[0x20, 0xc1, 0x00], 6));
    assert_eq!(read(4, &four), words(&[0, 2, 1, 12, 0, 0]));
    let eight = encode(compress_to_vec_zlib(&[0, 1, 2, 3, 0x0c, 0x20, 255], 6));
    assert_eq!(read(8, &eight), words(&[0, 1, 2, 3, 12, 32, 255]));
}

#[test]
fn an_empty_list_has_no_status_for_anybody() {
    assert_eq!(read(1, &encode(compress_to_vec_zlib(&[], 6))), []);
}

#[test]
fn the_first_and_the_last_status_of_each_chunk_are_found() {
    let mut bytes = vec![0_u8; 10_000];
    for place in [0, 4095, 4096, 8191, 8192, 9999] {
        bytes[place] = 0b1000_0001;
    }
    let mut scene = Scene::of(1, &settings());
    scene.checks(0, 0).unwrap_err();
    scene.serves(URI, &list(1, &bytes)).settle();
    for (place, byte) in (0_u64..).zip(&bytes) {
        for bit in 0..8 {
            let expected = if byte >> bit & 1 == 1 {
                Err("token_revoked".into())
            } else {
                Ok(Freshness::Fresh)
            };
            assert_eq!(scene.checks(0, place * 8 + bit), expected, "{place} {bit}");
        }
    }
    assert_eq!(scene.checks(0, 80_000), Err("token_status_unlisted".into()));
    assert_eq!(scene.checks(0, u64::MAX), Err("token_status_unlisted".into()));
}

fn summary(side: u8, bits: u8, length: u64) -> Summary {
    Summary {
        identity: [7; 32],
        issued_at: UnixSeconds(5),
        good_until: Instant::from_nanoseconds(9),
        ttl: Some(Duration::from_secs(60)),
        side,
        bits,
        length,
        tag: [3; 16],
    }
}

#[test]
fn a_summary_of_no_list_is_not_read() {
    for broken in [summary(2, 1, 1), summary(0, 0, 1), summary(0, 3, 1), summary(1, 16, 1)] {
        assert_eq!(Summary::decode(&broken.encode()), None, "{broken:?}");
    }
    let good = summary(1, 2, 7).encode();
    assert_eq!(Summary::decode(&good), Some(summary(1, 2, 7)));
    assert_eq!(Summary::decode(&good[1..]), None);
    assert_eq!(Summary::decode(&[&good[..], &[0]].concat()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_status_is_that_of_its_place_and_there_is_none_beyond_the_end(
        bits in prop::sample::select(vec![1_u8, 2, 4, 8]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        beyond in any::<u64>(),
    ) {
        let mask = u8::MAX >> 8_u8.saturating_sub(bits);
        let statuses: Vec<u8> = bytes.iter()
            .flat_map(|byte| (0..8).step_by(bits.into()).map(move |shift| byte >> shift & mask))
            .collect();
        let lst = encode(compress_to_vec_zlib(&bytes, 6));
        prop_assert_eq!(read(bits, &lst), words(&statuses));
        let index = beyond.max(statuses.len() as u64);
        let feed = crate::store::Feed::new(crate::store::Source {
            name: String::new(), cluster: String::new(),
            url: crate::store::HttpUrl::read("http://a/").unwrap(),
            every: Duration::ZERO, timeout: Duration::ZERO, max_bytes: 0, accept: "",
        });
        let generation = Generation::draw(&Host::default());
        let found = super::super::statuses::look_up(
            index, &generation, &summary(0, bits, bytes.len() as u64), &feed, &Host::default());
        prop_assert_eq!(found, Ok(Found::Unlisted));
    }

    #[test]
    fn a_summary_of_others_never_panics(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Some(summary) = Summary::decode(&payload) {
            prop_assert_eq!(summary.encode(), payload);
            prop_assert!(summary.tokens() > 0 || summary.length == 0);
        }
    }

    #[test]
    fn whatever_is_packed_never_panics_nor_goes_beyond_the_limit(
        head in prop::sample::select(vec![vec![], vec![0x78, 0xda], vec![0x78, 0xbb, 0, 0, 0, 1]]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
        cut in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let mut packed = compress_to_vec_zlib(&rest, 6);
        let at = cut.index(packed.len());
        packed[at] ^= flip;
        for packed in [packed, [head, rest.clone()].concat()] {
            let mut scene = Scene::of(1, &with(json!({"max_bytes": 1024})));
            scene.checks(0, 0).unwrap_err();
            let claims = json!({"status_list": {"bits": 1, "lst": encode(&packed)}});
            scene.serves(URI, &signed(1, &[], claims)).settle();
            match scene.checks(0, 0) {
                Err(code) if code == "status_list_unavailable" => {}
                _ => prop_assert!(
                    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&packed, 1024).is_ok()),
            }
        }
    }
}
