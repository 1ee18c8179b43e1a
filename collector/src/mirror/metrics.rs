//! What the mirror tells Prometheus. Registered where a mirror is configured, and only there.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use shopfloor::time::SECOND;

use super::Standing;

/// The mirror's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct MirrorMetrics {
    /// Lines that the server took.
    pub written: IntCounter,
    /// Lines that were parked, by reason.
    pub parked: IntCounterVec,
    /// Requests, by answer.
    pub requests: IntCounterVec,
    /// Pauses after a failure.
    pub retries: IntCounter,
    /// Leaves of the log that are not on the server yet.
    pub lag: IntGauge,
    /// Seconds since the oldest block that is not on the server yet was received.
    pub lag_seconds: IntGauge,
    /// 1 while nothing is in the way.
    pub up: IntGauge,
    /// Parked lines, all reasons, as mirror.db counts them.
    pub parked_now: IntGauge,
    /// Series that were written.
    pub series: IntGauge,
}

impl MirrorMetrics {
    /// Makes the metrics and registers them. Errors: one of the names is taken in this registry.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let family =
            |name: &str, help: &str, label: &str, values: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
                registry.register(Box::new(family.clone()))?;
                // Each value is there from the start, so that a rate over its first step is no guess.
                for value in values {
                    family.with_label_values(&[value]).inc_by(0);
                }
                Ok(family)
            };
        let reasons = ["refused", "retention", "series", "label", "text"];
        let answers = ["taken", "refused", "too-large", "later"];
        Ok(Self {
            written: counter("collector_mirror_lines_written_total", "Lines that the mirror's server took")?,
            parked: family("collector_mirror_lines_parked_total", "Lines parked, by reason", "reason", &reasons)?,
            requests: family(
                "collector_mirror_requests_total",
                "Requests to the mirror, by answer",
                "answer",
                &answers,
            )?,
            retries: counter("collector_mirror_retries_total", "Pauses after a failed request to the mirror")?,
            lag: gauge("collector_mirror_lag_leaves", "Leaves of the log that are not on the mirror yet")?,
            lag_seconds: gauge(
                "collector_mirror_lag_seconds",
                "Seconds since the oldest block that is not on the mirror yet was received",
            )?,
            up: gauge("collector_mirror_up", "1 while nothing is in the mirror's way")?,
            parked_now: gauge("collector_mirror_parked_lines", "Parked lines, as mirror.db counts them")?,
            series: gauge("collector_mirror_series", "Series written to the mirror")?,
        })
    }

    /// Shows how far it is behind.
    pub fn behind(&self, standing: Standing) {
        self.lag.set(i64::try_from(standing.leaves).unwrap_or(i64::MAX));
        self.lag_seconds.set(standing.nanos / SECOND);
    }
}
