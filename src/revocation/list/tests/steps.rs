//! Calls, pages and changes one by one: what is asked, what is told, what is left.

use super::*;

/// A scene with one instance, its list in force.
pub(super) fn scene(limits: Limits, list: &Value) -> Scene {
    let mut scene = Scene::of(1, &settings());
    scene.limits(limits);
    scene.serves(list).unwrap();
    scene.tick();
    scene
}

/// The path of the next call.
pub(super) fn path(scene: &mut Scene) -> String {
    scene.tick().map(|(_, call)| call.path).expect("a call is due")
}

pub(super) fn told(scene: &mut Scene, list: &Value) -> String {
    scene.answered(0, answer(200, &list.to_string())).expect("a notice").text
}

pub(super) fn with_deltas(entries: &Value) -> Value {
    json!({"version": "42", "deltas": true, "entries": entries})
}

#[test]
fn pages_are_asked_for_one_after_another_and_nothing_is_seen_before_the_last() {
    for limits in [Limits::default(), tiny()] {
        let mut scene = Scene::of(1, &settings());
        scene.limits(limits);
        assert_eq!(path(&mut scene), "/v1/list");
        let pages = [
            (
                json!({"version": "1", "entries": [{"sub": "nurse-17"}], "next": "p/2 &"}),
                "p%2F2%20%26",
            ),
            (json!({"version": "1", "entries": [], "next": "3"}), "3"),
        ];
        for (page, next) in pages {
            assert_eq!(scene.answered(0, answer(200, &page.to_string())), None);
            assert_eq!(scene.checks(0), Err("revocation_unavailable"));
            assert_eq!(path(&mut scene), format!("/v1/list?page={next}"));
        }
        let last = json!({"version": "1", "entries": [{"sub": "b"}, {"sub": "c", "expires": 7}]});
        let told = told(&mut scene, &last);
        assert_eq!(told, "revocation list, version `1`: 2 entries are in force, 1 are over");
        assert_eq!(scene.checks(0), Err("token_revoked"));
    }
}

#[test]
fn what_is_asked_is_added_to_the_urls_own_query() {
    let mut settings = settings();
    settings["url"] = json!("http://lists/v1?all");
    let mut scene = Scene::of(1, &settings);
    let list = json!({"version": "a+b", "deltas": true, "entries": [], "next": "2"});
    assert_eq!(path(&mut scene), "/v1?all");
    assert_eq!(scene.answered(0, answer(200, &list.to_string())), None);
    assert_eq!(path(&mut scene), "/v1?all&page=2");
    told(&mut scene, &json!({"version": "a+b", "entries": []}));
    assert_eq!(path(scene.at(5)), "/v1?all&since=a%2Bb");
    let changes = json!({"since": "a+b", "version": "c", "entries": [], "next": "2"});
    assert_eq!(scene.answered(0, answer(200, &changes.to_string())), None);
    assert_eq!(path(&mut scene), "/v1?all&since=a%2Bb&page=2");
}

#[test]
fn changes_are_asked_for_and_told() {
    for limits in [Limits::default(), tiny()] {
        let mut scene = scene(limits, &with_deltas(&json!([{"sub": "a"}, {"sub": "b"}])));
        let (_, call) = scene.at(5).tick().unwrap();
        assert_eq!(call.path, "/v1/list?since=42");
        assert!(call.headers.iter().all(|(name, _)| name != "if-none-match"), "of another URL");
        let changes = json!({"since": "42", "version": "43",
            "entries": [{"sub": "nurse-17"}, {"sub": "a"}], "removed": [{"sub": "b"}, {"sub": "x"}]});
        assert_eq!(
            told(&mut scene, &changes),
            "revocation list, version `43`: 2 entries are in force, 2 added and 2 removed since `42`"
        );
        assert_eq!(scene.checks(0), Err("token_revoked"));
        scene.tick();
        assert_eq!(path(scene.at(10)), "/v1/list?since=43");
        let nothing = json!({"since": "43", "version": "43", "entries": []}).to_string();
        assert_eq!(scene.answered(0, answer(200, &nothing)), None, "nothing changed");
        scene.tick();
        let (_, call) = scene.at(15).tick().unwrap();
        assert!(call.headers.iter().any(|(name, _)| name == "if-none-match"), "of this URL");
        assert_eq!(scene.answered(0, answer(304, "")), None);
        assert_eq!(scene.at(35).checks(0), Err("token_revoked"));
    }
}

#[test]
fn an_entry_that_is_both_added_and_removed_stays_and_may_last_longer() {
    for limits in [Limits::default(), tiny()] {
        let before = json!([{"sub": "nurse-17", "expires": START + 10}, {"sub": "a"}]);
        let entry = json!([{"sub": "nurse-17", "expires": START + 1_000}, {"sub": "b"}]);
        let mut scene = scene(limits, &with_deltas(&before));
        path(scene.at(5));
        let changes = json!({"since": "42", "version": "43", "removed": entry, "entries": entry});
        assert!(told(&mut scene, &changes).contains("3 entries are in force"));
        assert_eq!(scene.at(20).checks(0), Err("token_revoked"), "until its later `expires`");
        scene.tick();
        scene.answered(0, answer(304, ""));
        let shorter = json!({"since": "43", "version": "44", "entries": before, "removed": []});
        path(scene.at(30));
        assert!(told(&mut scene, &shorter).contains("3 entries are in force"));
        assert_eq!(scene.checks(0), Err("token_revoked"), "the later one stands");
    }
}

