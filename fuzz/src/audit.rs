//! Files of audit records as `phiward audit` reads them: any bytes are read without harm, a trail that was
//! changed is not called whole, and the page of a report holds no markup of others.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use phiward::audit::seal::Sealer;
use phiward::base::time::{Instant, UnixSeconds};
use phiward::cli::{self, Exit, Stderr};
use serde_json::Value;

use super::host::NOW;

const SECRET: &[u8] = b"a secret of the gateway, 32 bytes and more";

thread_local! {
    static FOLDER: PathBuf = {
        let thread = std::thread::current().id();
        let folder = std::env::temp_dir().join(format!("phiward-fuzz-{}-{thread:?}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("key"), SECRET).unwrap();
        folder
    };
}

/// First whether changes of a sealed trail follow, or a file.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let trail = trail();
    let file = match choice % 2 {
        0 => rest.to_vec(),
        _ => changed(&trail, rest).join("\n").into_bytes(),
    };
    let (exit, out) = called(&["audit", "verify", "--json", "--key", "k1=key"], &file);
    if exit == Exit::Ok || exit == Exit::Differs {
        let verdict: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(verdict["whole"], exit == Exit::Ok);
    }
    if choice % 2 == 1 && exit == Exit::Ok {
        let has = values(core::str::from_utf8(&file).expect("text").lines());
        let lost = |line: &&Value| line["id"].is_string() && !has.contains(line);
        let all = values(trail.iter().map(String::as_str));
        assert!(
            !all.iter().any(|line| lost(&line)),
            "called whole: {}",
            String::from_utf8_lossy(&file)
        );
    }
    let forms = [&["--format", "json"][..], &["--format", "table"], &["--format", "html"]];
    let form = forms[usize::from(choice / 2 % 3)];
    let (exit, out) = called(&[&["audit", "report"][..], form].concat(), &file);
    if exit == Exit::Ok && form[1] == "json" {
        serde_json::from_slice::<Value>(&out).expect("JSON");
    }
    if form[1] == "html" {
        let page = String::from_utf8(out).expect("text");
        assert!(!page.contains("<xmp"), "markup of others");
    }
}

fn values<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Value> {
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Five sealed records, with a checkpoint among them and one at the end.
fn trail() -> Vec<String> {
    let mut sealer = Sealer::new(SECRET, "k1");
    let stream = 10;
    let mut lines = Vec::new();
    let at = |count: u64| Instant::from_seconds(UnixSeconds(NOW + count));
    for count in 1..=5 {
        let record = format!(
            r#"{{"schema":"phiward.audit/1","time":"2026-09-21T14:13:2{count}Z","id":"{stream:016x}-{count}","decision":"allow","reason":"allowed","outcome":{{"status":200,"bytes":10,"duration_ms":1}}}}"#
        );
        lines.push(sealer.seal(record));
        if count == 3 {
            lines.push(sealer.checkpoint(stream, count, at(count), false));
        }
    }
    lines.push(sealer.checkpoint(stream, 5, at(5), true));
    lines
}

/// The lines after these changes: what, which line, where in it, and a byte.
fn changed(trail: &[String], changes: &[u8]) -> Vec<String> {
    let mut lines = trail.to_vec();
    for change in changes.chunks_exact(4).take(8) {
        let [what, line, at, byte] = change else { return lines };
        if lines.is_empty() {
            break;
        }
        let place = usize::from(*line) % lines.len();
        let mut text: Vec<char> = lines[place].chars().collect();
        let at = usize::from(*at) * text.len() / 256;
        match what % 6 {
            0 if at < text.len() => text[at] = char::from(*byte),
            1 => text.insert(at, char::from(*byte)),
            2 if at < text.len() => drop(text.remove(at)),
            3 => {
                let again = lines[place].clone();
                lines.push(again);
            }
            4 => {
                lines.remove(place);
                continue;
            }
            _ => {
                let other = usize::from(*byte) % lines.len();
                lines.swap(place, other);
                continue;
            }
        }
        lines[place] = text.into_iter().collect();
    }
    lines
}

/// The command with this file; files it names are found in a folder of our own.
fn called(arguments: &[&str], file: &[u8]) -> (Exit, Vec<u8>) {
    FOLDER.with(|folder| {
        let path = folder.join("audit.ndjson");
        fs::write(&path, file).unwrap();
        let key = format!("k1={}", folder.join("key").display());
        let mut all: Vec<OsString> = arguments
            .iter()
            .map(|one| OsString::from(if *one == "k1=key" { key.as_str() } else { one }))
            .collect();
        all.push(path.into());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let now = Instant::from_seconds(UnixSeconds(NOW));
        let exit = cli::run(all, now, &mut out, &mut err, Stderr::Elsewhere);
        assert!(String::from_utf8(err).is_ok());
        (exit, out)
    })
}
