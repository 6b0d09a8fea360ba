//! The `fhir` section of the configuration.

use serde_json::{Value, json};

use super::Release;
use crate::config::section::{Section, excerpt};
use crate::config::setting::Setting;

/// Where the API is and which parts of it need no token.
#[derive(Debug, Clone)]
pub struct Api {
    /// Where the API is mounted, without a slash at the end: `/fhir`, or empty for `/`.
    pub base_path: String,
    /// Whose tables apply.
    pub release: Release,
    /// Absolute URLs of this API, without a slash at the end.
    pub base_urls: Vec<String>,
    /// Envoy cluster of the FHIR server, to look up what is stored.
    pub cluster: Option<String>,
    /// Paths below the base that may be read without a token.
    pub public: Vec<String>,
    /// Paths outside the base that go through untouched.
    pub passthrough: Vec<String>,
}

impl Api {
    /// Reads the section.
    pub fn read(section: &mut Section<'_>) -> Option<Api> {
        let base = section.required::<Path>(
            "base_path",
            "Where the FHIR API is mounted. Other paths are refused unless in `passthrough`.",
        );
        let release = section.default("release", Release::R4, "FHIR release of the server.");
        let base_urls = section.optional::<BaseUrls>(
            "base_url",
            "How clients and references name this API: an absolute URL or a list of them.",
        );
        let cluster = section.optional::<String>(
            "cluster",
            "Envoy cluster of the FHIR server, to look up what is stored: before writes, and where another resource tells whose something is (Binary, `Encounter/1/Type`). Without it such requests are refused.",
        );
        let public = section.default(
            "public",
            PUBLIC.map(|path| PublicPath(path.to_owned())).to_vec(),
            "Paths below `base_path` that may be read without a token.",
        );
        let passthrough = section.default::<Vec<Path>>(
            "passthrough",
            Vec::new(),
            "Exact paths outside `base_path` that go through untouched, for example `/healthz`.",
        );
        let api = Api {
            base_path: base?.0.trim_end_matches('/').to_owned(),
            release,
            base_urls: base_urls.map(|urls| urls.0).unwrap_or_default(),
            cluster,
            public: public.into_iter().map(|path| path.0).collect(),
            passthrough: passthrough.into_iter().map(|path| path.0).collect(),
        };
        api.check(section);
        Some(api)
    }

    /// What a path, decoded once, is below the base; `None` when it is not below it.
    pub fn below_base<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&self.base_path)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// What no key can tell by itself.
    fn check(&self, section: &mut Section<'_>) {
        for path in &self.passthrough {
            if self.below_base(path).is_some() {
                let problem = format!("`{path}` is below `base_path`");
                section.problem("passthrough", problem, "paths outside `base_path`", None);
            }
        }
        for path in &self.public {
            let first = path.split('/').next().unwrap_or_default();
            if super::ResourceType::parse(self.release, first).is_some() {
                let problem = format!("`{path}` names a resource type");
                let hint = "patient data needs a token: list documents such as `metadata` only";
                section.problem("public", problem, "paths of public documents", Some(hint));
            }
        }
    }
}

/// An absolute path that is the same before and after decoding.
#[derive(Debug, Clone)]
struct Path(String);

impl Setting for Path {
    const EXPECTED: &'static str = "a path such as `/fhir`: no `%`, `//`, `.` or `..` segments";

