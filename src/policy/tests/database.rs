//! Laws of what a token's requests reach in a small database, searched by our own evaluation of
//! parameters.

use proptest::prelude::*;
use proptest::sample::select;

use super::generated::{claims, confined, database, scope, search, write};
use super::*;
use crate::base::node::{self, Node};
use crate::fhir::criteria;
use crate::fhir::membership::{Membership, Naming, is_member};

fn api_here() -> Api {
    Api { cluster: Some("fhir".to_owned()), ..api(Release::R4) }
}

/// The decision once everything that it needs came from the database.
fn permit(
    claims: &Claims,
    text: &str,
    body: &str,
    stored: &[String],
    smart: &Smart,
) -> Result<Permit, Refusal> {
    permit_before(Server::Good, claims, text, body, stored, smart)
}

/// A FHIR server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It finds what is asked for.
    Good,
    /// It ignores all parameters of a search.
    Deaf,
}

fn permit_before(
    server: Server,
    claims: &Claims,
    text: &str,
    body: &str,
    stored: &[String],
    smart: &Smart,
) -> Result<Permit, Refusal> {
    let api = api_here();
    let (head, request) = routed(text, &api);
    let grants = Rc::new(Grants::of(claims, &api, smart));
    let mut known = Stored::default();
    for _ in 0..3 {
        let token = AdmittedToken::for_tests(claims.clone());
        let evidence = Evidence::new(Some(body.as_bytes()), &known);
        match decide(&token, &grants, &request, &head, evidence, &api, smart)? {
            Decision::Permit(permit) => return Ok(*permit),
            Decision::Body => panic!("{text}: the body is there"),
            Decision::Stored(lookups) => {
                for lookup in lookups {
                    let (status, body) = match &lookup {
                        Lookup::Read(probe) => match stored.iter().find(|text| is(text, probe)) {
                            Some(found) => (200, found.clone()),
                            None => (404, String::new()),
                        },
                        Lookup::Search(search) => (200, searched(server, search, stored, &api)),
                    };
                    let body = body.into_bytes();
                    known.answered(lookup, Ok(HttpAnswer { status, etag: None, body })).unwrap();
                }
            }
        }
    }
    panic!("{text}: asked again for the same");
}

fn is(text: &str, probe: &Probe) -> bool {
    let resource = node::read(text.as_bytes()).unwrap();
    resource.text_of("resourceType") == Some(probe.resource.name())
        && resource.text_of("id") == Some(probe.id.as_str())
}

/// The answer to a search for what a condition finds.
fn searched(server: Server, search: &Search, stored: &[String], api: &Api) -> String {
    let target = search.target();
    let (_, query) = target.split_once('?').unwrap();
    let query = crate::request::Query::parse(query).unwrap();
    let finds = |text: &&String| {
        let resource = node::read(text.as_bytes()).unwrap();
        let criteria = query.params().iter().filter(|param| param.name != "_count");
        let mut criteria = criteria.map(|param| {
            criteria::matches(api.release, &resource, &param.name, &param.value, &api.base_urls)
        });
        let inside = search.compartment.as_ref().is_none_or(|patient| {
            let naming =
                Naming { owner: "Patient", id: patient, base_urls: &api.base_urls, aliases: &[] };
            is_member(api.release, Membership::Definition, &resource, &naming)
        });
        let of_type = resource.text_of("resourceType") == Some(search.resource.name());
        server == Server::Deaf || (of_type && inside && criteria.all(|matches| matches))
    };
    searchset(&stored.iter().filter(finds).map(String::as_str).collect::<Vec<_>>())
}

/// What a client sees of the database by a search: what the server finds by the criteria that go on,
/// but for what is removed from the answer. `None`: refused.
pub(super) fn seen(
    claims: &Claims,
    text: &str,
    stored: &[String],
    smart: &Smart,
) -> Option<Vec<usize>> {
    let permit = permit(claims, text, "", stored, smart).ok()?;
    let api = api_here();
    let (_, request) = routed(text, &api);
    let of = request.interaction.resource_type().unwrap();
    let own = request.query.params().iter().map(|param| (&*param.name, &*param.value));
    let own = own.filter(|(name, _)| *name != "_count");
    let added = permit.narrowing().iter().map(|one| (&*one.name, &*one.value));
    let criteria: Vec<(&str, &str)> = own.chain(added).collect();
    let finds = |resource: &Node<'_>| {
        let matches = |(name, value): &(&str, &str)| meets(resource, name, value, stored, &api);
        let inside = permit.compartment().is_none_or(|_| {
            let patient = permit.patient().unwrap();
            let naming =
                Naming { owner: "Patient", id: patient, base_urls: &api.base_urls, aliases: &[] };
            is_member(api.release, Membership::Definition, resource, &naming)
        });
        resource.text_of("resourceType") == Some(of.name())
            && inside
            && criteria.iter().all(matches)
    };
    let shown = |resource: &Node<'_>| {
        permit
            .expected()
            .is_none_or(|expected| expected.sight.sees(resource, By::Search, &api, smart))
    };
    let all = stored.iter().map(|text| node::read(text.as_bytes()).unwrap()).enumerate();
    Some(all.filter(|(_, one)| finds(one) && shown(one)).map(|(place, _)| place).collect())
}

