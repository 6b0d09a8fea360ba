//! The whole flow, by any sequence of what a host can tell: several exchanges of one worker at a time, their
//! events in any order, answers to calls, ticks, a clock that jumps.
//!
//! Nothing goes on without the permit, nor after a refusal, nor with a token that can't be good; what is
//! confined to a patient is judged on its way back and shows nothing of others; each exchange ends in one
//! record of its own; no token is told to anybody.

mod tables;

use core::time::Duration;
use std::collections::{HashSet, VecDeque};

use arbitrary::Unstructured;
use phiward::audit::Failure;
use phiward::base::json;
use phiward::flow::{
    Callout, Effect, End, Event, Exchange, Next, PERMIT_STATE, PERMITTED, Step, Worker,
};
use phiward::forward::Edit;
use phiward::request::Headers;
use phiward::store::{CallFailed, HttpAnswer};
use serde_json::Value;

use super::decision;
use super::host::Host;
use tables::{ASKED, Rules, SECRET, Token, bodies, called, rules, tokens};

thread_local! {
    static TABLES: (Vec<Rules>, Vec<Token>, Vec<Vec<u8>>) = (rules(), tokens(), bodies());
}

/// First the configuration, then what happens. A small letter is a number, counted from `a`.
pub fn check(data: &[u8]) {
    let mut script = Script(Unstructured::new(data));
    TABLES.with(|(rules, tokens, bodies)| {
        let rules = script.pick(rules);
        let mut scene = Scene::new(rules, tokens, bodies);
        for _ in 0..200 {
            if script.0.is_empty() {
                break;
            }
            scene.happens(&mut script);
        }
        scene.ends();
    });
}

/// What is to happen.
struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    fn number(&mut self) -> u8 {
        self.0.arbitrary::<u8>().unwrap_or_default().wrapping_sub(b'a')
    }

    fn pick<'t, T>(&mut self, table: &'t [T]) -> &'t T {
        &table[usize::from(self.number()) % table.len()]
    }

    /// So many bytes as they are.
    fn bytes(&mut self) -> &'a [u8] {
        let most = usize::from(self.number()).min(self.0.len());
        self.0.bytes(most).unwrap_or_default()
    }
}

/// A worker, and the exchanges that are under way.
struct Scene<'t> {
    rules: &'t Rules,
    tokens: &'t [Token],
    bodies: &'t [Vec<u8>],
    host: Host,
    worker: Worker,
    slots: Vec<Slot>,
    callouts: VecDeque<Callout>,
    /// How far the clock was set back.
    back: u64,
    /// Where an export said its status is.
    link: Option<String>,
    ids: HashSet<String>,
}

/// One exchange.
#[derive(Default)]
struct Slot {
    exchange: Exchange,
    begun: bool,
    may_pass: bool,
    /// Whoever asks is confined to a patient, and the answer must be judged.
    confined: bool,
    /// The token goes no further.
    strips: bool,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    forwarded: bool,
    refused: bool,
    calls: usize,
}

