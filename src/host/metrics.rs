//! Gauges and counters of the host.

use std::collections::HashMap;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::flow::status::Told;

/// The metrics that this instance defined: their names come from the configuration alone.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    defined: HashMap<String, Metric>,
}

/// A metric of the host.
#[derive(Debug, Clone, Copy)]
struct Metric {
    /// The host's number.
    number: u32,
    /// What was told of it before.
    told: u64,
}

impl Metrics {
    /// Sets gauges, which are one for all instances, and adds to counters what came since the last time.
    /// Metrics are for looking at: one that the host loses changes no decision.
    pub(super) fn tell(&mut self, told: Told) {
        for (name, value) in told.gauges {
            if let Some(metric) = self.of(MetricType::Gauge, name) {
                let _ = hostcalls::record_metric(metric.number, value);
            }
        }
        for (name, count) in told.counters {
            let Some(metric) = self.of(MetricType::Counter, name) else { continue };
            let fresh = i64::try_from(count.saturating_sub(metric.told)).unwrap_or(i64::MAX);
            if hostcalls::increment_metric(metric.number, fresh).is_ok() {
                metric.told = count;
            }
        }
    }

    fn of(&mut self, kind: MetricType, name: String) -> Option<&mut Metric> {
        if !self.defined.contains_key(&name) {
            let number = hostcalls::define_metric(kind, &name).ok()?;
            self.defined.insert(name.clone(), Metric { number, told: 0 });
        }
        self.defined.get_mut(&name)
    }
}
