//! Why a request is no interaction of the FHIR API.

use crate::base::refusal::Reason;

crate::reasons! {
    /// The path is neither below `fhir.base_path` nor in `fhir.passthrough`.
    FHIR_OUTSIDE_BASE = Reason::new(404, "fhir_outside_base", "not-found",
        "this path is not part of the FHIR API");
    /// A `/` at the end of a path below the base.
    FHIR_TRAILING_SLASH = Reason::new(400, "fhir_trailing_slash", "invalid",
        "the path ends in a slash: leave it out");
    /// The path starts with no resource type of the release.
    FHIR_TYPE_UNKNOWN = Reason::new(404, "fhir_type_unknown", "not-supported",
        "the path names no resource type of this FHIR release");
    /// The path has a known type but a form that the release does not have.
    FHIR_PATH_UNKNOWN = Reason::new(404, "fhir_path_unknown", "not-supported",
        "the path has no meaning in this FHIR release");
    /// A logical id or version id is not `[A-Za-z0-9\-\.]{1,64}`.
    FHIR_ID_INVALID = Reason::new(400, "fhir_id_invalid", "value",
        "the path has an id that is not 1 to 64 letters, digits, `-` and `.`");
    /// `$` without a name after it, or with characters that no operation name has.
    FHIR_OPERATION_NAME = Reason::new(400, "fhir_operation_name", "value",
        "the path has an invalid operation name");
    /// The first type has no compartment, or the second type is not in it.
    FHIR_COMPARTMENT_UNKNOWN = Reason::new(404, "fhir_compartment_unknown", "not-supported",
        "the path names no compartment or a type outside of it");
    /// The path does not take this method.
    FHIR_METHOD = Reason::new(405, "fhir_method", "not-supported",
        "the path does not take this method");
    /// `PUT`, `PATCH` or `DELETE` of a type, or `DELETE` of the base, without criteria.
    FHIR_CRITERIA_MISSING = Reason::new(400, "fhir_criteria_missing", "required",
        "the request has neither an id nor search criteria");
    /// `If-None-Exist` came twice or is empty.
    FHIR_IF_NONE_EXIST = Reason::new(400, "fhir_if_none_exist", "invalid",
        "the header `If-None-Exist` is empty or came more than once");
    /// `Content-Type` or `Content-Encoding` came twice.
    FHIR_CONTENT_DUPLICATE = Reason::new(400, "fhir_content_duplicate", "invalid",
        "a header that describes the body came more than once");
    /// `_search` with a body that is not a form, or a form where a resource or nothing belongs.
    FHIR_MEDIA_TYPE = Reason::new(415, "fhir_media_type", "not-supported",
        "the body has another media type than this interaction takes");
    /// A form in another character set than UTF-8, or compressed.
    FHIR_FORM_ENCODING = Reason::new(415, "fhir_form_encoding", "not-supported",
        "the form is not plain UTF-8");
    /// A parameter with a meaning of its own, such as `_include`, in other capitals.
    SEARCH_NAME_CASE = Reason::new(400, "search_name_case", "invalid",
        "a parameter such as `_include` is not written as FHIR writes it");
    /// The name of a search parameter with an empty or incomplete part, or with characters that no
    /// parameter has.
    SEARCH_NAME_INVALID = Reason::new(400, "search_name_invalid", "invalid",
        "the name of a search parameter is malformed");
    /// A modifier that FHIR does not have, or not for this parameter.
    SEARCH_MODIFIER_UNKNOWN = Reason::new(403, "search_modifier_unknown", "not-supported",
        "a search parameter has a modifier that FHIR doesn't define for it");
    /// A link of a chain that is no reference parameter of the release, leads to no such type, or a
    /// chain that ends on a parameter which reaches further.
    SEARCH_CHAIN_UNKNOWN = Reason::new(403, "search_chain_unknown", "not-supported",
        "a chain has a link that this FHIR release doesn't define");
    /// A chain or `_has` of more than `search::MAX_LINKS` links.
    SEARCH_CHAIN_TOO_LONG = Reason::new(403, "search_chain_too_long", "too-long",
        "a chained search parameter has more than 8 links");
    /// `_has` of a type or parameter that the release does not have, or that can't refer back.
    SEARCH_HAS_UNKNOWN = Reason::new(403, "search_has_unknown", "not-supported",
        "_has names a type or reference parameter that this FHIR release doesn't define here");
    /// `_include` or `_revinclude` of another form than `*`, `Type:*`, `Type:parameter[:Target]`.
    SEARCH_INCLUDE_INVALID = Reason::new(400, "search_include_invalid", "invalid",
        "_include and _revinclude take `*`, `Type:*`, `Type:parameter` or `Type:parameter:Target`");
    /// `_include` or `_revinclude` of a type or parameter that the release does not have.
    SEARCH_INCLUDE_UNKNOWN = Reason::new(403, "search_include_unknown", "not-supported",
        "_include or _revinclude names a type or reference parameter that this FHIR release \
         doesn't define");
    /// `_type` with anything but types of the release.
    SEARCH_TYPE_UNKNOWN = Reason::new(400, "search_type_unknown", "value",
        "_type takes types of this FHIR release");
    /// A backslash in a search value that escapes no separator (comma, dollar, bar) and no backslash.
    SEARCH_ESCAPE = Reason::new(400, "search_escape", "invalid",
        "a search value has a backslash that escapes nothing: write `\\\\` for one");
}
