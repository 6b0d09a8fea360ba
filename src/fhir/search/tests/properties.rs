//! What holds of every name and value.

use proptest::prelude::*;

use super::*;
use crate::fhir::tables;

/// One link in the spelling of a request, and the types it leads to.
#[derive(Debug)]
struct Written {
    text: String,
    to: Vec<ResourceType>,
}

/// A walk that the release's definitions allow, `choices` deciding at every fork. It looks them up
/// the other way round than the grammar: from the tables to the text.
fn walk(release: Release, start: ResourceType, choices: &[Choice]) -> Vec<Written> {
    let mut here = vec![start];
    let mut links = Vec::new();
    for (back, restrict, place) in choices {
        let mut options =
            if *back { backward(release, &here) } else { onward(release, &here, *restrict) };
        if options.is_empty() {
            break;
        }
        let link = options.swap_remove(place.index(options.len()));
        here.clone_from(&link.to);
        links.push(link);
    }
    links
}

/// Whether to go back, whether to name the type, and which of the options to take.
type Choice = (bool, bool, prop::sample::Index);

fn onward(release: Release, here: &[ResourceType], restrict: bool) -> Vec<Written> {
    let all = tables::of(release).references;
    let known = |name: &str| here.iter().any(|resource| resource.name() == name);
    let from =
        || all.iter().filter(|(name, _)| known(name)).flat_map(|(_, parameters)| *parameters);
    let mut options = Vec::new();
    for (code, targets) in from() {
        if restrict {
            let to = |name: &&str| resource(release, name);
            options.extend(
                targets
                    .iter()
                    .map(|name| Written { text: format!("{code}:{name}."), to: vec![to(name)] }),
            );
        } else {
            let same = from().filter(|(other, _)| other == code);
            let mut names: Vec<_> = same.flat_map(|(_, targets)| *targets).copied().collect();
            names.sort_unstable();
            names.dedup();
            let to = names.into_iter().map(|name| resource(release, name)).collect();
            options.push(Written { text: format!("{code}."), to });
        }
    }
    options
}

fn backward(release: Release, here: &[ResourceType]) -> Vec<Written> {
    let mut options = Vec::new();
    for (name, parameters) in tables::of(release).references {
        for (code, targets) in *parameters {
            if here.iter().any(|resource| targets.contains(&resource.name())) {
                let text = format!("_has:{name}:{code}:");
                options.push(Written { text, to: vec![resource(release, name)] });
            }
        }
    }
    options
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec(any::<Choice>(), 1..=MAX_LINKS)
}

/// Names and values out of the pieces of the grammar and some that are not.
fn pieces(most: usize) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "_has:",
        "_include",
        "_revinclude",
        "_sort",
        "_type",
        "_offset",
        ":",
        ".",
        "*",
        ",",
        "\\",
        "Patient",
        "Observation",
        "patient",
        "subject",
        "link",
        "name",
        "iterate",
        "below",
        "_id",
        "_",
        "-",
        "7",
        "$",
        "|",
        " ",
        "\u{e9}",
        "\u{1f9ea}",
        "_HAS:",
        "encounter",
    ]);
    prop::collection::vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

fn sorted(types: &[ResourceType]) -> Vec<&'static str> {
    let mut names: Vec<_> = types.iter().map(|resource| resource.name()).collect();
    names.sort_unstable();
    names
}

/// As a client writes it in a list of alternatives.
fn escaped(text: &str) -> String {
    let mut written = String::new();
    for character in text.chars() {
        if ",$|\\".contains(character) {
            written.push('\\');
        }
        written.push(character);
    }
    written
}

