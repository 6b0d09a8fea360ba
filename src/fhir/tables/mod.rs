//! Release tables, made from HL7's definitions by `tools/fhir-tables/generate.py`. Every list is
//! sorted by its first member.
//!
//! What they say stands in `tables.txt`, for all releases together: a row that only some have begins
//! with their names and `|`. The filter carries the same text packed, a sixth of its length, and
//! reads it once.

mod read;

use std::sync::LazyLock;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::Release;

/// What is known of one release.
#[derive(Debug)]
pub(in crate::fhir) struct Tables {
    /// Concrete resource types.
    pub(in crate::fhir) types: &'static [&'static str],
    /// The five compartments.
    pub(in crate::fhir) compartments: &'static [Compartment],
    /// Reference parameters of each type that has any, with the types they can refer to.
    pub(in crate::fhir) references: List<List<Names>>,
    /// Parameters of each type whose value can name a patient.
    pub(in crate::fhir) patient_parameters: List<Names>,
    /// The parameter that says who a resource is about, `patient` or `subject`, of each type that has
    /// one. Patient is not listed.
    pub(in crate::fhir) subjects: List<&'static str>,
    /// What the token, reference, string and uri parameters of each type look at, and under
    /// `Resource` those of all types: `Ccode,Ccomponent*.code`. How an element is written:
    /// [`super::element`]. Parameters that can't be reduced to elements exactly are not there.
    pub(in crate::fhir) elements: List<List<&'static str>>,
}

/// Names, sorted.
pub(in crate::fhir) type Names = &'static [&'static str];

/// Something by name, sorted.
pub(in crate::fhir) type List<T> = &'static [(&'static str, T)];

/// A CompartmentDefinition.
#[derive(Debug)]
pub(in crate::fhir) struct Compartment {
    /// Type of the resource the compartment belongs to.
    pub(in crate::fhir) owner: &'static str,
    /// Member types with the parameters that make a resource a member; none: only the owner itself.
    pub(in crate::fhir) members: List<Names>,
}

/// The tables of a release, read when they are first asked for.
pub(in crate::fhir) fn of(release: Release) -> &'static Tables {
    static R4: LazyLock<Tables> = LazyLock::new(|| Tables::read(text(), "R4"));
    static R4B: LazyLock<Tables> = LazyLock::new(|| Tables::read(text(), "R4B"));
    static R5: LazyLock<Tables> = LazyLock::new(|| Tables::read(text(), "R5"));
    match release {
        Release::R4 => &R4,
        Release::R4B => &R4B,
        Release::R5 => &R5,
    }
}

/// `tables.txt`. A test says that it comes out of its packed form; if it did not, no type would be
/// known and every request refused.
fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = vec![0; LENGTH];
        let packed = [&include_bytes!("tables.deflate")[..]];
        let written = decompress_slice_iter_to_slice(&mut text, packed.into_iter(), false, true);
        text.truncate(written.unwrap_or_default());
        String::from_utf8(text).unwrap_or_default()
    });
    &TEXT
}

/// What a sorted list says of `key`.
pub(in crate::fhir) fn find<T: Copy>(list: &[(&'static str, T)], key: &str) -> Option<T> {
    let place = list.binary_search_by(|(name, _)| (*name).cmp(key)).ok()?;
    list.get(place).map(|(_, value)| *value)
}

/// Only the length goes into the filter.
const LENGTH: usize = include_str!("tables.txt").len();

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASES: [(Release, usize); 3] =
        [(Release::R4, 146), (Release::R4B, 141), (Release::R5, 158)];

    fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> bool {
        let names: Vec<&str> = names.collect();
        names.windows(2).all(|pair| pair[0] < pair[1])
    }

    #[test]
    fn the_packed_text_is_the_readable_one() {
        assert!(text() == include_str!("tables.txt"), "run `make tables`");
    }

    #[test]
    fn every_release_has_its_types_and_five_compartments() {
        for (release, types) in RELEASES {
            let tables = of(release);
            assert_eq!(tables.types.len(), types, "{release:?}");
            let owners: Vec<&str> = tables.compartments.iter().map(|c| c.owner).collect();
            assert_eq!(
                owners,
                ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"],
                "{release:?}"
            );
        }
    }

    #[test]
    fn every_list_is_sorted_without_repeats_so_that_searching_it_finds_all() {
        for (release, _) in RELEASES {
            let tables = of(release);
            assert!(sorted(tables.types.iter().copied()), "{release:?} types");
            for compartment in tables.compartments {
                let members = compartment.members;
                assert!(sorted(members.iter().map(|m| m.0)), "{release:?} {}", compartment.owner);
            }
            assert!(sorted(tables.references.iter().map(|r| r.0)), "{release:?} references");
            for (name, parameters) in tables.references {
                assert!(sorted(parameters.iter().map(|p| p.0)), "{release:?} {name}");
                for (parameter, targets) in *parameters {
                    assert!(!targets.is_empty(), "{release:?} {name}.{parameter}");
                    assert!(sorted(targets.iter().copied()), "{release:?} {name}.{parameter}");
                }
            }
            assert!(sorted(tables.patient_parameters.iter().map(|p| p.0)), "{release:?} patient");
            assert!(sorted(tables.subjects.iter().map(|s| s.0)), "{release:?} subjects");
            assert!(sorted(tables.elements.iter().map(|e| e.0)), "{release:?} elements");
            for (name, parameters) in tables.elements {
                assert!(sorted(parameters.iter().map(|p| p.0)), "{release:?} {name}");
            }
        }
    }

    #[test]
    fn every_name_in_a_table_is_a_type_of_the_release() {
        for (release, _) in RELEASES {
            let tables = of(release);
            let known = |name: &str| tables.types.binary_search(&name).is_ok();
            let members = tables.compartments.iter().flat_map(|c| c.members).map(|m| m.0);
            let targets = tables.references.iter().flat_map(|r| r.1).flat_map(|p| p.1).copied();
            let owners = tables.references.iter().map(|r| r.0);
            let subjects = tables.subjects.iter().map(|s| s.0);
            let evaluated = tables.elements.iter().map(|e| e.0).filter(|name| *name != "Resource");
            for name in members.chain(targets).chain(owners).chain(subjects).chain(evaluated) {
                assert!(known(name), "{release:?} {name}");
            }
        }
    }
}
