//! A good trail, and what an attacker does to it: each time the record is named.

use core::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::stream::{Checkpoint, Noted, Stream};
use crate::audit::seal::{Head, Sealer, Tag};
use crate::audit::{Decision, Discretion, Event, EventId, Origin, Outcome, Parameter, What};
use crate::base::json::parse;
use crate::base::time::Instant;
use crate::cli::Exit;
use crate::cli::tests::{Scratch, called};

const SECRET: &[u8] = b"a secret of the gateway, 32 bytes and more";
const OTHER: &[u8] = b"another secret of 32 bytes or even more...";
const A: u64 = 0xa;
const B: u64 = 0xb0;

fn at(seconds: u64) -> Instant {
    Instant::default().plus(Duration::from_secs(seconds.saturating_add(1_790_000_000)))
}

fn record(stream: u64, count: u64) -> String {
    Event {
        time: at(count),
        id: EventId { instance: stream, count },
        request_id: Some(b"3b0c"),
        decision: Decision::Allow,
        observe: false,
        who: None,
        from: Origin { address: Some(b"10.0.0.7:51234"), tls: None },
        what: What {
            method: Some(b"GET"),
            parameters: vec![Parameter { name: "_id", value: "\u{fc}" }],
            ..What::default()
        },
        outcome: Outcome {
            status: Some(200),
            bytes: 10,
            duration: Duration::from_millis(12),
            failure: None,
        },
        part_of: None,
        patients: Vec::new(),
        unread: false,
        scopes: Vec::new(),
        narrowed: Vec::new(),
        removed: None,
        revocation: None,
    }
    .line(&Discretion::new(&["_id".to_owned()], None))
}

/// Records 1 to `count`, with a checkpoint after each third one and a last one.
fn stream(sealer: &mut Sealer, stream: u64, count: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for one in 1..=count {
        lines.push(sealer.seal(record(stream, one)));
        if one % 3 == 0 {
            lines.push(sealer.checkpoint(stream, one, at(one), false));
        }
    }
    lines.push(sealer.checkpoint(stream, count, at(count), true));
    lines
}

/// Lines 0 to 9: records 1, 2, 3, a checkpoint, 4, 5, 6, a checkpoint, 7, the last checkpoint.
fn a() -> Vec<String> {
    stream(&mut Sealer::new(SECRET, "k1"), A, 7)
}

/// Lines 0 to 5: records 1, 2, 3, a checkpoint, 4, the last checkpoint.
fn b() -> Vec<String> {
    stream(&mut Sealer::new(SECRET, "k1"), B, 4)
}

/// `phiward audit verify` of these files with the keys `k1` and `k2`.
fn verify(options: &[&str], files: &[&[String]]) -> (Exit, String, String) {
    let keys = [("k1", SECRET), ("k2", OTHER)].map(|(id, secret)| {
        let file = Scratch::new("key", secret);
        (format!("{id}={}", file.0.display()), file)
    });
    let files = files.iter().map(|lines| Scratch::new("audit.ndjson", lines.join("\n").as_bytes()));
    let files: Vec<Scratch> = files.collect();
    let mut arguments = vec!["audit", "verify", "--key", &keys[0].0, "--key", &keys[1].0];
    arguments.extend(options);
    arguments.extend(files.iter().map(|file| file.0.to_str().unwrap()));
    let (exit, mut out, err) = called(&arguments);
    for file in &files {
        out = out.replace(&format!("{}/", file.0.parent().unwrap().display()), "");
    }
    (exit, out, err)
}

/// What is found: its kind, first and last count, and the line where it stands.
fn found(options: &[&str], files: &[&[String]]) -> Vec<String> {
    let (exit, out, err) = verify(&[&["--json"], options].concat(), files);
    assert_eq!(err, "");
    let verdict: Value = serde_json::from_str(&out).unwrap();
    let findings: Vec<String> = verdict["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let stream = one["stream"].as_str().unwrap_or("-").trim_start_matches('0');
            let [from, to] = [&one["from"], &one["to"]].map(|count| count.as_u64().unwrap_or(0));
            let line = one["place"].as_str().map(|place| place.rsplit(':').next().unwrap());
            let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
            format!("{} {stream}-{from}..{to}{line}", one["kind"].as_str().unwrap())
        })
        .collect();
    assert_eq!(exit, if findings.is_empty() { Exit::Ok } else { Exit::Differs }, "{out}");
    assert_eq!(verdict["whole"], findings.is_empty());
    findings
}

