//! What an operation gives: a resource, or a Bundle or Parameters with resources
//! (<http://hl7.org/fhir/R4/operations.html#response>).

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::edits::Edits;
use super::found;
use super::judge::{Judge, is_bare_outcome};
use super::resource::{AsResource, Resource};
use super::strict::{Skim, Strict, scalars};
use super::walk::{Fault, Walk};
use crate::base::node::Name;
use crate::policy::By;
use crate::policy::reasons::COMPARTMENT_NOT_MEMBER;

/// Judges what an operation gave. What is no Bundle passes as a whole or not at all: nobody knows what
/// an operation's result means with a part taken out.
pub(super) fn judge(
    judge: &Judge<'_>,
    walk: &mut Walk<'_>,
    edits: &mut Edits,
) -> Result<(), Fault> {
    let passes = match walk.clone().resource_type()?.as_deref() {
        Some("Bundle") => return found::judge(judge, walk, edits),
        Some("Parameters") => parameters(judge, walk)?,
        _ => shows(judge, &walk.value(AsResource(judge))?.1),
    };
    if passes { Ok(()) } else { Err(&COMPARTMENT_NOT_MEMBER) }
}

/// Whether the client may see all resources in a `Parameters`
/// (<http://hl7.org/fhir/R4/parameters.html>).
fn parameters(judge: &Judge<'_>, walk: &mut Walk<'_>) -> Result<bool, Fault> {
    let mut shown = true;
    let mut strict = Strict::default();
    walk.object(|walk, name| {
        if name == "parameter" {
            let parameter = Parameter { judge, strict: &mut strict, shown: &mut shown };
            walk.value(parameter).map(|_| ())
        } else {
            walk.value(Skim(&mut strict)).map(|_| ())
        }
    })?;
    Ok(shown && strict.resources == 0)
}

fn shows(judge: &Judge<'_>, resource: &Resource<'_>) -> bool {
    is_bare_outcome(resource) || judge.sees(resource, By::Read)
}

/// Reads a parameter, or an array of them.
struct Parameter<'j, 's, 'a> {
    judge: &'j Judge<'j>,
    strict: &'s mut Strict<'a>,
    shown: &'s mut bool,
}

impl<'a> DeserializeSeed<'a> for Parameter<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Parameter<'_, '_, 'a> {
    type Value = ();

    scalars!(());

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut parameters: A) -> Result<(), A::Error> {
        let Parameter { judge, strict, shown } = self;
        loop {
            let next = Parameter { judge, strict: &mut *strict, shown: &mut *shown };
            if parameters.next_element_seed(next)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let Parameter { judge, strict, shown } = self;
        let open = strict.open();
        while let Some(name) = members.next_key_seed(Name)? {
            match name.as_ref() {
                "resource" => *shown &= shows(judge, &members.next_value_seed(AsResource(judge))?),
                "part" => members.next_value_seed(Parameter {
                    judge,
                    strict: &mut *strict,
                    shown: &mut *shown,
                })?,
                // An object with the name of a type is a resource, wherever it stands.
                "resourceType" if members.next_value_seed(Skim(&mut *strict))? => strict.found(),
                "resourceType" => {}
                _ => {
                    members.next_value_seed(Skim(&mut *strict))?;
                }
            }
            strict.member(name);
        }
        strict.close(open)
    }
}
