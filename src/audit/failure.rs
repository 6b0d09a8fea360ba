//! Why a client did not get the FHIR server's answer whole.

crate::words! {
    /// Why the client did not get the FHIR server's answer whole.
    pub enum Failure {
        /// The client left before the end.
        ClientGone = "client_gone",
        /// The FHIR server did not answer in time.
        UpstreamTimeout = "upstream_timeout",
        /// The FHIR server ended the connection before its answer was whole.
        UpstreamReset = "upstream_reset",
        /// The FHIR server could not be reached.
        UpstreamUnreachable = "upstream_unreachable",
        /// Nothing moved for too long.
        Idle = "idle",
        /// The gateway itself gave up, for example because too much is under way.
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
}

/// The first that fits. Flags that no row has (answers from a cache, injected delays) are no failure.
const CAUSES: [(&[u32], Failure); 6] = [
    (&[14, 28], Failure::ClientGone),                   // DC, DR
    (&[2, 19, 22], Failure::UpstreamTimeout),           // UT, UMSDR, DT
    (&[4, 6, 23], Failure::UpstreamReset),              // UR, UC, UPE
    (&[0, 1, 5, 24, 26], Failure::UpstreamUnreachable), // LH, UH, UF, NC, DF
    (&[16], Failure::Idle),                             // SI
    (&[3, 7, 10, 15, 25, 27, 29], Failure::Gateway),    // LR, UO, FI, URX, OM, DO, UDO
];

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
            (1 << 20, None),
            (1 << 63, None),
        ] {
            assert_eq!(Failure::of(flags), expected, "{flags:b}");
        }
    }
}
