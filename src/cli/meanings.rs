//! Every reason that a request can be refused for, and what it means to an operator.

use crate::audit::ALLOWED;
use crate::base::refusal::Reason;
use crate::{binding, fhir, flow, limits, policy, request, response, revocation, token};

/// What a reason means, by its code: the text of `docs/reasons.md`.
pub(super) fn of(code: &str) -> Option<String> {
    let known = folders().into_iter().flat_map(|(reasons, meanings)| reasons.iter().zip(meanings));
    let meaning = known.into_iter().find(|(reason, _)| reason.code == code)?.1;
    // Links of the source's comments lead nowhere here.
    Some(meaning.trim().replace("[`", "`").replace("`]", "`").replace("super::", ""))
}

/// Whether an audit record can have this reason.
pub(super) fn is_known(code: &str) -> bool {
    let mut reasons = folders().into_iter().flat_map(|(reasons, _)| reasons);
    code == ALLOWED || reasons.any(|reason| reason.code == code)
}

type Folder = (&'static [&'static Reason], &'static [&'static str]);

fn folders() -> [Folder; 9] {
    [
        (request::reasons::ALL, request::reasons::MEANINGS),
        (fhir::reasons::ALL, fhir::reasons::MEANINGS),
        (token::reasons::ALL, token::reasons::MEANINGS),
        (binding::reasons::ALL, binding::reasons::MEANINGS),
        (revocation::reasons::ALL, revocation::reasons::MEANINGS),
        (limits::reasons::ALL, limits::reasons::MEANINGS),
        (policy::reasons::ALL, policy::reasons::MEANINGS),
        (response::reasons::ALL, response::reasons::MEANINGS),
        (flow::reasons::ALL, flow::reasons::MEANINGS),
    ]
}