/// The lines of stream A with one replaced.
fn with(line: usize, change: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = a();
    let changed = change(&lines[line]);
    assert_ne!(changed, lines[line]);
    lines[line] = changed;
    lines
}

fn without(lines: &[usize]) -> Vec<String> {
    let all = a().into_iter().enumerate().filter(|(line, _)| !lines.contains(line));
    all.map(|(_, line)| line).collect()
}

#[test]
fn a_trail_is_whole_in_any_order_twice_and_over_several_files() {
    let none = Vec::<String>::new();
    assert_eq!(found(&[], &[&a()]), none);
    assert_eq!(found(&[], &[&a(), &b()]), none);
    let mut mixed: Vec<String> = [a(), b(), a()].concat();
    mixed.reverse();
    mixed.rotate_left(5);
    assert_eq!(found(&[], &[&mixed]), none);
    let (records, checkpoints): (Vec<_>, Vec<_>) =
        mixed.into_iter().partition(|line| line.contains("\"id\""));
    assert_eq!(found(&[], &[&records, &checkpoints]), none);
    assert_eq!(found(&[], &[&records[..4], &checkpoints, &records[3..]]), none);
}

#[test]
fn wrapped_by_a_collector_it_is_still_whole() {
    let lines: Vec<String> = a()
        .iter()
        .enumerate()
        .map(|(number, line)| match number % 4 {
            0 => format!("[2026-09-21 14:13:20.250][12][info][wasm] wasm log phiward: {line}"),
            1 => json!({"time": 1, "event": parse(line.as_bytes()).unwrap()}).to_string(),
            2 => json!({"message": line, "kubernetes": {"pod": "x"}}).to_string(),
            _ => line.clone(),
        })
        .collect();
    assert_eq!(found(&[], &[&lines]), Vec::<String>::new());
}

#[test]
fn a_changed_record_is_named() {
    let rows = [
        ("\"status\":200", "\"status\":403"),
        ("\"decision\":\"allow\"", "\"decision\":\"deny\""),
        ("14:13:22", "14:13:23"),
        ("\"method\":\"GET\",", ""),
        ("\"bytes\":10", "\"bytes\":10,\"failure_\":1,\"status\":1"),
        ("{\"schema", "{\"request_id\":\"x\",\"schema"),
        ("\"bytes\":10", "\"bytes\":\"10\""),
        ("\"tag\":\"", "\"tag\":\"A"),
    ];
    for (from, to) in rows {
        let lines = with(1, |line| line.replacen(from, to, 1));
        let expected = match to.matches("status\":1").count() + to.matches("request_id").count() {
            0 => vec!["changed a-2..2 line 2"],
            // A member twice: two parsers could read two records.
            _ => vec!["unreadable --0..0 line 2", "missing a-2..2"],
        };
        assert_eq!(found(&[], &[&lines]), expected, "{to}");
    }
}

#[test]
fn a_record_with_another_id_is_forged_and_its_own_is_missing() {
    let lines = with(1, |line| line.replace("00a-2\"", "00a-5\""));
    assert_eq!(found(&[], &[&lines]), ["forged a-5..5 line 2", "missing a-2..2"]);
    let lines = with(1, |line| line.replace("00a-2\"", "00a-8\""));
    assert_eq!(found(&[], &[&lines]), ["forged a-8..8 line 2", "missing a-2..2"]);
    for strange in ["00a-02\"", "00a-0\"", "00a\"", "00a--2\"", "00a-+2\"", "\""] {
        let lines = with(1, |line| line.replace("00a-2\"", strange));
        assert_eq!(found(&[], &[&lines]), ["changed --0..0 line 2", "missing a-2..2"], "{strange}");
    }
}

#[test]
fn records_that_exchanged_their_places_are_named() {
    let mut lines = a();
    let [second, third] = ["00a-2\"", "00a-3\""];
    (lines[1], lines[2]) = (lines[1].replace(second, third), lines[2].replace(third, second));
    assert_eq!(found(&[], &[&lines]), ["changed a-3..3 line 2", "changed a-2..2 line 3"]);
    let seal = |line: &str| line.split(",\"seal\"").nth(1).unwrap().to_owned();
    let mut lines = a();
    let (two, three) = (seal(&lines[1]), seal(&lines[2]));
    (lines[1], lines[2]) = (lines[1].replace(&two, &three), lines[2].replace(&three, &two));
    assert_eq!(found(&[], &[&lines]), ["changed a-2..2 line 2", "changed a-3..3 line 3"]);
}