impl<'t> Scene<'t> {
    fn new(rules: &'t Rules, tokens: &'t [Token], bodies: &'t [Vec<u8>]) -> Scene<'t> {
        let host = Host::new();
        let worker = Worker::new(rules.configuration.clone(), &host);
        Scene {
            rules,
            tokens,
            bodies,
            host,
            worker,
            slots: Vec::new(),
            callouts: VecDeque::new(),
            back: 0,
            link: None,
            ids: HashSet::new(),
        }
    }

    fn happens(&mut self, script: &mut Script<'_>) {
        match script.number() % 12 {
            0 => self.asks(script),
            1..=6 => {
                let place = usize::from(script.number());
                if !self.slots.is_empty() {
                    let place = place % self.slots.len();
                    self.slot_happens(place, script);
                }
            }
            7 => self.tick(),
            8 => self.is_answered(script),
            9 => self.host.pass(Duration::from_millis(u64::from(script.number()).pow(2) * 50)),
            10 => {
                let seconds = u64::from(script.number());
                self.back += seconds;
                if self.back < 3600 {
                    self.host.set_back(seconds);
                }
            }
            _ => self.host.breaks(script.number() % 3 == 1),
        }
    }

    /// A request comes.
    fn asks(&mut self, script: &mut Script<'_>) {
        let token = script.pick(self.tokens);
        let choice = script.number();
        let ends = script.number().is_multiple_of(2);
        let asked = &ASKED[usize::from(choice) % ASKED.len()];
        let (mut method, mut target) = (asked.method, asked.target.as_bytes().to_vec());
        let (mut public, mut judged) = (asked.public, asked.judged);
        match (choice, &self.link) {
            (200.., Some(link)) => {
                (method, target, judged) = ("GET", link.clone().into_bytes(), false);
            }
            (150..200, _) => {
                (method, target, judged) = ("GET", script.bytes().to_vec(), false);
                public = PUBLIC.iter().any(|known| target.starts_with(known.as_bytes()));
            }
            _ => {}
        }
        let mut fields = vec![
            (b":method".to_vec(), method.as_bytes().to_vec()),
            (b":path".to_vec(), target.clone()),
            (b":authority".to_vec(), b"api.clinic.example".to_vec()),
            (asked.field.0.into(), asked.field.1.into()),
            (b"x-request-id".to_vec(), b"r-1".to_vec()),
            (b"x-phiward-subject".to_vec(), b"me".to_vec()),
        ];
        let authorization =
            |value: &String| (b"authorization".to_vec(), value.clone().into_bytes());
        fields.extend(token.fields.iter().map(authorization));
        let good = token.may_be_good || token.opaque && self.rules.asks_about_opaque;
        let slot = Slot {
            may_pass: good || public,
            confined: token.confined && judged,
            strips: self.rules.enforces && !public,
            fields,
            ..Slot::default()
        };
        if self.slots.len() < 6 {
            self.slots.push(slot);
            let place = self.slots.len() - 1;
            self.head(place, ends);
        }
    }

    fn head(&mut self, place: usize, end_of_stream: bool) {
        self.slots[place].begun = true;
        let headers = Headers::new(self.slots[place].fields.clone());
        self.on(place, Event::RequestHead { headers, end_of_stream }, None);
    }

    /// Something happens to an exchange, whether it waits for that or not.
    fn slot_happens(&mut self, place: usize, script: &mut Script<'_>) {
        let body = |script: &mut Script<'_>, bodies: &[Vec<u8>]| match script.number() {
            200.. => script.bytes().to_vec(),
            choice => bodies[usize::from(choice) % bodies.len()].clone(),
        };
        let choice = script.number() % 12;
        match choice {
            0 => {
                let body = body(script, self.bodies);
                self.on(place, Event::RequestBody { body }, None);
            }
            1 => self.on(
                place,
                Event::RequestBodyPart { held: usize::from(script.number()) * 999 },
                None,
            ),
            2 => self.call_is_answered(place, script),
            3 => self.on(place, Event::News, None),
            4 => {
                let headers = response_head(script.number());
                let end_of_stream = script.number() % 4 == 1;
                self.on(place, Event::ResponseHead { headers, end_of_stream }, None);
            }
            5 => {
                let body = body(script, self.bodies);
                self.on(place, Event::ResponseBody { body: body.clone() }, Some(body));
            }
            6 => {
                let part = body(script, self.bodies);
                let end_of_stream = script.number() % 4 == 1;
                self.on(
                    place,
                    Event::ResponsePart { part: part.clone(), end_of_stream },
                    Some(part),
                );
            }
            7 => self.on(place, Event::ResponseTrailers, None),
            8 => self.head(place, script.number().is_multiple_of(2)),
            9 => {
                let body = body(script, self.bodies);
                self.goes_on_as_wanted(place, body);
            }
            _ => self.end(place, script.number()),
        }
    }

    /// What the exchange waits for happens.
    fn goes_on_as_wanted(&mut self, place: usize, body: Vec<u8>) {
        let exchange = &self.slots[place].exchange;
        let event = if exchange.wants_body().is_some() {
            Event::RequestBody { body: body.clone() }
        } else if exchange.wants_news() {
            Event::News
        } else if exchange.wants_answer() {
            Event::ResponseHead { headers: response_head(0), end_of_stream: false }
        } else if exchange.wants_answer_body() {
            Event::ResponseBody { body: body.clone() }
        } else if exchange.wants_answer_parts() {
            Event::ResponsePart { part: body.clone(), end_of_stream: true }
        } else {
            return;
        };
        let answers = matches!(event, Event::ResponseBody { .. } | Event::ResponsePart { .. });
        self.on(place, event, answers.then_some(body));
    }

    fn call_is_answered(&mut self, place: usize, script: &mut Script<'_>) {
        let answer = decision::answer(usize::from(script.number()));
        self.slots[place].calls = self.slots[place].calls.saturating_sub(1);
        self.on(place, Event::CallAnswered { answer }, None);
    }

