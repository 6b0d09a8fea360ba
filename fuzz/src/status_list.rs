//! Status lists: however unpacking is cut into slices, each token has the status that the list says.

use core::time::Duration;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use phiward::binding::{self, BoundToken};
use phiward::revocation::{Checked, Revocation, check as look_up};
use phiward::store::{HttpAnswer, InstanceId};
use serde_json::json;

use super::host::{Host, NOW};
use super::world::{World, bearer, encode, signed};

const URI: &str = "https://auth.clinic.example/lists/1";
const MOST: usize = 64 * 1024;
const PLACES: [u64; 8] = [0, 1, 7, 8, 63, 4096, 32_768, 1 << 40];

thread_local! {
    static WORLD: (World, Vec<BoundToken>) = {
        let lists = json!([{"cluster": "auth", "uri": "https://auth.clinic.example/lists/", "max_bytes": MOST}]);
        let world = World::new(json!({"revocation": {"status_lists": lists}}));
        let tokens = PLACES.map(|idx| {
            let status = json!({"status_list": {"idx": idx, "uri": URI}});
            binding::bind(world.verify(bearer(json!({"status": status})).as_bytes()).unwrap()).unwrap()
        });
        (world, tokens.into())
    };
}

/// First what follows: statuses, statuses that are packed, what is signed, or the document.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let bits = 1 << (choice / 4 % 4);
    let document = |packed: &[u8]| {
        let claims = json!({"sub": URI, "iat": NOW - 10, "status_list": {"bits": bits, "lst": encode(packed)}});
        list(claims.to_string().as_bytes())
    };
    let packed = match choice % 4 {
        0 => Some(compress_to_vec_zlib(rest, 6)),
        1 => Some(rest.to_vec()),
        _ => None,
    };
    let body = match &packed {
        Some(packed) => document(packed),
        None if choice % 4 == 2 => list(rest),
        None => rest.to_vec(),
    };
    WORLD.with(|(world, tokens)| {
        let at_once = verdicts(world, tokens, Host::new(), &body);
        let in_slices = verdicts(world, tokens, Host::stepping(Duration::from_millis(1)), &body);
        assert_eq!(at_once, in_slices, "whole and in slices");
        let Some(packed) = packed else { return };
        let unpacked = decompress_to_vec_zlib_with_limit(&packed, MOST);
        for (place, verdict) in PLACES.iter().zip(at_once) {
            agrees(unpacked.as_deref().ok(), bits, *place, verdict);
        }
    });
}

/// The verdict is what the list says; where that can't be unpacked, there is none.
fn agrees(list: Option<&[u8]>, bits: u64, place: u64, verdict: Option<&'static str>) {
    let Some(list) = list else {
        assert_eq!(verdict, Some("status_list_unavailable"));
        return;
    };
    let byte = usize::try_from(place * bits / 8).ok().and_then(|at| list.get(at));
    let status = byte.map(|byte| u64::from(*byte) >> (place * bits % 8) & ((1 << bits) - 1));
    let said = match status {
        None => Some("token_status_unlisted"),
        Some(0) => None,
        Some(2) => Some("token_suspended"),
        Some(_) => Some("token_revoked"),
    };
    // What goes on behind the end of the packed list is refused, and so is what can't be taken as a whole.
    assert!(
        verdict == said || verdict == Some("status_list_unavailable"),
        "{place}: {said:?}, {verdict:?}"
    );
}

fn list(claims: &[u8]) -> Vec<u8> {
    signed(&json!({"alg": "ES256", "typ": "statuslist+jwt", "kid": "k"}), claims).into_bytes()
}

fn verdicts(
    world: &World,
    tokens: &[BoundToken],
    host: Host,
    body: &[u8],
) -> Vec<Option<&'static str>> {
    let config = &world.config;
    let mut revocation = Revocation::new(config.revocation.clone(), &config.issuers);
    let instance = InstanceId::draw(&host);
    let verdict = |revocation: &mut Revocation, token: &BoundToken| {
        let verdict = look_up(token.clone(), revocation, &mut Checked::default(), &host);
        verdict.err().map(|refusal| refusal.reason.code)
    };
    assert_eq!(verdict(&mut revocation, &tokens[0]), Some("status_list_unavailable"));
    let mut sent = false;
    for _ in 0..60 {
        revocation.refresh(&host);
        let _ = revocation.work(&config.issuers, &world.keys, &host);
        for (which, _) in revocation.due(&instance, &host) {
            if !sent {
                let answer = HttpAnswer { status: 200, etag: None, body: body.to_vec() };
                let _ = revocation.answered(which, Ok(answer), &host);
            }
            sent = true;
        }
        if sent && !revocation.busy() {
            break;
        }
    }
    revocation.refresh(&host);
    tokens.iter().map(|token| verdict(&mut revocation, token)).collect()
}
