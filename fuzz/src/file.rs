//! Files of an export: however a file is cut on its way, the same lines go on.

use std::rc::Rc;

use phiward::base::json;
use phiward::export::Lines;
use phiward::fhir::ResourceType;
use phiward::policy::{Exported, expected_file};
use phiward::response;
use serde_json::json;

use super::world::{Caller, World};

thread_local! {
    static WORLD: (World, Vec<Caller>) = {
        let world = World::new(json!({}));
        let scopes = ["system/Observation.rs", "system/*.rs", "system/Observation.rs?code=x"];
        let callers = scopes.map(|scope| world.caller(json!({"scope": scope})).unwrap());
        (world, callers.into())
    };
}

const LIMIT: usize = 512;

/// First who asks, what the file is and how it is cut, then the file.
pub fn check(data: &[u8]) {
    let Some(([who, cut], file)) = data.split_first_chunk() else { return };
    WORLD.with(|(world, callers)| {
        let (api, smart) = (&world.config.fhir, &world.config.smart);
        let observation = ResourceType::parse(api.release, "Observation").unwrap();
        let of = [Exported::Type(observation), Exported::AllTypes, Exported::Outcomes];
        let caller = &callers[usize::from(who % 3)];
        let of = of[usize::from(who / 3 % 3)];
        let expected = expected_file(&Rc::clone(&caller.grants), of, api.release).unwrap();
        let shows = |line: &[u8]| response::line(&expected, line, api, smart);
        let whole = sifted(file, file.len().max(1), 0, &shows);
        let cut = sifted(file, usize::from(cut % 16).max(1), usize::from(cut / 16), &shows);
        assert_eq!(whole, cut, "cut otherwise");
        let Some((passed, removed)) = whole else { return };
        let lines = |text: &[u8]| text.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(lines(&passed) + removed, lines(file), "each line is shown or counted");
        for line in passed.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
        {
            let resource = json::parse(line).expect("what is shown is strict JSON");
            match of {
                Exported::Type(of) => assert_eq!(resource["resourceType"], of.name()),
                Exported::Outcomes => assert_eq!(resource["resourceType"], "OperationOutcome"),
                _ => assert!(resource["resourceType"].is_string()),
            }
        }
    });
}

/// What goes on of a file in pieces of about this size, and how many lines don't; `None`: it is refused.
fn sifted(
    file: &[u8],
    size: usize,
    more: usize,
    shows: &dyn Fn(&[u8]) -> bool,
) -> Option<(Vec<u8>, usize)> {
    let mut lines = Lines::new(LIMIT);
    let (mut passed, mut rest, mut size) = (Vec::new(), file, size);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        passed.extend(lines.push(piece, shows).ok()?);
        rest = after;
        size = size.saturating_add(more) % 97 + 1;
    }
    passed.extend(lines.finish(shows));
    Some((passed, lines.removed()))
}
