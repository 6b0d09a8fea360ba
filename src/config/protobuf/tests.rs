//! Bytes as Google's own library writes them, everything that is refused, and the laws.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap());
    bytes.extend(content);
    bytes
}

fn encode_value(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0x08, 0],
        Value::Bool(value) => vec![0x20, u8::from(*value)],
        Value::Number(number) => {
            let mut bytes = vec![0x11];
            bytes.extend(number.as_f64().unwrap().to_le_bytes());
            bytes
        }
        Value::String(text) => field(3, text.as_bytes()),
        Value::Object(_) => field(5, &encode(value)),
        Value::Array(list) => field(
            6,
            &list.iter().flat_map(|item| field(1, &encode_value(item))).collect::<Vec<_>>(),
        ),
    }
}

/// The `Struct` of an object.
pub(in crate::config) fn encode(object: &Value) -> Vec<u8> {
    let entry = |(key, value): (&String, &Value)| {
        let value = field(2, &encode_value(value));
        field(1, &[field(1, key.as_bytes()), value].concat())
    };
    object.as_object().unwrap().iter().flat_map(entry).collect()
}

/// A `Struct` with one key whose `Value` has these bytes.
fn with_value(value: &[u8]) -> Vec<u8> {
    field(1, &[field(1, b"k"), field(2, value)].concat())
}

#[test]
fn what_googles_library_writes_is_read() {
    // Written by the Python package protobuf 7.36 with deterministic serialization.
    let bytes = include_bytes!("../../../tests/golden/config/struct.bin");
    let text = include_bytes!("../../../tests/golden/config/struct.json");
    assert_eq!(decode(bytes).unwrap(), crate::base::json::parse(text).unwrap());
}

#[test]
fn whole_numbers_become_integers_and_others_stay_as_they_are() {
    let rows = [
        (0.0, json!(0)),
        (-0.0, json!(0)),
        (42.0, json!(42)),
        (-7.0, json!(-7)),
        (1.5, json!(1.5)),
        (9_007_199_254_740_992.0, json!(9_007_199_254_740_992_u64)),
        (1e300, json!(1e300)),
    ];
    for (number, expected) in rows {
        let bytes = with_value(&[&[0x11][..], &f64::to_le_bytes(number)].concat());
        assert_eq!(decode(&bytes), Ok(json!({"k": expected})), "{number}");
    }
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    use StructError as E;
    let double = |number: f64| with_value(&[&[0x11][..], &number.to_le_bytes()].concat());
    let nested = |levels: usize| {
        let value = (0..levels).fold(vec![0x20, 1], |value, _| field(6, &field(1, &value)));
        with_value(&value)
    };
    assert!(decode(&nested(63)).is_ok());
    let rows: Vec<(&str, Vec<u8>, StructError)> = vec![
        ("level 65", nested(64), E::TooDeep),
        ("level 5000", nested(5000), E::TooDeep),
        ("unknown field", field(2, b""), E::UnknownField),
        ("varint instead of an entry", vec![0x08, 1], E::UnknownField),
        ("unknown field of an entry", field(1, &field(3, b"")), E::UnknownField),
        ("unknown field of a value", with_value(&field(7, b"")), E::UnknownField),
        ("group", vec![0x0b, 0x0c], E::UnknownField),
        ("field zero", field(0, b""), E::UnknownField),
        ("a string as varint", with_value(&[0x18, 1]), E::UnknownField),
        ("length over the end", vec![0x0a, 5, 0], E::Truncated),
        ("huge length", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], E::Truncated),
        ("tag only", vec![0x0a], E::Truncated),
        ("endless varint", vec![0xff; 11], E::NoSuchValue),
        ("half a double", with_value(&[0x11, 0, 0]), E::Truncated),
        ("entry without value", field(1, &field(1, b"k")), E::Empty),
        ("value of no kind", with_value(b""), E::Empty),
        ("value of two kinds", with_value(&[0x20, 1, 0x08, 0]), E::Repeated),
        ("value twice", field(1, &[field(2, &[8, 0]), field(2, &[8, 0])].concat()), E::Repeated),
        ("key twice", [with_value(&[8, 0]), with_value(&[8, 0])].concat(), E::Repeated),
        ("key not UTF-8", field(1, &[field(1, b"\xff"), field(2, &[8, 0])].concat()), E::NotUtf8),
        ("text not UTF-8", with_value(&field(3, b"\xc3")), E::NotUtf8),
        ("null of one", with_value(&[0x08, 1]), E::NoSuchValue),
        ("bool of two", with_value(&[0x20, 2]), E::NoSuchValue),
        ("not a number", double(f64::NAN), E::NoSuchValue),
        ("infinite", double(f64::INFINITY), E::NoSuchValue),
        ("trailing byte", [with_value(&[8, 0]), vec![0]].concat(), E::UnknownField),
    ];
    for (name, bytes, expected) in rows {
        assert_eq!(decode(&bytes), Err(expected), "{name}");
    }
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from(number.trunc() + 0.5)),
        ".*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::hash_map(".*", value, 0..8)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn a_document_survives_encoding(document in documents()) {
        prop_assert_eq!(decode(&encode(&document)), Ok(document));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(document in documents(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode(&document);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
        }
    }
}
