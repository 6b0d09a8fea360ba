//! YAML as Envoy reads it, with the place of everything, and nothing that two readers of YAML could
//! take for different things: duplicate keys, aliases, tags, several documents and numbers such as
//! `010` or `1_000` are errors.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use super::places::{Place, Places, below};

/// What a YAML text holds.
#[derive(Debug)]
pub(super) struct Document {
    /// Its value; where something is wrong, null.
    pub(super) value: Value,
    /// Where everything stands.
    pub(super) places: Places,
    /// What is wrong with it.
    pub(super) errors: Vec<YamlError>,
}

/// Something that is wrong with a YAML text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    pub(super) place: Place,
    /// Lower case, what to do after a colon.
    pub(super) message: String,
}

/// Reads one YAML document.
pub(super) fn read(text: &str) -> Document {
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { parser, places: Places::default(), errors: Vec::new() };
    let value = reader.stream().unwrap_or_else(|error| {
        reader.wrong(*error.marker(), format!("this is not YAML: {}", error.info()));
        Value::Null
    });
    Document { value, places: reader.places, errors: reader.errors }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    places: Places,
    errors: Vec<YamlError>,
}

impl<'a> Reader<'a> {
    fn stream(&mut self) -> Result<Value, ScanError> {
        let mut documents = 0_usize;
        let mut first = Value::Null;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => documents = documents.saturating_add(1),
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                _ if documents > 1 => {
                    let message = "a second document: give one document a file".to_owned();
                    self.wrong(span.start, message);
                    break;
                }
                event => first = self.node("", event, span, 0)?,
            }
        }
        Ok(first)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, ScanError> {
        self.parser.next_event().transpose()
    }

    /// The value that `event` starts.
    fn node(
        &mut self,
        pointer: &str,
        event: Event<'a>,
        span: Span,
        depth: usize,
    ) -> Result<Value, ScanError> {
        if depth > MAX_DEPTH {
            return Err(ScanError::new_str(span.start, "more than 64 levels"));
        }
        let depth = depth.saturating_add(1);
        if has_tag(&event) {
            self.wrong(span.start, "a tag: leave it out, or use quotes for text".to_owned());
        }
        match event {
            Event::MappingStart(..) => self.mapping(pointer, depth),
            Event::SequenceStart(..) => self.sequence(pointer, depth),
            Event::Scalar(text, ScalarStyle::Plain, ..) => Ok(plain(&text).unwrap_or_else(|| {
                let problem = "is read differently by different readers of YAML: put it in quotes, \
                               or write it without prefix, exponent or leading zero";
                self.wrong(span.start, format!("`{text}` {problem}"));
                Value::Null
            })),
            Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
            _ => {
                self.wrong(span.start, "an alias: write the value out".to_owned());
                Ok(Value::Null)
            }
        }
    }

    fn mapping(&mut self, pointer: &str, depth: usize) -> Result<Value, ScanError> {
        let mut object = Map::new();
        while let Some((event, span)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                event => {
                    self.wrong(span.start, "a key that is not text".to_owned());
                    self.node(pointer, event, span, depth)?;
                    String::new()
                }
            };
            let member = below(pointer, &key);
            let Some((event, value_span)) = self.next()? else { break };
            if object.contains_key(&key) {
                self.wrong(span.start, format!("the key `{key}` stands here a second time"));
            } else {
                self.places.insert(member.clone(), place(span.start));
            }
            let value = self.node(&member, event, value_span, depth)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn sequence(&mut self, pointer: &str, depth: usize) -> Result<Value, ScanError> {
        let mut list = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            let item = format!("{pointer}/{}", list.len());
            self.places.insert(item.clone(), place(span.start));
            list.push(self.node(&item, event, span, depth)?);
        }
        Ok(Value::Array(list))
    }

    fn wrong(&mut self, at: Marker, message: String) {
        self.errors.push(YamlError { place: place(at), message });
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col().saturating_add(1) }
}

fn has_tag(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(.., tag) | Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => {
            tag.is_some()
        }
        _ => false,
    }
}

/// The value of text without quotes, as Envoy reads it; `None` where readers differ.
fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Some(Value::from(text));
    }
    if let Ok(number @ Value::Number(_)) = serde_json::from_str(text) {
        let exact = number.as_f64().is_some_and(|number| number.abs() <= MAX_WHOLE);
        return (exact && !text.contains(['e', 'E'])).then_some(number);
    }
    let digits = text.trim_start_matches(['+', '-']).replace('_', "").to_ascii_lowercase();
    let prefixed = ["0x", "0o", "0b"].iter().any(|prefix| digits.starts_with(prefix));
    let special = [".inf", ".nan"].contains(&digits.as_str());
    let number_to_some = prefixed || special || digits.parse::<f64>().is_ok();
    (!number_to_some).then(|| Value::from(text))
}

/// Deepest nesting, as in a `google.protobuf.Struct`.
const MAX_DEPTH: usize = crate::config::protobuf::MAX_DEPTH;

/// 2^53: Envoy holds numbers as `double`.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests;