    fn parse(value: &Value) -> Result<Path, String> {
        let text = value.as_str().and_then(|text| text.strip_prefix('/'));
        match text {
            Some(rest) if rest.is_empty() || is_plain(rest) => Ok(Path(format!("/{rest}"))),
            _ => Err(format!("`{}` is not such a path", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*)?$"})
    }

    fn json(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

/// A path below the base.
#[derive(Debug, Clone)]
struct PublicPath(String);

impl Setting for PublicPath {
    const EXPECTED: &'static str =
        "a path below `base_path` such as `.well-known/smart-configuration`";

    fn parse(value: &Value) -> Result<PublicPath, String> {
        match value.as_str() {
            Some(text) if is_plain(text) && !text.starts_with('_') => {
                Ok(PublicPath(text.to_owned()))
            }
            _ => Err(format!("`{}` is not such a path", excerpt(value))),
        }
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Za-z0-9.~-][A-Za-z0-9._~-]*(/[A-Za-z0-9._~-]+)*$"})
    }

    fn json(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

/// Segments of unreserved characters (RFC 3986 section 2.3), none of them empty, `.` or `..`.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|segment| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    })
}

/// One URL or a list of them.
#[derive(Debug, Clone)]
struct BaseUrls(Vec<String>);

impl Setting for BaseUrls {
    const EXPECTED: &'static str =
        "an absolute URL such as `https://api.clinic.example/fhir`, or a list of them";

    fn parse(value: &Value) -> Result<BaseUrls, String> {
        let urls = match value {
            Value::Array(list) => list.iter().map(base_url).collect::<Result<_, _>>()?,
            one => vec![base_url(one)?],
        };
        Ok(BaseUrls(urls))
    }

    fn schema() -> Value {
        let url = json!({"type": "string", "pattern": "^https?://[^/?#@\\s]+[^?#@\\s]*$"});
        json!({"anyOf": [url, {"type": "array", "items": url}]})
    }

    fn json(&self) -> Value {
        json!(self.0)
    }
}

fn base_url(value: &Value) -> Result<String, String> {
    let wrong = || format!("`{}` is not an absolute http or https URL", excerpt(value));
    let url = value.as_str().ok_or_else(wrong)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')).ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_graphic() && !"?#@\\%".contains(c);
    if rest.chars().all(plain) { Ok(url.trim_end_matches('/').to_owned()) } else { Err(wrong()) }
}

/// What FHIR and SMART make public.
const PUBLIC: [&str; 2] = ["metadata", ".well-known/smart-configuration"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::section::{describe, read_document};

    fn read(document: &Value) -> (Option<Api>, Vec<String>) {
        let (api, errors) = read_document(document, Api::read);
        let errors = errors.iter().map(|e| format!("{}: {}", e.pointer, e.problem)).collect();
        (api, errors)
    }

    #[test]
    fn a_base_path_is_enough() {
        let (api, errors) = read(&json!({"base_path": "/fhir"}));
        let api = api.unwrap();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(api.base_path, "/fhir");
        assert_eq!(api.release, Release::R4);
        assert_eq!(api.public, ["metadata", ".well-known/smart-configuration"]);
        assert!(api.base_urls.is_empty() && api.passthrough.is_empty() && api.cluster.is_none());
    }

    #[test]
    fn one_base_url_and_a_list_of_them_are_read_without_their_last_slash() {
        for (given, expected) in [
            (json!("https://a.example/fhir/"), vec!["https://a.example/fhir"]),
            (
                json!(["https://a.example", "http://b:80/r4"]),
                vec!["https://a.example", "http://b:80/r4"],
            ),
        ] {
            let (api, errors) = read(&json!({"base_path": "/", "base_url": given}));
            assert_eq!(errors, Vec::<String>::new());
            assert_eq!(api.unwrap().base_urls, expected);
        }
    }

    #[test]
    fn every_wrong_value_is_an_error_at_its_key() {
        let cases = [
            (json!({}), "/base_path: `base_path` is missing"),
            (json!({"base_path": "fhir"}), "/base_path: `fhir` is not such a path"),
            (json!({"base_path": "/fhir/"}), "/base_path: `/fhir/` is not such a path"),
            (json!({"base_path": "/a/../b"}), "/base_path: `/a/../b` is not such a path"),
            (json!({"base_path": "/a%20b"}), "/base_path: `/a%20b` is not such a path"),
            (json!({"base_path": "/f", "release": "R6"}), "/release: unknown value `R6`"),
            (
                json!({"base_path": "/f", "base_url": "api.example/fhir"}),
                "/base_url: `api.example/fhir` is not an absolute http or https URL",
            ),
            (
                json!({"base_path": "/f", "base_url": ["https://u@h/f"]}),
                "/base_url: `https://u@h/f` is not an absolute http or https URL",
            ),
            (
                json!({"base_path": "/f", "public": ["Patient/1"]}),
                "/public: `Patient/1` names a resource type",
            ),
            (
                json!({"base_path": "/f", "passthrough": ["/f/x"]}),
                "/passthrough: `/f/x` is below `base_path`",
            ),
            (
                json!({"base_path": "/", "passthrough": ["/healthz"]}),
                "/passthrough: `/healthz` is below `base_path`",
            ),
        ];
        for (document, expected) in cases {
            let (_, errors) = read(&document);
            assert_eq!(errors, [expected], "{document}");
        }
        for public in ["_history", "$export", "/metadata", "a//b", "", "../x"] {
            let (_, errors) = read(&json!({"base_path": "/f", "public": [public]}));
            assert_eq!(errors.len(), 1, "{public}: {errors:?}");
        }
    }

    #[test]
    fn the_schema_names_every_key_of_the_section() {
        let schema = describe(Api::read);
        for key in ["base_path", "release", "base_url", "cluster", "public", "passthrough"] {
            assert!(schema["properties"][key]["description"].is_string(), "{key}");
        }
        assert_eq!(schema["required"], json!(["base_path"]));
    }
}
