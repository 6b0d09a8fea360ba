//! Batch and transaction: every entry is decided as if it had come alone; one that is refused refuses
//! the Bundle (<http://hl7.org/fhir/R4/http.html#transaction>).

use crate::base::refusal::Refusal;
use crate::fhir::bundle::{self, Entry, in_entry};
use crate::fhir::{Id, Interaction};
use crate::policy::evidence::{Evidence, Lookup, Probe};
use crate::policy::operations::EXPORT;
use crate::policy::permit::{EntryPermit, Expected, Form, Permit};
use crate::policy::reasons::{
    BUNDLE_ENTRY_UNJUDGED, BUNDLE_PROBES, COMPARTMENT_NOT_MEMBER, FORMAT_UNJUDGED, HEADER_UNJUDGED,
    PARAMETER_UNJUDGED, PROBE_UNCONFIGURED, RESPONSE_UNCHECKED, SEARCH_CHAIN_OUTSIDE,
    SEARCH_COUNT_UNJUDGED,
};
use crate::policy::rules::needs;
use crate::policy::rules::place::takes_json;
use crate::policy::sight::{By, Sight};
use crate::policy::{self, Asked, Decision, case};

/// Most lookups that one Bundle may need, one after the other.
const MAX_PROBES: usize = 50;

/// Judges a batch or transaction.
pub(in crate::policy) fn judge(asked: Asked<'_>) -> Result<Decision, Refusal> {
    if asked.grants.contexts().next().is_none() {
        let needs = needs::of(asked.request, asked.api.release)?;
        return Err(case::lacking(asked.grants.likely_context(), &needs));
    }
    around(asked)?;
    let Some(body) = asked.evidence.body else { return Ok(Decision::Body) };
    let batch = bundle::read(body, asked.head, asked.api)?;
    let aliases = batch.aliases(asked.api).patients();
    let (mut permits, mut lookups) = (Vec::new(), Vec::new());
    for (index, entry) in batch.entries.iter().enumerate() {
        let decision = entry_of(asked, entry, &aliases).and_then(|decision| match decision {
            Decision::Permit(permit) if is_narrowed_search(entry, &permit) => {
                Ok(Decision::Permit(Box::new(uncounted(entry, *permit)?)))
            }
            Decision::Permit(permit) if batch.transaction => looked_up(asked, entry, permit),
            decision => Ok(decision),
        });
        match decision.map_err(|refusal| in_entry(index, refusal))? {
            Decision::Permit(permit) => permits.push(permitted(asked, entry, *permit)),
            Decision::Stored(more) => lookups.extend(more),
            Decision::Body => {
                return Err(in_entry(index, Refusal::new(&BUNDLE_ENTRY_UNJUDGED)));
            }
        }
    }
    if lookups.is_empty() { permit(asked, permits) } else { stored(asked, lookups) }
}

/// The Bundle's own request asks for nothing that reaches further.
fn around(asked: Asked<'_>) -> Result<(), Refusal> {
    let headers = asked.head.headers();
    if let Some(name) = REACHING.iter().find(|name| headers.all(name).next().is_some()) {
        return Err(Refusal::new(&HEADER_UNJUDGED).hint(format!("header `{name}`")));
    }
    let mut params = asked.request.query.params().iter();
    match params.find(|param| !["_format", "_pretty"].contains(&param.name.as_str())) {
        Some(param) => {
            let shown: String = param.name.chars().take(64).collect();
            Err(Refusal::new(&PARAMETER_UNJUDGED).hint(format!("parameter `{shown}`")))
        }
        None => Ok(()),
    }
}

/// Decides one entry.
fn entry_of(
    asked: Asked<'_>,
    entry: &Entry<'_>,
    aliases: &[(String, Id)],
) -> Result<Decision, Refusal> {
    let Entry { head, request, body, .. } = entry;
    // The links of an export are bound to the client in the answer of its own kick-off.
    let export = request.interaction.operation() == Some(EXPORT);
    if export || request.interaction == Interaction::Batch {
        return Err(Refusal::new(&BUNDLE_ENTRY_UNJUDGED));
    }
    let evidence = Evidence { body: body.as_deref(), aliases, ..asked.evidence };
    policy::judge(Asked { request, head, evidence, ..asked })
}

