//! Looking up what is stored before it is changed.

use core::time::Duration;

use super::worker::Worker;
use crate::base::refusal::Refusal;
use crate::forward::TokenHandling;
use crate::policy::Lookup;
use crate::policy::reasons::PROBE_UNCONFIGURED;
use crate::request::Head;
use crate::store::HttpCall;

/// How long a lookup may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The call over `fhir.cluster`, to the path that a client would read or search.
pub(super) fn call(lookup: &Lookup, head: &Head, worker: &Worker) -> Result<HttpCall, Refusal> {
    let api = &worker.config.fhir;
    let cluster = api.cluster.clone().ok_or(Refusal::new(&PROBE_UNCONFIGURED))?;
    let mut headers = vec![("accept".to_owned(), "application/fhir+json".to_owned())];
    if let Lookup::Search(_) = lookup {
        headers.push(("prefer".to_owned(), "handling=strict".to_owned()));
    }
    if worker.config.forward.token == TokenHandling::Keep {
        let token = head.headers().all("authorization").next();
        let token = token.and_then(|token| core::str::from_utf8(token).ok());
        headers.extend(token.map(|token| ("authorization".to_owned(), token.to_owned())));
    }
    let path = format!("{}/{}", api.base_path, lookup.target());
    Ok(HttpCall {
        cluster,
        authority: head.authority().to_owned(),
        path,
        headers,
        body: None,
        timeout: TIMEOUT,
    })
}
