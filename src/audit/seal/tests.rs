//! Seals as they are written, against values made by other means, and what each of them binds.

use hmac_sha256::HMAC;
use proptest::prelude::*;

use super::*;
use crate::base::json::parse;
use crate::base::testing::violations;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

const LINE: &str = r#"{"schema":"phiward.audit/1","id":"00000000000000ff-1"}"#;

fn sealer() -> Sealer {
    Sealer::new(SECRET, "2026-11")
}

fn tag(line: &str) -> String {
    parse(line.as_bytes()).unwrap()["seal"]["tag"].as_str().unwrap().to_owned()
}

#[test]
fn a_line_is_sealed_by_hmac_sha_256_with_a_key_derived_as_documented() {
    let root = HMAC::mac(SECRET, "phiward.audit.seal/1");
    let key = HMAC::mac(b"records:2026-11\x01", root);
    let mac = HMAC::mac(LINE, key);
    let expected = format!(
        "{},\"seal\":{{\"key\":\"2026-11\",\"tag\":\"{}\"}}}}",
        LINE.strip_suffix('}').unwrap(),
        URL_SAFE_NO_PAD.encode(&mac[..16])
    );
    assert_eq!(sealer().seal(LINE.to_owned()), expected);
}

#[test]
fn a_checkpoint_is_as_documented_and_stands_for_every_record_before_it() {
    let mut sealer = sealer();
    let lines = [LINE.to_owned(), LINE.replace("-1", "-2")];
    let mut head = [0; 32];
    for line in lines {
        let sealed = sealer.seal(line);
        let tag = URL_SAFE_NO_PAD.decode(tag(&sealed)).unwrap();
        head = Hash::hash(&[&head[..], &tag].concat());
    }
    let time = Instant::from_nanoseconds(1_790_000_000_250_000_000);
    let head = URL_SAFE_NO_PAD.encode(head);
    for (last, written) in [(false, ""), (true, ",\"last\":true")] {
        let body = format!(
            "{{\"schema\":\"phiward.audit.checkpoint/1\",\"time\":\"2026-09-21T14:13:20.250Z\",\
             \"stream\":\"00000000000000ff\",\"count\":2,\"head\":\"{head}\"{written}"
        );
        let root = HMAC::mac(SECRET, "phiward.audit.seal/1");
        let mac = HMAC::mac(format!("{body}}}"), HMAC::mac(b"checkpoints:2026-11\x01", root));
        let tag = URL_SAFE_NO_PAD.encode(&mac[..16]);
        let expected = format!("{body},\"seal\":{{\"key\":\"2026-11\",\"tag\":\"{tag}\"}}}}");
        assert_eq!(sealer.checkpoint(0xff, 2, time, last), expected);
        let schema = include_bytes!("../../../docs/audit-checkpoint.schema.json");
        let (schema, line) = (parse(schema).unwrap(), parse(expected.as_bytes()).unwrap());
        assert_eq!(violations(&schema, &line), Vec::<String>::new(), "{expected}");
    }
}

#[test]
fn another_secret_another_key_id_and_another_purpose_give_other_tags() {
    let mut tags = vec![
        tag(&sealer().seal(LINE.to_owned())),
        tag(&Sealer::new(SECRET, "2026-12").seal(LINE.to_owned())),
        tag(&Sealer::new(&[7; 32], "2026-11").seal(LINE.to_owned())),
        URL_SAFE_NO_PAD.encode(Keys::derive(SECRET, "2026-11").checkpoints.tag(LINE.as_bytes()).0),
        // Only the ids differ in where the purpose ends.
        tag(&Sealer::new(SECRET, ":2026-11").seal(LINE.to_owned())),
    ];
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5);
}

#[test]
fn a_secret_longer_than_a_block_counts_whole() {
    let long = [b'k'; 200];
    let mut other = long;
    other[199] = b'x';
    let tags = [long, other].map(|secret| tag(&Sealer::new(&secret, "a").seal(LINE.to_owned())));
    assert_ne!(tags[0], tags[1]);
}

#[test]
fn a_key_id_can_not_break_the_line() {
    let line = Sealer::new(SECRET, "a\",\"x\":\"\\").seal(LINE.to_owned());
    let read = parse(line.as_bytes()).unwrap();
    assert_eq!(read["seal"]["key"], "a\",\"x\":\"\\");
    assert_eq!(read.as_object().unwrap().len(), 3);
}

#[test]
fn debug_names_no_key() {
    assert_eq!(format!("{:?}", sealer()), "Sealer { .. }");
}

proptest! {
    #[test]
    fn tags_and_heads_read_back_and_nothing_else_does(bytes: [u8; 32], text in ".{0,50}") {
        let head = Head(bytes);
        prop_assert_eq!(Head::parse(&head.text()), Some(head));
        prop_assert_eq!(Tag::parse(&head.text()), None);
        if let Some(tag) = Tag::parse(&text) {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(tag.0), text);
        }
    }
}
