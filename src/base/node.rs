//! A JSON document read strictly, as [`super::json`] reads it, that borrows its texts: what is judged
//! is never copied.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value. Two that differ only in the order of members are not equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, whatever its value.
    Number,
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object, its members in the order of the document, none twice.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads one JSON text.
///
/// # Errors
///
/// A member twice in one object, too deep nesting, anything after the value, invalid UTF-8, no JSON:
/// the parser's own message with line and column, never the text itself.
pub fn read(text: &[u8]) -> Result<Node<'_>, serde_json::Error> {
    serde_json::from_slice(text)
}

impl<'a> Node<'a> {
    /// The member of this name, when this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The members of an object; of anything else none.
    pub fn members(&self) -> &[(Cow<'a, str>, Node<'a>)] {
        match self {
            Node::Object(members) => members,
            _ => &[],
        }
    }

    /// The elements of an array.
    pub fn array(&self) -> Option<&[Node<'a>]> {
        match self {
            Node::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text of a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the member of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(|node: Node<'de>| node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            object.push((name, members.next_value()?));
        }
        if has_repeats(&object) {
            Err(A::Error::custom("duplicate member"))
        } else {
            Ok(Node::Object(object))
        }
    }
}

/// Reads a member's name, borrowed where it has no escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Most objects have few members: comparing each with each is quicker than sorting, until it isn't.
fn has_repeats(members: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    if members.len() <= 16 {
        let mut rest = members;
        while let [(name, _), tail @ ..] = rest {
            if tail.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = tail;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_without_copying_its_texts() {
        let node = read(br#" {"a":[1,-2.5,true,null,"x",{"b":"\u0041"}]} "#).unwrap();
        let items = node.get("a").unwrap().array().unwrap();
        let plain = [Node::Number, Node::Number, Node::Bool(true), Node::Null];
        assert_eq!(&items[..4], plain);
        assert!(matches!(&items[4], Node::Text(Cow::Borrowed("x"))));
        assert_eq!(items[5].text_of("b"), Some("A"));
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let mut many: Vec<String> = (0..40).map(|n| format!("\"m{n}\":{n}")).collect();
        many.push("\"m7\":0".to_owned());
        let many = format!("{{{}}}", many.join(","));
        let cases: [&[u8]; 9] = [
            br#"{"a":1,"a":2}"#,
            br#"{"x":{"a":1,"\u0061":2}}"#,
            br#"[{"a":1,"a":1}]"#,
            b"{} {}",
            b"",
            b"\xef\xbb\xbf{}",
            b"\"\xff\"",
            deep.as_bytes(),
            many.as_bytes(),
        ];
        for case in cases {
            assert!(read(case).is_err(), "accepted: {}", String::from_utf8_lossy(case));
        }
    }
}
