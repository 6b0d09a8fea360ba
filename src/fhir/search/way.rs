//! Criteria, chains and `_has` (<http://hl7.org/fhir/R4/search.html#chaining>,
//! <http://hl7.org/fhir/R4/search.html#has>): one grammar, since each may continue in the other.
//!
//! ```text
//! criterion = code [":" modifier]
//!           | reference [":" Type] "." criterion
//!           | "_has:" Type ":" reference ":" criterion
//! ```

use super::{Asked, Kind, SPECIAL, add, check_code, split};
use crate::base::refusal::Reason;
use crate::fhir::compartment::reference_targets;
use crate::fhir::reasons::{
    SEARCH_CHAIN_TOO_LONG, SEARCH_CHAIN_UNKNOWN, SEARCH_HAS_UNKNOWN, SEARCH_MODIFIER_UNKNOWN,
    SEARCH_NAME_CASE, SEARCH_NAME_INVALID,
};
use crate::fhir::{Release, ResourceType, tables};

/// Most links of a chain, `_has` counted.
pub const MAX_LINKS: usize = 8;

/// How a chain or `_has` leads from the type that is searched to the criterion at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way<'p> {
    /// At least one, at most [`MAX_LINKS`].
    pub links: Vec<Link<'p>>,
    /// The criterion at the end. It need not be one that HL7 defines.
    pub code: &'p str,
    /// Its modifier.
    pub modifier: Option<&'p str>,
}

/// One link of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link<'p> {
    /// `subject:Patient.`: on to the resources that are referred to.
    To {
        /// The reference parameter.
        parameter: &'p str,
        /// The type written behind it.
        restricted: Option<ResourceType>,
        /// The types it may lead to: the one written, else every target of the parameter. Never
        /// empty.
        types: Vec<ResourceType>,
    },
    /// `_has:Observation:patient:`: back to the resources that refer here.
    From {
        /// Their type.
        resource: ResourceType,
        /// The reference parameter by which they refer.
        parameter: &'p str,
    },
}

/// Reads the name of a criterion, a chain or `_has`.
pub(super) fn read<'p>(
    release: Release,
    searched: Option<ResourceType>,
    name: &'p str,
) -> Result<Asked<'p>, &'static Reason> {
    let here = match searched {
        Some(resource) => vec![resource],
        None => release.types().iter().copied().map(ResourceType).collect(),
    };
    let mut walk = Walk { release, here, types: Vec::new(), links: Vec::new() };
    let mut rest = name;
    loop {
        rest = match rest.split_once(':') {
            Some((word, after)) if word.eq_ignore_ascii_case(HAS) => {
                if word != HAS {
                    return Err(&SEARCH_NAME_CASE);
                }
                walk.back(after)?
            }
            _ => match rest.split_once('.') {
                Some((link, after)) => {
                    walk.onward(link)?;
                    after
                }
                None => return walk.end(rest),
            },
        }
    }
}

/// Where a walk along the links has come to.
struct Walk<'p> {
    release: Release,
    /// The types it may be at.
    here: Vec<ResourceType>,
    /// Every type it may have come by.
    types: Vec<ResourceType>,
    links: Vec<Link<'p>>,
}

