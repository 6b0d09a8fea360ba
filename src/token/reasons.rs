//! Why a token is refused.
//!
//! Until the signature is proven every reason that looks into the token is shown to the client as
//! `token_invalid`, with one text: an attacker who guesses learns nothing from the answer.

use crate::base::refusal::{Challenge, Reason};

crate::reasons! {
    /// No `Authorization` header (RFC 6750 section 3.1).
    TOKEN_MISSING = Reason::new(401, "token_missing", "login",
        "this API needs an access token: send `Authorization: Bearer …`")
        .challenge(Challenge::Missing);
    /// `Authorization` with another scheme than `Bearer`: no credentials that this API reads.
    TOKEN_SCHEME_UNSUPPORTED = Reason::new(401, "token_scheme_unsupported", "login",
        "the authentication scheme is not `Bearer`").challenge(Challenge::Missing);
    /// Two `Authorization` headers, or one with a comma, which is how proxies join two
    /// (RFC 6750 section 2).
    TOKEN_DUPLICATE = Reason::new(400, "token_duplicate", "invalid",
        "more than one credential was sent: send one `Authorization` header without a comma")
        .challenge(Challenge::InvalidRequest);

    /// The credential is longer than 16 KiB.
    TOKEN_TOO_LARGE = unproven("token_too_large");
    /// After `Bearer` comes something else than one space and a b68token (RFC 6750 section 2.1).
    TOKEN_UNREADABLE = unproven("token_unreadable");
    /// Not three parts (RFC 7515 section 7.1).
    TOKEN_SHAPE = unproven("token_shape");
    /// Five parts: an encrypted token (RFC 7516), though no issuer has `encryption`, or one within
    /// another.
    TOKEN_ENCRYPTED = unproven("token_encrypted");
    /// A part is not base64url without padding, spare bits zero (RFC 7515 section 2).
    TOKEN_ENCODING = unproven("token_encoding");
    /// The header is longer than 4 KiB.
    TOKEN_HEADER_TOO_LARGE = unproven("token_header_too_large");
    /// The header is not one JSON object without repeated members, or `alg`, `kid` or `typ` is not
    /// text (RFC 7515 section 4).
    TOKEN_HEADER_UNREADABLE = unproven("token_header_unreadable");
    /// `crit`: the header has an extension that must be understood (RFC 7515 section 4.1.11).
    TOKEN_HEADER_CRITICAL = unproven("token_header_critical");
    /// `b64`: a payload that is not base64url (RFC 7797); not for JWT.
    TOKEN_PAYLOAD_UNENCODED = unproven("token_payload_unencoded");
    /// `zip`: a compressed payload (RFC 7516 section 4.1.3).
    TOKEN_PAYLOAD_COMPRESSED = unproven("token_payload_compressed");
    /// An encrypted token whose header brings a key or says where one is: `jwk`, `jku`, `x5u`, `x5c`
    /// (RFC 8725 section 3.10).
    TOKEN_HEADER_KEY_REFUSED = unproven("token_header_key_refused");
    /// `cty` of an encrypted token is not `JWT`: there is no signed token inside (RFC 7519 section 5.2).
    TOKEN_CONTENT_TYPE_REFUSED = unproven("token_content_type_refused");
    /// `alg` of an encrypted token is not, byte for byte, that of the key it names, or `enc` is not
    /// A256GCM (RFC 8725 section 3.1).
    TOKEN_ENCRYPTION_REFUSED = unproven("token_encryption_refused");
    /// `kid` of an encrypted token names none of the keys in `encryption`.
    TOKEN_DECRYPTION_KEY_UNKNOWN = unproven("token_decryption_key_unknown");
    /// A part of an encrypted token is not as long as the algorithms make it.
    TOKEN_ENCRYPTED_LENGTH = unproven("token_encrypted_length");
    /// `epk` of an encrypted token is missing or no public key on P-256 (RFC 7518 section 4.6.1.1).
    TOKEN_EPHEMERAL_KEY_INVALID = unproven("token_ephemeral_key_invalid");
    /// An encrypted token could not be decrypted; why is not told apart (RFC 7516 section 11.5).
    TOKEN_DECRYPTION_FAILED = unproven("token_decryption_failed");
    /// The token inside is another issuer's than the one whose key it was encrypted for.
    TOKEN_DECRYPTION_ISSUER = unproven("token_decryption_issuer");
    /// The environment does not hold the private key, or it is none for this algorithm.
    TOKEN_DECRYPTION_KEY_MISSING = Reason::new(503, "token_decryption_key_missing", "transient",
        "the key for this encrypted token is not there");
    /// Encrypted tokens that were not valid have cost this worker 200 ms of this second already.
    TOKEN_DECRYPTION_BUSY = Reason::new(503, "token_decryption_busy", "throttled",
        "too many encrypted tokens that are not valid: try again shortly");
    /// The payload is not one JSON object without repeated members (RFC 7519 section 7.2).
    TOKEN_CLAIMS_UNREADABLE = unproven("token_claims_unreadable");
    /// `iss` is missing or not text (RFC 9068 section 2.2).
    TOKEN_ISSUER_MISSING = unproven("token_issuer_missing");
    /// `iss` is not, byte for byte, a configured issuer (RFC 9068 section 4); or the issuer, asked about
    /// the token, names another one.
    TOKEN_ISSUER_UNKNOWN = unproven("token_issuer_unknown");
    /// `alg` is missing or not, byte for byte, on the issuer's list (RFC 8725 section 3.1).
    TOKEN_ALGORITHM_REFUSED = unproven("token_algorithm_refused");
    /// No `kid`: no key is tried that the token does not name.
    TOKEN_KEY_UNNAMED = unproven("token_key_unnamed");
    /// `kid` names no key of this issuer (RFC 8725 section 3.8).
    TOKEN_KEY_UNKNOWN = unproven("token_key_unknown");
    /// The key that `kid` names is not for this `alg`: type, curve or the key's own `alg`
    /// (RFC 8725 section 3.1).
    TOKEN_KEY_MISMATCH = unproven("token_key_mismatch");
    /// The signature does not verify with the key that the token names.
    TOKEN_SIGNATURE_INVALID = unproven("token_signature_invalid");
    /// The issuer's keys were not fetched yet.
    KEYS_UNAVAILABLE = Reason::new(503, "keys_unavailable", "transient",
        "the keys of the token's issuer are not there yet: try again shortly");
    /// The issuer's keys were last fetched longer ago than `jwks.max_staleness`.
    KEYS_STALE = Reason::new(503, "keys_stale", "transient",
        "the keys of the token's issuer can't be fetched: try again shortly");
    /// `kid` names no key of this issuer, whose keys are fetched anew at this moment.
    KEYS_ON_THEIR_WAY = Reason::new(503, "keys_on_their_way", "transient",
        "the keys of the token's issuer are fetched anew: try again shortly");

    /// Signed only, though the issuer's tokens must be encrypted (`encryption.required`).
    TOKEN_ENCRYPTION_REQUIRED = proven("token_encryption_required",
        "the token is not encrypted: this API takes only encrypted tokens from its issuer");
    /// The issuer, asked about the token, says that it is not active (RFC 7662 section 2.2).
    TOKEN_INACTIVE = unproven("token_inactive");
    /// The issuer, asked about the token, did not answer in time, or with an error, or with something that
    /// is no answer (RFC 7662 section 2.2).
    INTROSPECTION_UNAVAILABLE = Reason::new(503, "introspection_unavailable", "transient",
        "the token's issuer can't be asked about it: try again shortly");
    /// The issuer refuses to be asked by this client: 401 or 403 (RFC 7662 section 2.3).
    INTROSPECTION_UNAUTHORIZED = Reason::new(503, "introspection_unauthorized", "transient",
        "the token's issuer does not let this gateway ask about it");
    /// The environment variable that `introspection.client_secret` names is not set.
    INTROSPECTION_SECRET_MISSING = Reason::new(503, "introspection_secret_missing", "transient",
        "this gateway is not ready to ask the token's issuer about it");
    /// Too many tokens wait to be asked about.
    INTROSPECTION_OVERLOADED = Reason::new(503, "introspection_overloaded", "throttled",
        "too many tokens wait to be asked about: try again shortly");

    /// `typ` is not one of the issuer's `types` (RFC 9068 section 4); or the issuer says of it another
    /// `token_type` than `Bearer` and `DPoP`, or another `token_use` than `access_token`.
    TOKEN_TYPE_REFUSED = proven("token_type_refused",
        "the token's type is not one that this API takes from its issuer");
    /// `nonce`, `at_hash` or `c_hash`: an ID token (OpenID Connect Core section 2).
    TOKEN_IS_ID_TOKEN = proven("token_is_id_token",
        "this is an ID token: send the access token");
    /// A claim that is required is missing.
    TOKEN_CLAIM_MISSING = proven("token_claim_missing", "the token lacks a claim that is required");
    /// A claim has another JSON type or form than it must have.
    TOKEN_CLAIM_INVALID = proven("token_claim_invalid", "a claim of the token can't be read");
    /// The patient claim is neither a FHIR id nor `Patient/` and a FHIR id.
    TOKEN_PATIENT_INVALID = proven("token_patient_invalid",
        "the token's patient is neither an id nor `Patient/` and an id");
    /// `status` is no object, or its `status_list` has no `idx`, a whole number, or no `uri`, text
    /// (draft-ietf-oauth-status-list section 6.2).
    TOKEN_STATUS_INVALID = proven("token_status_invalid",
        "the token does not say readably where its status is kept");
    /// `aud` names none of the issuer's `audiences` (RFC 9068 section 4).
    TOKEN_AUDIENCE = proven("token_audience", "the token was issued for another API");
    /// `exp` has passed, clock skew included (RFC 7519 section 4.1.4).
    TOKEN_EXPIRED = Reason::new(401, "token_expired", "expired",
        "the token has expired: get a new one").challenge(Challenge::InvalidToken);
    /// `nbf` lies ahead, clock skew included (RFC 7519 section 4.1.5).
    TOKEN_NOT_YET_VALID = proven("token_not_yet_valid", "the token is not valid yet");
    /// `iat` lies ahead, clock skew included.
    TOKEN_ISSUED_IN_FUTURE = proven("token_issued_in_future", "the token was issued in the future");
    /// `exp` is not after `iat`.
    TOKEN_LIFETIME_INVALID = proven("token_lifetime_invalid", "the token expires before it was issued");
    /// `exp` minus `iat` exceeds the issuer's `max_lifetime`.
    TOKEN_LIFETIME_TOO_LONG = proven("token_lifetime_too_long",
        "the token lives longer than this API allows");
}

