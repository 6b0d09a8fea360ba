use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Option<(&'static str, &str, String, bool)> {
    parse(text).map(|scope| {
        let granular = scope.granular.is_some();
        (scope.context.word(), scope.resource, scope.permissions.to_string(), granular)
    })
}

#[test]
fn scopes_of_both_versions_are_read_to_the_letter() {
    let rows = [
        ("patient/Observation.rs", ("patient", "Observation", "rs", false)),
        ("user/*.cruds", ("user", "*", "cruds", false)),
        ("system/Patient.r", ("system", "Patient", "r", false)),
        ("patient/Observation.s", ("patient", "Observation", "s", false)),
        ("patient/Observation.cd", ("patient", "Observation", "cd", false)),
        ("patient/*.read", ("patient", "*", "rs", false)),
        ("user/Patient.write", ("user", "Patient", "cud", false)),
        ("system/*.*", ("system", "*", "cruds", false)),
        (
            "patient/Observation.rs?category=http://x.example/c|laboratory",
            ("patient", "Observation", "rs", true),
        ),
        ("patient/Observation.rs?category=a=b&code=c,d", ("patient", "Observation", "rs", true)),
        ("patient/Observation.rs?category=http%3A%7C%26x", ("patient", "Observation", "rs", true)),
    ];
    for (text, (context, resource, letters, granular)) in rows {
        assert_eq!(read(text), Some((context, resource, letters.to_owned(), granular)), "{text}");
    }
}

#[test]
fn what_differs_in_one_character_grants_nothing() {
    let rows = [
        // letters out of order, twice, unknown, none
        "patient/Observation.sr",
        "patient/Observation.dus",
        "patient/Observation.rd ",
        "patient/Observation.rr",
        "patient/Observation.rss",
        "patient/Observation.x",
        "patient/Observation.rsx",
        "patient/Observation.",
        "patient/Observation",
        "patient/Observation.R",
        // beginnings of v1 words, words with a tail
        "patient/Observation.rea",
        "patient/Observation.read-only",
        "patient/Observation.reads",
        "patient/Observation.READ",
        "patient/Observation.**",
        "patient/Observation.*s",
        "patient/Observation.rsXYZ",
        "patient/Observation.read.write",
        // contexts that only look like one
        "xpatient/Observation.rs",
        "Patient/Observation.rs",
        "accessfoo/Observation.rs",
        "/Observation.rs",
        "patient//Observation.rs",
        "patient%2fObservation.rs",
        "patient.Observation.rs",
        // types
        "patient/observation.rs",
        "patient/.rs",
        "patient/Obs*.rs",
        "patient/**.rs",
        "patient/Observation/1.rs",
        "patient/Obsërvation.rs",
        // search parameters
        "patient/Observation.rs?",
        "patient/Observation.rs?active",
        "patient/Observation.rs?=x",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?category=x&",
        "patient/Observation.rs?&category=x",
        "patient/Observation.rs?category:in=x",
        "patient/Observation.rs?subject.name=x",
        "patient/Observation.rs?category=\"x\"",
        "patient/Observation.rs?category=x\\y",
        "patient/Observation.rs?category=\u{e9}",
        "patient/Observation.read?category=x",
        "patient/Observation.?category=x",
        "patient/Observation.sr?category=x",
        // scopes of other kinds
        "openid",
        "fhirUser",
        "profile",
        "launch",
        "launch/patient",
        "launch/encounter",
        "offline_access",
        "online_access",
        "",
        "\tpatient/Observation.rs",
        "patient/Observation.rs\n",
    ];
    for text in rows {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn only_spaces_separate_scopes() {
    let texts = |claim| clinical(claim).map(|scope| scope.text).collect::<Vec<_>>();
    assert_eq!(texts("openid  user/A.r   user/B.s "), ["user/A.r", "user/B.s"]);
    assert_eq!(texts("user/A.r,user/B.s"), [""; 0]);
    assert_eq!(texts("user/A.r\tuser/B.s"), [""; 0]);
    assert_eq!(texts("user/A.r\u{a0}user/B.s"), [""; 0]);
}

#[test]
fn a_hundred_kilobytes_of_scopes_are_read() {
    let claim = "patient/Observation.rs ".repeat(4_500);
    assert_eq!(clinical(&claim).count(), 4_500);
    assert_eq!(clinical(&"x".repeat(100_000)).count(), 0);
    assert_eq!(clinical(&"?&=./".repeat(20_000)).count(), 0);
}

proptest! {
    #[test]
    fn the_parser_never_panics(text in any::<String>()) {
        let _ = clinical(&text).count();
    }

    #[test]
    fn near_misses_never_panic_and_keep_the_laws(
        text in "(patient|user|system|x)/(\\*|[A-Za-z]{0,4})\\.[crudsw*ea?=&]{0,8}",
    ) {
        if let Some(scope) = parse(&text) {
            prop_assert!(scope.permissions != Permissions::of(&[]));
            let prefix = format!("{}/{}.", scope.context.word(), scope.resource);
            prop_assert!(text.starts_with(&prefix));
            let v1 = ["read", "write", "*"].map(|word| format!("{prefix}{word}"));
            let v2 = format!("{prefix}{}", scope.permissions);
            prop_assert!(
                v1.contains(&text) || text == v2 || text.starts_with(&format!("{v2}?")),
                "{text} is neither v1 nor v2"
            );
        }
    }

    #[test]
    fn letters_are_read_back_as_written(bits in 1_u8..32) {
        let letters: String =
            "cruds".chars().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| c).collect();
        prop_assert_eq!(Permissions::parse(&letters).map(|p| p.to_string()), Some(letters));
    }
}