/// Whether a resource meets a criterion, along the links of a chain if it is one.
fn meets(resource: &Node<'_>, name: &str, value: &str, stored: &[String], api: &Api) -> bool {
    let Some((link, rest)) = name.split_once('.') else {
        return criteria::matches(api.release, resource, name, value, &api.base_urls);
    };
    let (parameter, of) = link.split_once(':').unwrap();
    let ends = stored.iter().map(|text| node::read(text.as_bytes()).unwrap());
    let mut ends = ends.filter(|end| {
        let target = format!("{of}/{}", end.text_of("id").unwrap());
        end.text_of("resourceType") == Some(of)
            && criteria::matches(api.release, resource, parameter, &target, &api.base_urls)
    });
    ends.any(|end| meets(&end, rest, value, stored, api))
}

/// The same token with one more scope.
pub(super) fn with(claims: &Claims, scopes: &[String], added: Option<(&String, usize)>) -> Claims {
    let mut all = scopes.to_vec();
    if let Some((added, at)) = added {
        all.insert(at, added.clone());
    }
    Claims { scope: all.join(" "), ..claims.clone() }
}

/// Whether a token is confined to two patients, of whose compartments no search can be.
fn has_two_patients(claims: &Claims) -> bool {
    let patient = claims.patient.as_ref().map(|id| format!("Patient/{id}"));
    let user = claims.user.as_ref().filter(|user| user.starts_with("Patient/"));
    patient.is_some() && user.is_some() && user != patient.as_ref()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_resource_that_a_token_shows_is_shown_with_more_scope_too(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 0..5),
        added in scope(),
        at in any::<prop::sample::Index>(),
        stored in database(),
        definition in any::<bool>(),
    ) {
        let membership = if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, ..Smart::default() };
        let api = api_here();
        let at = at.index(scopes.len().saturating_add(1));
        let sight = |claims: &Claims| Sight::new(Rc::new(Grants::of(claims, &api, &smart)));
        let fewer = sight(&with(&claims, &scopes, None));
        let more = sight(&with(&claims, &scopes, Some((&added, at))));
        for text in &stored {
            let resource = node::read(text.as_bytes()).unwrap();
            for by in [By::Read, By::Search] {
                let lost = fewer.sees(&resource, by, &api, &smart)
                    && !more.sees(&resource, by, &api, &smart);
                prop_assert!(!lost, "{added} hides {text}");
            }
        }
    }

    #[test]
    fn a_search_shows_no_less_with_more_scope(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 0..5),
        added in scope(),
        at in any::<prop::sample::Index>(),
        text in search(),
        stored in database(),
        definition in any::<bool>(),
    ) {
        prop_assume!(!(definition && has_two_patients(&claims)));
        let membership = if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, ..Smart::default() };
        let at = at.index(scopes.len().saturating_add(1));
        let fewer = with(&claims, &scopes, None);
        let more = with(&claims, &scopes, Some((&added, at)));
        let Some(before) = seen(&fewer, &text, &stored, &smart) else { return Ok(()) };
        let after = seen(&more, &text, &stored, &smart);
        prop_assert!(after.is_some(), "{text}: {added} refuses");
        let after = after.unwrap();
        for place in before {
            prop_assert!(after.contains(&place), "{text}: {added} hides {}", stored[place]);
        }
    }

    #[test]
    fn a_search_shows_what_is_asked_for_and_may_be_seen_and_nothing_else(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 1..5),
        text in search(),
        stored in database(),
        definition in any::<bool>(),
        check in select(vec![ResponseCheck::Enforce, ResponseCheck::Off]),
    ) {
        let membership = if definition { Membership::Definition } else { Membership::Subject };
        let smart = Smart { membership, response_check: check, ..Smart::default() };
        let claims = with(&claims, &scopes, None);
        let Some(found) = seen(&claims, &text, &stored, &smart) else { return Ok(()) };
        let api = api_here();
        let sight = Sight::new(Rc::new(Grants::of(&claims, &api, &Smart::default())));
        let everything = Claims {
            scope: "system/*.cruds".to_owned(),
            ..Claims::default()
        };
        let asked = seen(&everything, &text, &stored, &smart).unwrap();
        let one_context = scopes.iter().all(|scope| scope.split('/').next() == scopes[0].split('/').next());
        for (place, text_of) in stored.iter().enumerate() {
            let resource = node::read(text_of.as_bytes()).unwrap();
            let contained = resource.get("contained").is_some();
            let sees = sight.sees(&resource, By::Search, &api, &smart);
            let shown = found.contains(&place);
            // What is contained is judged on the answer alone.
            let unjudged = check == ResponseCheck::Off && contained;
            prop_assert!(!shown || sees || unjudged, "{text} shows {text_of}");
            prop_assert!(!shown || asked.contains(&place), "{text} was widened to {text_of}");
            if one_context && asked.contains(&place) {
                prop_assert!(shown || !sees, "{text} loses {text_of}");
            }
        }
    }

    #[test]
    fn a_confined_write_is_tied_to_what_is_the_patient_s(
        claims in confined(),
        scopes in proptest::collection::vec(scope(), 1..5),
        (text, body) in write(),
        stored in database(),
        check in select(vec![ResponseCheck::Enforce, ResponseCheck::Off]),
        server in select(vec![Server::Good, Server::Deaf]),
    ) {
        let claims = with(&claims, &scopes, None);
        let smart = Smart { response_check: check, ..Smart::default() };
        let permit = permit_before(server, &claims, &text, &body, &stored, &smart);
        let Ok(permit) = permit else { return Ok(()) };
        prop_assert_eq!(permit.expected().is_some(), check == ResponseCheck::Enforce);
        let api = api_here();
        let (_, request) = routed(&text, &api);
        let own = |value: &str| {
            let known = [claims.patient.as_deref().map(|id| format!("Patient/{id}")), claims.user.clone()];
            value.split(',').all(|one| known.iter().flatten().any(|own| own == one))
        };
        if let Some(Resolved { by, becomes, .. }) = permit.resolved() {
            let narrowed = by.narrowing.iter().any(|one| one.name == "patient" && own(&one.value));
            prop_assert!(narrowed && permit.narrowing().is_empty(), "{text}");
            match becomes {
                Becomes::Known { id, .. } => {
                    let probe = Probe { resource: by.resource, id: id.clone() };
                    let found = stored.iter().find(|text| is(text, &probe)).unwrap();
                    let resource = node::read(found.as_bytes()).unwrap();
                    let subject = resource.get("subject").unwrap();
                    prop_assert!(own(subject.text_of("reference").unwrap()), "{text}");
                    let tied = matches!(permit.precondition(), Some(Precondition::Unchanged(_)));
                    prop_assert!(tied, "{text}");
                }
                Becomes::New(condition) => {
                    let own = condition.iter().all(|condition| {
                        condition.contains("patient=Patient%2F") || condition.starts_with("_id=")
                    });
                    prop_assert!(own && permit.precondition().is_none(), "{text}");
                }
            }
        }
        match &request.interaction {
            Interaction::Update(of, id) | Interaction::Patch(of, id) | Interaction::Delete(of, id) => {
                let probe = Probe { resource: *of, id: id.clone() };
                let found = stored.iter().find(|text| is(text, &probe));
                match permit.precondition() {
                    Some(Precondition::Unchanged(_)) => {
                        let resource = node::read(found.unwrap().as_bytes()).unwrap();
                        let subject = resource.get("subject").unwrap();
                        prop_assert!(own(subject.text_of("reference").unwrap()), "{text}");
                    }
                    Some(Precondition::Absent) => prop_assert!(found.is_none(), "{text}"),
                    None => prop_assert!(false, "{text} goes on unconditionally"),
                }
            }
            Interaction::ConditionalCreate(_)
            | Interaction::ConditionalUpdate(_)
            | Interaction::ConditionalDelete(_) => {
                prop_assert!(permit.resolved().is_some(), "{text} is left to the server");
            }
            _ => {}
        }
        if body.contains("subject") {
            let resource = node::read(body.as_bytes()).unwrap();
            prop_assert!(own(resource.get("subject").unwrap().text_of("reference").unwrap()), "{text}");
        }
    }

    #[test]
    fn a_write_that_is_allowed_is_allowed_with_more_scope_too(
        claims in claims(),
        scopes in proptest::collection::vec(scope(), 0..5),
        added in scope(),
        at in any::<prop::sample::Index>(),
        (text, body) in write(),
        stored in database(),
    ) {
        let smart = Smart::default();
        let at = at.index(scopes.len().saturating_add(1));
        let fewer = with(&claims, &scopes, None);
        let more = with(&claims, &scopes, Some((&added, at)));
        if permit(&fewer, &text, &body, &stored, &smart).is_ok() {
            let after = permit(&more, &text, &body, &stored, &smart);
            // Criteria may find more then, which makes them ambiguous.
            let finds_more = matches!(
                &after,
                Err(refusal) if refusal.reason.code == "conditional_many_matches"
            );
            prop_assert!(after.is_ok() || finds_more, "{text}: {added}: {after:?}");
        }
    }
}