#[test]
fn a_token_is_looked_up_again_only_when_something_was_added() {
    let mut scene = scene(tiny(), &with_deltas(&json!([{"sub": "a"}])));
    let mut checked = Checked::default();
    assert_eq!(scene.checks_again(0, &mut checked), Ok(Freshness::Fresh));
    let nothing = json!({"since": "42", "version": "43", "entries": []});
    path(scene.at(5));
    assert_eq!(scene.answered(0, answer(200, &nothing.to_string())), None);
    let reads = scene.host.reads.get();
    assert_eq!(scene.checks_again(0, &mut checked), Ok(Freshness::Fresh));
    assert_eq!(scene.host.reads.get(), reads);
    path(scene.at(10));
    told(&mut scene, &json!({"since": "43", "version": "44", "entries": [{"sub": "nurse-17"}]}));
    assert_eq!(scene.checks_again(0, &mut checked), Err("token_revoked"));
}

#[test]
fn what_is_gone_is_followed_by_the_full_list_at_once() {
    for status in [404, 410] {
        let mut scene = scene(Limits::default(), &with_deltas(&json!([])));
        assert_eq!(path(scene.at(5)), "/v1/list?since=42");
        assert_eq!(scene.answered(0, answer(status, "")), None);
        assert_eq!(path(&mut scene), "/v1/list");
        told(&mut scene, &json!({"version": "43", "entries": [{"sub": "nurse-17"}]}));
        assert_eq!(scene.checks(0), Err("token_revoked"));
        scene.tick();
        assert_eq!(path(scene.at(10)), "/v1/list", "it said nothing of changes");
    }
}

#[test]
fn what_does_not_fit_what_was_asked_for_is_refused() {
    let many: Vec<_> = (0..6).map(|number| json!({"jti": number.to_string()})).collect();
    let cases = [
        (json!({"since": "41", "version": "43", "entries": []}), "since another version"),
        (json!({"since": "42", "entries": []}), "needs a `version`"),
        (json!({"since": "42", "version": "4 3", "entries": []}), "needs a `version`"),
        (
            json!({"version": "43", "entries": [], "removed": []}),
            "`removed` stands without `since`",
        ),
        (json!({"since": "42", "version": "41", "entries": []}), "version `41` is older than `42`"),
        (json!({"version": "41", "entries": []}), "give a list that was reset a higher version"),
        (json!({"entries": [], "deltas": true}), "needs a `version`"),
        (json!({"entries": [], "next": "2"}), "needs a `version`"),
        (json!({"version": "43", "entries": many}), "entry 6: the list has more entries"),
        (json!({"version": "43", "total": 6, "entries": []}), "a list has at most 5 entries"),
        (
            json!({"since": "42", "version": "43", "entries": many[..4].to_vec()}),
            "a list has at most 5 entries",
        ),
        (
            json!({"since": "42", "version": "43", "entries": [], "removed": many[..5].to_vec()}),
            "more than 4 changes: serve the full list",
        ),
    ];
    for (list, problem) in cases {
        let limits = Limits { entries: 5, delta: 4, ..Limits::default() };
        let mut scene = scene(limits, &with_deltas(&json!([{"sub": "nurse-17"}, {"sub": "b"}])));
        path(scene.at(5));
        let notice = scene.answered(0, answer(200, &list.to_string())).unwrap();
        assert_eq!(notice.level, log::Level::Warn, "{list}");
        assert!(notice.text.contains(problem), "{list}: {}", notice.text);
        assert_eq!(scene.checks(0), Err("token_revoked"), "{list}");
        assert_eq!(scene.tick(), None, "after a pause");
        assert_eq!(path(scene.at(6)), "/v1/list?since=42");
    }
}

#[test]
fn pages_of_two_lists_are_none() {
    let first = json!({"version": "43", "entries": [], "next": "2"});
    let cases = [
        (json!({"version": "44", "entries": []}), "page 2: the list changed"),
        (json!({"entries": []}), "needs a `version`"),
        (json!({"since": "42", "version": "43", "entries": []}), "page 2: the list changed"),
        (json!({"version": "43", "entries": [], "next": "3"}), "it has more than 2 pages"),
        (json!({"version": "43", "entries": [{}]}), "page 2: entry 1: it names no tokens"),
    ];
    for (second, problem) in cases {
        let limits = Limits { pages: 2, ..Limits::default() };
        let mut scene = scene(limits, &json!({"version": "42", "entries": [{"sub": "nurse-17"}]}));
        path(scene.at(5));
        assert_eq!(scene.answered(0, answer(200, &first.to_string())), None);
        path(&mut scene);
        let mut notice = scene.answered(0, answer(200, &second.to_string()));
        if notice.is_none() {
            path(&mut scene);
            notice = scene.answered(0, answer(200, &second.to_string()));
        }
        assert!(notice.as_ref().unwrap().text.contains(problem), "{second}: {notice:?}");
        assert_eq!(scene.checks(0), Err("token_revoked"), "{second}");
    }
}

#[test]
fn requests_wait_for_the_first_list_unless_it_just_failed() {
    let mut scene = Scene::of(2, &settings());
    let waits = |scene: &mut Scene, who: usize| {
        let token = BoundToken::for_tests(nurse());
        let (_, revocation) = &mut scene.instances[who];
        let refusal = check(token, revocation, &mut Checked::default(), &scene.host).unwrap_err();
        assert_eq!(refusal.reason.code, "revocation_unavailable");
        refusal.pending
    };
    assert!(waits(&mut scene, 0), "before the first tick");
    path(&mut scene);
    assert!(waits(&mut scene, 0) && waits(&mut scene, 1), "while it is asked for");
    scene.answered(0, answer(500, "oops"));
    assert!(!waits(&mut scene, 0) && !waits(&mut scene, 1), "after it failed");
    scene.at(1);
    assert!(waits(&mut scene, 1), "when it is due again");
}