#[test]
fn removed_records_are_named() {
    assert_eq!(found(&[], &[&without(&[0])]), ["missing a-1..1"]);
    assert_eq!(found(&[], &[&without(&[1, 4, 5])]), ["missing a-2..2", "missing a-4..5"]);
    assert_eq!(found(&[], &[&without(&[8])]), ["missing_tail a-7..7"]);
    assert_eq!(found(&[], &[&without(&[0, 1, 2, 4, 5, 6, 8])]), ["missing_tail a-1..7"]);
    let mut changed = with(4, |line| line.replace("200", "201"));
    changed.remove(5);
    changed.remove(2);
    let expected = ["changed a-4..4 line 4", "missing a-3..3", "missing a-5..5"];
    assert_eq!(found(&[], &[&changed]), expected);
}

#[test]
fn a_record_put_in_is_forged() {
    let template = a().remove(1);
    for (id, expected) in [
        ("000000000000000a-8", "forged a-8..8 line 11"),
        ("000000000000000a-2", "forged a-2..2 line 11"),
        ("00000000000000cc-1", "forged cc-1..1 line 11"),
    ] {
        let mut lines = a();
        let forged = template.replace("000000000000000a-2", id).replace("GET", "PUT");
        lines.push(forged);
        assert_eq!(found(&[], &[&lines]), [expected], "{id}");
    }
}

#[test]
fn a_truncated_line_is_named() {
    let lines = with(4, |line| line.split_at(line.len() / 2).0.to_owned());
    assert_eq!(found(&[], &[&lines]), ["unreadable --0..0 line 5", "missing a-4..4"]);
    let lines = with(4, |line| line.split_at(line.len() / 2).1.to_owned());
    assert_eq!(found(&[], &[&lines]), ["missing a-4..4"]);
    let lines = with(3, |line| line.split_at(line.len() / 2).0.to_owned());
    assert_eq!(found(&[], &[&lines]), ["unreadable --0..0 line 4"]);
}

#[test]
fn a_missing_tail_shows_by_the_checkpoints_and_without_them_by_the_stream_being_open() {
    assert_eq!(found(&[], &[&a()[..6]]), Vec::<String>::new());
    let until = |seconds: u64| at(seconds).seconds().0.to_string();
    assert_eq!(found(&["--until", &until(5)], &[&a()[..6]]), Vec::<String>::new());
    assert_eq!(found(&["--until", &until(6)], &[&a()[..6]]), ["open a-5..5"]);
    assert_eq!(found(&["--until", &until(99)], &[&a()]), Vec::<String>::new());
    let (_, out, _) = verify(&[], &[&a()[..6]]);
    assert!(
        out.contains("3 at 2026-09-21T14:13:23.000Z  whole, open since 2026-09-21T14:13:25.000Z"),
        "{out}"
    );
    // An old copy of the file, while the checkpoints are kept elsewhere too.
    let kept = [a()[9].clone()];
    assert_eq!(found(&[], &[&a()[..5], &kept]), ["missing_tail a-5..7"]);
    assert_eq!(found(&[], &[&b(), &kept]), ["missing_tail a-1..7"]);
}

#[test]
fn a_record_of_another_stream_is_no_replacement() {
    let lines = with(1, |_| b()[1].replace("00b0-2\"", "000a-2\""));
    assert_eq!(found(&[], &[&lines, &b()]), ["changed a-2..2 line 2"]);
    let lines = with(1, |_| b()[1].clone());
    assert_eq!(found(&[], &[&lines, &b()]), ["missing a-2..2"]);
}

#[test]
fn an_old_file_delivered_again_does_no_harm_and_hides_nothing() {
    let old = a();
    assert_eq!(found(&[], &[&a(), &old[..4]]), Vec::<String>::new());
    let lines = with(1, |line| line.replace("200", "403"));
    assert_eq!(found(&[], &[&lines, &old[..4]]), ["forged a-2..2 line 2"]);
}

