//! Reads a release's tables out of the text of all releases.

use super::{Compartment, List, Names, Tables};

impl Tables {
    /// The tables of the release of this name. What the text does not have is unknown, and refused.
    pub(super) fn read(text: &'static str, release: &str) -> Tables {
        let mut rows = Rows::default();
        let mut heading = "";
        for line in text.lines() {
            if let Some(next) = line.strip_prefix('[') {
                heading = next.trim_end_matches(']');
            } else {
                let (releases, row) = line.split_once('|').unwrap_or((release, line));
                let known = releases.split(' ').any(|one| one == release);
                rows.add(heading, known.then_some(row));
            }
        }
        rows.tables()
    }
}

/// What was read so far.
#[derive(Default)]
struct Rows {
    types: Vec<&'static str>,
    /// Lists of types. A reference parameter has the number of one, so those of other releases
    /// keep their places, empty.
    targets: Vec<Names>,
    compartments: Groups<Names>,
    references: Groups<Names>,
    patient_parameters: Vec<(&'static str, Names)>,
    subjects: Vec<(&'static str, &'static str)>,
    elements: Groups<&'static str>,
}

/// Rows under the second word of their heading.
type Groups<T> = Vec<(&'static str, Vec<(&'static str, T)>)>;

impl Rows {
    /// Adds a row; `None`: one of other releases.
    fn add(&mut self, heading: &'static str, row: Option<&'static str>) {
        let (table, group) = heading.split_once(' ').unwrap_or((heading, ""));
        if table == "targets" {
            let targets = row.map_or(&[][..], |row| self.listed(row));
            return self.targets.push(targets);
        }
        let Some(row) = row else { return };
        let (name, rest) = row.split_once(' ').unwrap_or((row, ""));
        match table {
            "types" => self.types.push(name),
            "compartment" => add(&mut self.compartments, group, (name, names(rest))),
            "references" => {
                let targets = rest.parse().ok().and_then(|place: usize| self.targets.get(place));
                let targets = targets.copied().unwrap_or_default();
                add(&mut self.references, group, (name, targets));
            }
            "patient" => self.patient_parameters.push((name, names(rest))),
            "subject" => self.subjects.push((name, rest)),
            "elements" => add(&mut self.elements, group, (name, rest)),
            _ => {}
        }
    }

    /// The types that a row lists; `*`: all.
    fn listed(&self, row: &'static str) -> Names {
        if row == "*" { leak(self.types.clone()) } else { names(row) }
    }

    fn tables(self) -> Tables {
        let compartments = self.compartments.into_iter();
        let compartments =
            compartments.map(|(owner, members)| Compartment { owner, members: leak(members) });
        Tables {
            types: leak(self.types),
            compartments: leak(compartments.collect()),
            references: grouped(self.references),
            patient_parameters: leak(self.patient_parameters),
            subjects: leak(self.subjects),
            elements: grouped(self.elements),
        }
    }
}

/// Adds a row to a group, which comes in one piece.
fn add<T>(groups: &mut Groups<T>, group: &'static str, row: (&'static str, T)) {
    match groups.last_mut() {
        Some((last, rows)) if *last == group => rows.push(row),
        _ => groups.push((group, vec![row])),
    }
}

fn grouped<T>(groups: Groups<T>) -> List<List<T>> {
    leak(groups.into_iter().map(|(name, rows)| (name, leak(rows))).collect())
}

fn names(row: &'static str) -> Names {
    leak(row.split_ascii_whitespace().collect())
}

/// Tables are read once and stay.
fn leak<T>(list: Vec<T>) -> &'static [T] {
    Box::leak(list.into_boxed_slice())
}
