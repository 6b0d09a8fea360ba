//! Who took part: client and server, the application and the user of the token, their organization.

use serde_json::{Value, json};

use super::kind::APPLICATION;
use super::types::{Code, coding, concept, identified, is_uri, local, string, token};
use super::{Event, observer};
use crate::audit::formats::tree::{list, object, peer, text, texts};

/// The agents of an event. Of an authorization decision phiward is one too.
pub(super) fn agents(event: &Event<'_>, decided: bool) -> Value {
    list([
        client(event),
        server(event),
        application(event),
        user(event),
        organization(event.record),
        if decided { authorizer(event.record) } else { Value::Null },
    ])
}

/// BALP's pattern for the token that the agents conform to. The comprehensive one knows the client,
/// and the token's id of every user; the minimal one needs the token's id alone.
pub(super) fn profile(record: &Value) -> Option<&'static str> {
    let has_id = text(record, "/who/jti").is_some();
    match text(record, "/who/client") {
        Some(_) if has_id || user_of(record).is_none() => Some("Comprehensive"),
        None if has_id => Some("Minimal"),
        _ => None,
    }
}

/// The client's machine. In a delete it is the application as well.
fn client(event: &Event<'_>) -> Value {
    let record = event.record;
    if event.kind.client.code == APPLICATION.code && text(record, "/who/client").is_some() {
        return client_of_token(record);
    }
    object([
        ("type", kind(&event.kind.client)),
        ("who", client_name(record)),
        ("requestor", false.into()),
        ("network", network(record)),
    ])
}

fn server(event: &Event<'_>) -> Value {
    let server = event.server.filter(|uri| is_uri(uri));
    let network = match server {
        Some(url) => object([("address", url.into()), ("type", "5".into())]),
        None => unknown(),
    };
    object([
        ("type", kind(&event.kind.server)),
        ("who", object([("display", server.unwrap_or("FHIR server").into())])),
        ("requestor", false.into()),
        ("network", network),
    ])
}

/// The application, as its token names it.
fn application(event: &Event<'_>) -> Value {
    let known = text(event.record, "/who/client").is_some();
    if known && event.kind.client.code != APPLICATION.code {
        client_of_token(event.record)
    } else {
        Value::Null
    }
}

fn client_of_token(record: &Value) -> Value {
    let alone = user_of(record).is_none();
    object([
        ("type", kind(&APPLICATION)),
        ("who", client_name(record)),
        ("requestor", alone.into()),
        ("policy", if alone { policy(record) } else { Value::Null }),
        ("network", network(record)),
    ])
}

/// The holder of the token. A client that acts for itself is its own subject (RFC 9068 section 2.2)
/// and no user.
fn user(event: &Event<'_>) -> Value {
    let record = event.record;
    let subject = user_of(record);
    let minimal = profile(record) == Some("Minimal");
    if subject.is_none() && !minimal {
        return Value::Null;
    }
    let part = |wanted: bool, code: &Code| if wanted { code.value() } else { Value::Null };
    let parts = list([
        part(subject.is_some() && event.kind.writes, &AUTHOR),
        part(subject.is_some(), &RECIPIENT),
        part(minimal, &OAUTH_AGENT),
    ]);
    let role = |role: &str| object([("text", string(role))]);
    let named = text(record, "/who/user");
    let elsewhere = named.filter(|user| local(user).is_none()).map_or(Value::Null, string);
    object([
        ("type", concept(parts)),
        ("role", texts(record, "/who/roles").map(role).collect()),
        ("who", subject.map_or(Value::Null, |subject| person(record, subject))),
        ("altId", elsewhere),
        ("name", subject.map_or(Value::Null, string)),
        ("requestor", true.into()),
        ("policy", policy(record)),
    ])
}

/// The user's identifier at the issuer and, where it is one of the API's own resources, the user.
fn person(record: &Value, subject: &str) -> Value {
    let mut who = identified(text(record, "/who/issuer"), subject);
    let local = text(record, "/who/user").and_then(local);
    if let (Some(Value::Object(local)), Some(who)) = (local, who.as_object_mut()) {
        who.extend(local);
    }
    who
}

fn organization(record: &Value) -> Value {
    let Some(name) = text(record, "/who/organization") else { return Value::Null };
    object([
        ("type", kind(&PROVIDER)),
        ("who", local(name).unwrap_or_else(|| identified(None, name))),
        ("requestor", false.into()),
    ])
}

fn authorizer(record: &Value) -> Value {
    object([("type", kind(&AUTHORIZER)), ("who", observer(record)), ("requestor", false.into())])
}

/// The subject, when it is somebody else than the client.
fn user_of(record: &Value) -> Option<&str> {
    let client = text(record, "/who/client");
    text(record, "/who/sub").filter(|subject| Some(*subject) != client)
}

/// The client's id, or where it called from.
fn client_name(record: &Value) -> Value {
    match (text(record, "/who/client"), text(record, "/from/address")) {
        (Some(client), _) => identified(None, client),
        (None, Some(address)) => object([("display", string(address))]),
        (None, None) => object([("display", "unknown client".into())]),
    }
}

/// The token's id; never the token.
fn policy(record: &Value) -> Value {
    text(record, "/who/jti").map_or(Value::Null, token)
}

/// Where the request came from.
fn network(record: &Value) -> Value {
    match (peer(record), text(record, "/from/address")) {
        (Some(peer), _) => {
            object([("address", peer.ip().to_string().into()), ("type", "2".into())])
        }
        (None, Some(address)) => object([("address", string(address))]),
        (None, None) => unknown(),
    }
}

/// An element that must be there and is not known.
fn unknown() -> Value {
    json!({"extension": [{"url": ABSENT, "valueCode": "unknown"}]})
}

fn kind(code: &Code) -> Value {
    concept(list([coding(code.system, code.code, code.display)]))
}

const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const RECIPIENT: Code =
    Code { system: PARTICIPATION, code: "IRCP", display: "information recipient" };
const AUTHOR: Code = Code { system: PARTICIPATION, code: "AUT", display: "author (originator)" };
const OAUTH_AGENT: Code = Code {
    system: "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes",
    code: "UserOauthAgent",
    display: "User OAuth Agent participant",
};
const PROVIDER: Code = Code {
    system: "http://terminology.hl7.org/CodeSystem/v3-RoleClass",
    code: "PROV",
    display: "healthcare provider",
};
const AUTHORIZER: Code = Code {
    system: "http://terminology.hl7.org/CodeSystem/extra-security-role-type",
    code: "authserver",
    display: "authorization server",
};
const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
