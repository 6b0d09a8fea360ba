//! Why a client did not get the FHIR server's answer whole.

crate::words! {
    /// Why the client did not get the FHIR server's answer whole.
    pub enum Failure {
        /// The client left before the end.
        ClientGone = "client_gone",
        /// The client sent what is no HTTP.
        ClientProtocol = "client_protocol",
        /// The FHIR server did not answer in time.
        UpstreamTimeout = "upstream_timeout",
        /// The FHIR server ended the connection before its answer was whole.
        UpstreamReset = "upstream_reset",
        /// The FHIR server could not be reached.
        UpstreamUnreachable = "upstream_unreachable",
        /// Nothing moved for too long.
        Idle = "idle",
        /// The gateway itself gave up: too much is under way, it took too long, no route leads there,
        /// another filter refused.
        Gateway = "gateway",
    }
}

impl Failure {
    /// What Envoy's response flags say, bit by bit as the property `response.flags` has them
    /// (`envoy/stream_info/stream_info.h`, `CoreResponseFlag`). The client's leaving comes first: what else
    /// is set then mostly follows from it.
    pub fn of(flags: u64) -> Option<Failure> {
        let any = |bits: &[u32]| bits.iter().any(|bit| flags >> bit & 1 == 1);
        CAUSES.iter().find(|(bits, _)| any(bits)).map(|(_, failure)| *failure)
    }

    /// What the property `response.code_details` says where no flag does.
    pub fn of_details(details: &str) -> Option<Failure> {
        DETAILS.contains(&details).then_some(Failure::Gateway)
    }
}

/// The first that fits. Flags that no row has (answers from a cache, injected delays) are no failure.
const CAUSES: [(&[u32], Failure); 7] = [
    (&[18], Failure::ClientProtocol),                   // DPE
    (&[14, 28], Failure::ClientGone),                   // DC, DR
    (&[2, 19], Failure::UpstreamTimeout),               // UT, UMSDR
    (&[4, 6, 23], Failure::UpstreamReset),              // UR, UC, UPE
    (&[0, 1, 5, 24, 26], Failure::UpstreamUnreachable), // LH, UH, UF, NC, DF
    (&[16], Failure::Idle),                             // SI
    (&GATEWAY, Failure::Gateway),
];

/// LR, UO, NR, FI, RL, UAEX, RLSE, URX, IH, NFCF, DT, OM, DO, UDO
const GATEWAY: [u32; 14] = [3, 7, 8, 10, 11, 12, 13, 15, 17, 21, 22, 25, 27, 29];

/// Envoy sets no flag when a stream or a body was longer than it allows
/// (`envoy/stream_info/stream_info.h`, `ResponseCodeDetailValues`).
const DETAILS: [&str; 3] =
    ["max_duration_timeout", "request_payload_too_large", "response_payload_too_large"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_in_words() {
        for (flags, expected) in [
            (0, None),
            (1 << 14, Some(Failure::ClientGone)),
            (1 << 14 | 1 << 4, Some(Failure::ClientGone)),
            (1 << 28, Some(Failure::ClientGone)),
            (1 << 2, Some(Failure::UpstreamTimeout)),
            (1 << 6, Some(Failure::UpstreamReset)),
            (1 << 5 | 1 << 15, Some(Failure::UpstreamUnreachable)),
            (1 << 16, Some(Failure::Idle)),
            (1 << 7, Some(Failure::Gateway)),
            (1 << 8, Some(Failure::Gateway)),
            (1 << 18, Some(Failure::ClientProtocol)),
            (1 << 22, Some(Failure::Gateway)),
            (1 << 20, None),
            (1 << 63, None),
        ] {
            assert_eq!(Failure::of(flags), expected, "{flags:b}");
        }
    }

    #[test]
    fn details_are_told_where_there_are_no_flags() {
        for (details, expected) in [
            ("max_duration_timeout", Some(Failure::Gateway)),
            ("response_payload_too_large", Some(Failure::Gateway)),
            ("via_upstream", None),
            ("", None),
        ] {
            assert_eq!(Failure::of_details(details), expected, "{details}");
        }
    }
}