#[test]
fn a_seal_that_is_missing_or_names_another_key_is_named() {
    let rows = [
        ("\"seal\":{", "\"seal_\":{", "unsealed a-2..2 line 2"),
        ("\"key\":\"k1\"", "\"key\":1", "unsealed a-2..2 line 2"),
        ("\"key\":\"k1\"", "\"key\":\"k3\"", "unknown_key a-2..2 line 2"),
        ("\"key\":\"k1\"", "\"key\":\"k2\"", "changed a-2..2 line 2"),
    ];
    for (from, to, expected) in rows {
        let lines = with(1, |line| line.replace(from, to));
        let mut expected = vec![expected];
        if !expected[0].starts_with("changed") {
            expected.push("missing a-2..2");
        }
        assert_eq!(found(&[], &[&lines]), expected, "{to}");
    }
}

#[test]
fn a_changed_checkpoint_is_named_and_counts_for_nothing() {
    let rows = [
        ("\"count\":7", "\"count\":6", "checkpoint a-6..6 line 10"),
        (
            "\"stream\":\"000000000000000a\"",
            "\"stream\":\"00000000000000b0\"",
            "checkpoint b0-7..7 line 10",
        ),
        ("\"last\":true", "\"last\":false", "checkpoint a-7..7 line 10"),
        ("14:13:27", "14:13:28", "checkpoint a-7..7 line 10"),
        ("\"head\":\"", "\"head\":\"A", "checkpoint --0..0 line 10"),
        ("\"key\":\"k1\"", "\"key\":\"k3\"", "unknown_key a-7..7 line 10"),
    ];
    for (from, to, expected) in rows {
        let lines = with(9, |line| line.replace(from, to));
        assert_eq!(found(&[], &[&lines[..], &b()]), [expected], "{to}");
    }
}

#[test]
fn a_record_is_no_checkpoint_and_a_checkpoint_no_record() {
    let mut sealer = Sealer::new(SECRET, "k1");
    let body = sealer.checkpoint(A, 9, at(9), true).split(",\"seal\"").next().unwrap().to_owned();
    let sealed_as_record = sealer.seal(format!("{body}}}"));
    assert_eq!(found(&[], &[&a(), &[sealed_as_record]]), ["checkpoint a-9..9 line 1"]);
}

#[test]
fn who_has_the_key_can_not_change_what_a_checkpoint_stands_for() {
    let mut stolen = Sealer::new(SECRET, "k1");
    let resealed: Vec<String> = (1..=7)
        .map(|count| stolen.seal(record(A, count).replace("\"status\":200", "\"status\":403")))
        .collect();
    let checkpoints = [3, 7, 9].map(|line| a()[line].clone());
    let expected = ["resealed a-1..3", "resealed a-4..6", "resealed a-7..7"];
    assert_eq!(found(&[], &[&resealed, &checkpoints]), expected);
    // One record of it, where the genuine one is there too.
    assert_eq!(found(&[], &[&a(), &resealed[4..5]]), ["twice a-5..5 line 1"]);
    // A record after the end.
    let more = [stolen.seal(record(A, 8))];
    assert_eq!(found(&[], &[&a(), &more]), ["after_end a-8..8"]);
    // Checkpoints that contradict each other.
    let other = [stolen.checkpoint(A, 3, at(3), false)];
    assert_eq!(found(&[], &[&a(), &other]), ["twice a-3..3 line 1"]);
}

#[test]
fn a_stream_has_one_key() {
    let mut other = Sealer::new(OTHER, "k2");
    let lines = [other.seal(record(A, 5)), other.checkpoint(A, 5, at(5), false)];
    let mut all = a();
    all.remove(5);
    let expected = ["other_key a-5..5 line 2", "other_key a-5..5 line 1", "missing a-5..5"];
    assert_eq!(found(&[], &[&all, &lines]), expected);
    let second = stream(&mut Sealer::new(OTHER, "k2"), B, 4);
    assert_eq!(found(&[], &[&a(), &second]), Vec::<String>::new());
}

