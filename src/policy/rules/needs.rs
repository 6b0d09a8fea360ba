//! What an interaction needs of the scopes
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>). SMART maps no
//! conditional interaction: their criteria tell what exists, so they need `s` besides.

use crate::base::refusal::Refusal;
use crate::fhir::{Interaction, Release, Request, ResourceType};
use crate::policy::coverage::Need;
use crate::policy::permission::Permission::{self, Create, Delete, Read, Search, Update};
use crate::policy::reasons::SEARCH_TYPES_UNJUDGED;

/// Everything an interaction needs; at least one need.
///
/// # Errors
///
/// The reason why no scope allows the interaction.
pub(in crate::policy) fn of(request: &Request, release: Release) -> Result<Vec<Need>, Refusal> {
    use Interaction as I;
    let need = match &request.interaction {
        I::Read(of, _) | I::Vread(of, _, _) | I::HistoryInstance(of, _) => Need::on(*of, &[Read]),
        I::SearchType(of) | I::HistoryType(of) => Need::on(*of, &[Search]),
        I::SearchCompartment(_, _, Some(of)) => Need::on(*of, &[Search]),
        I::SearchCompartment(_, _, None) | I::HistorySystem => Need::on_all(&[Search]),
        I::SearchSystem => return each_type(request, release),
        I::Create(of) => Need::on(*of, &[Create]),
        I::Update(of, _) | I::Patch(of, _) => Need::on(*of, &[Update]),
        I::Delete(of, _) | I::DeleteHistory(of, _, _) => Need::on(*of, &[Delete]),
        I::ConditionalCreate(of) => Need::on(*of, &[Create, Search]),
        // It may create.
        I::ConditionalUpdate(of) => Need::on(*of, &[Create, Update, Search]),
        I::ConditionalPatch(of) => Need::on(*of, &[Update, Search]),
        I::ConditionalDelete(of) => Need::on(*of, &[Delete, Search]),
        I::ConditionalDeleteSystem => Need::on_all(&[Delete, Search]),
        // Each entry, and each operation, has needs of its own.
        I::Batch | I::Operation(_) => Need::on_all(&Permission::ALL),
        // Public documents are decided without a token; with one they ask for the least there is.
        I::Capabilities | I::Public(_) => Need::on_all(&[Read]),
    };
    Ok(vec![need])
}

/// What lets a request reach any type: to read and search everything, or for a write to do anything.
pub(in crate::policy) fn sweeping(interaction: &Interaction) -> Need {
    use Interaction as I;
    match interaction {
        I::Capabilities
        | I::Public(_)
        | I::Read(..)
        | I::Vread(..)
        | I::HistoryInstance(..)
        | I::HistoryType(_)
        | I::HistorySystem
        | I::SearchType(_)
        | I::SearchSystem
        | I::SearchCompartment(..) => Need::on_all(&[Read, Search]),
        I::Create(_)
        | I::ConditionalCreate(_)
        | I::Update(..)
        | I::ConditionalUpdate(_)
        | I::Patch(..)
        | I::ConditionalPatch(_)
        | I::Delete(..)
        | I::ConditionalDelete(_)
        | I::ConditionalDeleteSystem
        | I::DeleteHistory(..)
        | I::Batch
        | I::Operation(_) => Need::on_all(&Permission::ALL),
    }
}

/// A search over all types needs `s` on each type in `_type`, without it on `*`.
fn each_type(request: &Request, release: Release) -> Result<Vec<Need>, Refusal> {
    let mut needs: Vec<Need> = Vec::new();
    for name in request.query.values("_type").flat_map(|value| value.split(',')) {
        let resource = ResourceType::parse(release, name)
            .ok_or_else(|| Refusal::new(&SEARCH_TYPES_UNJUDGED))?;
        let need = Need::on(resource, &[Search]);
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    if needs.is_empty() {
        needs.push(Need::on_all(&[Search]));
    }
    Ok(needs)
}
