//! Every number that the agent publishes about itself. The registry is passed in; labels come from bounded sets.

use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The agent's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Samples by source and result (`good`, `not_good`).
    pub samples_read: IntCounterVec,
    /// Failed scans and lost subscriptions by source and reason.
    pub read_failures: IntCounterVec,
    /// Scans whose instant passed while the source was busy, by source.
    pub scans_missed: IntCounterVec,
    /// Connections made, by source.
    pub connects: IntCounterVec,
    /// Journal commits.
    pub journal_commits: IntCounter,
    /// Failed writes to the queue.
    pub disk_errors: IntCounter,
    /// Samples dropped because memory could not hold them while the disk took nothing.
    pub samples_dropped: IntGauge,
    /// Blocks sealed.
    pub blocks_sealed: IntCounter,
    /// Blocks evicted unsent.
    pub blocks_evicted: IntCounter,
    /// Blocks given to the broker, repeats included.
    pub blocks_sent: IntCounter,
    /// Blocks that the collector refused for good.
    pub blocks_refused: IntCounter,
    /// Refusals that named other bytes than those of our block.
    pub refusals_not_ours: IntCounter,
    /// Messages of the collector by result (`taken`, `forged`, `foreign`, `impossible`).
    pub messages: IntCounterVec,
    /// Sequence of the newest sealed block.
    pub sealed_sequence: IntGauge,
    /// Everything up to this sequence is acknowledged.
    pub acknowledged_sequence: IntGauge,
    /// Blocks in the queue.
    pub queue_blocks: IntGauge,
    /// Bytes of these.
    pub queue_bytes: IntGauge,
    /// 1 while connected to the broker.
    pub connected: IntGauge,
    /// 1 while the disk takes nothing.
    pub disk_refuses: IntGauge,
}

impl Metrics {
    /// Registers everything. Errors: a name is registered already.
    pub fn new(registry: Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let counter = |name: &str, help: &str| {
            let made = IntCounter::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        Ok(Self {
            samples_read: counters("agent_samples_read_total", "Samples read", &["source", "result"])?,
            read_failures: counters("agent_read_failures_total", "Failed reads", &["source", "reason"])?,
            scans_missed: counters(
                "agent_scans_missed_total",
                "Scans missed because the source was busy",
                &["source"],
            )?,
            connects: counters("agent_connects_total", "Connections made", &["source"])?,
            journal_commits: counter("agent_journal_commits_total", "Journal commits")?,
            disk_errors: counter("agent_disk_errors_total", "Failed writes to the queue")?,
            samples_dropped: gauge("agent_samples_dropped", "Samples dropped since the start")?,
            blocks_sealed: counter("agent_blocks_sealed_total", "Blocks sealed")?,
            blocks_evicted: counter("agent_blocks_evicted_total", "Blocks evicted unsent")?,
            blocks_sent: counter("agent_blocks_sent_total", "Blocks given to the broker")?,
            blocks_refused: counter("agent_blocks_refused_total", "Blocks refused for good")?,
            refusals_not_ours: counter("agent_refusals_not_ours_total", "Refusals of bytes that are not ours")?,
            messages: counters("agent_collector_messages_total", "Messages of the collector", &["result"])?,
            sealed_sequence: gauge("agent_sealed_sequence", "Sequence of the newest sealed block")?,
            acknowledged_sequence: gauge("agent_acknowledged_sequence", "Acknowledged up to this sequence")?,
            queue_blocks: gauge("agent_queue_blocks", "Blocks in the queue")?,
            queue_bytes: gauge("agent_queue_bytes", "Bytes of blocks in the queue")?,
            connected: gauge("agent_broker_connected", "1 while connected to the broker")?,
            disk_refuses: gauge("agent_disk_refuses", "1 while the disk takes nothing")?,
            registry,
        })
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}