    /// The exchange takes an event; what it says is held against the laws. `answer` is what of an answer
    /// comes with the event.
    fn on(&mut self, place: usize, event: Event, answer: Option<Vec<u8>>) {
        let slot = &mut self.slots[place];
        let whole_head = matches!(event, Event::ResponseHead { end_of_stream: false, .. });
        let step = slot.exchange.on(event, &mut self.worker, &self.host);
        let strict = self.rules.enforces && self.rules.judges_answers;
        let replies =
            step.effects.iter().filter(|effect| matches!(effect, Effect::Reply(_))).count();
        let permits = step.effects.iter().any(|effect| {
            matches!(effect, Effect::FilterState(key, value) if (*key, *value) == (PERMIT_STATE, PERMITTED))
        });
        assert!(replies < 2 && !(replies == 1 && step.next == Next::Continue), "{step:?}");
        assert!(!permits || step.next == Next::Continue, "a permit, and it stays: {step:?}");
        step.effects.iter().for_each(tells_no_token);
        if step.next == Next::Continue {
            assert!(!(slot.refused && strict), "it goes on after it was refused: {step:?}");
            assert!(slot.forwarded || permits, "it goes on without the permit: {step:?}");
            assert!(
                slot.may_pass || !self.rules.enforces,
                "it goes on without a good token: {step:?}"
            );
            if !slot.forwarded {
                assert!(slot.begun);
                slot.forwards(&step);
                let unjudged = slot.confined && strict && !slot.exchange.wants_answer();
                assert!(!unjudged, "nobody judges the answer: {step:?}");
            } else if slot.confined && strict {
                assert!(!whole_head, "the answer goes on unjudged");
                shows_nothing_of_others(&step, answer);
            }
            slot.forwarded = true;
        }
        slot.refused |= replies == 1;
        for effect in step.effects {
            match effect {
                Effect::Call(_) => slot.calls += 1,
                Effect::SetAnswerHeader("content-location", url) => self.link = link(&url),
                Effect::ReplaceAnswer(body) => {
                    self.link = link(&String::from_utf8_lossy(&body)).or(self.link.take());
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self) {
        let calls = self.worker.tick(&self.host);
        for (callout, call) in calls {
            let asks = matches!(callout, Callout::Introspection(_));
            let text = format!("{call:?}{:?}", call.headers);
            assert!(asks || !holds_token(&text), "{text}");
            self.callouts.push_back(callout);
        }
        let told = self.worker.tell(&self.host);
        self.tells(&format!("{told:?}"));
        self.listens();
    }

    /// A call of the worker's own is answered.
    fn is_answered(&mut self, script: &mut Script<'_>) {
        let choice = script.number();
        let Some(callout) = self.callouts.pop_front() else { return };
        let (status, body) = called(&callout, choice);
        let answer = match choice {
            200.. => Err(CallFailed::NoAnswer),
            150..200 => Ok(HttpAnswer { status: 200, etag: None, body: script.bytes().to_vec() }),
            _ => Ok(HttpAnswer { status, etag: None, body: body.into_bytes() }),
        };
        // The fuzzer writes no token of its own there.
        let notice = self.worker.answered(callout, answer, &self.host);
        self.tells(&format!("{notice:?}"));
        self.listens();
    }

    /// What the worker has to say.
    fn listens(&mut self) {
        let notices = format!("{:?}{:?}", self.worker.notices(), self.worker.records());
        self.tells(&notices);
    }

    fn tells(&self, text: &str) {
        assert!(!holds_token(text), "{text}");
    }

    /// An exchange is over, for whatever reason.
    fn end(&mut self, place: usize, how: u8) {
        let mut slot = self.slots.swap_remove(place);
        let failures = [None, Some(Failure::ClientGone), Failure::of(u64::from(how) << 1)];
        let end = End {
            status: [Some(200), None, Some(403), Some(503)][usize::from(how % 4)],
            failure: failures[usize::from(how / 4 % 3)],
            address: Some("192.0.2.1:5123".to_owned()),
            ..End::default()
        };
        let left = slot.exchange.end(end, &mut self.worker, &self.host);
        let (log, access_log) = self.rules.logs;
        for (on, lines) in [(log, &left.log), (access_log, &left.access_log)] {
            if on {
                self.is_one_record(&slot, lines);
            } else {
                assert!(lines.is_empty(), "{lines:?}");
            }
        }
        if log {
            let new = left.log.iter().all(|line| self.ids.insert(record(line)["id"].to_string()));
            assert!(new, "an id twice: {:?}", left.log);
        }
    }

    /// One record is of the exchange, others are part of it, and it says what became of it.
    fn is_one_record(&self, slot: &Slot, lines: &[String]) {
        lines.iter().for_each(|line| self.tells(line));
        let records: Vec<Value> = lines.iter().map(|line| record(line)).collect();
        let whole = |record: &&Value| record.get("part_of").is_none_or(Value::is_null);
        assert_eq!(records.iter().filter(whole).count(), 1, "{lines:?}");
        let whole = &records[0];
        assert!(whole.get("part_of").is_none_or(Value::is_null), "{lines:?}");
        assert!(records[1..].iter().all(|part| part["part_of"] == whole["id"]), "{lines:?}");
        let allowed = whole["decision"] == "allow";
        assert!(slot.forwarded || !allowed, "allowed, and it never went on: {whole}");
        let observed = !self.rules.enforces || !self.rules.judges_answers;
        assert!(
            !(slot.refused && allowed) || observed,
            "refused, and recorded as allowed: {whole}"
        );
    }

    /// Everything ends; nothing is left that waits.
    fn ends(mut self) {
        self.host.breaks(false);
        while !self.slots.is_empty() {
            self.end(0, 0);
        }
        self.listens();
        for _ in 0..40 {
            self.tick();
            while let Some(callout) = self.callouts.pop_front() {
                let (status, body) = called(&callout, 0);
                let answer = HttpAnswer { status, etag: None, body: body.into_bytes() };
                let _ = self.worker.answered(callout, Ok(answer), &self.host);
            }
            if !self.worker.hurries() {
                break;
            }
            self.host.pass(Duration::from_secs(1));
        }
        assert!(!self.worker.hurries(), "something waits for nobody");
        let (left, told) = self.worker.end(&self.host);
        self.tells(&format!("{left:?}{told:?}"));
    }
}

impl Slot {
    /// The request goes on: without its token, and without what a client may not say.
    fn forwards(&mut self, step: &Step) {
        let removed = |name: &str| {
            let is = |effect: &Effect| matches!(effect, Effect::Edit(Edit::Remove(gone)) if gone == name);
            step.effects.iter().any(is)
        };
        assert!(removed("x-phiward-subject"), "{step:?}");
        assert!(!self.strips || removed("authorization"), "{step:?}");
    }
}

/// The target of the first link of an export.
fn link(text: &str) -> Option<String> {
    let mut parts = text.split("https://api.clinic.example").skip(1);
    let part = parts.find(|part| part.contains("_phiward="))?;
    part.split('"').next().map(str::to_owned)
}

/// What goes on of the answer holds nothing of other patients.
fn shows_nothing_of_others(step: &Step, answer: Option<Vec<u8>>) {
    let mut replaced = step.effects.iter().filter_map(|effect| match effect {
        Effect::ReplaceAnswer(body) => Some(body.clone()),
        _ => None,
    });
    let shown = replaced.next_back().or(answer).unwrap_or_default();
    assert!(
        !String::from_utf8_lossy(&shown).contains(SECRET),
        "{}",
        String::from_utf8_lossy(&shown)
    );
}

fn tells_no_token(effect: &Effect) {
    let text = match effect {
        Effect::Reply(reply) => format!("{reply:?}"),
        Effect::Edit(edit) => format!("{edit:?}"),
        Effect::Call(call) => format!("{call:?}{:?}", call.headers),
        Effect::SetAnswerHeader(name, value) => format!("{name}{value}"),
        _ => return,
    };
    assert!(!holds_token(&text), "{text}");
}

fn holds_token(text: &str) -> bool {
    text.contains("0paque-secret-token") || text.contains(SIGNATURE)
}

fn record(line: &str) -> Value {
    json::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn response_head(choice: u8) -> Headers {
    let status: &[u8] = [&b"200"[..], b"200", b"201", b"404", b"500", b"202", b"304", b"x"]
        [usize::from(choice % 8)];
    let kinds = ["application/fhir+json", "application/fhir+ndjson", "text/html"];
    let kind = kinds[usize::from(choice / 8 % 3)];
    let mut fields =
        vec![(b":status".to_vec(), status.to_vec()), (b"content-type".to_vec(), kind.into())];
    if status == b"202" {
        let place = "https://api.clinic.example/fhir/export-status/1";
        fields.push((b"content-location".to_vec(), place.into()));
    }
    Headers::new(fields)
}

/// How the genuine signature begins.
const SIGNATURE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

/// What may begin like this needs no token.
const PUBLIC: [&str; 3] = ["/fhir/metadata", "/fhir/.well-known/smart-configuration", "/healthz"];
