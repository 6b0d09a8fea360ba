//! Which of two versions of a list is the older, where that can be told.

use core::cmp::Ordering;

/// A list never goes back, as far as its version tells: an old copy of it would let tokens back in.
pub(super) fn check_version(before: &str, version: &str) -> Result<(), String> {
    match (number(before), number(version)) {
        (Some(in_force), Some(new)) if by_value(new, in_force) == Ordering::Less => Err(format!(
            "version `{version}` is older than `{before}`, which is in force: give a list that was \
             reset a higher version"
        )),
        _ => Ok(()),
    }
}

/// A plain decimal number, without leading zeros.
fn number(version: &str) -> Option<&str> {
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| version.trim_start_matches('0'))
}

fn by_value(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn only_plain_numbers_go_back() {
        let cases = [
            ("42", "42", true),
            ("42", "43", true),
            ("42", "41", false),
            ("100", "99", false),
            ("99", "100", true),
            ("0099", "100", true),
            ("100", "0099", false),
            ("100", "00100", true),
            ("99999999999999999999999999", "100000000000000000000000000", true),
            ("100000000000000000000000000", "99999999999999999999999999", false),
            ("", "1", true),
            ("42", "", true),
            ("42", "v41", true),
            ("v42", "41", true),
            ("42", "41.5", true),
            ("42", "-1", true),
        ];
        for (before, version, accepted) in cases {
            assert_eq!(check_version(before, version).is_ok(), accepted, "{before} {version}");
        }
    }
}
