//! Why a request head is refused.

use crate::base::refusal::Reason;

crate::reasons! {
    /// The target has a part that proxies and servers are known to read differently.
    TARGET_AMBIGUOUS = Reason::new(400, "target_ambiguous", "invalid",
        "the request target can be read in more than one way");
}
