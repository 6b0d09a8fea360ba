//! Why an answer of the FHIR server does not reach the client.

use crate::base::refusal::Reason;
use crate::policy::reasons::not_member;

crate::reasons! {
    /// The server has no such resource (404, 410). The client reads what it reads for another
    /// patient's resource: which ids exist is nobody's to learn.
    ANSWER_NOT_FOUND = not_member("answer_not_found").shown_as("compartment_not_member");
    /// The `securityContext` of this Binary is another resource, and without `fhir.cluster` nobody can look
    /// up whose that is. The client reads what it reads for another patient's Binary.
    ANSWER_CONTEXT_UNKNOWN = not_member("answer_context_unknown").shown_as("compartment_not_member");
    /// The answer is not JSON, or says so in a way that two readers could read differently.
    ANSWER_FORMAT = Reason::new(406, "answer_format", "not-supported",
        "the answer can't be checked in this format: ask for application/fhir+json");
    /// A file of a bulk export is not NDJSON, or says so in a way that two readers could read
    /// differently.
    ANSWER_NDJSON = failed("answer_ndjson",
        "the FHIR server sent a file of the export that is no NDJSON, so it can't be checked");
    /// The answer is compressed, although the request asked for none of it.
    ANSWER_ENCODING = failed("answer_encoding",
        "the FHIR server sent an answer in an encoding that can't be checked");
    /// A status that this request can't have: a redirect, a part, nothing, not modified.
    ANSWER_STATUS = failed("answer_status",
        "the FHIR server sent a status that this request does not ask for");
    /// The body is not one strict JSON object in UTF-8: duplicate members, too deep, cut off.
    ANSWER_UNREADABLE = failed("answer_unreadable",
        "the FHIR server sent an answer that can't be read");
    /// A search, a history or a batch was answered with something else than such a Bundle.
    ANSWER_NOT_BUNDLE = failed("answer_not_bundle",
        "the FHIR server sent something else than the Bundle asked for");
    /// The answer to a batch or transaction has not one entry for each of the request's.
    ANSWER_BATCH_ENTRIES = failed("answer_batch_entries",
        "the FHIR server sent more or fewer answers than the batch has requests");
    /// An entry of the answer to a batch or transaction has no status, no resource although one was
    /// asked for, or something that FHIR does not have there.
    ANSWER_BATCH_ENTRY = failed("answer_batch_entry",
        "the FHIR server sent something else than the answer to this entry");
    /// The body of an error is neither empty nor an `OperationOutcome` in JSON.
    ANSWER_ERROR_BODY = failed("answer_error_body",
        "the FHIR server failed and sent an answer that can't be checked");
}

const fn failed(code: &'static str, text: &'static str) -> Reason {
    Reason::new(502, code, "exception", text)
}
