//! Release tables, generated from HL7's definitions by `tools/fhir-tables/generate.py`. Every list
//! is sorted by its first member.

// One line a type reads better than rustfmt's; `make tables` writes them.
#[rustfmt::skip]
mod r4;
#[rustfmt::skip]
mod r4b;
#[rustfmt::skip]
mod r5;

use super::Release;

/// What is known of one release.
#[derive(Debug)]
pub(in crate::fhir) struct Tables {
    /// Concrete resource types.
    pub(in crate::fhir) types: &'static [&'static str],
    /// The five compartments.
    pub(in crate::fhir) compartments: &'static [Compartment],
    /// Reference parameters of each type that has any.
    pub(in crate::fhir) references: &'static [(&'static str, References)],
    /// Parameters of each type whose value can name a patient.
    pub(in crate::fhir) patient_parameters: &'static [(&'static str, Names)],
    /// The parameter that says who a resource is about, `patient` or `subject`, of each type that has
    /// one. Patient is not listed.
    pub(in crate::fhir) subjects: &'static [(&'static str, &'static str)],
    /// What the token, reference, string and uri parameters of each type look at, and under
    /// `Resource` those of all types: `category=Ccategory*;code=Ccode,Ccomponent*.code`. How an
    /// element is written: [`super::element`]. Parameters that can't be reduced to elements exactly
    /// are not there.
    pub(in crate::fhir) elements: &'static [(&'static str, &'static str)],
}

/// Names, sorted.
pub(in crate::fhir) type Names = &'static [&'static str];

/// Reference parameters with the types they can refer to.
pub(in crate::fhir) type References = &'static [(&'static str, Names)];

/// A CompartmentDefinition.
#[derive(Debug)]
pub(in crate::fhir) struct Compartment {
    /// Type of the resource the compartment belongs to.
    pub(in crate::fhir) owner: &'static str,
    /// Member types with the parameters that make a resource a member; none: only the owner itself.
    pub(in crate::fhir) members: &'static [(&'static str, Names)],
}

/// The tables of a release.
pub(in crate::fhir) fn of(release: Release) -> &'static Tables {
    match release {
        Release::R4 => &r4::TABLES,
        Release::R4B => &r4b::TABLES,
        Release::R5 => &r5::TABLES,
    }
}

/// What a sorted list says of `key`.
pub(in crate::fhir) fn find<T: Copy>(list: &[(&'static str, T)], key: &str) -> Option<T> {
    let place = list.binary_search_by(|(name, _)| (*name).cmp(key)).ok()?;
    list.get(place).map(|(_, value)| *value)
}

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
