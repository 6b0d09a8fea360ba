//! Why a request head or its parameters are refused.
//!
//! A target that proxies and servers are known to read differently has a precise code in the audit
//! record and one public code, `target_ambiguous`.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    /// `:method`, `:path` or `:authority` is missing or empty.
    HEAD_INCOMPLETE = Reason::new(400, "request_head_incomplete", "structure",
        "the request has no method, target or authority");
    /// A pseudo header came twice.
    HEAD_DUPLICATE = Reason::new(400, "request_head_duplicate", "structure",
        "a part of the request head came more than once");
    /// The method is none that FHIR or a browser's preflight uses.
    METHOD_UNKNOWN = Reason::new(405, "request_method_unknown", "not-supported",
        "this method is not supported");
    /// `Upgrade` (RFC 9110 section 7.8), or what is the same in HTTP/2 (RFC 8441): WebSocket and others.
    UPGRADE = Reason::new(400, "request_upgrade", "not-supported",
        "this API is spoken in HTTP: leave out `Upgrade`");
    /// A `Content-Type` of gRPC or gRPC-Web, whose messages nobody judges.
    IN_GRPC = Reason::new(415, "request_grpc", "not-supported", "this API is not spoken in gRPC");
    /// The authority is not a host with an optional port.
    AUTHORITY_INVALID = Reason::new(400, "request_authority_invalid", "invalid",
        "the authority is not a host with an optional port");
    /// A `host` header names another host than the authority.
    HOST_CONFLICT = Reason::new(400, "request_host_conflict", "invalid",
        "the `host` header and the authority differ");

    /// More than [`super::MAX_TARGET`] bytes.
    TARGET_TOO_LONG = Reason::new(414, "target_too_long", "too-long",
        "the request target is longer than 8 KiB: send long searches with POST and `_search`");
    /// A byte below 0x21 or above 0x7e.
    TARGET_CHARACTER = ambiguous("target_character",
        "the request target has a character that must be percent-encoded");
    /// `http://…`, `*` or anything else that does not start with `/`.
    TARGET_NOT_A_PATH = ambiguous("target_not_a_path",
        "the request target does not start with `/`");
    /// `#`.
    TARGET_FRAGMENT = ambiguous("target_fragment", "the request target has a fragment");
    /// `\`.
    TARGET_BACKSLASH = ambiguous("target_backslash", "the request target has a backslash");
    /// `;`, which servlet containers cut off as a path parameter.
    TARGET_SEMICOLON = ambiguous("target_semicolon",
        "the request target has a semicolon: in a query, encode it");
    /// `%` without two hexadecimal digits.
    TARGET_ESCAPE = ambiguous("target_escape",
        "the path has a `%` that is not followed by two hexadecimal digits");
    /// `//`.
    TARGET_EMPTY_SEGMENT = ambiguous("target_empty_segment", "the path has an empty segment");
    /// A segment `.` or `..`, plain or encoded.
    TARGET_DOT_SEGMENT = ambiguous("target_dot_segment", "the path has a dot segment");
    /// An encoded `/`, `\`, `%`, `;`, `?` or `#`.
    TARGET_ENCODED_DELIMITER = ambiguous("target_encoded_delimiter",
        "the path has an encoded delimiter");
    /// An encoded control byte, `%00` among them.
    TARGET_ENCODED_CONTROL = ambiguous("target_encoded_control",
        "the path has an encoded control character");
    /// An encoded letter, digit, `-`, `.`, `_` or `~` (RFC 3986 section 2.3).
    TARGET_ENCODED_UNRESERVED = ambiguous("target_encoded_unreserved",
        "the path has an encoded character that needs no encoding");
    /// The decoded path is not UTF-8.
    TARGET_NOT_UTF8 = ambiguous("target_not_utf8", "the decoded path is not UTF-8");

    /// A parameter of the query or form has a byte that must be encoded, or a raw `;`.
    PARAMETER_CHARACTER = Reason::new(400, "parameter_character", "invalid",
        "a parameter has a character that must be percent-encoded");
    /// `%` without two hexadecimal digits in the query or form.
    PARAMETER_ESCAPE = Reason::new(400, "parameter_escape", "invalid",
        "a parameter has a `%` that is not followed by two hexadecimal digits");
    /// A decoded name or value is not UTF-8.
    PARAMETER_NOT_UTF8 = Reason::new(400, "parameter_not_utf8", "invalid",
        "a decoded parameter is not UTF-8");
    /// A decoded value has a control character.
    PARAMETER_CONTROL = Reason::new(400, "parameter_control", "invalid",
        "a parameter has an encoded control character");
    /// A decoded name is empty or has other characters than FHIR's parameter names.
    PARAMETER_NAME = Reason::new(400, "parameter_name", "invalid",
        "a parameter name has other characters than letters, digits and `_-.:$`");
    /// More than [`super::query::MAX_PARAMS`] parameters.
    PARAMETERS_TOO_MANY = Reason::new(400, "parameters_too_many", "too-costly",
        "the request has more than 1000 parameters");
    /// `_method`, by which some frameworks replace the request method.
    METHOD_OVERRIDE = Reason::new(400, "method_override", "invalid",
        "the parameter `_method` is not allowed: send the method itself");
    /// A token in the query: it would stand in access logs (RFC 6750 section 2.3).
    TOKEN_IN_QUERY = Reason::new(400, "token_in_query", "security",
        "a token in the query is not accepted: send it in the `Authorization` header")
        .challenge(Challenge::InvalidRequest);
    /// A token in the form body (RFC 6750 section 2.2).
    TOKEN_IN_FORM = Reason::new(400, "token_in_form", "security",
        "a token in the body is not accepted: send it in the `Authorization` header")
        .challenge(Challenge::InvalidRequest);
}

const fn ambiguous(code: &'static str, text: &'static str) -> Reason {
    Reason::new(400, code, "invalid", text).shown_as("target_ambiguous")
}
