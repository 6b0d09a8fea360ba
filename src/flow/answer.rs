//! The answer to a refused request: status, `WWW-Authenticate` (RFC 6750 section 3) and a FHIR
//! `OperationOutcome` (<http://hl7.org/fhir/R4/operationoutcome.html>).

use super::effect::Reply;
use crate::base::refusal::{Challenge, Refusal};

/// What the client gets to see of a refusal.
pub fn refused(refusal: &Refusal, request_id: Option<&str>) -> Reply {
    let reason = refusal.reason;
    let mut headers = vec![
        ("content-type", "application/fhir+json".to_owned()),
        ("cache-control", "no-store".to_owned()),
    ];
    if let Some(challenge) = challenge(refusal) {
        headers.push(("www-authenticate", challenge));
    }
    if let Some(length) = refusal.retry_after {
        headers.push(("retry-after", length.as_secs().max(1).to_string()));
    }
    if let Some(methods) = refusal.allow {
        headers.push(("allow", methods.to_owned()));
    }
    Reply { status: reason.status, headers, body: refusal.outcome(request_id).to_string() }
}

/// The `WWW-Authenticate` field of a refusal that has one.
fn challenge(refusal: &Refusal) -> Option<String> {
    let error = match refusal.reason.challenge {
        Challenge::None => return None,
        Challenge::Missing => return Some("Bearer realm=\"fhir\"".to_owned()),
        Challenge::InvalidRequest => "invalid_request",
        Challenge::InvalidToken => "invalid_token",
        Challenge::InsufficientScope => "insufficient_scope",
    };
    let scope = refusal.scope.as_deref().map(|scope| format!(", scope=\"{}\"", quotable(scope)));
    Some(format!("Bearer error=\"{error}\"{}", scope.unwrap_or_default()))
}

/// Keeps what may stand between quotes in a header field (RFC 6750 section 3).
fn quotable(text: &str) -> String {
    text.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::base::refusal::Reason;

    static MISSING: Reason =
        Reason::new(401, "x_missing", "login", "say who you are").challenge(Challenge::Missing);
    static SECRET: Reason = Reason::new(401, "x_inner", "login", "the token is not valid")
        .shown_as("x_invalid")
        .challenge(Challenge::InvalidToken);
    static SCOPE: Reason =
        Reason::new(403, "x_scope", "forbidden", "no").challenge(Challenge::InsufficientScope);
    static LATER: Reason = Reason::new(503, "x_later", "transient", "later");

    fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        reply.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn each_kind_of_refusal_has_its_challenge() {
        let cases = [
            (Refusal::new(&MISSING), Some("Bearer realm=\"fhir\"")),
            (Refusal::new(&SECRET), Some("Bearer error=\"invalid_token\"")),
            (
                Refusal::new(&SCOPE).scope("patient/Observation.s\"\\\r\n"),
                Some("Bearer error=\"insufficient_scope\", scope=\"patient/Observation.s\""),
            ),
            (Refusal::new(&LATER), None),
        ];
        for (refusal, expected) in cases {
            let reply = refused(&refusal, None);
            assert_eq!(header(&reply, "www-authenticate"), expected, "{refusal:?}");
            assert_eq!(header(&reply, "cache-control"), Some("no-store"));
            assert_eq!(reply.status, refusal.reason.status);
        }
    }

    #[test]
    fn the_body_has_the_public_code_and_the_request_id_and_not_the_inner_code() {
        let reply = refused(&Refusal::new(&SECRET), Some("r-1"));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&reply.body).unwrap(),
            json!({"resourceType": "OperationOutcome", "issue": [{
                "severity": "error", "code": "login",
                "details": {
                    "coding": [{"system": "urn:phiward:reason", "code": "x_invalid"}],
                    "text": "the token is not valid",
                },
                "diagnostics": "request id: r-1",
            }]})
        );
        assert!(!reply.body.contains("x_inner"));
    }

    #[test]
    fn a_passing_refusal_says_when_to_try_again_in_whole_seconds() {
        let reply = refused(&Refusal::new(&LATER).retry_after(Duration::from_millis(300)), None);
        assert_eq!(header(&reply, "retry-after"), Some("1"));
    }
}
