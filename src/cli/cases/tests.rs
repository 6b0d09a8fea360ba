//! Every case of `examples/` and `docs/cases/` is decided as it says; what a file of cases can be.

mod page;

use std::fs;

use super::file::{self, CaseFile};
use super::run::{self, Prepared};
use super::*;
use crate::base::time::Instant;
use crate::cli::document;
use crate::cli::tests::{Scratch, called};

/// The case files of this project.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut files: Vec<PathBuf> =
        below("examples").iter().map(|folder| folder.join("cases.yaml")).collect();
    files.retain(|file| file.exists());
    files.extend(below("docs/cases").into_iter().filter(|file| !file.ends_with("config.yaml")));
    files.sort();
    files
}

fn read(file: &Path) -> CaseFile {
    file::read(file).unwrap_or_else(|problems| {
        let mut text = Vec::new();
        problems.write(&mut text).unwrap();
        panic!("{}", String::from_utf8_lossy(&text))
    })
}

/// Every case of the project as it is run: its name, what it is run with, when.
pub(in crate::cli) fn every_case() -> Vec<(String, Prepared, Instant)> {
    let mut all = Vec::new();
    for path in files() {
        let file = read(&path);
        let document = document::read(&file.config).unwrap();
        for (section, case) in file.cases() {
            let name = format!("{}: {}", path.display(), case.name);
            let prepared = run::prepared(&file, section, case, &document).unwrap();
            all.push((name, prepared, file.at));
        }
    }
    all
}

#[test]
fn every_case_of_examples_and_pages_is_decided_as_it_says() {
    for file in files() {
        let file = file.to_str().unwrap();
        let (exit, out, err) = called(&["test", file]);
        assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{out}");
    }
    assert!(every_case().len() > 100, "only {} cases were found", every_case().len());
}

