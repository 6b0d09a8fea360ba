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

    /// A body that must be judged has no `Content-Type`, or another than JSON of this release in UTF-8.
    BODY_MEDIA_TYPE = Reason::new(415, "body_media_type", "not-supported",
        "the body can't be checked in this format: send application/fhir+json in UTF-8");
    /// A body that must be judged is compressed.
    BODY_ENCODING = Reason::new(415, "body_encoding", "not-supported",
        "a compressed body can't be checked: send it as it is");
    /// `Content-Range`: the body is a part of a resource (RFC 9110 section 14.5).
    BODY_PARTIAL = Reason::new(400, "body_partial", "not-supported",
        "a part of a resource can't be checked: send it whole, without `Content-Range`");
    /// No body where a resource, a patch or a Bundle belongs.
    BODY_MISSING = Reason::new(400, "body_missing", "required",
        "the request has no body");
    /// Not one strict JSON text: a member twice, a byte order mark, another character set, too deep.
    BODY_UNREADABLE = Reason::new(400, "body_unreadable", "structure",
        "the body is not JSON that reads in one way only");
    /// A member's name is none that FHIR's JSON has, or differs from another's in case only.
    BODY_MEMBER = Reason::new(400, "body_member", "structure",
        "the body has a member whose name is no element's, or has one in two spellings");
    /// `resourceType` is missing or names another type than the request.
    BODY_TYPE = Reason::new(400, "body_type", "invalid",
        "the body is no resource of the type that the request names");
    /// The `id` in the body of an update is missing or another than that of the path.
    BODY_ID = Reason::new(400, "body_id", "invalid",
        "the `id` in the body is not the id in the path");

    /// A patch that is not JSON Patch: FHIRPath, XML and merge patches are not read.
    PATCH_FORMAT = Reason::new(403, "patch_format", "not-supported",
        "only a JSON Patch is accepted: send application/json-patch+json");
    /// A JSON Patch that is no array of objects.
    PATCH_DOCUMENT = Reason::new(400, "patch_document", "structure",
        "the patch is not an array of operations");
    /// An operation of a patch is unknown, or lacks a member, or has one that it does not take.
    PATCH_OPERATION = Reason::new(400, "patch_operation", "structure",
        "the patch has an operation that is unknown or has other members than it takes");
    /// A `path` or `from` is no JSON Pointer of element names and indexes (RFC 6901).
    PATCH_POINTER = Reason::new(400, "patch_pointer", "value",
        "the patch has a pointer that names no element");
    /// A `path` or `from` is empty: the whole resource.
    PATCH_WHOLE = Reason::new(403, "patch_whole", "not-supported",
        "a patch of the whole resource is not accepted: send an update");
    /// A patch of `id` or `resourceType`.
    PATCH_IDENTITY = Reason::new(403, "patch_identity", "forbidden",
        "a patch can't touch `id` or `resourceType`");
    /// `copy` or `move` makes a `reference` of something else, which nobody could judge.
    PATCH_RENAME = Reason::new(403, "patch_rename", "forbidden",
        "a patch can't make a reference of another element: send the reference itself");

    /// A Bundle sent to the base is neither a batch nor a transaction.
    BUNDLE_TYPE = Reason::new(403, "bundle_type", "not-supported",
        "only Bundles of type `batch` and `transaction` are accepted here");
    /// A Bundle has a member that is unknown or has no place in a request: a server might read it.
    BUNDLE_MEMBER = Reason::new(400, "bundle_member", "structure",
        "the Bundle has a member that has no place in a batch or transaction");
    /// `entry` is no list of objects.
    BUNDLE_ENTRY = Reason::new(400, "bundle_entry", "structure",
        "the Bundle's `entry` is not a list of entries");
    /// More entries than [`super::bundle::MAX_ENTRIES`].
    BUNDLE_TOO_MANY = Reason::new(413, "bundle_too_many", "too-costly",
        "the Bundle has more than 1000 entries: send several");
    /// An entry has no `request`, or one without `method` or `url`.
    BUNDLE_REQUEST = Reason::new(400, "bundle_request", "required",
        "the Bundle has an entry without a request");
    /// The method of an entry is none of <http://hl7.org/fhir/http-verb>, in capitals.
    BUNDLE_METHOD = Reason::new(400, "bundle_method", "value",
        "the Bundle has an entry with an unknown method: methods are written in capitals");
    /// The URL of an entry is empty.
    BUNDLE_URL_EMPTY = Reason::new(400, "bundle_url_empty", "value",
        "the Bundle has an entry with an empty URL");
    /// The URL of an entry starts with `/`, as `//host` does: servers disagree where it leads.
    BUNDLE_URL_ROOTED = Reason::new(400, "bundle_url_rooted", "value",
        "the Bundle has an entry whose URL starts with a slash: write `Patient/1`");
    /// The URL of an entry is absolute and below none of `fhir.base_url`.
    BUNDLE_URL_ELSEWHERE = Reason::new(400, "bundle_url_elsewhere", "value",
        "the Bundle has an entry whose URL is not of this API: write `Patient/1`");
    /// A condition of an entry (`ifMatch`, …) is no text, empty, or can't stand in a header.
    BUNDLE_CONDITION = Reason::new(400, "bundle_condition", "value",
        "the Bundle has an entry with a condition that can't be read");
    /// `POST`, `PUT` or `PATCH` in an entry without a resource.
    BUNDLE_RESOURCE_MISSING = Reason::new(400, "bundle_resource_missing", "required",
        "the Bundle has an entry that writes and has no resource");
    /// `GET`, `HEAD` or `DELETE` in an entry with a resource.
    BUNDLE_RESOURCE_UNEXPECTED = Reason::new(400, "bundle_resource_unexpected", "structure",
        "the Bundle has an entry with a resource that its method does not take");
    /// The `data` of a Binary that carries a patch is missing or not base64.
    BUNDLE_PATCH_DATA = Reason::new(400, "bundle_patch_data", "value",
        "the Bundle has an entry with a patch that is not base64");
    /// A `fullUrl` is no absolute URL or URN of a resource, or names another one than the request.
    BUNDLE_FULL_URL = Reason::new(400, "bundle_full_url", "value",
        "the Bundle has an entry whose `fullUrl` names another resource than its request");
    /// Two entries have the same `fullUrl`.
    BUNDLE_FULL_URL_TWICE = Reason::new(400, "bundle_full_url_twice", "duplicate",
        "the Bundle has two entries with the same `fullUrl`");
    /// The changes to a Bundle are not as many as its entries: an error of this filter.
    BUNDLE_CHANGES = Reason::new(500, "bundle_changes", "exception",
        "the gateway could not prepare this Bundle");
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
