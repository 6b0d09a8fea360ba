//! How values are shown in errors, and which known name was meant.

use serde_json::Value;

/// A value as it is shown in an error: on one line and cut short, so that no key set or secret is
/// printed whole.
pub fn excerpt(value: &Value) -> String {
    let text = match value {
        Value::Object(_) => return "an object".to_owned(),
        Value::Array(_) => return "a list".to_owned(),
        Value::String(text) => return name(text),
        other => other.to_string(),
    };
    name(&text)
}

/// A name as it is shown in an error: on one line and cut short.
pub fn name(text: &str) -> String {
    let rest = text.chars().nth(MAX_CHARS).map(|_| '…');
    let shown = text.chars().take(MAX_CHARS).chain(rest);
    shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The known name that differs least from `given`, if it is close enough to be meant.
pub fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if given.len() > MAX_CHARS {
        return None;
    }
    known
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(given.len()).div_ceil(3))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row at a time; letters that differ in case only count as equal.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (to, &above) in b.iter().zip(row.iter().skip(1)) {
            let differs = !from.eq_ignore_ascii_case(to);
            let replaced = diagonal.saturating_add(usize::from(differs));
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Longest excerpt, and longest name that is compared.
const MAX_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_found_and_far_ones_are_not() {
        let known = ["max_lifetime", "clock_skew", "issuer", "jwks", "url"];
        let cases = [
            ("max_lifetme", Some("max_lifetime")),
            ("maxLifetime", Some("max_lifetime")),
            ("clock-skew", Some("clock_skew")),
            ("ISSUER", Some("issuer")),
            ("jkws", Some("jwks")),
            ("issuers", Some("issuer")),
            ("uri", Some("url")),
            ("jwk", Some("jwks")),
            ("x", None),
            ("", None),
            ("password", None),
        ];
        for (given, expected) in cases {
            assert_eq!(nearest(given, known.iter().copied()), expected, "`{given}`");
        }
        assert_eq!(nearest(&"u".repeat(100_000), known.iter().copied()), None);
    }

    #[test]
    fn excerpts_stay_on_one_line_and_are_cut() {
        let long = "x".repeat(100);
        let cut = format!("{}…", "x".repeat(60));
        let cases = [
            (Value::from("a"), "a"),
            (Value::from("a\r\nb"), "a\u{fffd}\u{fffd}b"),
            (Value::from(1.5), "1.5"),
            (Value::Null, "null"),
            (serde_json::json!({"k": "secret"}), "an object"),
            (serde_json::json!(["secret"]), "a list"),
            (Value::from(long.as_str()), cut.as_str()),
        ];
        for (value, expected) in cases {
            assert_eq!(excerpt(&value), expected, "{value}");
        }
    }
}
