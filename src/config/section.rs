//! Reads one object of the document and, in the same words, describes it.
//!
//! A folder that has configuration writes one function `fn read(section: &mut Section<'_>) -> …`
//! that names each key once, with its type, default and meaning. Run on a document it yields the
//! settings and every error; run by [`describe`] it yields the JSON Schema. So the two can't differ.

use serde_json::{Map, Value, json};

use super::setting::Setting;

/// One thing wrong with the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// JSON pointer (RFC 6901) to the place, for example `/issuers/0/max_lifetime`.
    pub pointer: String,
    /// What is wrong: lower case, the offending value in backticks.
    pub problem: String,
    /// What was expected there.
    pub expected: String,
    /// What to do, where there is something to say: the nearest known key, the missing section.
    pub hint: Option<String>,
}

/// One object of the document, being read.
#[derive(Debug)]
pub struct Section<'a> {
    value: Option<&'a Map<String, Value>>,
    pointer: String,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    errors: Vec<ConfigError>,
    describing: bool,
}

/// Reads `document` with `read`: the result and every error, unknown keys included.
pub fn read_document<R>(
    document: &Value,
    read: impl FnOnce(&mut Section<'_>) -> R,
) -> (R, Vec<ConfigError>) {
    let mut section = Section::over(Some(document), String::new(), false);
    let result = read(&mut section);
    let (_, errors) = section.finish();
    (result, errors)
}

/// The JSON Schema of what `read` reads.
pub fn describe<R>(read: impl FnOnce(&mut Section<'_>) -> R) -> Value {
    let mut section = Section::over(None, String::new(), true);
    read(&mut section);
    section.finish().0
}

impl<'a> Section<'a> {
    fn over(value: Option<&'a Value>, pointer: String, describing: bool) -> Section<'a> {
        let mut errors = Vec::new();
        let object = value.and_then(|value| match value {
            Value::Object(object) => Some(object),
            other => {
                errors.push(ConfigError {
                    pointer: pointer.clone(),
                    problem: format!("`{}` is not an object", excerpt(other)),
                    expected: "an object".to_owned(),
                    hint: None,
                });
                None
            }
        });
        let properties = Map::new();
        Section { value: object, pointer, properties, required: Vec::new(), errors, describing }
    }

    /// A key that must be there. `None` when it is missing or wrong, which is then recorded.
    pub fn required<T: Setting>(&mut self, name: &'static str, doc: &str) -> Option<T> {
        self.declare(name, T::schema(), doc, None);
        self.required.push(name);
        if !self.has(name) {
            self.missing(name, T::EXPECTED);
            return None;
        }
        self.parse(name)
    }

    /// A key that may be left out. `None` when it is, or is wrong, which is then recorded.
    pub fn optional<T: Setting>(&mut self, name: &'static str, doc: &str) -> Option<T> {
        self.declare(name, T::schema(), doc, None);
        if self.has(name) { self.parse(name) } else { None }
    }

    /// A key with a default, which also stands in for a value that is wrong and recorded as such.
    pub fn default<T: Setting>(&mut self, name: &'static str, default: T, doc: &str) -> T {
        self.declare(name, T::schema(), doc, Some(&default.json()));
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
            self.missing(name, "an object");
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
        let (schema, errors) = section.finish();
        self.declare(name, schema, doc, None);
        self.errors.extend(errors);
        result
    }

    /// A list of objects with at least one member. Members that are wrong are recorded and left out.
    pub fn required_sections<R>(
        &mut self,
        name: &'static str,
        doc: &str,
        mut read: impl FnMut(&mut Section<'_>) -> Option<R>,
    ) -> Vec<R> {
        self.required.push(name);
        let items = describe(&mut read);
        let schema = json!({"type": "array", "minItems": 1, "items": items});
        self.declare(name, schema, doc, None);
        let expected = "a list of at least one object";
        let list = match self.value.and_then(|object| object.get(name)) {
            None => {
                self.missing(name, expected);
                return Vec::new();
            }
            Some(Value::Array(list)) if !list.is_empty() => list,
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
            self.errors.extend(section.finish().1);
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
        let (schema, errors) = section.finish();
        self.declare(name, schema, doc, None);
        self.errors.extend(errors);
        result.filter(|_| !absent)
    }

    fn parse<T: Setting>(&mut self, name: &'static str) -> Option<T> {
        let value = self.value?.get(name)?;
        match T::parse(value) {
            Ok(setting) => Some(setting),
            Err(problem) => {
                self.problem(name, problem, T::EXPECTED, None);
                None
            }
        }
    }

    fn missing(&mut self, name: &str, expected: &str) {
        self.problem(name, format!("`{name}` is missing"), expected, None);
    }

    fn declare(&mut self, name: &str, mut schema: Value, doc: &str, default: Option<&Value>) {
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), Value::from(doc));
            if let Some(default) = default {
                schema.insert("default".to_owned(), default.clone());
            }
        }
        self.properties.insert(name.to_owned(), schema);
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Reports unknown keys; gives the schema and the errors.
    fn finish(mut self) -> (Value, Vec<ConfigError>) {
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
            self.problem(key, format!("unknown key `{key}`"), &expected, hint.as_deref());
        }
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let (Value::Object(schema), false) = (&mut schema, self.required.is_empty()) {
            schema.insert("required".to_owned(), json!(self.required));
        }
        (schema, self.errors)
    }
}

/// A value as it is shown in an error: cut short, so that no key set or secret is printed whole.
pub fn excerpt(value: &Value) -> String {
    let text = match value {
        Value::Object(_) => return "an object".to_owned(),
        Value::Array(_) => return "a list".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain(['…']).collect() }
}

/// The known name that differs least from `given`, if it is close enough to be meant.
pub fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= (name.len().max(given.len()) / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (to, &above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(from != *to));
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
