use super::*;
use crate::base::capabilities::Native;
use crate::base::time::UnixSeconds;

/// Several instances of one filter over one host.
struct Scene {
    caps: Native,
    instances: Vec<(InstanceId, Feed)>,
}

impl Scene {
    fn of(instances: usize) -> Scene {
        let caps = Native::at(second(1_000));
        let draw = |_| (InstanceId::draw(&caps), Feed::new(source()));
        let instances = (0..instances).map(draw).collect();
        Scene { caps, instances }
    }

    fn at(&mut self, seconds: u64) -> &mut Scene {
        self.caps.set_now(second(seconds));
        self
    }

    fn due(&mut self, who: usize) -> Option<HttpCall> {
        let (instance, feed) = &mut self.instances[who];
        feed.due(instance, &self.caps)
    }

    fn answered(&mut self, who: usize, answer: Result<HttpAnswer, CallFailed>) -> Fetched {
        self.instances[who].1.answered(answer, &self.caps)
    }

    /// Pulls and publishes what the answer brings.
    fn load(&mut self, who: usize, etag: Option<&str>, body: &str) -> Generation {
        self.due(who).expect("due");
        let Fetched::New { body, receipt } = self.answered(who, ok(etag, body)) else {
            panic!("nothing new");
        };
        let generation = Generation::draw(&self.caps);
        let written = self.instances[who].1.publish(receipt, generation, body, &self.caps);
        assert_eq!(written, Ok(Written::Done));
        generation
    }

    fn head(&self) -> Head {
        self.instances[0].1.head(&self.caps).unwrap().expect("a head")
    }

    fn fails(&mut self, who: usize, answer: Result<HttpAnswer, CallFailed>) -> String {
        match self.answered(who, answer) {
            Fetched::Failed(problem) => problem,
            other => panic!("{other:?}"),
        }
    }
}

fn second(seconds: u64) -> Instant {
    Instant::from_seconds(UnixSeconds(seconds))
}

fn source() -> Source {
    Source {
        name: "list".to_owned(),
        cluster: "lists".to_owned(),
        url: HttpUrl::read("http://lists.internal/v1/list?all").unwrap(),
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        max_bytes: 40,
        accept: "application/json",
    }
}

fn answer(status: u16, etag: Option<&str>, body: &str) -> Result<HttpAnswer, CallFailed> {
    Ok(HttpAnswer { status, etag: etag.map(str::to_owned), body: body.as_bytes().to_vec() })
}

fn ok(etag: Option<&str>, body: &str) -> Result<HttpAnswer, CallFailed> {
    answer(200, etag, body)
}

fn if_none_match(call: &HttpCall) -> Option<&str> {
    let field = call.headers.iter().find(|(name, _)| name == "if-none-match");
    field.map(|(_, value)| value.as_str())
}

#[test]
fn the_first_call_is_made_at_once_by_one_instance() {
    let mut scene = Scene::of(3);
    let call = scene.due(0).unwrap();
    assert_eq!(call.cluster, "lists");
    assert_eq!(call.authority, "lists.internal");
    assert_eq!(call.path, "/v1/list?all");
    assert_eq!(call.headers, [("accept".to_owned(), "application/json".to_owned())]);
    assert_eq!(call.timeout, Duration::from_secs(2));
    assert_eq!(scene.due(0), None, "its call is under way");
    assert_eq!(scene.due(1), None, "another's call is under way");
}

#[test]
fn what_one_instance_publishes_all_read_and_the_next_call_is_due_later() {
    let mut scene = Scene::of(2);
    let generation = scene.load(0, Some("\"1\""), "one");
    let head = scene.instances[1].1.head(&scene.caps).unwrap().unwrap();
    assert_eq!(head.generation, generation);
    assert_eq!(head.payload, b"one");
    assert_eq!(head.fetched_at, second(1_000));
    assert_eq!(scene.at(1_004).due(1), None);
    let call = scene.at(1_005).due(1).unwrap();
    assert_eq!(if_none_match(&call), Some("\"1\""));
}

