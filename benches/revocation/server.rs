//! A server of a list of any length, in pages of 50 000 entries, made as they are asked for.

use std::fmt::Write as _;

use phiward::store::HttpAnswer;
use serde_json::{Value, json};

use super::host::START;

/// Who issued all tokens.
pub(crate) const ISSUER: &str = "https://auth.example";

const PAGE: u64 = 50_000;

/// A list: entries by number, of which some were removed and as many added.
#[derive(Debug)]
pub(crate) struct Server {
    entries: u64,
    changed: u64,
}

impl Server {
    pub(crate) fn of(entries: u64) -> Server {
        Server { entries, changed: 0 }
    }

    /// One percent changes: half of it is new, half of it is gone.
    pub(crate) fn change(&mut self) {
        self.changed = (self.entries / 200).max(1);
    }

    /// The id of a listed token.
    pub(crate) fn listed(&self) -> Option<String> {
        (self.entries > 0).then(|| jti(self.entries - 1))
    }

    /// The id of a token that was added by the change.
    pub(crate) fn added(&self) -> String {
        jti(self.entries)
    }

    pub(crate) fn answer(&self, path: &str) -> HttpAnswer {
        let of = |name: &str| {
            let query = path.split_once('?').map_or("", |(_, query)| query);
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let from: u64 = of("page").map_or(0, |page| page.parse().unwrap());
        let body = if of("since").is_some() { self.changes(from) } else { self.page(from) };
        HttpAnswer { status: 200, etag: None, body: body.into_bytes() }
    }

    fn page(&self, from: u64) -> String {
        let until = (from + PAGE).min(self.entries);
        let mut body = format!(r#"{{"version":"1","deltas":true,"total":{},"#, self.entries);
        next(&mut body, until, self.entries);
        body.push_str(r#""entries":["#);
        write(&mut body, from..until);
        body.push_str("]}");
        body
    }

    /// The first entries are gone, and there are new ones behind the last.
    fn changes(&self, from: u64) -> String {
        let until = (from + PAGE / 2).min(self.changed);
        let mut body = r#"{"since":"1","version":"2","#.to_owned();
        next(&mut body, until, self.changed);
        body.push_str(r#""entries":["#);
        write(&mut body, self.entries + from..self.entries + until);
        body.push_str(r#"],"removed":["#);
        write(&mut body, from..until.min(self.entries));
        body.push_str("]}");
        body
    }
}

fn next(body: &mut String, until: u64, all: u64) {
    if until < all {
        write!(body, r#""next":"{until}","#).unwrap();
    }
}

fn write(body: &mut String, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let comma = if body.ends_with('[') { "" } else { "," };
        let (jti, expires) = (jti(number), START + 3_600 + number % 86_400);
        write!(body, r#"{comma}{{"jti":"{jti}","iss":"{ISSUER}","expires":{expires}}}"#).unwrap();
    }
}

fn jti(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A key set with one key, the generator of P-256.
pub(crate) fn keys() -> Value {
    json!({"keys": [{
        "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    }]})
}

/// A token of this id, signed with nonsense.
pub(crate) fn token(jti: &str) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"});
    let claims = json!({
        "iss": ISSUER, "aud": "https://api.example/fhir", "jti": jti, "sub": "user",
        "iat": START - 10, "exp": START + 600, "scope": "patient/*.rs", "patient": "p",
    });
    let (header, claims) = (header.to_string(), claims.to_string());
    format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(&[1; 64]))
}