proptest! {
    #[test]
    fn reading_never_panics_and_what_cannot_be_read_is_a_client_error(
        name in prop_oneof![pieces(12), any::<String>()],
        value in prop_oneof![pieces(6), any::<String>()],
        release in prop::sample::select(&ALL[..]),
        searched in prop::sample::select(vec![None, Some("Patient"), Some("Observation")]),
    ) {
        let searched = searched.map(|name| resource(release, name));
        let param = param(&name, &value);
        match read(release, searched, &param) {
            Err(reason) => {
                prop_assert!((400..500).contains(&reason.status));
                prop_assert!(reason.code.starts_with("search_"), "{}", reason.code);
            }
            Ok(Asked::Criterion { code, modifier, .. }) => {
                prop_assert_eq!(modified(code, modifier), name);
            }
            Ok(Asked::Chain { types, way, .. } | Asked::Has { types, way }) => {
                prop_assert!(name.contains('.') || name.starts_with("_has:"));
                prop_assert!(!types.is_empty() && (1..=MAX_LINKS).contains(&way.links.len()));
                let mut once = sorted(&types);
                once.dedup();
                prop_assert_eq!(once.len(), types.len());
            }
            Ok(Asked::Include(Include { included: Included::Types(types), .. })) => {
                prop_assert!(!types.is_empty());
            }
            Ok(_) => {}
        }
    }

    #[test]
    fn a_walk_along_the_definitions_reaches_exactly_the_types_on_its_way_and_more_links_never_less(
        release in prop::sample::select(&ALL[..]),
        start in 0..140usize,
        choices in choices(),
    ) {
        let start = resource(release, release.types()[start]);
        let mut text = String::new();
        let mut reached: Vec<ResourceType> = Vec::new();
        for (count, link) in (1..).zip(walk(release, start, &choices)) {
            let fewer = reached.clone();
            text.push_str(&link.text);
            add(&mut reached, &link.to);
            let param = param(&format!("{text}name"), "x");
            let asked = read(release, Some(start), &param);
            prop_assert!(asked.is_ok(), "{}: {}", param.name, line(&asked));
            let asked = asked.unwrap();
            prop_assert_eq!(sorted(asked.types()), sorted(&reached), "{}", param.name);
            prop_assert!(fewer.iter().all(|resource| asked.types().contains(resource)));
            let (Asked::Chain { way, .. } | Asked::Has { way, .. }) = asked else {
                return Err(TestCaseError::fail(param.name));
            };
            prop_assert_eq!((way.code, way.links.len()), ("name", count));
            prop_assert_eq!(links(&way), expected_links(&text));
        }
    }

    #[test]
    fn a_search_over_all_types_reaches_at_least_what_a_search_of_one_does(
        release in prop::sample::select(&ALL[..]),
        start in 0..140usize,
        choices in choices(),
    ) {
        let start = resource(release, release.types()[start]);
        let links = walk(release, start, &choices);
        let text: String = links.iter().map(|link| link.text.as_str()).collect();
        let param = param(&format!("{text}name"), "x");
        let one = read(release, Some(start), &param).unwrap();
        let all = read(release, None, &param).unwrap();
        for resource in one.types() {
            prop_assert!(all.types().contains(resource), "{}", param.name);
        }
    }

    #[test]
    fn alternatives_written_with_their_escapes_are_read_back(
        items in prop::collection::vec(prop_oneof![pieces(5), any::<String>()], 1..5),
    ) {
        let value = items.iter().map(|item| escaped(item)).collect::<Vec<_>>().join(",");
        prop_assert_eq!(alternatives(&value).unwrap(), items);
    }

    #[test]
    fn alternatives_joined_again_mean_the_same_value(value in prop_oneof![pieces(8), any::<String>()]) {
        match alternatives(&value) {
            Err(reason) => prop_assert!(value.contains('\\'), "{}", reason.code),
            Ok(items) => {
                let joined = items.iter().map(|item| escaped(item)).collect::<Vec<_>>().join(",");
                prop_assert_eq!(alternatives(&joined).unwrap(), items.clone());
                if !value.contains('\\') {
                    prop_assert_eq!(items.join(","), value);
                }
            }
        }
    }
}

/// The links of a text of [`walk`], as [`links`] writes them, with `name` at the end.
fn expected_links(text: &str) -> String {
    let mut rest = text;
    let mut found = String::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("_has:") {
            let mut parts = after.splitn(3, ':');
            let (name, code) = (parts.next().unwrap(), parts.next().unwrap());
            found += &format!("<{name}.{code}<");
            rest = parts.next().unwrap();
        } else {
            let (link, after) = rest.split_once('.').unwrap();
            found += &format!("{}>", link.replace(':', ">"));
            rest = after;
        }
    }
    found + "name"
}
