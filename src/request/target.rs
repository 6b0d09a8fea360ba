//! The request target: accepted only when there is one way to read it.

use percent_encoding::percent_decode_str;

use super::reasons::{
    TARGET_BACKSLASH, TARGET_CHARACTER, TARGET_DOT_SEGMENT, TARGET_EMPTY_SEGMENT,
    TARGET_ENCODED_CONTROL, TARGET_ENCODED_DELIMITER, TARGET_ENCODED_UNRESERVED, TARGET_ESCAPE,
    TARGET_FRAGMENT, TARGET_NOT_A_PATH, TARGET_NOT_UTF8, TARGET_SEMICOLON, TARGET_TOO_LONG,
};
use crate::base::refusal::{Reason, Refusal};

/// Longest target that is read, in bytes.
pub const MAX_TARGET: usize = 8 * 1024;

/// A target in its parts.
#[derive(Debug)]
pub(super) struct Target {
    /// As it came.
    pub(super) raw: String,
    /// The path, decoded once.
    pub(super) path: String,
}

impl Target {
    /// Reads `:path`. Absolute form is refused whatever its host: Envoy turns it into origin form
    /// before filters see it, so one that arrives here was not read by Envoy.
    pub(super) fn read(bytes: &[u8]) -> Result<Target, Refusal> {
        let raw = characters(bytes)?;
        let path = raw.split_once('?').map_or(raw, |(path, _)| path);
        Ok(Target { raw: raw.to_owned(), path: decode_path(path)? })
    }

    /// What stands after the first `?`.
    pub(super) fn raw_query(&self) -> Option<&str> {
        self.raw.split_once('?').map(|(_, query)| query)
    }
}

/// The bytes behind each `%` of `text`; `None` for a `%` without two hexadecimal digits.
pub(super) fn escapes(text: &str) -> impl Iterator<Item = Option<u8>> {
    text.split('%').skip(1).map(|after| {
        let digits = after.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(digits, 16).ok()
    })
}

/// What holds for path and query alike.
fn characters(bytes: &[u8]) -> Result<&str, Refusal> {
    if bytes.len() > MAX_TARGET {
        return Err(Refusal::new(&TARGET_TOO_LONG));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| Refusal::new(&TARGET_CHARACTER))?;
    let unreadable: [(&'static Reason, bool); 5] = [
        (&TARGET_CHARACTER, text.bytes().any(|byte| !byte.is_ascii_graphic())),
        (&TARGET_NOT_A_PATH, !text.starts_with('/')),
        (&TARGET_FRAGMENT, text.contains('#')),
        (&TARGET_BACKSLASH, text.contains('\\')),
        (&TARGET_SEMICOLON, text.contains(';')),
    ];
    match unreadable.iter().find(|(_, found)| *found) {
        Some((reason, _)) => Err(Refusal::new(reason)),
        None => Ok(text),
    }
}

fn decode_path(path: &str) -> Result<String, Refusal> {
    for escape in escapes(path) {
        check_escape(escape.ok_or(&TARGET_ESCAPE)?)?;
    }
    if path.contains("//") {
        return Err(Refusal::new(&TARGET_EMPTY_SEGMENT));
    }
    // No escape decodes to a dot or a slash any more: the segments are what they look like.
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Refusal::new(&TARGET_DOT_SEGMENT));
    }
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.map(String::from).map_err(|_| Refusal::new(&TARGET_NOT_UTF8))
}

fn check_escape(byte: u8) -> Result<(), Refusal> {
    let reason = match byte {
        b'.' => &TARGET_DOT_SEGMENT,
        b'/' | b'\\' | b'%' | b';' | b'?' | b'#' => &TARGET_ENCODED_DELIMITER,
        byte if byte.is_ascii_control() => &TARGET_ENCODED_CONTROL,
        b'-' | b'_' | b'~' => &TARGET_ENCODED_UNRESERVED,
        byte if byte.is_ascii_alphanumeric() => &TARGET_ENCODED_UNRESERVED,
        _ => return Ok(()),
    };
    Err(Refusal::new(reason))
}
