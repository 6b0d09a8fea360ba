//! Reads one object of the document and, in the same words, describes it.
//!
//! A folder that has configuration writes one function `fn read(section: &mut Section<'_>) -> …`
//! that names each key once, with its type, default and meaning. Run on a document it yields the
//! settings and every error; run by [`describe`] it yields the JSON Schema. So the two can't differ.

use serde_json::{Map, Value, json};

use super::setting::Setting;

pub use super::error::ConfigError;
pub use super::hint::{excerpt, nearest};

/// One key of the document as the reference page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Where it stands, for example `issuers[].jwks.url`.
    pub path: String,
    /// What is expected there.
    pub expected: String,
    /// What it means.
    pub doc: String,
    /// What is taken when it is left out.
    pub default: Option<Value>,
    /// Whether the object it stands in needs it.
    pub required: bool,
}

/// One object of the document, being read.
#[derive(Debug)]
pub struct Section<'a> {
    value: Option<&'a Map<String, Value>>,
    pointer: String,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    keys: Vec<Key>,
    errors: Vec<ConfigError>,
    describing: bool,
}

/// What a section leaves when it was read.
struct Read {
    schema: Value,
    keys: Vec<Key>,
    errors: Vec<ConfigError>,
}

/// Reads `document` with `read`: the result and every error, unknown keys included.
pub fn read_document<R>(
    document: &Value,
    read: impl FnOnce(&mut Section<'_>) -> R,
) -> (R, Vec<ConfigError>) {
    let mut section = Section::over(Some(document), String::new(), false);
    let result = read(&mut section);
    (result, section.finish().errors)
}

/// The JSON Schema of what `read` reads.
pub fn describe<R>(read: impl FnOnce(&mut Section<'_>) -> R) -> Value {
    Section::blank(read).schema
}

/// Every key that `read` reads, in its order.
pub fn outline<R>(read: impl FnOnce(&mut Section<'_>) -> R) -> Vec<Key> {
    Section::blank(read).keys
}

impl<'a> Section<'a> {
    fn over(value: Option<&'a Value>, pointer: String, describing: bool) -> Section<'a> {
        let object = value.and_then(Value::as_object);
        // What is not an object lacks every key: that it is none is the one error worth telling.
        let mut section = Section {
            value: object,
            pointer,
            properties: Map::new(),
            required: Vec::new(),
            keys: Vec::new(),
            errors: Vec::new(),
            describing: describing || (value.is_some() && object.is_none()),
        };
        if let (Some(other), None) = (value, object) {
            let hint =
                other.is_null().then_some("leave the key out, or write what belongs below it");
            section.errors.push(ConfigError {
                pointer: section.pointer.clone(),
                problem: format!("`{}` is not an object", excerpt(other)),
                expected: OBJECT.to_owned(),
                hint: hint.map(str::to_owned),
            });
        }
        section
    }

    fn blank<R>(read: impl FnOnce(&mut Section<'_>) -> R) -> Read {
        let mut section = Section::over(None, String::new(), true);
        read(&mut section);
        section.finish()
    }

    /// A key that must be there. `None` when it is missing or wrong, which is then recorded.
    pub fn required<T: Setting>(&mut self, name: &'static str, doc: &str) -> Option<T> {
        self.required.push(name);
        self.declare::<T>(name, doc, None);
        if !self.has(name) {
            self.missing(name, T::EXPECTED);
            return None;
        }
        self.parse(name)
    }

    /// A key that may be left out. `None` when it is, or is wrong, which is then recorded.
    pub fn optional<T: Setting>(&mut self, name: &'static str, doc: &str) -> Option<T> {
        self.declare::<T>(name, doc, None);
        if self.has(name) { self.parse(name) } else { None }
    }

    /// A key with a default, which also stands in for a value that is wrong and recorded as such.
    pub fn default<T: Setting>(&mut self, name: &'static str, default: T, doc: &str) -> T {
        self.declare::<T>(name, doc, Some(&default));
        let given = if self.has(name) { self.parse(name) } else { None };
        given.unwrap_or(default)
    }

    /// A nested object that must be there.
    pub fn required_section<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'_>) -> Option<R>,
    ) -> Option<R> {
        self.required.push(name);
        if !self.has(name) {
            self.missing(name, OBJECT);
        }
        self.nested(name, doc, read)
    }

    /// A nested object that may be left out.
    pub fn optional_section<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'_>) -> Option<R>,
    ) -> Option<R> {
        self.nested(name, doc, read)
    }

    /// A nested object whose keys all have defaults: read as `{}` when left out.
    pub fn default_section<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'_>) -> R,
    ) -> R {
        let empty = Value::Object(Map::new());
        let value = self.value.and_then(|object| object.get(name)).unwrap_or(&empty);
        let mut section = Section::over(Some(value), self.below(name), self.describing);
        let result = read(&mut section);
        self.adopt(name, doc, section.finish());
        result
    }

    /// A list of objects with at least one member. Members that are wrong are recorded and left out.
    pub fn required_sections<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnMut(&mut Section<'_>) -> Option<R>,
    ) -> Vec<R> {
        self.required.push(name);
        if !self.has(name) {
            self.missing(name, SOME_OBJECTS);
        }
        self.list(name, doc, false, read)
    }

    /// A list of objects that may be left out or empty. Members that are wrong are recorded and left
    /// out.
    pub fn optional_sections<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnMut(&mut Section<'_>) -> Option<R>,
    ) -> Vec<R> {
        self.list(name, doc, true, read)
    }

    fn list<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        may_be_empty: bool,
        mut read: impl FnMut(&mut Section<'_>) -> Option<R>,
    ) -> Vec<R> {
        let items = Section::blank(&mut read);
        let (expected, schema, default) = if may_be_empty {
            (OBJECTS, json!({"type": "array", "items": items.schema}), Some(json!([])))
        } else {
            let schema = json!({"type": "array", "minItems": 1, "items": items.schema});
            (SOME_OBJECTS, schema, None)
        };
        self.describe_key(name, schema, expected.to_owned(), doc, default);
        self.keys.extend(items.keys.into_iter().map(|key| key.below(&format!("{name}[]"))));
        let list = match self.value.and_then(|object| object.get(name)) {
            None => return Vec::new(),
            Some(Value::Array(list)) if may_be_empty || !list.is_empty() => list,
            Some(other) => {
                let problem = format!("`{}` is not such a list", excerpt(other));
                self.problem(name, problem, expected, None);
                return Vec::new();
            }
        };
        let mut results = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let pointer = format!("{}/{index}", self.below(name));
            let mut section = Section::over(Some(item), pointer, self.describing);
            results.extend(read(&mut section));
            self.errors.extend(section.finish().errors);
        }
        results
    }

    /// Whether the key is in the document.
    pub fn has(&self, name: &str) -> bool {
        self.value.is_some_and(|object| object.contains_key(name))
    }

    /// Records an error at one of this section's keys, found by the folder itself.
    pub fn problem(&mut self, name: &str, problem: String, expected: &str, hint: Option<&str>) {
        if !self.describing {
            self.errors.push(ConfigError {
                pointer: self.below(name),
                problem,
                expected: expected.to_owned(),
                hint: hint.map(str::to_owned),
            });
        }
    }

    /// Records an error deeper in one of this section's keys: `place` is a JSON pointer from here,
    /// without its first slash.
    pub fn problem_below(
        &mut self,
        place: &str,
        problem: String,
        expected: &str,
        hint: Option<&str>,
    ) {
        if !self.describing {
            self.errors.push(ConfigError {
                pointer: format!("{}/{place}", self.pointer),
                problem,
                expected: expected.to_owned(),
                hint: hint.map(str::to_owned),
            });
        }
    }

    fn nested<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        read: impl FnOnce(&mut Section<'_>) -> Option<R>,
    ) -> Option<R> {
        let value = self.value.and_then(|object| object.get(name));
        let absent = value.is_none();
        let mut section = Section::over(value, self.below(name), self.describing || absent);
        let result = read(&mut section);
        self.adopt(name, doc, section.finish());
        result.filter(|_| !absent)
    }

    fn parse<T: Setting>(&mut self, name: &'static str) -> Option<T> {
        let value = self.value?.get(name)?;
        let mut errors = Vec::new();
        let setting = T::parse_at(value, &self.below(name), &mut errors);
        if !self.describing {
            self.errors.extend(errors);
        }
        setting
    }

    fn missing(&mut self, name: &str, expected: &str) {
        self.problem(name, format!("`{name}` is missing"), expected, None);
    }

    fn declare<T: Setting>(&mut self, name: &'static str, doc: &str, default: Option<&T>) {
        if DESCRIBES {
            self.describe_key(name, T::schema(), T::expected(), doc, default.map(T::json));
        } else {
            self.properties.insert(name.to_owned(), Value::Null);
        }
    }

    fn describe_key(
        &mut self,
        name: &'static str,
        mut schema: Value,
        expected: String,
        doc: &str,
        default: Option<Value>,
    ) {
        if !DESCRIBES {
            self.properties.insert(name.to_owned(), Value::Null);
            return;
        }
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), Value::from(doc));
            if let Some(default) = &default {
                schema.insert("default".to_owned(), default.clone());
            }
        }
        self.properties.insert(name.to_owned(), schema);
        let required = self.required.contains(&name);
        let (path, doc) = (name.to_owned(), doc.to_owned());
        self.keys.push(Key { path, expected, doc, default, required });
    }

    fn adopt(&mut self, name: &'static str, doc: &str, read: Read) {
        self.describe_key(name, read.schema, OBJECT.to_owned(), doc, None);
        self.keys.extend(read.keys.into_iter().map(|key| key.below(name)));
        self.errors.extend(read.errors);
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Reports unknown keys; gives what was read.
    fn finish(mut self) -> Read {
        let unknown: Vec<&String> = self
            .value
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| !self.properties.contains_key(*key))
            .collect();
        for key in unknown {
            let known = self.properties.keys().map(String::as_str);
            let hint = nearest(key, known).map(|near| format!("did you mean `{near}`?"));
            let names: Vec<String> = self.properties.keys().map(|k| format!("`{k}`")).collect();
            let expected = format!("one of {}", names.join(", "));
            let problem = format!("unknown key `{}`", super::hint::name(key));
            self.problem(key, problem, &expected, hint.as_deref());
        }
        if !DESCRIBES {
            return Read { schema: Value::Null, keys: Vec::new(), errors: self.errors };
        }
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let (Value::Object(schema), false) = (&mut schema, self.required.is_empty()) {
            schema.insert("required".to_owned(), json!(self.required));
        }
        Read { schema, keys: self.keys, errors: self.errors }
    }
}

impl Key {
    fn below(self, parent: &str) -> Key {
        Key { path: format!("{parent}.{}", self.path), ..self }
    }
}

/// The filter reads configurations and describes none: what describes them stays out of it.
const DESCRIBES: bool = !cfg!(target_arch = "wasm32");

const OBJECT: &str = "an object";
const OBJECTS: &str = "a list of objects";
const SOME_OBJECTS: &str = "a list of at least one object";

#[cfg(test)]
mod tests;
