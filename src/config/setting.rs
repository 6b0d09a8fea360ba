//! Types that a key of the document can have, each with its JSON form and its schema.

use core::time::Duration;

use serde_json::{Value, json};

use super::section::{ConfigError, excerpt};

mod count;
mod variable;

pub use count::Count;
pub use variable::Variable;

/// A value of the document with one type.
pub trait Setting: Sized {
    /// What is expected, for error messages: `a duration with unit such as `30s``.
    const EXPECTED: &'static str;

    /// [`Setting::EXPECTED`], for the reference page: a list also says what its members are.
    fn expected() -> String {
        Self::EXPECTED.to_owned()
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// What is wrong with it: lower case, the offending value in backticks.
    fn parse(value: &Value) -> Result<Self, String>;

    /// What to do about a value that is wrong, where that can be guessed.
    fn hint(_value: &Value) -> Option<String> {
        None
    }

    /// Reads the value at `pointer`; records what is wrong with it, every member of a list by itself.
    fn parse_at(value: &Value, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Self> {
        match Self::parse(value) {
            Ok(setting) => Some(setting),
            Err(problem) => {
                errors.push(Self::error(pointer, problem, value));
                None
            }
        }
    }

    /// The error that `value` at `pointer` is.
    fn error(pointer: &str, problem: String, value: &Value) -> ConfigError {
        ConfigError {
            pointer: pointer.to_owned(),
            problem,
            expected: Self::EXPECTED.to_owned(),
            hint: Self::hint(value),
        }
    }

    /// Its JSON Schema.
    fn schema() -> Value;

    /// The value as it would stand in the document.
    fn json(&self) -> Value;
}

impl Setting for String {
    const EXPECTED: &'static str = "text that is not empty";

    fn parse(value: &Value) -> Result<String, String> {
        match value.as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("`{}` is not such text", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }

    fn json(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(value: &Value) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| format!("`{}` is neither", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }

    fn json(&self) -> Value {
        Value::from(*self)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn expected() -> String {
        format!("a list, each {}", T::expected())
    }

    fn parse(value: &Value) -> Result<Vec<T>, String> {
        let list = value.as_array().ok_or_else(|| format!("`{}` is not a list", excerpt(value)))?;
        list.iter()
            .map(|item| {
                T::parse(item).map_err(|problem| format!("{problem}: expected {}", T::EXPECTED))
            })
            .collect()
    }

    fn hint(value: &Value) -> Option<String> {
        T::parse(value).ok().map(|_| format!("write `[{}]`", excerpt(value)))
    }

    fn parse_at(value: &Value, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Vec<T>> {
        let Some(list) = value.as_array() else {
            let problem = format!("`{}` is not a list", excerpt(value));
            errors.push(Self::error(pointer, problem, value));
            return None;
        };
        let items: Vec<Option<T>> = list
            .iter()
            .enumerate()
            .map(|(index, item)| T::parse_at(item, &format!("{pointer}/{index}"), errors))
            .collect();
        items.into_iter().collect()
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }

    fn json(&self) -> Value {
        self.iter().map(T::json).collect()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a length of time with its unit, such as `30s`, `5m` or `1h`";

    fn parse(value: &Value) -> Result<Duration, String> {
        value
            .as_str()
            .and_then(duration)
            .ok_or_else(|| format!("`{}` is not a length of time", excerpt(value)))
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$"})
    }

    fn hint(value: &Value) -> Option<String> {
        value.is_number().then(|| format!("add the unit: `{value}s` for seconds"))
    }

    fn json(&self) -> Value {
        let milliseconds = self.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        let whole = units.iter().find(|(_, length)| milliseconds.is_multiple_of(*length));
        let (unit, length) = whole.copied().unwrap_or(("ms", 1));
        let number = milliseconds.checked_div(length).unwrap_or_default();
        Value::from(format!("{number}{unit}"))
    }
}

/// A length of time that may be none: `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance(pub Duration);

impl Setting for Tolerance {
    const EXPECTED: &'static str =
        "a length of time with its unit, such as `30s`, or `0s` for none";

    fn parse(value: &Value) -> Result<Tolerance, String> {
        match value.as_str() {
            Some("0s") => Ok(Tolerance(Duration::ZERO)),
            _ => Duration::parse(value).map(Tolerance),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(0s|[1-9][0-9]{0,8}(ms|s|m|h|d))$"})
    }

    fn hint(value: &Value) -> Option<String> {
        Duration::hint(value)
    }

    fn json(&self) -> Value {
        if self.0.is_zero() { Value::from("0s") } else { self.0.json() }
    }
}

/// A whole number followed by `ms`, `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    if number.is_empty() || number.len() > 9 || number.starts_with('0') {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.saturating_mul(milliseconds)))
}

/// Declares an enum whose variants are words of the document.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The word of the document.
            $vis const fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }

        impl $crate::config::setting::Setting for $name {
            const EXPECTED: &'static str = concat!("one of" $(, " `", $word, "`")*);

            fn parse(value: &serde_json::Value) -> Result<$name, String> {
                let word = match value {
                    // YAML's `off` and `on` without quotes reach the filter as booleans.
                    serde_json::Value::Bool(false) => Some("off"),
                    serde_json::Value::Bool(true) => Some("on"),
                    other => other.as_str(),
                };
                match word {
                    $(Some($word) => Ok($name::$variant),)*
                    _ => Err(format!("unknown value `{}`", $crate::config::section::excerpt(value))),
                }
            }

            fn hint(value: &serde_json::Value) -> Option<String> {
                let known = [$($word),*].into_iter();
                let near = $crate::config::section::nearest(value.as_str()?, known)?;
                Some(format!("did you mean `{near}`?"))
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({"enum": [$($word),*]})
            }

            fn json(&self) -> serde_json::Value {
                serde_json::Value::from(self.word())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_need_a_whole_number_and_a_unit() {
        let rows = [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("999999999d", Some(86_399_999_913_600_000)),
            ("1000000000s", None),
            ("0s", None),
            ("05s", None),
            ("30", None),
            ("s", None),
            ("", None),
            ("-5s", None),
            ("1.5h", None),
            ("1h30m", None),
            ("30 s", None),
            ("30S", None),
            ("\u{663}s", None),
        ];
        for (text, expected) in rows {
            let found = Duration::parse(&Value::from(text)).ok();
            assert_eq!(found, expected.map(Duration::from_millis), "`{text}`");
        }
        assert!(Duration::parse(&Value::from(30)).is_err(), "a number has no unit");
    }

    #[test]
    fn a_length_of_time_is_written_in_its_largest_whole_unit() {
        for text in ["1ms", "1500ms", "90s", "2m", "36h", "3d"] {
            let length = Duration::parse(&Value::from(text)).unwrap();
            assert_eq!(length.json(), Value::from(text));
        }
    }

    #[test]
    fn each_wrong_member_of_a_list_is_told_at_its_own_place() {
        let mut errors = Vec::new();
        let list = json!(["30s", 5, "1h", null]);
        assert_eq!(Vec::<Duration>::parse_at(&list, "/waits", &mut errors), None);
        let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/waits/1", "/waits/3"]);
        errors.clear();
        assert_eq!(Vec::<Duration>::parse_at(&json!("5s"), "/waits", &mut errors), None);
        assert_eq!(errors[0].hint.as_deref(), Some("write `[5s]`"));
    }
}