const CONFIG: &str = "\
fhir: { base_path: /fhir }
issuers:
- issuer: https://auth.clinic.example
  audiences: [https://api.clinic.example/fhir]
  jwks: { cluster: auth, url: https://auth.clinic.example/jwks }
";

/// `phiward test` on a file with these cases beside [`CONFIG`].
fn tested(cases: &str) -> (Exit, String, String) {
    let file = Scratch::new("cases.yaml", cases.as_bytes());
    let folder = file.0.parent().unwrap();
    fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    let (exit, out, err) = called(&["test", file.0.to_str().unwrap()]);
    let folder = format!("{}/", folder.display());
    (exit, out.replace(&folder, ""), err.replace(&folder, ""))
}

#[test]
fn each_case_has_a_line_and_what_differs_is_told() {
    let cases = "\
cases:
- name: the own record
  request: GET /fhir/Patient/P
  token: { patient: P, scope: patient/Patient.r }
  expect: allowed
- name: narrowed
  request: GET /fhir/Observation
  token: { patient: P, scope: patient/Observation.s }
  expect: allowed
  target: /fhir/Observation?patient=P
  sent: { prefer: null, authorization: null }
- name: nobody
  request: GET /fhir/Patient/P
  expect: scope_insufficient
  status: 403
";
    let expected = "\
cases.yaml
         request                expected            got            case
ok       GET /fhir/Patient/P    allowed             allowed        the own record
DIFFERS  GET /fhir/Observation  allowed             allowed        narrowed
         cases.yaml:6: target: expected \"/fhir/Observation?patient=P\", got \"/fhir/Observation?patient=Patient%2FP\"
         cases.yaml:6: sent: prefer: expected null, got \"handling=strict\"
DIFFERS  GET /fhir/Patient/P    scope_insufficient  token_missing  nobody
         cases.yaml:12: expect: expected \"scope_insufficient\", got \"token_missing\"
         cases.yaml:12: status: expected 403, got 401
3 cases: 2 DIFFER
";
    assert_eq!(tested(cases), (Exit::Differs, expected.to_owned(), String::new()));
}

#[test]
fn what_stands_above_a_case_counts_for_it_and_the_case_has_the_last_word() {
    let cases = "\
at: 2026-01-01T00:00:00Z
token: { patient: P, scope: patient/*.rs }
settings: { smart: { search_without_patient: refuse } }
sections:
- title: one
  cases:
  - { name: as above, request: GET /fhir/Observation, expect: search_patient_required }
  - name: its own settings
    request: GET /fhir/Observation
    settings: { smart: { search_without_patient: null } }
    expect: allowed
  - { name: its own scope, request: GET /fhir/Observation, token: { scope: '' }, expect: scope_insufficient }
  - { name: no token, request: GET /fhir/Observation, token: null, expect: token_missing }
  - { name: another time, request: GET /fhir/Patient/P, token: { exp: 1767225599 }, expect: token_lifetime_invalid }
- title: two
  token: { patient: Q }
  cases:
  - { name: another patient, request: GET /fhir/Patient/Q, expect: allowed }
";
    let (exit, out, err) = tested(cases);
    assert_eq!((exit, err.as_str()), (Exit::Ok, ""), "{out}");
}

#[test]
fn a_file_that_cannot_be_meant_is_unusable_and_says_where() {
    let rows = [
        ("cases: []\n", "cases.yaml:1:1: /cases: "),
        (
            "cases:\n- { name: a, request: GET /, expect: allowed, staus: 200 }\n",
            "cases.yaml:2:47: /cases/0/staus: unknown key `staus`",
        ),
        (
            "cases:\n- { name: a, request: GET /, expect: token_mising }\n",
            "cases.yaml:2:30: /cases/0/expect: `token_mising` is no reason",
        ),
        (
            "cases:\n- { name: a, request: GET, expect: allowed }\n",
            "cases.yaml:2:14: /cases/0/request: the request is no `METHOD TARGET`",
        ),
        (
            "cases:\n- { name: a, request: GET /, expect: allowed, token: SECRET }\n",
            "cases.yaml:2:47: /cases/0/token: these are no claims: expected claims",
        ),
        (
            "cases:\n- { name: a, request: GET /, expect: allowed, stored: { A/1: { resourceType: A, id: '2' } } }\n",
            "cases.yaml:2:47: /cases/0/stored: what stands at `A/1` is another resource",
        ),
        (
            "at: yesterday\ncases:\n- { name: a, request: GET /, expect: allowed }\n",
            "cases.yaml:1:1: /at: `yesterday` is neither",
        ),
        (
            "settings: { fhir: null }\ncases:\n- { name: a, request: GET /, expect: allowed }\n",
            "cases.yaml:3:3: with these settings: /fhir: `fhir` is missing",
        ),
        (
            "config: nowhere.yaml\ncases:\n- { name: a, request: GET /, expect: allowed }\n",
            "nowhere.yaml: can't be read",
        ),
        (
            "revocations: [{ nonsense: 1 }]\nsettings: { revocation: { cluster: r, url: 'http://r/l' } }\ncases:\n- { name: a, request: GET /fhir, expect: token_missing }\n",
            "config.yaml: revocation list from `http://r/l`: it can't be used",
        ),
    ];
    for (cases, expected) in rows {
        let (exit, out, err) = tested(cases);
        assert_eq!(exit, Exit::Unusable, "{cases}: {out}");
        assert!(err.starts_with(expected), "{cases}: {err}");
        assert!(!err.contains("SECRET"), "{err}");
    }
}

#[test]
fn a_file_that_differs_counts_before_one_that_is_unusable() {
    let differs = "cases:\n- { name: a, request: GET /fhir, expect: allowed }\n";
    let file = Scratch::new("cases.yaml", differs.as_bytes());
    fs::write(file.0.parent().unwrap().join("config.yaml"), CONFIG).unwrap();
    let path = file.0.to_str().unwrap();
    assert_eq!(called(&["test", path, "/nowhere.yaml"]).0, Exit::Differs);
    assert_eq!(called(&["test", "/nowhere.yaml", path]).0, Exit::Differs);
    assert_eq!(called(&["test", "/nowhere.yaml"]).0, Exit::Unusable);
}
