//! The configuration section `revocation`.

use core::time::Duration;

use super::{events, status_list};
use crate::config::section::Section;
use crate::store::{HttpUrl, Source};
use crate::token::Issuers;

crate::words! {
    /// What happens to requests while the list is stale.
    pub enum WhenStale {
        /// They are refused (503).
        Refuse = "refuse",
        /// They are judged by the last list there was, and audited as such.
        Allow = "allow",
    }
}

/// The configuration section `revocation`.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the revocation list is.
    pub(super) list: Option<ListSettings>,
    /// Which status lists may be asked.
    pub(super) statuses: status_list::Settings,
    /// Whose events are taken.
    pub(super) events: events::Settings,
}

/// Where the revocation list is, and what happens when it grows old.
#[derive(Debug, Clone)]
pub(super) struct ListSettings {
    pub(super) source: Source,
    pub(super) max_staleness: Duration,
    pub(super) when_stale: WhenStale,
}

impl Settings {
    /// Reads the section.
    pub fn read(section: &mut Section<'_>) -> Option<Settings> {
        let list = ListSettings::read(section);
        let statuses = status_list::Settings::read(section);
        let has_list = section.has("cluster") || section.has("url");
        let events = events::Settings::read(section);
        if !has_list && (section.has("status_lists") || section.has("events")) {
            return Some(Settings { list: None, statuses, events });
        }
        for name in ["cluster", "url"] {
            if !section.has(name) {
                let hint = "or give `status_lists` or `events`";
                let problem = format!("`{name}` is missing");
                section.problem(name, problem, "`cluster` and `url`", Some(hint));
            }
        }
        Some(Settings { list: Some(list?), statuses, events })
    }

    /// The settings for where nothing is fetched: whoever names a status list that may be asked is
    /// taken to have a valid status, and no event came.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn offline(mut self) -> Settings {
        self.statuses.offline = true;
        self.events = events::Settings::default();
        self
    }

    /// Whether there is a revocation list.
    pub fn has_list(&self) -> bool {
        self.list.is_some()
    }

    /// Checks the streams of events against `issuers`, which from now on know the keys of those who
    /// send them; `section` is the whole document.
    pub fn join(&self, issuers: &mut Issuers, section: &mut Section<'_>) {
        self.events.join(issuers, section);
    }

    /// Whether there are streams of events.
    pub fn has_events(&self) -> bool {
        self.events.is_used()
    }

    /// Whether there are status lists that may be asked.
    pub fn has_status_lists(&self) -> bool {
        self.statuses.is_used()
    }
}

impl ListSettings {
    fn read(section: &mut Section<'_>) -> Option<ListSettings> {
        let cluster =
            section.optional::<String>("cluster", "Envoy cluster that reaches the revocation list");
        let url = section.optional::<HttpUrl>("url", "where the revocation list is");
        let every = section.default(
            "every",
            Duration::from_secs(5),
            "from one fetch of the list to the next: how long a revoked token can still be used",
        );
        let max_staleness = section.default(
            "max_staleness",
            Duration::from_secs(120),
            "a list that was last confirmed longer ago than this is stale",
        );
        let when_stale = section.default(
            "when_stale",
            WhenStale::Refuse,
            "whether requests are refused (503) or judged by the last list while it is stale or \
             was never fetched",
        );
        if max_staleness < every {
            section.problem(
                "max_staleness",
                "it is shorter than `every`: the list would be stale between two fetches"
                    .to_owned(),
                "at least as long as `every`, better several times that",
                None,
            );
            return None;
        }
        let source = Source {
            name: "revocation".to_owned(),
            cluster: cluster?,
            url: url?,
            every,
            timeout: TIMEOUT,
            max_bytes: MAX_BYTES,
            accept: "application/json, application/x-ndjson",
        };
        Some(ListSettings { source, max_staleness, when_stale })
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// Envoy buffers up to 32 MiB of an answer to a call of a filter.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{ConfigError, describe, read_document};
    use serde_json::{Value, json};

    fn read(document: Value) -> (Option<Settings>, Vec<ConfigError>) {
        read_document(&document, Settings::read)
    }

    #[test]
    fn what_is_left_out_has_the_documented_default() {
        let (settings, errors) = read(json!({"cluster": "lists", "url": "http://lists/v1/list"}));
        assert_eq!(errors, []);
        assert!(!settings.as_ref().unwrap().has_status_lists());
        let settings = settings.unwrap().list.unwrap();
        assert_eq!(settings.source.cluster, "lists");
        assert_eq!(settings.source.url.path(), "/v1/list");
        assert_eq!(settings.source.every, Duration::from_secs(5));
        assert_eq!(settings.max_staleness, Duration::from_secs(120));
        assert_eq!(settings.when_stale, WhenStale::Refuse);
    }

    #[test]
    fn every_wrong_key_is_named() {
        let (settings, errors) = read(json!({
            "cluster": "", "url": "ftp://x", "every": "5", "when_stale": "maybe", "max_stalness": "1m",
        }));
        assert!(settings.is_none());
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/cluster", "/url", "/every", "/when_stale", "/max_stalness"]);
        assert_eq!(errors[4].hint.as_deref(), Some("did you mean `max_staleness`?"));
    }

    #[test]
    fn a_list_may_not_be_stale_between_two_fetches() {
        let url = "http://lists/";
        for (every, max, good) in [("5s", "5s", true), ("5s", "4999ms", false), ("3m", "2m", false)]
        {
            let (settings, errors) =
                read(json!({"cluster": "l", "url": url, "every": every, "max_staleness": max}));
            assert_eq!(settings.is_some(), good, "{every} {max}");
            assert_eq!(errors.is_empty(), good, "{every} {max}");
        }
    }

    #[test]
    fn status_lists_may_stand_beside_the_list_or_instead_of_it() {
        let lists = json!([{"cluster": "auth", "uri": "https://auth.clinic.example/lists/"}]);
        let (settings, errors) = read(json!({"status_lists": lists}));
        let settings = settings.unwrap();
        assert_eq!(
            (errors.len(), settings.has_list(), settings.has_status_lists()),
            (0, false, true)
        );
        let (settings, errors) =
            read(json!({"cluster": "l", "url": "http://lists/", "status_lists": lists}));
        let settings = settings.unwrap();
        assert_eq!(
            (errors.len(), settings.has_list(), settings.has_status_lists()),
            (0, true, true)
        );
    }

    #[test]
    fn half_a_list_is_none() {
        let rows = [
            (json!({}), &["/cluster", "/url"][..]),
            (json!({"every": "5s"}), &["/cluster", "/url"]),
            (json!({"cluster": "l"}), &["/url"]),
            (json!({"url": "http://l/"}), &["/cluster"]),
            (json!({"url": "http://l/", "status_lists": []}), &["/cluster"]),
        ];
        for (document, expected) in rows {
            let (_, errors) = read(document.clone());
            let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{document}");
        }
    }

    #[test]
    fn the_schema_says_what_is_assumed() {
        let schema = describe(Settings::read);
        assert_eq!(schema["required"], Value::Null);
        assert_eq!(schema["properties"]["when_stale"]["default"], json!("refuse"));
    }
}
