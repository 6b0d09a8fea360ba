//! Why the policy refuses. `docs/decisions.md` says for each request which of these it gets.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    // Scopes: what the token does not grant.

    /// No scope of the token covers the interaction.
    SCOPE_INSUFFICIENT = scope("scope_insufficient",
        "the token's scopes don't cover this interaction: ask for the scope named here");
    /// `patient/` without a patient in context.
    SCOPE_PATIENT_MISSING = scope("scope_patient_missing",
        "patient/ scopes grant nothing without a patient in the token's context");
    /// The patient claim is not a bare FHIR id.
    SCOPE_PATIENT_INVALID = scope("scope_patient_invalid",
        "patient/ scopes grant nothing: the token's patient is not a FHIR id");
    /// The encounter claim is not a bare FHIR id, with `smart.encounter: confine`.
    SCOPE_ENCOUNTER_INVALID = scope("scope_encounter_invalid",
        "patient/ scopes grant nothing: the token's encounter is not a FHIR id");
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
    /// The request names another encounter, with `smart.encounter: confine`.
    COMPARTMENT_OTHER_ENCOUNTER = forbidden("compartment_other_encounter",
        "the token is confined to one encounter and the request is for another");
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
    /// Conditional delete over all types.
    CONDITIONAL_UNJUDGED = forbidden("conditional_unjudged",
        "this version of the gateway doesn't judge a conditional delete over all types under a \
         patient scope: name a type");

    // Under every scope: what this version does not judge.

    /// A parameter that is no search criterion, on a request that is no search.
    PARAMETER_UNJUDGED = forbidden("parameter_unjudged",
        "this version of the gateway doesn't judge this parameter here: leave it out");
    /// A header that makes a request reach further than its target says.
    HEADER_UNJUDGED = forbidden("header_unjudged",
        "this version of the gateway doesn't judge what this header asks for: leave it out");

    // Confined: writes.

    /// The resource by this id is not proven to be the patient's, or there is none: which ids exist
    /// is nobody's to learn.
    COMPARTMENT_NOT_MEMBER = not_member("compartment_not_member");
    /// What is written doesn't name the patient where its type says whom it is about.
    WRITE_NOT_MEMBER = forbidden("write_not_member",
        "under a patient scope what is written must name the patient in context where the type \
         says whom it is about");
    /// What is written refers to another patient, or to whoever a condition finds.
    WRITE_OTHER_PATIENT = forbidden("write_other_patient",
        "under a patient scope what is written may refer to no other patient and to nothing by \
         search criteria");
    /// What is written doesn't name the encounter where its type says to which it belongs.
    WRITE_OTHER_ENCOUNTER = forbidden("write_other_encounter",
        "the token is confined to one encounter: what is written must name it where the type says to \
         which encounter it belongs");
    /// What is written matches no granular scope.
    WRITE_OUT_OF_SCOPE = scope("write_out_of_scope",
        "what is written doesn't match the search parameters of the token's scopes");
    /// A patch of an element that proves whose the resource is or what a granular scope matches.
    PATCH_MEMBERSHIP = forbidden("patch_membership",
        "a patch may not touch an element that decides who may see the resource: update it");
    /// The criteria of a conditional patch or delete find nothing, or only what the client may not
    /// write.
    CONDITIONAL_NO_MATCH = Reason::new(404, "conditional_no_match", "not-found",
        "the criteria find no resource that the token's scopes let you write");
    /// The criteria of a conditional write find more than one resource of the client's, or may
    /// (<http://hl7.org/fhir/R4/http.html#cond-update>).
    CONDITIONAL_MANY_MATCHES = Reason::new(412, "conditional_many_matches", "multiple-matches",
        "the criteria find more than one resource: narrow them");
    /// The FHIR server refused to search by the criteria of a conditional write.
    CONDITIONAL_CRITERIA = Reason::new(400, "conditional_criteria", "invalid",
        "the FHIR server does not search by these criteria");
    /// A conditional update with an `id` in its body: where the criteria find nothing, servers update
    /// or create the resource with that id, which may be anybody's
    /// (<http://hl7.org/fhir/R4/http.html#cond-update>).
    CONDITIONAL_ID = forbidden("conditional_id",
        "under a confined scope a conditional update has no `id` in its body: update by id instead");
    /// The stored resource is of another version than the client's `If-Match` says.
    WRITE_VERSION_CONFLICT = Reason::new(412, "write_version_conflict", "conflict",
        "the resource is of another version than this request asks for: read it again");
    /// `fhir.cluster` is not set, so stored resources can't be looked up.
    PROBE_UNCONFIGURED = forbidden("probe_unconfigured",
        "this gateway can't look up what is stored, so it can't judge this request: its operator can \
         set fhir.cluster");
    /// The FHIR server did not answer the lookup, or with an error.
    PROBE_FAILED = Reason::new(503, "probe_failed", "transient",
        "the stored resource could not be looked up: try again");
    /// The answer to the lookup is no such resource.
    PROBE_UNREADABLE = Reason::new(502, "probe_unreadable", "exception",
        "the FHIR server's answer to the lookup of the stored resource can't be judged");
    /// The answer to the search for what a condition finds, or all answers to lookups together, are
    /// longer than is held.
    PROBE_TOO_LONG = Reason::new(502, "probe_too_long", "too-long",
        "the FHIR server's answers to lookups are too long to be judged");
    /// The stored resource has no version, so a write can't be tied to what was judged.
    PROBE_VERSION_MISSING = Reason::new(502, "probe_version_missing", "exception",
        "the FHIR server tells no version of the stored resource, so this write can't be tied to \
         what was judged");

    // Batches.

    /// An entry that is a batch itself, or needs what a batch can't give.
    BUNDLE_ENTRY_UNJUDGED = forbidden("bundle_entry_unjudged",
        "this can't be done inside a batch or transaction: send it by itself");
    /// More stored resources would have to be looked up than one Bundle may.
    BUNDLE_PROBES = forbidden("bundle_probes",
        "the Bundle changes too many stored resources under a confined scope: send at most 50 \
         at once");

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
    /// A criterion names something other than the encounter in context.
    SEARCH_OTHER_ENCOUNTER = forbidden("search_other_encounter",
        "the token is confined to one encounter: the criterion that says to which encounter a resource \
         belongs must name it and nothing else, without a modifier but :Encounter");
    /// A modifier on a criterion that can name a patient.
    SEARCH_PATIENT_MODIFIER = forbidden("search_patient_modifier",
        "a criterion that can name a patient takes no modifier but :Patient");
    /// The type has no parameter for whom it is about.
    SEARCH_SUBJECT_UNKNOWN = forbidden("search_subject_unknown",
        "this type has no search parameter that confines it to a patient");
    /// A search in a compartment that nothing confines to the patient: `…/*` of another resource than the
    /// patient; of a type that is neither shared nor the patient's; under `smart.membership: definition`
    /// of any other resource, since no search is in two compartments.
    SEARCH_COMPARTMENT_UNJUDGED = forbidden("search_compartment_unjudged",
        "this version of the gateway doesn't judge this compartment search under a patient scope: \
         search Patient/id/Type or one type");
    /// A chain, confined to a patient, that leads to what may be somebody else's.
    SEARCH_CHAIN_OUTSIDE = forbidden("search_chain_outside",
        "under a patient scope a chain may lead to shared types, or by references that have one value \
         to what is about the patient: name the type, as in encounter:Encounter.status, or search that \
         type itself");
    /// A chain into Patient, or `_has` from there, along something else than the one whom the resource
    /// is about.
    SEARCH_CHAIN_PATIENT = forbidden("search_chain_patient",
        "under a patient scope a chain or _has may go by a patient only where the resource is about \
         the patient and nobody else: patient or subject");
    /// A chain or `_has` by a type of which each encounter has its own.
    SEARCH_CHAIN_ENCOUNTER = forbidden("search_chain_encounter",
        "the token is confined to one encounter: a chain or _has can't go by what belongs to encounters");
    /// `_has` on a shared type.
    SEARCH_HAS_OUTSIDE = forbidden("search_has_outside",
        "under a patient scope _has can't ask what refers to a shared resource");
    /// `_summary=count` where only the answer tells what a granular scope matches.
    SEARCH_COUNT_UNJUDGED = forbidden("search_count_unjudged",
        "nothing shows that only what you may see would be counted: leave out _summary, or send the search alone");
    /// `_search` by POST before R5 under `smart.membership: definition`.
    SEARCH_FORM_UNCONFINED = forbidden("search_form_unconfined",
        "a search by POST can't be confined to a compartment before R5: use GET");
    /// What must be judged on the answer while `smart.response_check` is `off`.
    RESPONSE_UNCHECKED = forbidden("response_unchecked",
        "this gateway doesn't look at answers, so that it can't judge this request");
    /// A chained `_sort`.
    SEARCH_CHAIN_UNJUDGED = forbidden("search_chain_unjudged",
        "this version of the gateway doesn't judge chained parameters");
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

/// One voice for a resource that is not the patient's and for one that does not exist.
pub(crate) const fn not_member(code: &'static str) -> Reason {
    forbidden(code, "there is no such resource in the patient's compartment")
}

const fn scope(code: &'static str, text: &'static str) -> Reason {
    forbidden(code, text).challenge(Challenge::InsufficientScope)
}

const fn forbidden(code: &'static str, text: &'static str) -> Reason {
    Reason::new(403, code, "forbidden", text)
}
