//! The configuration: the same bytes are always judged alike, and what is taken can be run.

use phiward::config::{self, protobuf};
use phiward::flow::Worker;

use super::host::Host;

/// The bytes that Envoy hands over.
pub fn check(data: &[u8]) {
    let first = config::load(data);
    let again = config::load(data);
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
    match first {
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(
                errors.iter().all(|error| !error.problem.is_empty() && !error.expected.is_empty())
            );
        }
        Ok(configuration) => {
            let host = Host::new();
            let mut worker = Worker::new(configuration, &host);
            let _ = (worker.tick(&host), worker.tell(&host), worker.end(&host));
        }
    }
    if let Ok(document) = protobuf::decode(data) {
        let (packed, text) = (config::load(data), config::from_document(&document));
        assert!(packed.is_err() || text.is_ok(), "a Struct is taken, and its document is not");
    }
}
