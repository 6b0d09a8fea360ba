//! What is in force of a source, for operators: how old it is, how much is in it, what went wrong last.

use core::time::Duration;

use super::bytes::Reader;
use super::{Feed, Head};
use crate::base::capabilities::Capabilities;
use crate::base::time::Instant;

/// What is in force of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is, for people: `keys of https://auth.clinic.example`.
    pub source: String,
    /// What it is, for metrics: `keys.0`.
    pub metric: String,
    /// The version that its server gave it.
    pub version: Option<String>,
    /// How long ago its server last confirmed it; `None`: there is none.
    pub age: Option<Duration>,
    /// How many keys or entries it has.
    pub entries: usize,
    /// Whether requests are judged by it as configured; `false`: missing or stale.
    pub fresh: bool,
    /// What went wrong since, if something did.
    pub problem: Option<String>,
}

/// What went wrong last is shared, so that any instance can tell it.
impl Feed {
    /// Remembers what went wrong: words of our own, nothing of an answer's body.
    pub fn note(&self, problem: &str, caps: &dyn Capabilities) {
        let mut value = caps.now().nanoseconds().to_be_bytes().to_vec();
        value.extend(problem.chars().take(MAX_PROBLEM).collect::<String>().bytes());
        // It is for reading only: whether it was written changes nothing.
        let _ = caps.set_shared(&self.key(PROBLEM), &value, None);
    }

    /// What went wrong since the document in force was last confirmed.
    pub fn noted(&self, head: Option<&Head>, caps: &dyn Capabilities) -> Option<String> {
        let (when, problem) = self.last_note(caps)?;
        let past = head.is_some_and(|head| head.fetched_at >= when);
        (!past).then_some(problem)
    }

    /// Whether something went wrong at this instant or later.
    pub fn noted_since(&self, since: Instant, caps: &dyn Capabilities) -> bool {
        self.last_note(caps).is_some_and(|(when, _)| when >= since)
    }

    fn last_note(&self, caps: &dyn Capabilities) -> Option<(Instant, String)> {
        let shared = caps.shared(&self.key(PROBLEM)).ok()??;
        let mut reader = Reader::new(&shared.value);
        let when = Instant::from_nanoseconds(reader.u64()?);
        let problem = core::str::from_utf8(reader.rest()).ok()?;
        Some((when, problem.to_owned()))
    }
}

const PROBLEM: &str = "problem";
/// Longest text, in characters.
const MAX_PROBLEM: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::capabilities::Native;
    use crate::base::time::UnixSeconds;
    use crate::store::{Generation, HttpUrl, Source};

    #[test]
    fn what_went_wrong_is_told_until_the_document_is_confirmed_again() {
        let at = |second| Instant::from_seconds(UnixSeconds(second));
        let caps = Native::at(at(100));
        let url = HttpUrl::read("http://lists.example/v1").unwrap();
        let source = Source {
            name: "list".to_owned(),
            cluster: "lists".to_owned(),
            url,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            max_bytes: 99,
            accept: "*/*",
        };
        let (mine, other) = (Feed::new(source.clone()), Feed::new(source));
        assert_eq!(mine.noted(None, &caps), None);
        mine.note("status 500", &caps);
        let head = |second| Head {
            generation: Generation::draw(&caps),
            fetched_at: at(second),
            etag: None,
            digest: [0; 32],
            payload: Vec::new(),
        };
        let cases = [(None, true), (Some(head(99)), true), (Some(head(100)), false)];
        for (head, told) in cases {
            let expected = told.then(|| "status 500".to_owned());
            assert_eq!(other.noted(head.as_ref(), &caps), expected, "{head:?}");
        }
        mine.note(&"x".repeat(999), &caps);
        assert_eq!(mine.noted(None, &caps).map(|text| text.len()), Some(300));
    }
}
