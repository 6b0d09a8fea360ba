//! Gauges of the host.

use std::collections::HashMap;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// The gauges that this instance defined: their names come from the configuration alone.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    defined: HashMap<String, u32>,
}

impl Metrics {
    /// Sets a gauge, which is one for all instances.
    pub(super) fn set(&mut self, name: String, value: u64) {
        let number = match self.defined.get(&name) {
            Some(number) => Some(*number),
            None => hostcalls::define_metric(MetricType::Gauge, &name).ok(),
        };
        let Some(number) = number else { return };
        self.defined.insert(name, number);
        // Metrics are for looking at: one that the host loses changes no decision.
        let _ = hostcalls::record_metric(number, value);
    }
}
