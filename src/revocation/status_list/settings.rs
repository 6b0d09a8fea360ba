//! `revocation.status_lists` of the configuration: which lists may be asked, and how.

use core::time::Duration;

use serde_json::{Value, json};

use crate::config::section::{Section, excerpt};
use crate::config::setting::Setting;
use crate::revocation::WhenStale;
use crate::store::HttpUrl;

/// Which status lists may be asked.
#[derive(Debug, Clone, Default)]
pub(in crate::revocation) struct Settings {
    /// In the order of the document; the first that covers a list is the list's.
    pub(super) entries: Vec<Entry>,
    /// Whether a token that names no list is refused.
    pub(super) required: bool,
    /// Whether no list is fetched and every status counts as valid: on the command line.
    pub(in crate::revocation) offline: bool,
}

/// A list, or all lists below a place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Envoy cluster that reaches them.
    pub(super) cluster: String,
    /// The list, or, when it ends in `/`, what the URIs of its lists begin with.
    pub(super) uri: String,
    /// Longest time from one fetch to the next.
    pub(super) every: Duration,
    /// A list last confirmed longer ago than this is stale.
    pub(super) max_staleness: Duration,
    /// What happens to tokens of a list that is stale.
    pub(super) when_stale: WhenStale,
    /// Largest list in bytes, unpacked.
    pub(super) max_bytes: usize,
}

impl Settings {
    /// Reads the two keys of the section `revocation`.
    pub(in crate::revocation) fn read(section: &mut Section<'_>) -> Settings {
        let entries = section.optional_sections("status_lists", DOC_LISTS, read_entry);
        let required = section.default("status_required", false, DOC_REQUIRED);
        if required && !section.has("status_lists") {
            let problem = "every token would be refused: no list may be asked".to_owned();
            section.problem("status_required", problem, "`status_lists` beside it", None);
        }
        Settings { entries, required, offline: false }
    }

    /// Whether any list may be asked.
    pub(in crate::revocation) fn is_used(&self) -> bool {
        !self.entries.is_empty()
    }

    /// The entry that covers the list at `uri`.
    pub(super) fn covering(&self, uri: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.covers(uri))
    }
}

impl Entry {
    /// Whether the list at `uri` is this one, or one of these. Below a place only plain steps are
    /// taken: nothing that a server could read as another place.
    fn covers(&self, uri: &str) -> bool {
        if uri.len() > MAX_URI {
            return false;
        }
        let is_place = self.uri.ends_with('/');
        match uri.strip_prefix(self.uri.as_str()) {
            Some("") => !is_place,
            Some(below) => is_place && below.split('/').all(is_plain_step),
            None => false,
        }
    }
}

/// Unreserved characters of RFC 3986 and a few that no server gives a meaning, in a step that leads
/// down.
fn is_plain_step(step: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@:+,=".contains(&byte);
    !matches!(step, "" | "." | "..") && step.bytes().all(plain)
}

fn read_entry(section: &mut Section<'_>) -> Option<Entry> {
    let cluster = section.required("cluster", "Envoy cluster that reaches these lists");
    let uri = section.required::<HttpUrl>("uri", DOC_URI);
    let every = section.default("every", Duration::from_secs(300), DOC_EVERY);
    let max_staleness = section.default("max_staleness", Duration::from_secs(3600), DOC_STALENESS);
    let when_stale = section.default("when_stale", WhenStale::Refuse, DOC_WHEN_STALE);
    let ByteCount(max_bytes) = section.default("max_bytes", ByteCount(4 << 20), DOC_MAX_BYTES);
    if max_staleness < every {
        section.problem(
            "max_staleness",
            "it is shorter than `every`: a list would be stale between two fetches".to_owned(),
            "at least as long as `every`, better several times that",
            None,
        );
        return None;
    }
    let (cluster, uri) = (cluster?, uri?.to_string());
    Some(Entry { cluster, uri, every, max_staleness, when_stale, max_bytes })
}

/// A number of bytes, at most 16 MiB.
struct ByteCount(usize);

impl Setting for ByteCount {
    const EXPECTED: &'static str = "a whole number of bytes from 1024 to 16777216";

