//! The program as `main` calls it: what it prints, where, and how it exits.

use std::fs;
use std::path::PathBuf;

use super::*;

const GOOD: &str = "\
fhir:
  base_path: /fhir
issuers:
  - issuer: https://auth.clinic.example
    audiences: [https://api.clinic.example/fhir]
    jwks:
      cluster: auth
      url: https://auth.clinic.example/jwks
";

/// Exit, standard output, standard error.
pub(super) fn called(arguments: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let now = super::time::instant("1790000000").unwrap();
    let exit =
        run(arguments.iter().map(OsString::from), now, &mut out, &mut err, Stderr::Elsewhere);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A file in a folder of its own that goes when the test ends.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str, content: &[u8]) -> Scratch {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("phiward-cli-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        fs::write(&file, content).unwrap();
        Scratch(file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// `phiward check` on a file with this name and content; the folder is left out of what it prints.
fn checked(name: &str, content: &[u8]) -> (Exit, String, String) {
    let file = Scratch::new(name, content);
    let folder = format!("{}/", file.0.parent().unwrap().display());
    let (exit, out, err) = called(&["check", file.0.to_str().unwrap()]);
    (exit, out.replace(&folder, ""), err.replace(&folder, ""))
}

#[test]
fn a_good_file_is_ok_as_yaml_and_as_json() {
    let summary = "ok: R4 below `/fhir/`, tokens of https://auth.clinic.example, \
                   without a revocation list, mode enforce\n";
    let json = yaml::read(GOOD).value.to_string();
    for (name, text) in [("c.yaml", GOOD), ("c.json", &json), ("c", &json), ("c.yml", &json)] {
        let expected = (Exit::Ok, format!("{name}: {summary}"), String::new());
        assert_eq!(checked(name, text.as_bytes()), expected, "{name}");
    }
}

#[test]
fn every_error_has_line_column_pointer_expectation_and_hint_in_the_order_of_the_file() {
    let text = "\
mod: enforce
fhir:
  base_path: fhir
issuers:
  - issuer: https://auth.clinic.example
    audiences: [https://api.clinic.example/fhir]
    max_lifetme: 1h
    algorithms:
      - RS256
      - HS256
    jwks: {cluster: auth, url: https://auth.clinic.example/jwks, refresh: 60}
";
    let expected = "\
c.yaml:1:1: /mod: unknown key `mod`: expected one of `audit`, `cached_tokens`, `fhir`, `forward`, `issuers`, `mode`, `revocation`, `sessions`, `smart`: did you mean `mode`?
c.yaml:3:3: /fhir/base_path: `fhir` is not such a path: expected a path such as `/fhir`: no `%`, `//`, `.` or `..` segments
c.yaml:7:5: /issuers/0/max_lifetme: unknown key `max_lifetme`: expected one of `algorithms`, `audiences`, `claims`, `clock_skew`, `encryption`, `introspection`, `issuer`, `jwks`, `max_lifetime`, `require`, `types`: did you mean `max_lifetime`?
";
    let (exit, out, err) = checked("c.yaml", text.as_bytes());
    assert_eq!((exit, out.as_str()), (Exit::Unusable, ""));
    let rest = err.strip_prefix(expected).unwrap_or_else(|| panic!("{err}"));
    let rest: Vec<&str> = rest.lines().collect();
    assert_eq!(rest.len(), 3, "{err}");
    assert!(rest[0].starts_with("c.yaml:10:9: /issuers/0/algorithms/1: "), "{err}");
    assert!(rest[1].starts_with("c.yaml:11:66: /issuers/0/jwks/refresh: "), "{err}");
    assert_eq!(rest[2], "c.yaml: 5 errors");
}

#[test]
fn errors_in_json_have_their_line_too() {
    let text = b"{\n  \"fhir\": {\"base_path\": \"/fhir\"},\n  \"issuers\": []\n}\n";
    let (exit, _, err) = checked("c.json", text);
    assert_eq!(exit, Exit::Unusable);
    let expected = "c.json:3:3: /issuers: `a list` is not such a list: \
                    expected a list of at least one object\nc.json: 1 error\n";
    assert_eq!(err, expected);
}

#[test]
fn what_the_filter_would_refuse_to_parse_is_refused() {
    let rows: [(&str, &[u8], &str); 9] = [
        (
            "c.json",
            b"{\"fhir\": {},\n \"fhir\": {}}",
            "c.json:2:12: this is not strict JSON: duplicate member\n",
        ),
        ("c.json", b"fhir: {}", "c.json:1:2: this is not strict JSON"),
        ("c.json", b"{\"fhir\": {},}", "c.json:1:13: this is not strict JSON"),
        ("c.json", b"", "c.json:1:1: this is not strict JSON"),
        ("c.yaml", b"fhir: {}\nfhir: {}\n", "c.yaml:2:1: the key `fhir` stands here a second time"),
        ("c.yaml", b"fhir: [", "c.yaml:2:1: this is not YAML"),
        ("c.yaml", b"", "c.yaml:1:1: the configuration is empty: expected"),
        ("c.yaml", b"\xff\xfe", "c.yaml: is not UTF-8 text"),
        ("c.yaml", &[b'#'; 1 << 20], "c.yaml: is too long: at most 1 MiB"),
    ];
    for (name, content, expected) in rows {
        let shown = String::from_utf8_lossy(&content[..content.len().min(40)]);
        let (exit, out, err) = checked(name, content);
        assert_eq!((exit, out.as_str()), (Exit::Unusable, ""), "{shown}");
        assert!(err.starts_with(expected), "{shown}: {err}");
    }
}

#[test]
fn a_whole_envoy_configuration_gets_one_helpful_error() {
    let envoy = "static_resources:\n  listeners: []\n  clusters: []\nadmin: {}\n";
    let (exit, _, err) = checked("envoy.yaml", envoy.as_bytes());
    assert_eq!(exit, Exit::Unusable);
    let expected = "envoy.yaml:1:1: this is a configuration of Envoy: expected the configuration \
                    of phiward alone: take what stands below `configuration.value` of the Wasm \
                    filter\nenvoy.yaml: 1 error\n";
    assert_eq!(err, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let (exit, out, err) = called(&["check", "/nowhere/c.yaml"]);
    assert_eq!((exit, out.as_str()), (Exit::Unusable, ""));
    assert!(err.starts_with("/nowhere/c.yaml: can't be read: "), "{err}");
}

#[test]
fn arguments_are_understood_or_the_help_is_named() {
    let version = format!("phiward {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["--version"][..], &["-V"]] {
        assert_eq!(called(arguments), (Exit::Ok, version.clone(), String::new()), "{arguments:?}");
    }
    for arguments in
        [&[][..], &["--help"], &["-h"], &["help"], &["check", "--help"], &["schema", "-h"]]
    {
        assert_eq!(called(arguments), (Exit::Ok, HELP.to_owned(), String::new()), "{arguments:?}");
    }
    let rows: [(&[&str], &str); 5] = [
        (&["check"], "phiward: `check` needs a file: see `phiward --help`\n"),
        (&["chek"], "phiward: unknown command `chek`: see `phiward --help`\n"),
        (&["check", "a", "b"], "phiward: unexpected argument \"b\": see `phiward --help`\n"),
        (&["--verbose"], "phiward: invalid option '--verbose': see `phiward --help`\n"),
        (&["schema", "--x=1"], "phiward: invalid option '--x': see `phiward --help`\n"),
    ];
    for (arguments, expected) in rows {
        let expected = (Exit::Unusable, String::new(), expected.to_owned());
        assert_eq!(called(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn the_schema_is_printed_as_it_stands_in_the_documentation() {
    let (exit, out, err) = called(&["schema"]);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""));
    crate::base::testing::golden("docs/configuration.schema.json", &out);
}

#[test]
fn what_could_not_be_written_does_not_count_as_fine() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let exit =
        run(["schema".into()], Instant::default(), &mut Closed, &mut Closed, Stderr::Terminal);
    assert_eq!(exit, Exit::Unusable);
}

#[test]
fn the_example_in_the_documentation_is_a_good_configuration() {
    let page = include_str!("../../docs/configuration.md");
    let example = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let (exit, out, err) = checked("example.yaml", example.as_bytes());
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{out}");
}
