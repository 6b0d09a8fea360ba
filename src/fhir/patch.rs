//! JSON Patch (RFC 6902), the only patch that is judged: which elements of the resource it touches
//! and what it brings in. Whether it may is not decided here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::content::{self, MediaType};
use super::reasons::{
    PATCH_DOCUMENT, PATCH_FORMAT, PATCH_IDENTITY, PATCH_OPERATION, PATCH_POINTER, PATCH_RENAME,
    PATCH_WHOLE,
};
use super::written::{self, is_element};
use crate::base::node::Node;
use crate::base::refusal::Refusal;
use crate::request::Headers;

#[cfg(test)]
mod tests;

/// What a patch does to a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch<'b> {
    /// Elements at the top of the resource that a `path` or `from` leads to or into, spelled as in
    /// the patch but without a `_` before them (`/_subject/extension` touches `subject`). Ask
    /// [`Patch::touches`]: some servers don't regard case.
    pub touched: BTreeSet<String>,
    /// Every `value`, each as the one member of an object, under the name that its path ends in:
    /// `"Patient/1"` for `/subject/reference` is `{"reference": "Patient/1"}`. So references are found
    /// as in any resource.
    pub values: Vec<Node<'b>>,
    /// Whether there is a `test`: the answer tells what the stored resource says.
    pub tests: bool,
}

/// Reads a JSON Patch and what its headers declare.
///
/// # Errors
///
/// [`PATCH_FORMAT`] for another format of patch, then a reason whose code starts with `patch_` or
/// `body_`; the hint names the operation by its index, counted from 0.
pub fn read<'b>(body: &'b [u8], headers: &Headers) -> Result<Patch<'b>, Refusal> {
    judgeable(headers)?;
    let Node::Array(operations) = written::json(body)? else {
        return Err(Refusal::new(&PATCH_DOCUMENT));
    };
    let mut patch = Patch::default();
    for (index, operation) in operations.into_iter().enumerate() {
        let operation = Operation::read(operation);
        operation
            .and_then(|operation| patch.take(operation))
            .map_err(|refusal| refusal.hint(format!("operation {index}")))?;
    }
    Ok(patch)
}

/// That the headers declare a JSON Patch in UTF-8, whole and not compressed.
///
/// # Errors
///
/// [`PATCH_FORMAT`], `body_encoding`, `body_partial`, `fhir_content_duplicate`.
pub fn judgeable(headers: &Headers) -> Result<(), Refusal> {
    let declared = content::media_type(headers)?;
    let known = declared.is_some_and(|MediaType { name, parameters }| {
        name.eq_ignore_ascii_case(MEDIA_TYPE) && parameters.into_iter().all(written::is_utf8)
    });
    if known { written::whole(headers) } else { Err(Refusal::new(&PATCH_FORMAT)) }
}

impl<'b> Patch<'b> {
    /// Whether the patch leads to or into this element at the top of the resource.
    pub fn touches(&self, element: &str) -> bool {
        self.touched.iter().any(|touched| touched.eq_ignore_ascii_case(element))
    }

    fn take(&mut self, operation: Operation<'b>) -> Result<(), Refusal> {
        let Operation { path, from, value, tests } = operation;
        let is_other = from.as_ref().is_some_and(|from| !from.leads_to_reference());
        if is_other && path.leads_to_reference() {
            return Err(Refusal::new(&PATCH_RENAME));
        }
        if let Some(value) = value {
            let name = Cow::Owned(path.last.clone());
            self.values.push(Node::Object(vec![(name, value)]));
        }
        self.touched.insert(path.top);
        self.touched.extend(from.map(|from| from.top));
        self.tests |= tests;
        Ok(())
    }
}

/// One operation, with exactly the members that it takes.
struct Operation<'b> {
    path: Pointer,
    from: Option<Pointer>,
    value: Option<Node<'b>>,
    tests: bool,
}

impl<'b> Operation<'b> {
    fn read(node: Node<'b>) -> Result<Operation<'b>, Refusal> {
        let Node::Object(members) = node else { return Err(Refusal::new(&PATCH_DOCUMENT)) };
        let (mut op, mut path, mut from, mut value) = (None, None, None, None);
        for (name, member) in members {
            match (name.as_ref(), member) {
                ("op", Node::Text(text)) => op = Some(text),
                ("path", Node::Text(text)) => path = Some(text),
                ("from", Node::Text(text)) => from = Some(text),
                ("value", member) => value = Some(member),
                _ => return Err(Refusal::new(&PATCH_OPERATION)),
            }
        }
        // RFC 6902 section 4 would ignore members that the operation does not take.
        let op = op.as_deref();
        let fits = match op {
            Some("add" | "replace" | "test") => value.is_some() && from.is_none(),
            Some("remove") => value.is_none() && from.is_none(),
            Some("move" | "copy") => value.is_none() && from.is_some(),
            _ => false,
        };
        let path = path.filter(|_| fits).ok_or(&PATCH_OPERATION)?;
        let from = from.map(|from| Pointer::read(&from)).transpose()?;
        Ok(Operation { path: Pointer::read(&path)?, from, value, tests: op == Some("test") })
    }
}

/// The first and the last name of a JSON Pointer (RFC 6901) into a resource.
struct Pointer {
    /// The element at the top of the resource, without `_`.
    top: String,
    /// The last name or index.
    last: String,
}

impl Pointer {
    fn read(text: &str) -> Result<Pointer, Refusal> {
        if text.is_empty() {
            return Err(Refusal::new(&PATCH_WHOLE));
        }
        let tokens = text.strip_prefix('/').ok_or(&PATCH_POINTER)?;
        let tokens = tokens.split('/').map(unescape).collect::<Option<Vec<String>>>();
        let tokens = tokens.ok_or(&PATCH_POINTER)?;
        let known = |token: &String| is_element(token) || is_index(token);
        let top = tokens.first().filter(|top| is_element(top) && tokens.iter().all(known));
        let top = top.ok_or(&PATCH_POINTER)?;
        let top = top.strip_prefix('_').unwrap_or(top);
        if IDENTITY.iter().any(|name| name.eq_ignore_ascii_case(top)) {
            return Err(Refusal::new(&PATCH_IDENTITY));
        }
        Ok(Pointer { top: top.to_owned(), last: tokens.last().cloned().unwrap_or_default() })
    }

    fn leads_to_reference(&self) -> bool {
        self.last.eq_ignore_ascii_case("reference")
    }
}

/// RFC 6901 section 4: `~1` is `/`, `~0` is `~`, nothing else may follow a `~`.
fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        let (escaped, rest) = match piece.split_at_checked(1)? {
            ("0", rest) => ('~', rest),
            ("1", rest) => ('/', rest),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text)
}

/// An array's index, or `-` for the place behind its last element.
fn is_index(token: &str) -> bool {
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    token == "-" || (digits && (token == "0" || !token.starts_with('0')))
}

const MEDIA_TYPE: &[u8] = b"application/json-patch+json";

/// What makes a resource the one that was judged.
const IDENTITY: [&str; 2] = ["id", "resourceType"];