/// A reason found before the signature was proven.
const fn unproven(code: &'static str) -> Reason {
    Reason::new(401, code, "login", "the access token is not valid")
        .shown_as("token_invalid")
        .challenge(Challenge::InvalidToken)
}

/// A reason found in a token whose signature is proven: the client may know.
const fn proven(code: &'static str, text: &'static str) -> Reason {
    Reason::new(401, code, "login", text).challenge(Challenge::InvalidToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_signature_is_proven_every_answer_is_the_same() {
        let hidden: Vec<_> = ALL.iter().filter(|reason| reason.public != reason.code).collect();
        assert_eq!(hidden.len(), 27);
        for reason in hidden {
            let seen = (reason.public, reason.status, reason.issue, reason.text);
            let expected = ("token_invalid", 401, "login", "the access token is not valid");
            assert_eq!(seen, expected, "{}", reason.code);
            assert_eq!(reason.challenge, Challenge::InvalidToken, "{}", reason.code);
        }
    }

    #[test]
    fn every_reason_is_documented_with_its_status() {
        let page = include_str!("../../docs/tokens.md");
        for reason in ALL {
            let cells = format!("| `{}` | {} |", reason.code, reason.status);
            assert!(page.contains(&cells), "not in docs/tokens.md: {cells}");
        }
        assert_eq!(page.matches("\n| ").count(), ALL.len() + 1, "rows of the table");
    }
}