#[test]
fn age_counts_from_the_call_not_from_its_answer() {
    let mut scene = Scene::of(1);
    scene.due(0).unwrap();
    scene.at(1_002);
    let Fetched::New { receipt, .. } = scene.answered(0, ok(None, "one")) else { panic!("new") };
    let generation = Generation::draw(&scene.caps);
    let written = scene.instances[0].1.publish(receipt, generation, Vec::new(), &scene.caps);
    assert_eq!(written, Ok(Written::Done));
    assert_eq!(scene.head().fetched_at, second(1_000));
}

#[test]
fn an_unchanged_document_is_fresh_again() {
    let unchanged = [("304", answer(304, None, "")), ("same body", ok(Some("\"2\""), "one"))];
    for (case, answer) in unchanged {
        let mut scene = Scene::of(2);
        let generation = scene.load(0, Some("\"1\""), "one");
        scene.at(1_005).due(1).unwrap();
        assert!(matches!(scene.answered(1, answer), Fetched::Unchanged), "{case}");
        assert_eq!(scene.head().generation, generation, "{case}");
        assert_eq!(scene.head().fetched_at, second(1_005), "{case}");
        assert_eq!(scene.head().payload, b"one", "{case}");
    }
}

#[test]
fn every_failure_leaves_what_is_in_force_and_its_age() {
    let cases = [
        (Err(CallFailed::Undispatched), "does it have a cluster `lists`?"),
        (Err(CallFailed::NoAnswer), "no answer"),
        (answer(500, None, "oops"), "status 500"),
        (answer(504, None, "timeout"), "status 504"),
        (answer(206, None, "on"), "status 206"),
        (answer(301, None, ""), "redirects are not followed"),
        (ok(None, ""), "an empty answer"),
        (ok(None, &"x".repeat(41)), "41 bytes, more than the 40 allowed"),
    ];
    for (failure, text) in cases {
        let mut scene = Scene::of(2);
        scene.load(0, None, "one");
        let before = scene.head();
        scene.at(1_005).due(0).unwrap();
        let problem = scene.fails(0, failure);
        assert!(problem.contains(text), "{problem}");
        assert_eq!(scene.head(), before, "{text}");
        assert_eq!(scene.due(1), None, "{text}: not again at once");
        assert!(scene.at(1_006).due(1).is_some(), "{text}: again soon");
    }
}

#[test]
fn an_unasked_304_renews_nothing() {
    let mut scene = Scene::of(1);
    scene.due(0).unwrap();
    assert!(scene.fails(0, answer(304, None, "")).contains("named no `ETag`"));
    scene.at(1_001).load(0, None, "one");
    scene.at(1_006).due(0).unwrap();
    assert!(scene.fails(0, answer(304, None, "")).contains("named no `ETag`"));
    assert_eq!(scene.head().fetched_at, second(1_001));
}

#[test]
fn a_rejected_document_counts_as_a_failure() {
    let mut scene = Scene::of(2);
    scene.load(0, Some("\"1\""), "one");
    let before = scene.head();
    scene.at(1_005).due(0).unwrap();
    let Fetched::New { receipt, .. } = scene.answered(0, ok(Some("\"2\""), "<html>")) else {
        panic!("new");
    };
    assert_eq!(scene.due(1), None, "it is still being judged");
    let Scene { caps, instances } = &mut scene;
    instances[0].1.reject(receipt, caps);
    assert_eq!(scene.head(), before);
    assert_eq!(scene.due(1), None);
    let call = scene.at(1_006).due(1).unwrap();
    assert_eq!(if_none_match(&call), Some("\"1\""), "the good document's");
}

#[test]
fn a_call_that_is_never_answered_is_taken_over() {
    let mut scene = Scene::of(2);
    scene.due(0).unwrap();
    assert_eq!(scene.at(1_011).due(1), None);
    assert!(scene.at(1_012).due(1).is_some());
}

#[test]
fn an_instance_that_was_taken_over_publishes_nothing() {
    let mut scene = Scene::of(2);
    scene.due(0).unwrap();
    let generation = scene.at(1_012).load(1, None, "newer");
    assert!(scene.fails(0, ok(None, "older")).contains("took over"));
    assert_eq!(scene.head().generation, generation);
    assert!(scene.fails(0, ok(None, "older")).contains("without a call"));
}