#[test]
fn of_a_part_of_the_trail_what_came_before_is_not_expected() {
    assert_eq!(found(&["--part"], &[&a()[4..], &b()[5..]]), Vec::<String>::new());
    assert_eq!(found(&["--part"], &[&without(&[0, 5])]), ["missing a-5..5"]);
    let (_, out, _) = verify(&["--part"], &[&a()[4..]]);
    assert!(out.contains("whole, from record 4 on, ended"), "{out}");
}

#[test]
fn the_table_names_streams_and_findings() {
    let mut lines = with(1, |line| line.replace("200", "403"));
    lines.remove(4);
    lines.push("something else".to_owned());
    let (exit, out, err) = verify(&[], &[&lines, &b()]);
    let expected = "\
stream            key  records  copies  first                     newest                    checkpoint                     state
000000000000000a  k1   5        0       2026-09-21T14:13:21.000Z  2026-09-21T14:13:27.000Z  7 at 2026-09-21T14:13:27.000Z  NOT WHOLE, ended
00000000000000b0  k1   4        0       2026-09-21T14:13:21.000Z  2026-09-21T14:13:24.000Z  4 at 2026-09-21T14:13:24.000Z  whole, ended

changed       000000000000000a-2 at audit.ndjson:2: not what was sealed
missing       000000000000000a-4: not in these files

10 records read, 2 streams
1 other lines passed over
NOT WHOLE: 2 findings
";
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Differs, expected, ""));
    let (exit, out, _) = verify(&[], &[&a()]);
    assert_eq!(exit, Exit::Ok);
    assert!(
        out.ends_with(
            "7 records read, 1 streams\nwhole: every record is genuine and none is missing\n"
        ),
        "{out}"
    );
}

#[test]
fn what_can_not_be_used_is_told_without_naming_a_key() {
    let trail = Scratch::new("audit.ndjson", a().join("\n").as_bytes());
    let trail = trail.0.to_str().unwrap();
    let [good, short, empty] = [SECRET, b"short", b""].map(|secret| Scratch::new("key", secret));
    let [good, short] = [good, short].map(|file| (format!("k1={}", file.0.display()), file));
    let empty_trail = empty.0.to_str().unwrap();
    let rows: [(&[&str], &str); 10] = [
        (&[trail], "`audit verify` needs the keys: `--key ID=FILE` or `--key ID=@VARIABLE`"),
        (&["--key", &good.0], "`audit verify` needs files of audit records, which it reads twice"),
        (
            &["--key", &good.0, "-"],
            "`audit verify` needs files of audit records, which it reads twice",
        ),
        (&["--key", "s3cret", trail], "`--key` takes `ID=FILE` or `ID=@VARIABLE`"),
        (&["--key", "k1=", trail], "`--key` takes `ID=FILE` or `ID=@VARIABLE`"),
        (&["--key", "k1=s3cret", trail], "the key `k1`: its file can't be read: "),
        (&["--key", "k1=@s3cret", trail], "the key `k1`: its environment variable is not set"),
        (&["--key", &short.0, trail], "the key `k1`: it has fewer than 32 bytes"),
        (&["--key", &good.0, "--key", &good.0, trail], "the key `k1`: it is given twice"),
        (&["--key", &good.0, empty_trail], "there is no audit record in these files"),
    ];
    for (arguments, expected) in rows {
        let (exit, out, err) = called(&[&["audit", "verify"], arguments].concat());
        assert_eq!((exit, out.as_str()), (Exit::Unusable, ""), "{arguments:?}");
        assert!(err.starts_with(&format!("phiward: {expected}")), "{err}");
        assert!(!err.contains("s3cret"), "{err}");
    }
    let (exit, _, err) = called(&["audit", "verify", "--key", &good.0, "/nowhere"]);
    assert_eq!(exit, Exit::Unusable);
    assert!(err.contains("/nowhere: can't be read: "), "{err}");
}

#[test]
fn a_key_is_read_from_the_environment_and_from_a_file_with_a_line_end() {
    // What cargo sets for tests is longer than a key must be.
    let variable = "CARGO_PKG_DESCRIPTION";
    let secret = std::env::var(variable).unwrap();
    let lines = stream(&mut Sealer::new(secret.as_bytes(), "e"), A, 2).join("\n");
    let trail = Scratch::new("audit.ndjson", lines.as_bytes());
    let trail = trail.0.to_str().unwrap();
    let (exit, out, err) = called(&["audit", "verify", "--key", &format!("e=@{variable}"), trail]);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{out}");
    for end in ["", "\n", "\r\n"] {
        let file = Scratch::new("key", format!("{secret}{end}").as_bytes());
        let key = format!("e={}", file.0.display());
        let (exit, ..) = called(&["audit", "verify", "--key", &key, trail]);
        assert_eq!(exit, Exit::Ok, "{end:?}");
    }
}