impl<'p> Walk<'p> {
    /// Takes `parameter` or `parameter:Type`.
    fn onward(&mut self, link: &'p str) -> Result<(), &'static Reason> {
        let (parameter, restricted) = split(link);
        check_code(parameter)?;
        let mut types = self.targets(|code| code == parameter);
        let restricted = match restricted {
            None => None,
            Some(name) => {
                let resource = ResourceType::parse(self.release, name);
                types.retain(|target| Some(*target) == resource);
                resource
            }
        };
        if types.is_empty() {
            return Err(&SEARCH_CHAIN_UNKNOWN);
        }
        self.step(Link::To { parameter, restricted, types: types.clone() }, types)
    }

    /// Takes what stands behind `_has:`; gives back what stands behind the link.
    fn back(&mut self, after: &'p str) -> Result<&'p str, &'static Reason> {
        let mut parts = after.splitn(3, ':');
        let (Some(name), Some(parameter), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(&SEARCH_NAME_INVALID);
        };
        let resource = ResourceType::parse(self.release, name).ok_or(&SEARCH_HAS_UNKNOWN)?;
        let targets = reference_targets(self.release, resource, parameter);
        let targets = targets.ok_or(&SEARCH_HAS_UNKNOWN)?;
        if !self.here.iter().any(|here| targets.contains(&here.name())) {
            return Err(&SEARCH_HAS_UNKNOWN);
        }
        self.step(Link::From { resource, parameter }, vec![resource])?;
        Ok(rest)
    }

    fn step(&mut self, link: Link<'p>, here: Vec<ResourceType>) -> Result<(), &'static Reason> {
        if self.links.len() >= MAX_LINKS {
            return Err(&SEARCH_CHAIN_TOO_LONG);
        }
        self.links.push(link);
        add(&mut self.types, &here);
        self.here = here;
        Ok(())
    }

    /// Takes the criterion at the end.
    fn end(mut self, text: &'p str) -> Result<Asked<'p>, &'static Reason> {
        let (code, modifier) = split(text);
        check_end(code)?;
        if let Some(modifier) = modifier {
            self.modify(code, modifier)?;
        }
        let Walk { types, links, .. } = self;
        let way = Way { links, code, modifier };
        Ok(match way.links.first() {
            None => Asked::Criterion { code, modifier, types },
            Some(Link::From { .. }) => Asked::Has { types, way },
            Some(Link::To { parameter, restricted, .. }) => {
                Asked::Chain { first: parameter, first_type: *restricted, types, way }
            }
        })
    }

    /// Takes a modifier. On a reference, `:above` and `:below` (R5: `:contains`) walk up and down a
    /// hierarchy of the resources referred to.
    fn modify(&mut self, code: &str, modifier: &str) -> Result<(), &'static Reason> {
        let known = MODIFIERS.contains(&modifier);
        if !known && ResourceType::parse(self.release, modifier).is_none() {
            return Err(&SEARCH_MODIFIER_UNKNOWN);
        }
        let targets = self.targets(|name| name.eq_ignore_ascii_case(code));
        if MEMBERSHIP.contains(&modifier) && !targets.is_empty() {
            return Err(&SEARCH_MODIFIER_UNKNOWN);
        }
        if HIERARCHY.contains(&modifier) {
            add(&mut self.types, &targets);
        }
        Ok(())
    }

    /// What the reference parameters of that name refer to, of all types the walk may be at.
    fn targets(&self, named: impl Fn(&str) -> bool) -> Vec<ResourceType> {
        let mut types = Vec::new();
        for here in &self.here {
            let all = tables::find(tables::of(self.release).references, here.name());
            let found = all.unwrap_or_default().iter().filter(|(code, _)| named(code));
            for (_, targets) in found {
                let targets: Vec<_> = targets.iter().copied().map(ResourceType).collect();
                add(&mut types, &targets);
            }
        }
        types
    }
}

/// A code, or a criterion of every type.
fn check_end(code: &str) -> Result<(), &'static Reason> {
    let every = SPECIAL.iter().filter(|(name, kind)| *kind == Kind::Way && *name != HAS);
    match every.map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(code)) {
        Some(name) if name == code => Ok(()),
        Some(_) => Err(&SEARCH_NAME_CASE),
        // `subject._list` and the like reach as far as they do at the start of a name.
        None if super::is_foreign(code) && code != HAS => Err(&SEARCH_CHAIN_UNKNOWN),
        None => check_code(code),
    }
}

const HAS: &str = "_has";

/// The modifiers of R4 and R5 besides `:iterate` and the names of types
/// (<http://hl7.org/fhir/R4/search.html#modifiers>, <http://hl7.org/fhir/R5/search.html#modifiers>).
const MODIFIERS: &[&str] = &[
    "above",
    "below",
    "code-text",
    "contains",
    "exact",
    "identifier",
    "in",
    "missing",
    "not",
    "not-in",
    "of-type",
    "ofType",
    "text",
    "text-advanced",
];

const HIERARCHY: &[&str] = &["above", "below", "contains"];

/// Of a value set; on a reference some servers look into a List or a Group.
const MEMBERSHIP: &[&str] = &["in", "not-in"];