#[test]
fn an_older_document_never_replaces_a_newer() {
    let mut scene = Scene::of(2);
    scene.due(0).unwrap();
    let Fetched::New { receipt, .. } = scene.answered(0, ok(None, "older")) else { panic!("new") };
    let generation = scene.at(1_020).load(1, None, "newer");
    let older = Generation::draw(&scene.caps);
    let Scene { caps, instances } = &mut scene;
    let written = instances[0].1.publish(receipt, older, b"older".to_vec(), caps);
    assert_eq!(written, Ok(Written::Raced));
    assert_eq!(scene.head().generation, generation);
}

#[test]
fn a_304_for_a_document_replaced_meanwhile_renews_nothing() {
    let mut scene = Scene::of(2);
    scene.load(0, Some("\"1\""), "one");
    scene.at(1_005).due(0).unwrap();
    let other = Head { generation: Generation::draw(&scene.caps), ..scene.head() };
    let key = scene.instances[0].1.key("head");
    scene.caps.set_shared(&key, &other.encode(), None).map(drop).unwrap();
    assert!(scene.fails(0, answer(304, None, "")).contains("published meanwhile"));
    assert_eq!(scene.head(), other);
}

#[test]
fn a_broken_document_is_pulled_again_at_once_and_whole() {
    let mut scene = Scene::of(2);
    let broken = scene.load(0, Some("\"1\""), "one");
    scene.instances[1].1.report_broken(broken);
    let call = scene.due(1).unwrap();
    assert_eq!(if_none_match(&call), None);
    let Fetched::New { body, receipt } = scene.answered(1, ok(Some("\"1\""), "one")) else {
        panic!("the same body must be loaded anew");
    };
    let generation = Generation::draw(&scene.caps);
    let Scene { caps, instances } = &mut scene;
    assert_eq!(instances[1].1.publish(receipt, generation, body, caps), Ok(Written::Done));
    assert_eq!(scene.due(1), None, "mended");
}

#[test]
fn a_clock_set_back_makes_the_document_due_and_read_anew() {
    let mut scene = Scene::of(2);
    scene.at(5_000).load(0, Some("\"1\""), "one");
    let call = scene.at(1_000).due(1).unwrap();
    assert_eq!(if_none_match(&call), None);
    let Fetched::New { body, receipt } = scene.answered(1, ok(Some("\"1\""), "one")) else {
        panic!("it must be read anew");
    };
    let generation = Generation::draw(&scene.caps);
    let Scene { caps, instances } = &mut scene;
    assert_eq!(instances[1].1.publish(receipt, generation, body, caps), Ok(Written::Done));
    assert_eq!(scene.head().generation, generation);
    assert_eq!(scene.head().fetched_at, second(1_000));
    assert_eq!(scene.due(0), None);
}

#[test]
fn a_head_that_cannot_be_read_is_an_error_and_is_replaced() {
    let mut scene = Scene::of(1);
    let key = scene.instances[0].1.key("head");
    scene.caps.set_shared(&key, b"what?", None).map(drop).unwrap();
    assert_eq!(scene.instances[0].1.head(&scene.caps), Err(HostFailed));
    let generation = scene.load(0, None, "one");
    assert_eq!(scene.head().generation, generation);
}

#[test]
fn a_new_instance_of_the_same_source_adopts_what_is_published() {
    let mut scene = Scene::of(1);
    scene.load(0, None, "one");
    let faster = Source { every: Duration::from_secs(1), ..source() };
    let mut feed = Feed::new(faster);
    let instance = InstanceId::draw(&scene.caps);
    assert_eq!(feed.head(&scene.caps).unwrap().unwrap().payload, b"one");
    assert_eq!(feed.due(&instance, &scene.caps), None);
    scene.at(1_001);
    assert!(feed.due(&instance, &scene.caps).is_some(), "at its own pace");
}

#[test]
fn sources_that_differ_share_no_key() {
    let sources = [
        source(),
        Source { name: "keys".to_owned(), ..source() },
        Source { cluster: "other".to_owned(), ..source() },
        Source { url: HttpUrl::read("http://lists.internal/v1/list").unwrap(), ..source() },
        Source { name: "listlists".to_owned(), cluster: "x".to_owned(), ..source() },
        Source { name: "list".to_owned(), cluster: "listsx".to_owned(), ..source() },
    ];
    let mut keys: Vec<_> = sources.map(|source| Feed::new(source).key("head")).into();
    assert!(keys.iter().all(|key| key.starts_with("phiward/") && key.len() == 45), "{keys:?}");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 6);
}