#[test]
fn tags_that_wait_for_their_predecessors_are_bounded() {
    let mut stream = Stream::new(0);
    let (mut head, mut room) = (Head::START, 3);
    let tag = |count: u64| Tag([count as u8; 16]);
    (1..=9).for_each(|count| head = head.after(tag(count)));
    assert!(stream.checkpoint(9, Checkpoint { head, last: false, time: String::new() }));
    for count in [4, 3, 2] {
        assert_eq!(stream.record(count, tag(count), "", &mut room), Noted::New);
    }
    assert_eq!((room, stream.not_compared()), (0, 0));
    assert_eq!(stream.record(1, tag(1), "", &mut room), Noted::New);
    assert_eq!((room, stream.not_compared()), (3, 0));
    for count in [9, 8, 7, 6] {
        assert_eq!(stream.record(count, tag(count), "", &mut room), Noted::New);
    }
    assert_eq!((room, stream.not_compared()), (3, 1));
    assert_eq!(stream.record(5, tag(5), "", &mut room), Noted::New);
    assert_eq!(stream.record(5, tag(5), "", &mut room), Noted::Duplicate);
    assert_eq!(stream.record(5, tag(6), "", &mut room), Noted::Other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_change_of_a_byte_is_found(line in 0_usize..10, at: prop::sample::Index, byte: u8) {
        let mut lines: Vec<Vec<u8>> = a().into_iter().map(String::into_bytes).collect();
        let said = parse(&lines[line]).unwrap();
        let at = at.index(lines[line].len());
        lines[line][at] = byte;
        // Another notation of the same is no change; nor is a checkpoint lost where a later one says
        // the same and more.
        let same = parse(&lines[line]).is_ok_and(|changed| changed == said);
        let hidden = [3, 7].contains(&line);
        let file = Scratch::new("audit.ndjson", &lines.join(&b'\n'));
        let secret = Scratch::new("key", SECRET);
        let key = format!("k1={}", secret.0.display());
        let (exit, out, _) = called(&["audit", "verify", "--key", &key, file.0.to_str().unwrap()]);
        if same {
            prop_assert_eq!(exit, Exit::Ok, "{}", out);
        } else if !hidden {
            let open = out.contains("open since");
            prop_assert!(exit == Exit::Differs || open && line == 9, "{}", out);
        }
    }

    #[test]
    fn any_change_of_a_byte_of_a_checkpoint_that_is_still_one_is_found(
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut lines: Vec<Vec<u8>> = a().into_iter().map(String::into_bytes).collect();
        let said = parse(&lines[9]).unwrap();
        let at = at.index(lines[9].len());
        lines[9][at] = byte;
        let text = String::from_utf8_lossy(&lines[9]).into_owned();
        let same = parse(&lines[9]).is_ok_and(|changed| changed == said);
        if !same && text.starts_with("{\"schema\":\"phiward.audit.checkpoint/1\"") {
            let lines: Vec<String> = a()[..9].iter().cloned().chain([text]).collect();
            let (exit, out, _) = verify(&[], &[&lines]);
            prop_assert_eq!(exit, Exit::Differs, "{}", out);
        }
    }

    #[test]
    fn what_a_collector_does_is_not(
        foreign in "[a-z@]{1,8}_",
        text in ".{0,20}",
        order in prop::collection::vec(any::<usize>(), 10),
    ) {
        let mut lines: Vec<(usize, String)> = a()
            .iter()
            .zip(&order)
            .map(|(line, order)| {
                let mut value = parse(line.as_bytes()).unwrap();
                for pointer in ["", "/what", "/outcome", "/seal", "/what/parameters/0"] {
                    if let Some(object) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
                        object.insert(foreign.clone(), json!({"x": [text]}));
                    }
                }
                (*order, value.to_string().replace("12.0", "12"))
            })
            .collect();
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        prop_assert_eq!(found(&[], &[&lines, &lines[..3]]), Vec::<String>::new());
    }
}
