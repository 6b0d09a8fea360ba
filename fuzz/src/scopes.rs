//! Scopes: more of them never means less access, and their order means nothing.

use phiward::fhir::{self, Routed};
use phiward::policy::{Decision, Stored};
use phiward::request;
use serde_json::{Value, json};

use super::world::{Text, World};

thread_local! {
    static WORLD: World = World::new(json!({}));
}

/// First who is asked for, then the scopes, a line feed, and more of them.
pub fn check(data: &[u8]) {
    let Some((who, text)) = data.split_first() else { return };
    let Ok(text) = core::str::from_utf8(text) else { return };
    let (fewer, added) = text.split_once('\n').unwrap_or((text, ""));
    WORLD.with(|world| {
        let before = reach(world, *who, fewer);
        for more in [format!("{fewer} {added}"), format!("{added} {fewer}")] {
            let after = reach(world, *who, &more);
            let (Some(before), Some(after)) = (&before, after) else { continue };
            for ((asked, before), after) in REQUESTS.iter().zip(before).zip(after) {
                assert!(
                    *before <= after,
                    "{asked}: {before:?} by `{fewer}`, {after:?} by `{more}`"
                );
            }
        }
        let clinical = |scope: &str| {
            ["patient/", "user/", "system/"].iter().any(|context| scope.starts_with(context))
        };
        if !text.split_whitespace().any(clinical)
            && let Some(nothing) = before
        {
            assert!(nothing.iter().all(|reach| *reach == Reach::Nothing), "{text:?}: {nothing:?}");
        }
    });
}

/// How far a token reaches with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nothing,
    OnePatient,
    Everything,
}

fn reach(world: &World, who: u8, scope: &str) -> Option<Vec<Reach>> {
    let mut claims = WHO.map(|who| who())[usize::from(who) % WHO.len()].clone();
    claims["scope"] = json!(scope);
    let caller = world.caller(claims)?;
    let nothing = Stored::default();
    let reach = |asked: &&str| {
        let head = request::read(request::Headers::new(Text::of(asked.as_bytes()).unwrap().fields));
        let head = head.unwrap();
        let Ok(Routed::Fhir(request)) = fhir::route(&head, &world.config.fhir) else { panic!() };
        match world.decide(&caller, (&head, &request), None, &nothing) {
            Err(_) => Reach::Nothing,
            Ok(Decision::Permit(permit))
                if permit.patient().is_none() && permit.expected().is_none() =>
            {
                Reach::Everything
            }
            Ok(_) => Reach::OnePatient,
        }
    };
    Some(REQUESTS.iter().map(reach).collect())
}

const WHO: [fn() -> Value; 4] = [
    || json!({"patient": "P"}),
    || json!({"patient": "P", "fhirUser": "Practitioner/7"}),
    || json!({}),
    || json!({"fhirUser": "Patient/P"}),
];

const REQUESTS: [&str; 12] = [
    "GET /fhir/Patient/P",
    "GET /fhir/Patient/A",
    "GET /fhir/Observation/1",
    "GET /fhir/Observation?code=x",
    "GET /fhir/Observation?patient=A",
    "GET /fhir/Observation?_include=Observation:subject:Patient",
    "GET /fhir/Practitioner/7",
    "POST /fhir/Observation\ncontent-type: application/fhir+json",
    "DELETE /fhir/Observation/1",
    "GET /fhir/Patient/P/$everything",
    "GET /fhir/_history",
    "GET /fhir/$export\nprefer: respond-async",
];
