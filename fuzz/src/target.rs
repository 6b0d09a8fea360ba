//! The request target: what is accepted has one reading.

use phiward::fhir::{self, Api, Body, Id, Routed};
use phiward::request::{self, Head};
use serde_json::json;

use super::world::{World, fields};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"];

thread_local! {
    static APIS: [Api; 3] = ["R4", "R4B", "R5"].map(|release| {
        World::new(json!({"fhir": {"base_path": "/fhir", "release": release}})).config.fhir
    });
}

/// First the method and the release, then the target.
pub fn check(data: &[u8]) {
    let Some((choice, target)) = data.split_first() else { return };
    let Ok(target) = core::str::from_utf8(target) else { return };
    let method = METHODS[usize::from(choice % 8)];
    let Some(head) = read(method, target) else { return };
    assert_eq!(head.raw_target(), target);
    has_one_reading(head.path());
    let written = match head.raw_query() {
        Some(query) => format!("{}?{query}", encoded(head.path())),
        None => encoded(head.path()),
    };
    if written.len() <= request::MAX_TARGET {
        let again = read(method, &written).expect("what was accepted is accepted in plain form");
        assert_eq!(again.path(), head.path());
        assert_eq!(again.query(), head.query());
    }
    APIS.with(|apis| routed(&head, &apis[usize::from(choice / 8 % 3)]));
}

fn read(method: &str, target: &str) -> Option<Head> {
    let pairs = [(":method", method), (":path", target), (":authority", "api.clinic.example")];
    request::read(fields(&pairs)).ok()
}

fn has_one_reading(path: &str) {
    assert!(path.starts_with('/') && !path.contains("//"), "{path:?}");
    assert!(!path.contains(['\\', ';', '#', '?', '%']), "{path:?}");
    assert!(!path.chars().any(|c| c.is_ascii_control()), "{path:?}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?}");
}

fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte);
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(one).collect()
}

/// What is routed is of the release, below the base, and its ids are ids.
fn routed(head: &Head, api: &Api) {
    let Ok(Routed::Fhir(request)) = fhir::route(head, api) else { return };
    assert!(api.below_base(head.path()).is_some());
    let interaction = &request.interaction;
    for id in [interaction.id(), interaction.version()].into_iter().flatten() {
        assert_eq!(Id::parse(id.as_str()).as_ref(), Some(id));
    }
    if let Some(of) = interaction.resource_type() {
        assert!(api.release.types().contains(&of.name()), "{}", of.name());
    }
    assert!(head.method().takes_body() || request.body == Body::None, "{interaction:?}");
}
