//! Fixed-width fields of shared values, big-endian.

/// Reads fields from the front of a value. Every read is `None` when the value ends before.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `value` from its first byte.
    pub fn new(value: &'a [u8]) -> Reader<'a> {
        Reader(value)
    }

    /// The next `length` bytes.
    pub fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Text of up to 64 KiB, as [`put_text`] wrote it.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        core::str::from_utf8(self.slice(usize::from(length))?).ok()
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes text behind its length; text of 64 KiB and more is left out.
pub fn put_text(value: &mut Vec<u8>, text: &str) {
    let (length, text) = u16::try_from(text.len()).map_or((0, ""), |length| (length, text));
    value.extend(length.to_be_bytes());
    value.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order_and_never_beyond_the_end() {
        let mut value = vec![7];
        value.extend(515_u16.to_be_bytes());
        value.extend(9_u64.to_be_bytes());
        put_text(&mut value, "caf\u{e9}");
        value.extend([1, 2]);
        let mut reader = Reader::new(&value);
        assert_eq!(reader.u8(), Some(7));
        assert_eq!(reader.u16(), Some(515));
        assert_eq!(reader.u64(), Some(9));
        assert_eq!(reader.text(), Some("caf\u{e9}"));
        assert_eq!(reader.clone().u32(), None);
        assert_eq!(reader.clone().rest(), [1, 2]);
        assert!(!reader.is_empty());
    }

    #[test]
    fn text_too_long_for_its_length_is_left_out() {
        let mut value = Vec::new();
        put_text(&mut value, &"x".repeat(70_000));
        assert_eq!(value, [0, 0]);
    }
}
