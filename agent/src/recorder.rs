//! Joins batcher, sealer and queue: readings in from the sources' tasks, journal and blocks out to the disk.
//!
//! Sources push into memory and go on. One thread commits the journal and seals batches; while the disk refuses,
//! nothing is sealed and so nothing published, the readings wait in the batcher's bounded ring, and polling goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntCounter;
use shopfloor::hash::Hash;
use shopfloor::register_map::{GroupEntry, RegisterMap};
use shopfloor::sample::Quality;
use shopfloor::time::{Interval, Timestamp, Wait, Worker};
use shopfloor::wire::header::GapKind;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batcher::{self, Batcher, Layout};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::queue::blocks::Sealing;
use crate::queue::{Leftover, Queue, QueueError, gap, journal};
use crate::seal::{Draft, Instants, ReadBy, Sealer};
use crate::source::Reading;

/// Where sources put readings. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct Recorder {
    batcher: Arc<Mutex<Batcher>>,
    layout: Arc<Layout>,
    live: Live,
    metrics: Metrics,
    /// Samples read by group: good, not good.
    counted: Arc<Vec<(IntCounter, IntCounter)>>,
}

impl Recorder {
    pub(crate) fn new(batcher: Batcher, map: &RegisterMap, live: Live, metrics: Metrics) -> Self {
        let counters = |group: &GroupEntry| {
            let source = map.sources[usize::from(group.source)].id.as_str();
            let count = |result| metrics.samples_read.with_label_values(&[source, result]);
            (count("good"), count("not_good"))
        };
        let counted = Arc::new(map.groups.iter().map(counters).collect());
        let layout = Arc::new(batcher.layout().clone());
        Self { batcher: Arc::new(Mutex::new(batcher)), layout, live, metrics, counted }
    }

    /// Takes a reading in. Never waits for disk or network.
    pub fn push(&self, reading: Reading) {
        let group = match &reading {
            Reading::Scan { group, .. } | Reading::Events { group, .. } | Reading::Life { group, .. } => *group,
        };
        let tags = self.layout.tags(group);
        let good = match &reading {
            Reading::Scan { status, .. } if status.quality() == Quality::Good => tags.len(),
            Reading::Scan { .. } | Reading::Life { .. } => 0,
            Reading::Events { rows, .. } => rows.iter().filter(|(_, r)| r.status.quality() == Quality::Good).count(),
        };
        let not_good = reading.samples(tags.len()) - good;
        if let Some((counted_good, counted_not_good)) = self.counted.get(usize::from(group)) {
            counted_good.inc_by(good as u64);
            counted_not_good.inc_by(not_good as u64);
        }
        // The lock is held over both, so whoever sees a value in the live view finds it in the next block.
        let mut batcher = self.lock();
        match &reading {
            Reading::Scan { request, response, status, words, .. } => {
                self.live.scan(group, *request, *response, *status, words);
            }
            Reading::Events { rows, .. } => {
                self.live.events(rows.iter().filter_map(|(column, row)| Some((*tags.get(usize::from(*column))?, row))));
            }
            Reading::Life { .. } => {}
        }
        batcher.push(reading);
    }

    /// The newest life sign of a group.
    pub fn newest_life(&self, group: u16) -> Option<i64> {
        self.lock().newest_life(group)
    }

    fn lock(&self) -> MutexGuard<'_, Batcher> {
        self.batcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue, shared by recorder and publisher; each holds it for single calls only.
pub type SharedQueue = Arc<Mutex<Queue>>;

/// Locks the queue.
pub fn lock(queue: &SharedQueue) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes journal and blocks, on a thread that may wait for the disk.
#[derive(Debug)]
pub struct Writer {
    recorder: Recorder,
    queue: SharedQueue,
    sealer: Sealer,
    read_by: ReadBy,
    block_bytes: u64,
    sealed: watch::Sender<u64>,
    batches: u64,
    base_drops: std::collections::BTreeMap<String, u64>,
    stuck: Option<Draft>,
    refuses: bool,
}

impl Writer {
    pub(crate) fn new(
        recorder: Recorder,
        queue: SharedQueue,
        sealer: Sealer,
        read_by: ReadBy,
        block_bytes: usize,
    ) -> Self {
        let (base_drops, sealed) = {
            let queue = lock(&queue);
            (queue.state().drops.clone(), watch::Sender::new(queue.state().next_sequence - 1))
        };
        let block_bytes = block_bytes as u64;
        Self {
            recorder,
            queue,
            sealer,
            read_by,
            block_bytes,
            sealed,
            batches: 0,
            base_drops,
            stuck: None,
            refuses: false,
        }
    }

    /// The sequence of the newest sealed block, as it grows.
    pub fn sealed(&self) -> watch::Receiver<u64> {
        self.sealed.subscribe()
    }

    /// Seals what the last run left in the journal, each part under the register map it was read by, and records
    /// how long the agent was down.
    pub fn recover(&mut self, now: Instants) -> Result<(), QueueError> {
        let (leftovers, last, sealed_until) = {
            let mut queue = lock(&self.queue);
            let last = queue.state().last_instant;
            if let Some(interval) = last.and_then(|last| Interval::new(last, now.wall)) {
                queue.add_gap(&gap(GapKind::AgentDown, None, Some(interval), ""))?;
            }
            (queue.leftovers()?, last, queue.state().sealed_until)
        };
        if let (false, Some(end)) = (leftovers.is_empty(), sealed_until) {
            self.sealer.resume(end);
        }
        for leftover in leftovers {
            self.recover_part(&leftover, last.unwrap_or(now.wall), now)?;
        }
        Ok(())
    }