fn is_narrowed_search(entry: &Entry<'_>, permit: &Permit) -> bool {
    let searches = matches!(
        entry.request.interaction,
        Interaction::SearchType(_) | Interaction::SearchCompartment(..)
    );
    searches && !permit.narrowing().is_empty()
}

/// A search whose result is judged, but not counted. `Prefer: handling=strict` is said once for the
/// Bundle and servers need not take it for what is in it: one that ignores what narrows a search would
/// count what is everybody's.
fn uncounted(entry: &Entry<'_>, permit: Permit) -> Result<Permit, Refusal> {
    if permit.expected().is_none() {
        return Err(Refusal::new(&RESPONSE_UNCHECKED));
    }
    // What stands at the end of a chain is not in the result, so nobody would notice.
    if permit.narrowing().iter().any(|criterion| criterion.name.contains('.')) {
        return Err(Refusal::new(&SEARCH_CHAIN_OUTSIDE));
    }
    if entry.request.query.values("_summary").any(|summary| summary == "count") {
        return Err(Refusal::new(&SEARCH_COUNT_UNJUDGED));
    }
    Ok(permit.uncounted())
}

/// A read in a transaction is judged on what is stored before it goes on: a read that fails there fails
/// the whole transaction, which would tell a missing resource from somebody else's.
fn looked_up(
    asked: Asked<'_>,
    entry: &Entry<'_>,
    permit: Box<Permit>,
) -> Result<Decision, Refusal> {
    let Some(Expected {
        form: Form::Resource(_) | Form::History(_), sight, concealed: true, ..
    }) = permit.expected()
    else {
        return Ok(Decision::Permit(permit));
    };
    let Interaction::Read(resource, id) = &entry.request.interaction else {
        return Err(Refusal::new(&BUNDLE_ENTRY_UNJUDGED));
    };
    if asked.api.cluster.is_none() {
        return Err(Refusal::new(&PROBE_UNCONFIGURED));
    }
    let probe = Probe { resource: *resource, id: id.clone() };
    match asked.evidence.stored.get(&probe) {
        None => Ok(Decision::Stored(vec![probe.into()])),
        Some(Err(reason)) => Err(Refusal::new(reason)),
        Some(Ok(Some(version)))
            if sight.sees(&version.resource()?, By::Read, asked.api, asked.smart) =>
        {
            Ok(Decision::Permit(permit))
        }
        Some(Ok(_)) => Err(Refusal::new(&COMPARTMENT_NOT_MEMBER)),
    }
}

fn permitted(asked: Asked<'_>, entry: &Entry<'_>, permit: Permit) -> EntryPermit {
    let target = entry.head.raw_target();
    EntryPermit {
        url: bundle::relative(target, asked.api).unwrap_or(target).to_owned(),
        absolute: entry.absolute,
        permit,
    }
}

fn permit(asked: Asked<'_>, permits: Vec<EntryPermit>) -> Result<Decision, Refusal> {
    let expected: Vec<Option<Expected>> =
        permits.iter().map(|entry| entry.permit.expected().cloned()).collect();
    let judged = expected.iter().any(Option::is_some);
    if judged && !takes_json(asked.head, &asked.request.query) {
        return Err(Refusal::new(&FORMAT_UNJUDGED));
    }
    let permit = Permit::of_entries(permits);
    let sight = Sight::new(asked.grants.clone());
    let form = Form::Batch(expected);
    let whole = Expected { form, sight, proving: Vec::new(), counted: true, concealed: true };
    Ok(Decision::Permit(Box::new(if judged { permit.expecting(whole) } else { permit })))
}

fn stored(asked: Asked<'_>, mut lookups: Vec<Lookup>) -> Result<Decision, Refusal> {
    lookups.sort_unstable();
    lookups.dedup();
    // What a Binary refers to is looked up after the Binary.
    if lookups.len().saturating_add(asked.evidence.stored.count()) > MAX_PROBES {
        return Err(Refusal::new(&BUNDLE_PROBES));
    }
    Ok(Decision::Stored(lookups))
}

/// Headers with which writes reach further, see `parameters`.
const REACHING: [&str; 3] = ["x-cascade", "x-provenance", "x-security-context"];
