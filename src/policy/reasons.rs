//! Why the policy refuses. `docs/decisions.md` says for each request which of these it gets.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    // Scopes: what the token does not grant.

    /// No scope of the token covers the interaction.
    SCOPE_INSUFFICIENT = scope("scope_insufficient",
        "the token's scopes don't cover this interaction: ask for the scope named here");
    /// Only a granular scope (`?category=…`) covers it.
    SCOPE_GRANULAR_UNJUDGED = scope("scope_granular_unjudged",
        "only a scope with search parameters covers this interaction, and this version of the \
         gateway doesn't judge those: ask for the scope without parameters");
    /// `patient/` without a patient in context.
    SCOPE_PATIENT_MISSING = scope("scope_patient_missing",
        "patient/ scopes grant nothing without a patient in the token's context");
    /// The patient claim is not a bare FHIR id.
    SCOPE_PATIENT_INVALID = scope("scope_patient_invalid",
        "patient/ scopes grant nothing: the token's patient is not a FHIR id");
    /// `user/` without `fhirUser`.
    SCOPE_USER_MISSING = scope("scope_user_missing",
        "user/ scopes grant nothing without fhirUser in the token");
    /// `fhirUser` is not a reference to a resource of this release.
    SCOPE_USER_INVALID = scope("scope_user_invalid",
        "user/ scopes grant nothing: the token's fhirUser is not a reference such as \
         Practitioner/1");
    /// `fhirUser` is of a type that is neither a professional, a patient nor a related person.
    SCOPE_USER_TYPE = scope("scope_user_type",
        "user/ scopes grant nothing to a fhirUser of this type: expected Practitioner, \
         PractitionerRole, Patient or RelatedPerson");
    /// `fhirUser` is a patient under another base URL: the same id here may be someone else.
    SCOPE_USER_ELSEWHERE = scope("scope_user_elsewhere",
        "user/ scopes grant nothing: fhirUser is a patient of another server");
    /// `fhirUser` is a related person and no patient is in context.
    SCOPE_USER_PATIENT_MISSING = scope("scope_user_patient_missing",
        "user/ scopes grant nothing to a related person without a patient in the token's context");
    /// `system/` in a token that has a user or a patient.
    SCOPE_SYSTEM_WITH_USER = scope("scope_system_with_user",
        "system/ scopes grant nothing in a token with a user or a patient");

    // Confined to a patient: what lies outside.

    /// The request names another patient.
    COMPARTMENT_OTHER_PATIENT = forbidden("compartment_other_patient",
        "the token is confined to one patient and the request is for another");
    /// The type is neither in the patient compartment nor shared.
    COMPARTMENT_TYPE_OUTSIDE = forbidden("compartment_type_outside",
        "resources of this type are not in the patient compartment");
    /// History of a type or of the system.
    HISTORY_UNCONFINED = forbidden("history_unconfined",
        "the history of a type or of the whole server can't be confined to a patient");
    /// Search over all types.
    SEARCH_SYSTEM_UNCONFINED = forbidden("search_system_unconfined",
        "a search over all types can't be confined to a patient: search one type");

    // Confined to a patient: what this version does not judge.

    /// By-id access to a compartment type other than Patient while `smart.response_check` is `off`.
    BY_ID_UNJUDGED = forbidden("by_id_unjudged",
        "this gateway doesn't look at answers, so that it can't judge access by id under a patient \
         scope: search with _id instead");
    /// XML or another format asked for where the answer must be judged.
    FORMAT_UNJUDGED = Reason::new(406, "format_unjudged", "not-supported",
        "under a patient scope the answer is judged, and only in JSON: ask for \
         application/fhir+json");
    /// HEAD of what is judged on the answer's body: a status alone would tell what exists.
    HEAD_UNJUDGED = Reason::new(405, "head_unjudged", "not-supported",
        "under a patient scope the answer's body is judged, and HEAD has none: use GET");
    /// Create, update, patch, delete.
    WRITE_UNJUDGED = forbidden("write_unjudged",
        "this version of the gateway doesn't judge writes under a patient scope");
    /// Conditional create, update, patch, delete.
    CONDITIONAL_UNJUDGED = forbidden("conditional_unjudged",
        "this version of the gateway doesn't judge conditional writes under a patient scope");
    /// `Binary`, whose owner only its `securityContext` tells.
    BINARY_UNJUDGED = forbidden("binary_unjudged",
        "this version of the gateway doesn't judge access to Binary under a patient scope");

    // Under every scope: what this version does not judge.

    /// Batch and transaction.
    BUNDLE_UNJUDGED = forbidden("bundle_unjudged",
        "this version of the gateway doesn't judge batches and transactions: send the requests \
         one by one");
    /// An operation whose body decides.
    OPERATION_UNJUDGED = forbidden("operation_unjudged",
        "this version of the gateway doesn't judge the body of operations: use GET");
    /// A parameter that is no search criterion, on a request that is no search.
    PARAMETER_UNJUDGED = forbidden("parameter_unjudged",
        "this version of the gateway doesn't judge this parameter here: leave it out");
    /// A header that makes a request reach further than its target says.
    HEADER_UNJUDGED = forbidden("header_unjudged",
        "this version of the gateway doesn't judge what this header asks for: leave it out");

    // Operations.

    /// Neither judged by the gateway itself nor in `smart.operations`.
    OPERATION_NOT_LISTED = forbidden("operation_not_listed",
        "this operation is not among those that the gateway lets through");
    /// Listed, or judged by the gateway, for other levels or types.
    OPERATION_LEVEL = forbidden("operation_level",
        "this operation is not let through at this level: system, type or instance");
    /// `$everything` of a type, of another resource than a Patient or of a version, confined to a patient.
    OPERATION_UNCONFINED = forbidden("operation_unconfined",
        "this operation can't be confined to a patient here: invoke it on the patient itself");
    /// Listed, confined to a patient, on an instance that is not a Patient.
    OPERATION_RESOURCE_UNJUDGED = forbidden("operation_resource_unjudged",
        "under a patient scope an operation is let through on the patient itself, on a type or on \
         the system, not on another resource");
    /// `$graphql` and `$process-message`, confined to a patient.
    OPERATION_OPAQUE = forbidden("operation_opaque",
        "what this operation reads or changes can't be told, so that it can't be confined to a \
         patient");
    /// A parameter, or something in the body, names another patient or may do so.
    OPERATION_OTHER_PATIENT = forbidden("operation_other_patient",
        "whatever can name a patient in this operation's request must name the patient in context");
    /// The body is not strict JSON, or not `Parameters` with one value each where that is needed.
    OPERATION_BODY = forbidden("operation_body",
        "the body of this operation can't be judged: send Parameters with plain values, in JSON");
    /// `_type` of `$everything` or `$export` holds something else than types of the release.
    OPERATION_TYPES = forbidden("operation_types",
        "_type of this operation takes types of this release, separated by commas");
    /// An operation whose answer must be judged while `smart.response_check` is `off`.
    OPERATION_ANSWER_UNJUDGED = forbidden("operation_answer_unjudged",
        "this gateway doesn't look at answers, so that it can't judge what this operation gives: \
         search instead");
    /// `$export` without `system/` scopes.
    EXPORT_SYSTEM_ONLY = scope("export_system_only",
        "bulk exports are for backend services: they need system/ scopes");
    /// `$export` without `Prefer: respond-async`.
    EXPORT_PREFER_MISSING = Reason::new(400, "export_prefer_missing", "invalid",
        "a bulk export needs the header `Prefer: respond-async`");
    /// `_typeFilter` with a chain, `_has` or anything else that looks beyond its type, without `rs` on
    /// every type.
    EXPORT_FILTER_UNJUDGED = forbidden("export_filter_unjudged",
        "_typeFilter takes plain search parameters of the types in it: nothing that looks at other \
         resources");
    /// A file or status of an export, asked for without the scopes it needs.
    EXPORT_TYPE_UNCOVERED = scope("export_type_uncovered",
        "the token's scopes don't cover every type in this part of the export");

    // Searches.

    /// `smart.search_without_patient: refuse`, and no criterion names the patient.
    SEARCH_PATIENT_REQUIRED = forbidden("search_patient_required",
        "a search under a patient scope must name the patient");
    /// A criterion names something other than the patient in context.
    SEARCH_OTHER_PATIENT = forbidden("search_other_patient",
        "a criterion that can name a patient must name the patient in context and nothing else");
    /// A modifier on a criterion that can name a patient.
    SEARCH_PATIENT_MODIFIER = forbidden("search_patient_modifier",
        "a criterion that can name a patient takes no modifier but :Patient");
    /// The type has no parameter for whom it is about.
    SEARCH_SUBJECT_UNKNOWN = forbidden("search_subject_unknown",
        "this type has no search parameter that confines it to a patient");
    /// `Patient/P/*`, and compartments of other types.
    SEARCH_COMPARTMENT_UNJUDGED = forbidden("search_compartment_unjudged",
        "this version of the gateway doesn't judge this compartment search under a patient scope: \
         search Patient/id/Type or one type");
    /// Chained criteria, and a chained `_sort`.
    SEARCH_CHAIN_UNJUDGED = forbidden("search_chain_unjudged",
        "this version of the gateway doesn't judge chained parameters");
    /// `_has`
    SEARCH_HAS_UNJUDGED = forbidden("search_has_unjudged",
        "this version of the gateway doesn't judge _has");
    /// `_include`, `_revinclude`
    SEARCH_INCLUDE_UNJUDGED = forbidden("search_include_unjudged",
        "this version of the gateway doesn't judge _include and _revinclude");
    /// `_filter`
    SEARCH_FILTER_UNJUDGED = forbidden("search_filter_unjudged",
        "this version of the gateway doesn't judge _filter");
    /// `_query`
    SEARCH_QUERY_UNJUDGED = forbidden("search_query_unjudged",
        "this version of the gateway doesn't judge _query");
    /// `_list`
    SEARCH_LIST_UNJUDGED = forbidden("search_list_unjudged",
        "this version of the gateway doesn't judge _list");
    /// `_contained`, `_containedType`
    SEARCH_CONTAINED_UNJUDGED = forbidden("search_contained_unjudged",
        "this version of the gateway doesn't judge _contained and _containedType");
    /// `_type` where one type is searched, or with anything but types of this release.
    SEARCH_TYPES_UNJUDGED = forbidden("search_types_unjudged",
        "_type takes types of this release, and only in a search over all types");
    /// A name that begins with `_` and is not on the list, or holds unusual characters.
    SEARCH_PARAMETER_UNJUDGED = forbidden("search_parameter_unjudged",
        "this version of the gateway doesn't judge this parameter: leave it out");
}

const fn scope(code: &'static str, text: &'static str) -> Reason {
    forbidden(code, text).challenge(Challenge::InsufficientScope)
}

const fn forbidden(code: &'static str, text: &'static str) -> Reason {
    Reason::new(403, code, "forbidden", text)
}