    fn recover_part(&mut self, part: &Leftover, last: Timestamp, now: Instants) -> Result<(), QueueError> {
        let known = lock(&self.queue).register_map(part.config_hash)?;
        let map = known.and_then(|known| RegisterMap::decode(&known.bytes).ok().map(|map| (map, known.plan_hash)));
        let mut corrupt = part.corrupt_rows;
        if let Some((map, plan_hash)) = map {
            let layout = Layout::of(&map);
            let mut readings = Vec::new();
            for bytes in &part.bytes {
                match journal::decode(bytes) {
                    Some(row) => readings.extend(row),
                    None => corrupt += 1,
                }
            }
            let mut batch = batcher::replay(&layout, readings);
            batch.journaled = Some(part.through);
            tracing::info!(samples = batch.samples, "sealing what the last run left in the journal");
            self.record_corrupt(corrupt, last, now)?;
            let read_by = ReadBy { config_hash: part.config_hash, plan_hash };
            return self.seal(&Draft::of(batch, &layout), read_by, now);
        }
        self.record_corrupt(part.bytes.len() as u64 + corrupt, last, now)?;
        lock(&self.queue).forget_journal(part.through)
    }

    fn record_corrupt(&self, rows: u64, last: Timestamp, now: Instants) -> Result<(), QueueError> {
        if rows == 0 {
            return Ok(());
        }
        tracing::error!(rows, "journal rows could not be read; recorded as a gap");
        let interval = Interval::new(last.min(now.wall), now.wall);
        lock(&self.queue).add_gap(&gap(GapKind::Corrupted, None, interval, format!("{rows} journal rows")))
    }

    /// Commits and seals until `stop`, then seals the rest. Waits for the disk where it stands: nothing that must keep
    /// its time may run on the same thread.
    pub async fn run(mut self, wait: &dyn Wait, mut worker: Box<dyn Worker>, stop: CancellationToken) {
        loop {
            let next = self.recorder.lock().next_due(wait.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = worker.until(next) => {}
            }
            let idle = self.stuck.is_none() && self.recorder.lock().is_idle(wait.now());
            if !idle {
                self.write(wait, false);
            }
        }
        self.write(wait, true);
    }

    fn write(&mut self, wait: &dyn Wait, last: bool) {
        self.recorder.lock().close_due(wait.now(), last);
        let result = self.seal_ready(wait).and_then(|()| self.commit(wait.now()));
        self.recorder.metrics.disk_refuses.set(i64::from(result.is_err()));
        match result {
            Ok(()) if self.refuses => tracing::warn!("the disk takes writes again"),
            Ok(()) => {}
            Err(error) => {
                self.recorder.metrics.disk_errors.inc();
                let cause = error_chain(&error);
                if self.refuses {
                    tracing::debug!(%cause, "the disk still refuses");
                } else {
                    tracing::error!(%cause, "the disk refuses; readings stay in memory, nothing is sealed or sent");
                }
                self.refuses = true;
                return;
            }
        }
        self.refuses = false;
    }

    fn seal_ready(&mut self, wait: &dyn Wait) -> Result<(), QueueError> {
        loop {
            let draft = if let Some(draft) = self.stuck.take() {
                draft
            } else {
                // A statement of its own: sources need not wait while columns are built.
                let ready = self.recorder.lock().take_ready();
                let Some(batch) = ready else { return Ok(()) };
                Draft::of(batch, &self.recorder.layout)
            };
            let now = Instants { wall: wait.now(), monotonic: wait.monotonic() };
            if let Err(error) = self.seal(&draft, self.read_by, now) {
                self.stuck = Some(draft);
                return Err(error);
            }
        }
    }

    fn seal(&mut self, draft: &Draft, read_by: ReadBy, now: Instants) -> Result<(), QueueError> {
        let mut drops = self.base_drops.clone();
        for (cause, count) in self.recorder.lock().drops() {
            *drops.entry((*cause).to_owned()).or_default() += count;
            self.recorder.metrics.samples_dropped.set(count.cast_signed());
        }
        let sealing = Sealing {
            batch: self.batches,
            config_hash: read_by.config_hash,
            journaled: draft.journaled,
            drops: drops.clone(),
            bytes_hint: self.block_bytes.min(draft.bytes as u64) + 1024,
            now: now.wall,
        };
        let sequence = lock(&self.queue).state().next_sequence;
        tracing::debug!(target: "phase", phase = %"sealing", sequence);
        let sealer = &self.sealer;
        let build = |link| sealer.seal(draft, read_by, drops, link, now);
        let stored = lock(&self.queue).seal(&sealing, build)?;
        self.batches += 1;
        self.sealer.sealed(now);
        let metrics = &self.recorder.metrics;
        metrics.blocks_sealed.inc();
        metrics.blocks_evicted.inc_by(stored.evicted);
        let (blocks, bytes) = lock(&self.queue).size();
        metrics.queue_blocks.set(blocks.cast_signed());
        metrics.queue_bytes.set(bytes.cast_signed());
        metrics.sealed_sequence.set(stored.sequence.cast_signed());
        self.sealed.send_replace(stored.sequence);
        Ok(())
    }

    fn commit(&mut self, now: Timestamp) -> Result<(), QueueError> {
        loop {
            let Some(pending) = self.recorder.lock().take_pending() else { return Ok(()) };
            let result = lock(&self.queue).commit(self.read_by.config_hash, &pending.bytes, now);
            let mut batcher = self.recorder.lock();
            match result {
                Ok(id) => batcher.journaled(&pending, id),
                Err(error) => {
                    batcher.put_back_pending(pending);
                    return Err(error);
                }
            }
            drop(batcher);
            self.recorder.metrics.journal_commits.inc();
        }
    }

    /// The hash of the register map in force.
    pub fn config_hash(&self) -> Hash {
        self.read_by.config_hash
    }
}

/// The error and its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
