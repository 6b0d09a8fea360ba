//! Slices of work, and what is cleared away.

use super::steps::{path, scene, told, with_deltas};
use super::*;

#[test]
fn who_takes_an_answer_leaves_the_work_to_a_slice() {
    for page in [json!({"version": "1", "entries": [], "next": "2"}), with_nurse()] {
        let mut scene = Scene::of(1, &settings());
        if page["next"].is_string() {
            scene.serves(&page);
        }
        path(&mut scene);
        let last = json!({"version": page["version"], "entries": [{"sub": "nurse-17"}]});
        let (_, revocation) = &mut scene.instances[0];
        let answer = answer(200, &last.to_string());
        assert_eq!(revocation.answered(Which::List, answer, &scene.host), None, "{page}");
        assert!(revocation.busy(), "{page}");
        assert_eq!(scene.checks(0), Err("revocation_unavailable"), "{page}");
        assert!(work(&mut scene.instances[0].1, &scene.host).is_some(), "{page}");
        assert_eq!(scene.checks(0), Err("token_revoked"), "{page}");
    }
}

#[test]
fn a_step_writes_few_values_and_moves_few_entries() {
    let many = |from: usize| -> Vec<_> {
        (from..from + 3_000).map(|number| json!({"jti": number.to_string()})).collect()
    };
    let limits = Limits { of_a_mask: 2_500, steps: 1, ..Limits::default() };
    let mut scene = Scene::of(1, &settings());
    scene.limits(limits);
    let mut most = 0;
    let lists = [
        json!({"version": "42", "deltas": true, "entries": many(0)[..2_400].to_vec()}),
        json!({"since": "42", "version": "43", "entries": many(2_400), "removed": many(0)[..9].to_vec()}),
        json!({"version": "44", "entries": many(0)}),
    ];
    for (second, list) in (0..).step_by(5).zip(lists) {
        path(scene.at(second));
        let (_, revocation) = &mut scene.instances[0];
        let answer = answer(200, &list.to_string());
        assert_eq!(revocation.answered(Which::List, answer, &scene.host), None);
        let mut steps = 0;
        while revocation.busy() {
            let before = scene.host.writes.get();
            work(revocation, &scene.host);
            most = most.max(scene.host.writes.get() - before);
            steps += 1;
        }
        assert!(steps > 10, "{steps}");
    }
    assert!((64..=66).contains(&most), "{most}");
    let summary = &scene.list(0).view.as_ref().unwrap().as_ref().unwrap().summary;
    assert_eq!((summary.entries(), summary.place.buckets()), (3_000, 1_024));
}

#[test]
fn loading_goes_on_in_slices_and_stops_when_the_lease_is_lost() {
    let many: Vec<_> = (0..500).map(|number| json!({"jti": number.to_string()})).collect();
    let list = json!({"version": "1", "entries": many}).to_string();
    let mut scene = Scene::of(2, &settings());
    scene.limits(Limits { steps: 2, ..tiny() });
    path(&mut scene);
    let (_, first) = &mut scene.instances[0];
    assert_eq!(first.answered(Which::List, answer(200, &list), &scene.host), None);
    assert!(first.busy());
    assert!(scene.tick().is_none(), "the other one waits");
    // The first instance stands still for longer than its lease holds.
    scene.at(40);
    let (instance, second) = &mut scene.instances[1];
    assert_eq!(second.due(instance, &scene.host).len(), 1);
    let (_, first) = &mut scene.instances[0];
    let notice = work(first, &scene.host).unwrap();
    assert!(notice.text.contains("another instance took over"), "{}", notice.text);
    assert!(!first.busy());
    assert!(
        scene.answered(1, answer(200, &list)).unwrap().text.contains("500 entries are in force")
    );
}

#[test]
fn changes_that_broke_off_are_followed_by_a_full_list() {
    let list = json!([{"sub": "nurse-17"}, {"sub": "a"}, {"sub": "b"}]);
    let changes = json!({"since": "42", "version": "43", "entries": [{"sub": "c"}, {"sub": "d"}],
        "removed": [{"sub": "a"}]});
    let mut broke_off = 0;
    for steps in 1..20 {
        let mut scene = scene(tiny(), &with_deltas(&list));
        path(scene.at(5));
        scene.limits(Limits { steps, ..tiny() });
        let (_, revocation) = &mut scene.instances[0];
        let answer = answer(200, &changes.to_string());
        assert_eq!(revocation.answered(Which::List, answer, &scene.host), None);
        if work(revocation, &scene.host).is_some() {
            continue; // it was done within these steps
        }
        scene.host.fails.set(true);
        let notice = work(revocation, &scene.host).unwrap();
        assert_eq!(notice.level, log::Level::Warn);
        scene.host.fails.set(false);
        scene.limits(tiny());
        let asked = path(scene.at(30));
        assert_eq!(scene.checks(0), Err("revocation_stale"));
        if asked == "/v1/list" {
            broke_off += 1;
            let full = json!({"version": "43", "deltas": true, "entries": [{"sub": "nurse-17"}]});
            assert!(told(&mut scene, &full).contains("1 entries are in force"));
        } else {
            assert!(told(&mut scene, &changes).contains("4 entries are in force"));
        }
        assert_eq!(scene.checks(0), Err("token_revoked"));
    }
    assert!(broke_off > 0);
}

