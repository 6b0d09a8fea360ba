//! Pages, changes and what breaks: after any sequence of them the list says what the server's does.

#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use std::collections::BTreeMap;

use super::lookup::naive;
use super::*;
use proptest::prelude::*;

/// A list server and several instances that pull from it.
struct Story {
    scene: Scene,
    /// By version, from 1 on: the entries, by what they are about.
    versions: Vec<BTreeMap<usize, Value>>,
    mode: Mode,
    page: usize,
    second: i64,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Good,
    /// The full list, whatever is asked for.
    Full,
    /// No answer to `since`.
    Gone,
    Error,
    Silent,
    Truncated,
    /// Changes since another version.
    OtherSince,
    /// An old full list.
    Old,
}

#[derive(Debug, Clone)]
enum Step {
    /// Entries to add and to remove.
    Publish(Vec<(usize, bool)>),
    Serve(Mode),
    Pages(usize),
    Tick(usize),
    Wait(i64),
    /// An instance is replaced by a new one.
    Die(usize),
    Host(bool),
}

const INSTANCES: usize = 2;

impl Story {
    fn new(limits: Limits) -> Story {
        let scene = Scene::of(INSTANCES, &settings());
        let (versions, mode) = (vec![BTreeMap::new()], Mode::Good);
        let mut story = Story { scene, versions, mode, page: 100, second: 0, limits };
        story.scene.limits(story.limits.clone());
        story
    }

    fn latest(&self) -> usize {
        self.versions.len()
    }

    fn answer(&self, call: &HttpCall) -> Result<HttpAnswer, CallFailed> {
        let query = call.path.split_once('?').map_or("", |(_, query)| query);
        let asked: BTreeMap<&str, &str> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let since = asked.get("since").map(|since| since.parse::<usize>().unwrap());
        let from = asked.get("page").map_or(0, |page| page.parse::<usize>().unwrap());
        let since = since.filter(|_| self.mode != Mode::Full && self.mode != Mode::Old);
        let version = if self.mode == Mode::Old { 1 } else { self.latest() };
        let now = &self.versions[version - 1];
        let (added, removed): (Vec<&Value>, Vec<Value>) = match since {
            None => (now.values().collect(), Vec::new()),
            Some(since) => {
                let before = &self.versions[since - 1];
                let added = now.iter().filter(|(id, _)| !before.contains_key(id));
                let removed = before.iter().filter(|(id, _)| !now.contains_key(id));
                (
                    added.map(|(_, entry)| entry).collect(),
                    removed.map(|(id, _)| tombstone(*id)).collect(),
                )
            }
        };
        // Removals first, as a page may have them: they wait for what is added.
        let all: Vec<(bool, &Value)> = removed
            .iter()
            .map(|entry| (true, entry))
            .chain(added.into_iter().map(|entry| (false, entry)))
            .collect();
        let part: Vec<_> = all.iter().skip(from).take(self.page).collect();
        let of = |gone: bool| {
            part.iter()
                .filter(|(is, _)| *is == gone)
                .map(|(_, entry)| (*entry).clone())
                .collect::<Vec<_>>()
        };
        let mut list =
            json!({"entries": of(false), "version": version.to_string(), "deltas": true});
        if let Some(since) = since {
            let since = if self.mode == Mode::OtherSince { since + 1 } else { since };
            list["since"] = json!(since.to_string());
            list["removed"] = json!(of(true));
        }
        if from + self.page < all.len() {
            list["next"] = json!((from + self.page).to_string());
        }
        let text = list.to_string();
        let answer = |status: u16, body: &str| {
            let etag = Some(format!("\"{version}-{since:?}-{from}-{}\"", self.page));
            Ok(HttpAnswer { status, etag, body: body.as_bytes().to_vec() })
        };
        match self.mode {
            Mode::Error => answer(500, "oops"),
            Mode::Silent => Err(CallFailed::NoAnswer),
            Mode::Gone if since.is_some() => answer(410, ""),
            Mode::Truncated => answer(200, text.split_at(text.len() / 2).0),
            _ => {
                let answer = answer(200, &text)?;
                let known = call.headers.iter().find(|(name, _)| name == "if-none-match");
                match known {
                    Some((_, known)) if Some(known) == answer.etag.as_ref() => {
                        Ok(HttpAnswer { status: 304, body: Vec::new(), ..answer })
                    }
                    _ => Ok(answer),
                }
            }
        }
    }