    fn parse(value: &Value) -> Result<ByteCount, String> {
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        match count.filter(|count| (1 << 10..=16 << 20).contains(count)) {
            Some(count) => Ok(ByteCount(count)),
            None => Err(format!("`{}` is not such a number", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 1 << 10, "maximum": 16 << 20})
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

/// Longest URI of a list in bytes.
const MAX_URI: usize = 1024;

const DOC_LISTS: &str =
    "Token Status Lists that may be asked: those that a token's `status` names.";
const DOC_REQUIRED: &str = "whether a token that names no status list is refused";
const DOC_URI: &str = "a list's URI, or, ending in `/`, what the URIs of such lists begin with";
const DOC_EVERY: &str =
    "longest time from one fetch of a list to the next; a list's own `ttl` may make it shorter";
const DOC_STALENESS: &str =
    "a list last confirmed longer ago than this is stale; one whose `exp` has passed is as well";
const DOC_WHEN_STALE: &str = "whether tokens are refused (503) or judged by the last list while it is stale or its fetch fails";
const DOC_MAX_BYTES: &str =
    "largest list in bytes, unpacked: 4 MiB are 33 million tokens of one bit";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{ConfigError, read_document};

    fn read(document: Value) -> (Settings, Vec<ConfigError>) {
        read_document(&document, Settings::read)
    }

    fn pointers(errors: &[ConfigError]) -> Vec<&str> {
        errors.iter().map(|error| error.pointer.as_str()).collect()
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let (settings, errors) =
            read(json!({"status_lists": [{"cluster": "auth", "uri": "https://a.example/l/"}]}));
        assert_eq!(errors, []);
        assert!(!settings.required);
        let entry = &settings.entries[0];
        assert_eq!((entry.cluster.as_str(), entry.uri.as_str()), ("auth", "https://a.example/l/"));
        assert_eq!(
            (entry.every, entry.max_staleness),
            (Duration::from_secs(300), Duration::from_secs(3600))
        );
        assert_eq!((entry.when_stale, entry.max_bytes), (WhenStale::Refuse, 4 * 1024 * 1024));
        let (none, errors) = read(json!({}));
        assert_eq!((errors.as_slice(), none.entries.len(), none.required), (&[][..], 0, false));
    }

    #[test]
    fn every_wrong_key_is_named() {
        let (settings, errors) = read(json!({"status_lists": [
            {"cluster": "", "uri": "urn:x", "every": 5, "when_stale": "no", "max_bytes": 5, "url": 1},
            {"cluster": "a", "uri": "https://a/l", "every": "2h"},
        ], "status_required": 1}));
        assert_eq!(settings.entries.len(), 0);
        let below = ["cluster", "uri", "every", "when_stale", "max_bytes", "url"];
        let mut expected: Vec<_> = below.map(|key| format!("/status_lists/0/{key}")).to_vec();
        expected
            .extend(["/status_lists/1/max_staleness".to_owned(), "/status_required".to_owned()]);
        assert_eq!(pointers(&errors), expected);
    }

    #[test]
    fn a_status_is_not_required_where_no_list_may_be_asked() {
        let (_, errors) = read(json!({"status_required": true}));
        assert_eq!(pointers(&errors), ["/status_required"]);
    }

    #[test]
    fn an_entry_covers_its_list_or_what_lies_below_it_by_plain_steps() {
        let of = |uri: &str| {
            let document = json!({"status_lists": [{"cluster": "a", "uri": uri}]});
            read(document).0.entries.remove(0)
        };
        let place = "https://a.example/lists/";
        let rows = [
            (place, "https://a.example/lists/1", true),
            (place, "https://a.example/lists/eu/2026-1_x~", true),
            (place, "https://a.example/lists/", false),
            (place, "https://a.example/lists", false),
            (place, "https://a.example/lists/../admin", false),
            (place, "https://a.example/lists/./1", false),
            (place, "https://a.example/lists//1", false),
            (place, "https://a.example/lists/1/", false),
            (place, "https://a.example/lists/%2e%2e/admin", false),
            (place, "https://a.example/lists/1?x=1", false),
            (place, "https://a.example/lists/1#x", false),
            (place, "https://a.example/lists/..;/admin", false),
            (place, "https://a.example/lists/1\\..", false),
            (place, "https://a.example/lists/\u{e9}", false),
            (place, "https://a.example/lists/a b", false),
            (place, "http://a.example/lists/1", false),
            (place, "https://A.example/lists/1", false),
            (place, "https://a.example.evil.example/lists/1", false),
            ("https://a.example/l", "https://a.example/l", true),
            ("https://a.example/l", "https://a.example/l/1", false),
            ("https://a.example/l", "https://a.example/l2", false),
            ("https://a.example/l?x=1", "https://a.example/l?x=1", true),
            ("https://a.example/", "https://a.example/l", true),
            ("https://a.example", "https://a.example.evil.example/", false),
        ];
        for (own, uri, expected) in rows {
            assert_eq!(of(own).covers(uri), expected, "{uri} by {own}");
        }
    }
}
