//! What the collector tells Prometheus about itself. One registry per process, passed in.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The collector's own metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Blocks examined, by result.
    pub blocks: IntCounterVec,
    /// Samples in accepted blocks, as their headers count them.
    pub samples: IntCounter,
    /// Bytes of accepted blocks.
    pub block_bytes: IntCounter,
    /// Messages other than blocks that were refused, by channel.
    pub refused_messages: IntCounterVec,
    /// Messages dropped before they were examined because too many were waiting; their agents send again.
    pub dropped_unacknowledged: IntCounter,
    /// Transactions of the log.
    pub commits: IntCounter,
    /// Attempts to write the log that the disk refused.
    pub commit_errors: IntCounter,
    /// 1 while the disk refuses writes and nothing is acknowledged.
    pub disk_refuses: IntGauge,
    /// Leaves in the log.
    pub log_size: IntGauge,
    /// Acknowledgements published.
    pub acks: IntCounter,
    /// Requests sent to agents, by kind.
    pub requests: IntCounterVec,
    /// 1 while connected to the broker.
    pub mqtt_connected: IntGauge,
    /// Connections to the broker that failed or were lost.
    pub mqtt_errors: IntCounter,
}

impl Metrics {
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
        let family = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        Ok(Self {
            blocks: family("collector_blocks_total", "Blocks examined, by result", "result")?,
            samples: counter("collector_samples_total", "Samples in accepted blocks")?,
            block_bytes: counter("collector_block_bytes_total", "Bytes of accepted blocks")?,
            refused_messages: family(
                "collector_messages_refused_total",
                "Messages refused that were no blocks",
                "channel",
            )?,
            dropped_unacknowledged: counter(
                "collector_messages_dropped_unacknowledged_total",
                "Messages dropped unexamined and unacknowledged because too many were waiting",
            )?,
            commits: counter("collector_log_commits_total", "Transactions of the log")?,
            commit_errors: counter("collector_log_commit_errors_total", "Writes of the log that the disk refused")?,
            disk_refuses: gauge(
                "collector_disk_refuses",
                "1 while the disk refuses writes and nothing is acknowledged",
            )?,
            log_size: gauge("collector_log_size", "Leaves in the log")?,
            acks: counter("collector_acks_total", "Acknowledgements published")?,
            requests: family("collector_requests_total", "Requests sent to agents, by kind", "kind")?,
            mqtt_connected: gauge("collector_mqtt_connected", "1 while connected to the broker")?,
            mqtt_errors: counter("collector_mqtt_errors_total", "Connections to the broker that failed or were lost")?,
        })
    }
}
