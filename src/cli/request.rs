//! A request as people write it: `GET /fhir/Patient/1`, or a file that looks like HTTP/1.1.

use crate::request::Headers;

/// A request. Header names are lower case.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) authority: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads `METHOD TARGET`.
    pub(super) fn line(text: &str) -> Result<Request, String> {
        match text.trim().split_once(' ') {
            Some((method, target)) if !target.trim().is_empty() => Ok(Request {
                method: method.to_owned(),
                target: target.trim().to_owned(),
                authority: AUTHORITY.to_owned(),
                headers: Vec::new(),
                body: Vec::new(),
            }),
            _ => Err("the request is no `METHOD TARGET` such as `GET /fhir/Patient/1`".to_owned()),
        }
    }

    /// Reads request line, header lines, an empty line and the body, which ends before a line end at
    /// the end of the text. Lines may end in CRLF or LF.
    pub(super) fn message(text: &str) -> Result<Request, String> {
        let (head, body) = halves(text);
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().trim_end();
        let first = first.strip_suffix(" HTTP/1.1").unwrap_or(first);
        let mut request = Request::line(first)?;
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or("a line of the request's head is no `name: value`".to_owned())?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            match name.as_str() {
                "host" => request.authority = value,
                _ => request.headers.push((name, value)),
            }
        }
        request.body = line_end_stripped(body).into();
        Ok(request)
    }

    /// All values of a header field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Removes every field of this name.
    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| known != name);
    }

    /// Sets a field, in place of every field of that name.
    pub(super) fn set(&mut self, name: String, value: String) {
        match name.as_str() {
            ":path" => self.target = value,
            ":method" => self.method = value,
            _ => {
                self.remove(&name);
                self.headers.push((name, value));
            }
        }
    }

    /// The fields as Envoy gives them.
    pub(super) fn fields(&self) -> Headers {
        let pseudo =
            [(":method", &self.method), (":path", &self.target), (":authority", &self.authority)];
        let pseudo = pseudo.map(|(name, value)| (name.into(), value.clone().into()));
        let pair = |(name, value): &(String, String)| (name.clone().into(), value.clone().into());
        Headers::new(pseudo.into_iter().chain(self.headers.iter().map(pair)).collect())
    }
}

/// What stands before the first empty line, and after it.
fn halves(text: &str) -> (&str, &str) {
    let crlf = text.split_once("\r\n\r\n");
    let lf = text.split_once("\n\n");
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => {
            if crlf.0.len() < lf.0.len() {
                crlf
            } else {
                lf
            }
        }
        (crlf, lf) => crlf.or(lf).unwrap_or((text, "")),
    }
}

/// Editors end the last line of a file.
fn line_end_stripped(body: &str) -> &str {
    let body = body.strip_suffix('\n').unwrap_or(body);
    body.strip_suffix('\r').unwrap_or(body)
}

/// What is asked for where the request does not say.
const AUTHORITY: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_method_and_a_target() {
        let request = Request::line(" GET /fhir/Patient/1 ").unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/fhir/Patient/1"));
        // A target with a space is the core's to refuse.
        assert_eq!(Request::line("GET /fhir/a b").unwrap().target, "/fhir/a b");
        for wrong in ["", "GET", "GET ", " "] {
            assert!(Request::line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_is_read_with_either_line_end() {
        let lf = "POST /fhir/Observation/_search HTTP/1.1\nHost: api.example\n\
                  Content-Type: application/x-www-form-urlencoded\nX: a: b\n\ncode=x\n";
        for text in [lf.to_owned(), lf.replace('\n', "\r\n")] {
            let request = Request::message(&text).unwrap();
            assert_eq!(request.target, "/fhir/Observation/_search", "{text:?}");
            assert_eq!(request.authority, "api.example");
            let types: Vec<&str> = request.all("content-type").collect();
            assert_eq!(types, ["application/x-www-form-urlencoded"]);
            assert_eq!(request.all("x").next(), Some("a: b"));
            assert_eq!(request.body, b"code=x");
        }
        let bare = Request::message("GET /fhir/Patient/1\n").unwrap();
        assert_eq!((bare.headers.len(), bare.body.len()), (0, 0));
        assert!(Request::message("GET /\nnonsense\n\n").is_err());
    }

    #[test]
    fn empty_lines_inside_a_body_belong_to_it() {
        let request = Request::message("POST /fhir HTTP/1.1\r\n\r\na\n\nb\n\n").unwrap();
        assert_eq!(request.body, b"a\n\nb\n");
    }
}