    fn tick(&mut self) {
        for who in 0..INSTANCES {
            let (instance, revocation) = &mut self.scene.instances[who];
            revocation.refresh(&self.scene.host);
            let _ = work(revocation, &self.scene.host);
            let calls = revocation.due(instance, &self.scene.host);
            for (which, call) in calls {
                let answer = self.answer(&call);
                let (_, revocation) = &mut self.scene.instances[who];
                let _ = revocation.answered(which, answer, &self.scene.host);
            }
            self.holds(who);
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.second += seconds;
        self.scene.at(self.second);
    }

    fn tell(&mut self, step: &Step) {
        match step {
            Step::Publish(changes) => {
                let mut next = self.versions[self.latest() - 1].clone();
                for (id, add) in changes {
                    match add {
                        true => drop(next.insert(*id, entry(*id))),
                        false => drop(next.remove(id)),
                    }
                }
                self.versions.push(next);
            }
            Step::Serve(mode) => self.mode = *mode,
            Step::Pages(size) => self.page = *size,
            Step::Tick(times) => (0..*times).for_each(|_| self.tick()),
            Step::Wait(seconds) => self.wait(*seconds),
            Step::Die(who) => {
                self.scene.add(&settings());
                self.scene.instances.swap_remove(*who);
                self.scene.limits(self.limits.clone());
            }
            Step::Host(fails) => self.scene.host.fails.set(*fails),
        }
    }

    /// What the instance says of tokens is what the list says that it has; while another is on its way,
    /// what both say.
    fn holds(&self, who: usize) {
        let list = self.scene.list(who);
        let Ok(Some(view)) = &list.view else { return };
        let version: usize = view.summary.version.parse().unwrap();
        let head = list.feed.head(&self.scene.host).ok().flatten();
        let current = head.as_ref().is_some_and(|head| head.generation == view.head.generation);
        let loads = |who| matches!(self.scene.list(who).task, Some(Task::Load(_)));
        let settled = current && !view.summary.unfinished && !(0..INSTANCES).any(loads);
        let versions = &self.versions[version - 1..if settled { version } else { self.latest() }];
        let now = u64::try_from(self.second).unwrap() + START;
        for claims in tokens() {
            let Ok(found) = look_up(&claims, view, &list.feed, &self.scene.host) else { return };
            let by = |entry: &Value| naive(entry, &claims, now);
            // Also when one entry takes the place of another.
            let stays = versions.iter().all(|entries| entries.values().any(by));
            let ever = versions.iter().any(|entries| entries.values().any(by));
            match found {
                Found::Revoked => assert!(ever, "{claims:?} is revoked by nothing"),
                Found::Nothing => assert!(!stays, "{claims:?} is let through"),
                Found::Torn => assert!(head.as_ref() != Some(&view.head), "{claims:?} is torn"),
            }
        }
    }
}

/// An entry by its number.
fn entry(id: usize) -> Value {
    let mut entry = tombstone(id);
    match id % 4 {
        0 => entry["expires"] = json!(START + 40),
        1 => entry["expires"] = json!(START + 100_000),
        _ => (),
    }
    entry
}

/// The same without what may differ.
fn tombstone(id: usize) -> Value {
    let value = ["a", "b", "c", "d"][id / 6 % 4];
    match id % 6 {
        0 => json!({"jti": value}),
        1 => json!({"jti": value, "iss": "x"}),
        2 => json!({"sub": value}),
        3 => json!({"sub": value, "issued_before": START - 100}),
        4 => json!({"patient": value, "client_id": "b"}),
        _ => json!({"issued_before": START - 1_000 - u64::try_from(id).unwrap()}),
    }
}

fn tokens() -> Vec<Claims> {
    let text = |text: &str| Some(text.to_owned());
    let mut tokens = Vec::new();
    for value in ["a", "b", "c", "d"] {
        for (issuer, issued_at) in [("x", START - 50), ("y", START - 150), ("x", START - 1_012)] {
            tokens.push(Claims {
                issuer: issuer.to_owned(),
                token_id: text(value),
                subject: text(if value == "a" { "d" } else { "a" }),
                patient: text(value),
                user: text("Patient/c"),
                client: text(if value == "d" { "a" } else { "b" }),
                issued_at: UnixSeconds(issued_at),
                expires: UnixSeconds(START + 3_600),
                ..Claims::default()
            });
        }
    }
    tokens
}

fn any_step() -> impl Strategy<Value = Step> {
    let change = (0_usize..24, any::<bool>());
    let modes = [
        Mode::Good,
        Mode::Full,
        Mode::Gone,
        Mode::Error,
        Mode::Silent,
        Mode::Truncated,
        Mode::OtherSince,
        Mode::Old,
    ];
    prop_oneof![
        4 => proptest::collection::vec(change, 0..8).prop_map(Step::Publish),
        1 => proptest::sample::select(modes.to_vec()).prop_map(Step::Serve),
        2 => Just(Step::Serve(Mode::Good)),
        1 => (1_usize..6).prop_map(Step::Pages),
        6 => (1_usize..12).prop_map(Step::Tick),
        3 => (1_i64..30).prop_map(Step::Wait),
        1 => (0..INSTANCES).prop_map(Step::Die),
        1 => any::<bool>().prop_map(Step::Host),
        1 => Just(Step::Host(false)),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (0_usize..5, 0_usize..12, 1_usize..6, 1_usize..9).prop_map(
        |(of_a_mask, small, batch, steps)| {
            // Enough steps at times to get through a table.
            let steps = if steps == 8 { 4_096 } else { steps * 3 };
            Limits { of_a_mask, small, batch, steps, ..Limits::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_list_says_what_the_servers_does(
        limits in any_limits(),
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let mut story = Story::new(limits);
        for step in &steps {
            story.tell(step);
        }
        story.tell(&Step::Host(false));
        story.tell(&Step::Serve(Mode::Good));
        for _ in 0..3 {
            story.wait(60);
            (0..200).for_each(|_| story.tick());
        }
        let list = story.scene.list(0);
        let view = list.view.as_ref().unwrap().as_ref().unwrap();
        prop_assert_eq!(&view.summary.version, &story.latest().to_string());
        prop_assert!(story.scene.instances.iter().all(|(_, revocation)| !revocation.busy()));
        let known = u64::try_from(story.versions[story.latest() - 1].len()).unwrap();
        prop_assert_eq!(view.summary.entries(), known);
        story.holds(0);
    }
}
