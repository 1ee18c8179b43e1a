//! Makes a block of a batch and signs it with the agent's key, so that the centre need not be trusted.
//!
//! Pure but for the key that is passed in: the same batch, link and times give the same bytes.

use std::collections::BTreeMap;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::block::{self, BlockError, Sealed};
use shopfloor::wire::header::{ClockState, FORMAT, Header, Marks, SectionName};
use shopfloor::wire::section::Group;
use shopfloor::wire::sign::SecretKey;

use crate::batcher::{Batch, Layout};
use crate::config::{Config, SourceKind};
use crate::queue::blocks::Link;

/// Steps of the wall clock against the monotonic one that are smaller than this are ordinary slewing, in nanoseconds.
const STEP: i64 = 100_000_000;

/// Name and version that blocks and births carry.
pub const SOFTWARE: &str = concat!("plumbline-agent ", env!("CARGO_PKG_VERSION"));

/// Wall clock and monotonic clock at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instants {
    /// UTC.
    pub wall: Timestamp,
    /// Since some instant of this run.
    pub monotonic: u64,
}

/// What every block of this run has in common.
#[derive(Debug, Clone)]
pub struct Sealer {
    site: SiteId,
    agent: AgentId,
    key: SecretKey,
    boot_id: [u8; 16],
    marks: Marks,
    since: Instants,
    /// Whether `since` is of this run, so that its two clocks can be compared.
    same_run: bool,
}

/// A batch as it will stand in its block.
#[derive(Debug)]
pub struct Draft {
    sections: Vec<(SectionName, Vec<Group>)>,
    observed: Option<(i64, i64)>,
    /// Newest journal row that holds readings of it.
    pub journaled: Option<i64>,
    /// Bytes of its readings in the journal's form.
    pub bytes: usize,
}

impl Draft {
    /// The columns of `batch` by section.
    pub fn of(batch: Batch, layout: &Layout) -> Self {
        let (observed, journaled, bytes) = (batch.observed, batch.journaled, batch.bytes);
        Self { sections: batch.sections(layout), observed, journaled, bytes }
    }
}

/// The register map and plan by which a batch was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBy {
    /// Hash of the register map.
    pub config_hash: Hash,
    /// Hash of the plan, if known.
    pub plan_hash: Option<Hash>,
}

impl Sealer {
    /// A sealer whose first block answers for the time from `since` on.
    pub fn new(config: &Config, key: SecretKey, boot_id: [u8; 16], since: Instants) -> Self {
        let opcua = |s: &crate::config::Source| matches!(s.kind, SourceKind::OpcUa(_));
        let marks = Marks {
            demo_key: config.key.is_demo(),
            insecure_mqtt: config.publish.as_ref().is_some_and(|p| p.insecure),
            insecure_opcua: config.sources.iter().any(opcua),
            simulated: config.sources.iter().any(|s| s.simulated),
        };
        Self { site: config.site.clone(), agent: config.agent.clone(), key, boot_id, marks, since, same_run: true }
    }

    /// The block of `draft` as `link` prescribes, sealed at `now`.
    pub fn seal(
        &self,
        draft: &Draft,
        read_by: ReadBy,
        drops: BTreeMap<String, u64>,
        link: Link,
        now: Instants,
    ) -> Result<Sealed, BlockError> {
        let wall_passed = now.wall.since(self.since.wall);
        let passed = now.monotonic.saturating_sub(self.since.monotonic).cast_signed();
        let step = wall_passed.saturating_sub(passed);
        let stepped = if self.same_run && step.abs() >= STEP { step } else { 0 };
        let observed = draft.observed.map(|(first, last)| (Timestamp::from_nanos(first), Timestamp::from_nanos(last)));
        let (first, last) = observed.unwrap_or((now.wall, now.wall));
        let end = now.wall.max(last);
        let start = self.since.wall.plus(1).min(first).min(end);
        let header = Header {
            format: FORMAT,
            site: self.site.clone(),
            agent: self.agent.clone(),
            epoch: link.epoch,
            sequence: link.sequence,
            prev_block_hash: link.prev_hash,
            config_hash: read_by.config_hash,
            plan_hash: read_by.plan_hash,
            software: SOFTWARE.to_owned(),
            boot_id: self.boot_id,
            window: Interval { start, end },
            monotonic: (self.since.monotonic.min(now.monotonic), now.monotonic),
            clock: ClockState { stepped, ..ClockState::default() },
            first_sample: link.first_sample,
            sample_count: 0,
            quality_counts: [0; 3],
            drops,
            gaps: link.gaps,
            marks: self.marks,
            sections: Vec::new(),
        };
        block::seal(header, &draft.sections, &self.key)
    }

    /// The next block goes on where the last run's chain ended.
    pub fn resume(&mut self, sealed_until: Timestamp) {
        (self.since.wall, self.same_run) = (sealed_until, false);
    }

    /// The next block answers for the time after `now`.
    pub fn sealed(&mut self, now: Instants) {
        (self.since, self.same_run) = (now, true);
    }

    /// The signing key, for the small messages beside blocks.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }
}