#[test]
fn the_slot_of_the_list_before_gives_its_memory_back() {
    let mut scene = scene(tiny(), &with_nurse());
    path(scene.at(5));
    told(&mut scene, &without_nurse());
    let summary = scene.list(0).view.as_ref().unwrap().as_ref().unwrap().summary.clone();
    assert_eq!(summary.left_over, 0);
    for bucket in 0..summary.place.buckets() {
        let of = |slot: u8| {
            let key = scene.list(0).feed.key(format_args!("{slot}/{bucket}"));
            scene.host.shared(&key).unwrap()
        };
        assert!(of(summary.place.slot).is_some(), "{bucket}");
        assert_eq!(of(1 - summary.place.slot), None, "{bucket}");
    }
}

#[test]
fn entries_are_forgotten_a_day_after_they_expire() {
    for limits in [Limits::default(), tiny()] {
        let list = json!({"entries": [
            {"jti": "a", "expires": START + 10}, {"jti": "b", "expires": START - 86_399},
            {"jti": "c", "expires": START - 86_400}, {"jti": "d", "expires": 0}, {"jti": "e"},
        ]});
        let scene = scene(limits, &list);
        let view = scene.list(0).view.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(view.summary.entries(), 3);
    }
    let list = json!({"entries": [{"jti": "a", "expires": START + 10}, {"jti": "e"}]});
    let mut scene = scene(tiny(), &list);
    let left =
        |scene: &Scene| scene.list(0).view.as_ref().unwrap().as_ref().unwrap().summary.entries();
    for round in 1..=256 {
        assert_eq!(left(&scene), 2);
        path(scene.at(round * 5));
        scene.answered(0, answer(304, ""));
        scene.tick();
    }
    for round in 0..256 {
        path(scene.at(86_400 + 10 + round * 5));
        scene.answered(0, answer(304, ""));
        scene.tick();
    }
    assert_eq!(left(&scene), 1, "each bucket was looked at");
}

#[test]
fn a_table_that_was_outgrown_is_loaded_anew() {
    let mut scene = scene(tiny(), &with_deltas(&json!([{"sub": "nurse-17"}])));
    let list = scene.list(0);
    let mut head = list.feed.head(&scene.host).unwrap().unwrap();
    for (large, expected) in [(4 * 128 * 1024, "?since=42"), (4 * 128 * 1024 + 1, "")] {
        let mut summary = Summary::decode(&head.payload).unwrap();
        summary.large = large;
        head.payload = summary.encode();
        let ask = ask(&head);
        assert_eq!(ask.query.map(|query| format!("?{query}")).unwrap_or_default(), expected);
        assert_eq!(ask.anew, expected.is_empty());
    }
    assert_eq!(path(scene.at(5)), "/v1/list?since=42");
}

#[test]
fn a_page_of_a_list_that_was_given_up_is_never_taken_for_a_whole_list() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&json!({"version": "1", "entries": [{"sub": "nurse-17"}], "next": "b"}));
    assert_eq!(path(&mut scene), "/v1/list?page=b");
    let lease = scene.list(0).feed.key("lease");
    let _ = scene.host.native.set_shared(&lease, b"somebody else's", None).unwrap();
    assert!(work(&mut scene.instances[0].1, &scene.host).is_some(), "it is given up");
    scene.at(3);
    assert_eq!(scene.tick(), None, "its page is still on its way");
    let page = json!({"version": "1", "entries": [{"sub": "other"}]}).to_string();
    scene.answered(0, answer(200, &page));
    assert_eq!(scene.checks(0), Err("revocation_unavailable"));
    assert_eq!(path(&mut scene), "/v1/list");
    scene.answered(0, answer(200, &with_nurse().to_string()));
    assert_eq!(scene.checks(0), Err("token_revoked"));
}

#[test]
fn a_page_that_never_comes_holds_nothing_up_for_long() {
    let mut scene = Scene::of(1, &settings());
    scene.serves(&json!({"version": "1", "entries": [], "next": "b"}));
    path(&mut scene);
    scene.at(21);
    assert!(work(&mut scene.instances[0].1, &scene.host).is_some(), "it is given up");
    scene.at(23);
    scene.serves(&with_nurse());
    assert_eq!(scene.checks(0), Err("token_revoked"));
}

#[test]
fn some_thousand_entries_may_name_the_same_and_more_are_refused() {
    let many = |count: usize| {
        let same = (1..=count).map(|second| json!({"sub": "a", "issued_before": second}));
        same.chain([json!({"sub": "nurse-17"})]).collect::<Vec<_>>()
    };
    let crowded = "too many of its entries name the same";
    let limits = Limits { of_a_mask: 0, small: 0, ..Limits::default() };
    let mut scene = Scene::of(1, &settings());
    scene.limits(limits);
    let list = json!({"version": "1", "entries": many(9_000)});
    let told = scene.serves(&list).unwrap().text;
    assert!(told.contains(crowded), "{told}");
    assert_eq!(scene.checks(0), Err("revocation_unavailable"));
    scene.at(10).serves(&json!({"version": "1", "deltas": true, "entries": many(3_000)}));
    assert_eq!(scene.checks(0), Err("token_revoked"));
    scene.at(20);
    let changes = json!({"since": "1", "version": "2", "entries": many(9_000)});
    let told = scene.serves(&changes).unwrap().text;
    assert!(told.contains(crowded), "{told}");
    assert_eq!(scene.checks(0), Err("token_revoked"), "the list stays as it was");
    let fewer = json!({"since": "1", "version": "2", "entries": [], "removed": many(3_000)});
    scene.at(30).serves(&fewer);
    assert_eq!(scene.checks(0), Ok(Freshness::Fresh));
}
