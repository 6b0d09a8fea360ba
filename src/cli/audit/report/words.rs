//! Times, numbers and names as people read them.

use std::borrow::Cow;

use crate::base::time::{Instant, UnixSeconds};

/// RFC 3339 in UTC.
pub(super) fn time(seconds: UnixSeconds) -> String {
    crate::cli::time::text(Instant::from_seconds(seconds))
}

/// A time in RFC 3339 in UTC without its letters, for example `2026-09-21 14:13:20`.
pub(super) fn readable(time: &str) -> String {
    time.replacen('T', " ", 1).trim_end_matches('Z').to_owned()
}

/// A length of time, for example `15 minutes`.
pub(super) fn width(seconds: u64) -> String {
    let (unit, length) = [(604_800, "week"), (86_400, "day"), (3600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length))
        .map_or(("second", 1), |(length, unit)| (unit, length));
    plural(seconds.checked_div(length).unwrap_or_default(), unit)
}

/// A number with its unit, for example `1 record` and `12,000 records`.
pub(super) fn plural(number: u64, unit: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {unit}{end}", thousands(number))
}

/// A number with a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(place);
        if place > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, for example `12.5 %`.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => String::new(),
        whole => format!("{:.1} %", part as f64 * 100.0 / whole as f64),
    }
}

/// A text from outside with everything visible: what a terminal obeys, what ends a line and what turns
/// the direction of writing becomes its code point.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match is_invisible(c) {
        true => format!("\\u{{{:x}}}", u32::from(c)),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Controls, separators of lines, marks of direction and what has no width.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_readable() {
        let rows = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, expected) in rows {
            assert_eq!(thousands(number), expected);
        }
        let rows = [(1, "1 second"), (15, "15 seconds"), (60, "1 minute"), (10_800, "3 hours")];
        for (seconds, expected) in
            rows.into_iter().chain([(86_400, "1 day"), (2_419_200, "4 weeks")])
        {
            assert_eq!(width(seconds), expected);
        }
        assert_eq!(readable("2026-09-21T14:13:20Z"), "2026-09-21 14:13:20");
        assert_eq!((share(1, 8), share(1, 0)), ("12.5 %".to_owned(), String::new()));
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_and_the_rest_left_alone() {
        let rows = [
            ("Zoë Müller 山", "Zoë Müller 山"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\t", "a\\u{d}\\u{a}b\\u{9}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}cod", "\\u{202e}cod"),
            ("\u{2028}", "\\u{2028}"),
        ];
        for (text, expected) in rows {
            assert_eq!(visible(text), expected);
        }
    }
}
