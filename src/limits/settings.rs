//! The configuration section `sessions`.

use core::time::Duration;

use crate::config::section::Section;
use crate::config::setting::{Count, Setting};
use crate::token::Claims;

/// The configuration section `sessions`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) capacity: u32,
    rules: Vec<Rule>,
}

/// How long the sessions of some tokens last.
#[derive(Debug, Clone)]
pub struct Rule {
    roles: Option<Vec<String>>,
    clients: Option<Vec<String>>,
    contexts: Option<Vec<ScopeContext>>,
    /// From the last request.
    pub idle: Option<Duration>,
    /// From the session's beginning.
    pub lifetime: Option<Duration>,
}

/// What applies to a token.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'a> {
    /// The rule, if one fits.
    pub rule: Option<&'a Rule>,
    /// Its place in the list, from 0; how many there are when none fits.
    pub place: usize,
}

crate::words! {
    /// For whom a scope asks: what stands before its slash.
    pub(super) enum ScopeContext {
        /// `patient/…`
        Patient = "patient",
        /// `user/…`
        User = "user",
        /// `system/…`
        System = "system",
    }
}

impl Settings {
    /// Reads the section.
    pub fn read(section: &mut Section<'_>) -> Option<Settings> {
        let capacity = section.default("capacity", Count(100_000), DOC_CAPACITY);
        let rules = section.required_sections("rules", DOC_RULES, Rule::read);
        let last = rules.len().saturating_sub(1);
        if let Some(place) = rules.iter().position(Rule::fits_everyone).filter(|at| *at < last) {
            section.problem_below(
                &format!("rules/{place}"),
                "it fits every token, so no rule below it ever counts".to_owned(),
                "`roles`, `clients` or `contexts`, or the last place in the list",
                None,
            );
        }
        Some(Settings { capacity: capacity.0, rules })
    }

    /// The first rule that fits a token.
    pub fn applied(&self, claims: &Claims) -> Applied<'_> {
        let place = self.rules.iter().position(|rule| rule.fits(claims));
        let place = place.unwrap_or(self.rules.len());
        Applied { rule: self.rules.get(place), place }
    }
}

impl Rule {
    fn read(section: &mut Section<'_>) -> Option<Rule> {
        let rule = Rule {
            roles: some(section, "roles", "Fits tokens with one of these roles."),
            clients: some(section, "clients", "Fits tokens of one of these clients (`client_id`)."),
            contexts: some(section, "contexts", DOC_CONTEXTS),
            idle: section.optional("idle", DOC_IDLE),
            lifetime: section.optional("lifetime", DOC_LIFETIME),
        };
        if !section.has("idle") && !section.has("lifetime") {
            let problem = "neither `idle` nor `lifetime` is given".to_owned();
            section.problem("idle", problem, "`idle`, `lifetime` or both", None);
        }
        for (name, length) in [("idle", rule.idle), ("lifetime", rule.lifetime)] {
            if let Some(length) = length.filter(|length| *length < SHORTEST || !is_whole(*length)) {
                let problem = format!("`{}` can't be kept", length.json().as_str().unwrap_or(""));
                section.problem(name, problem, "whole seconds, at least `2s`", None);
            }
        }
        Some(rule)
    }

    /// Whether everything that it names is the token's.
    fn fits(&self, claims: &Claims) -> bool {
        let has_role = |roles: &Vec<String>| roles.iter().any(|role| claims.roles.contains(role));
        let is_client = |clients: &Vec<String>| {
            clients.iter().any(|client| claims.client.as_ref() == Some(client))
        };
        let asks = |contexts: &Vec<ScopeContext>| contexts.iter().any(|one| one.is_of(claims));
        self.roles.as_ref().is_none_or(has_role)
            && self.clients.as_ref().is_none_or(is_client)
            && self.contexts.as_ref().is_none_or(asks)
    }

    fn fits_everyone(&self) -> bool {
        self.roles.is_none() && self.clients.is_none() && self.contexts.is_none()
    }
}

impl ScopeContext {
    /// Whether one of the token's scopes is of this context.
    fn is_of(self, claims: &Claims) -> bool {
        claims
            .scope
            .split_ascii_whitespace()
            .any(|scope| scope.split_once('/').is_some_and(|(context, _)| context == self.word()))
    }
}

/// A list that, when it is given, names something.
fn some<T: Setting>(section: &mut Section<'_>, name: &'static str, doc: &str) -> Option<Vec<T>> {
    let list = section.optional::<Vec<T>>(name, doc);
    if list.as_ref().is_some_and(Vec::is_empty) {
        let hint = Some("leave the key out to fit all");
        section.problem(name, "the list is empty".to_owned(), "at least one", hint);
    }
    list
}

const fn is_whole(length: Duration) -> bool {
    length.subsec_nanos() == 0
}

const DOC_CAPACITY: &str = "How many sessions are remembered at least; the one that was used longest ago is \
    forgotten first. Changing it forgets all.";
const DOC_RULES: &str = "How long sessions last: the first rule that fits a token counts. A token that none \
    fits has no limit.";
const DOC_CONTEXTS: &str =
    "Fits tokens with scopes of one of these contexts: what stands before the slash.";
const DOC_IDLE: &str = "A session without a request for this long has ended.";
const DOC_LIFETIME: &str =
    "A session that began this long ago has ended: when it was first seen, or at `auth_time`.";
/// Shortest time that can be kept: sessions are written once a second.
const SHORTEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
