//! From samples to what the equipment says over time, and to what the edges leave open.

use std::collections::BTreeMap;

use super::samples::{holds_until, in_order, value};
use crate::plant::Role;
use crate::sample::{Sample, Value};
use crate::state::decode::{Decoder, Inputs, Reading};
use crate::state::{Activity, ActivitySet, StateRule};
use crate::time::{Interval, Timestamp};

/// A reading and the time it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// When.
    pub interval: Interval,
    /// What the equipment says.
    pub reading: Reading,
}

/// Time before an edge in which the other side of the edge was possible too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// From the last confirmation of the old reading to the edge.
    pub interval: Interval,
    /// What may have been.
    pub open: ActivitySet,
}

/// What the equipment says over a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Equipment {
    /// Readings that follow each other without gap or overlap; neighbours differ.
    pub held: Vec<Held>,
    /// In order of their ends.
    pub marks: Vec<Mark>,
}

/// Something that one tag says at an instant.
struct Tick<'a> {
    at: Timestamp,
    role: Role,
    /// Its value from here on; `None` if nothing is known.
    value: Option<&'a Value>,
    /// Time of the sample before, which is as far back as a change may lie.
    since: Timestamp,
}

/// Reads `tags` (the samples of each role that the rule reads) over `domain`, ignoring samples after `now`.
pub fn equipment(
    rule: &StateRule,
    tags: &BTreeMap<Role, &[Sample]>,
    domain: Interval,
    stale_after: Option<i64>,
    now: Timestamp,
) -> Equipment {
    let mut ticks = Vec::new();
    for (role, samples) in tags {
        push_ticks(&mut ticks, *role, &in_order(samples, now), stale_after);
    }
    ticks.sort_by_key(|tick| (tick.at, tick.role));
    let mut inputs: Inputs<'_> = tags.keys().map(|role| (*role, None)).collect();
    let mut decoder = Decoder::new(rule);
    let mut builder = Builder::new(domain.start);
    for group in ticks.chunk_by(|a, b| a.at == b.at) {
        let mut since = None;
        for tick in group {
            let current = inputs.insert(tick.role, tick.value);
            if current != Some(tick.value) {
                since = Some(since.map_or(tick.since, |since: Timestamp| since.min(tick.since)));
            }
        }
        let Some(since) = since else { continue };
        if group[0].at >= domain.end {
            // What was seen last holds to the end of the domain, but nobody looked again.
            builder.open_end(since, domain.end, decoder.read(&inputs).activity);
            break;
        }
        builder.change(group[0].at, since, decoder.read(&inputs));
    }
    builder.finish(domain)
}

fn push_ticks<'a>(ticks: &mut Vec<Tick<'a>>, role: Role, samples: &[&'a Sample], stale_after: Option<i64>) {
    for (position, sample) in samples.iter().enumerate() {
        let since = position.checked_sub(1).map_or(sample.at, |before| samples[before].at);
        ticks.push(Tick { at: sample.at, role, value: value(sample), since });
        let stale = holds_until(sample, stale_after);
        if samples.get(position + 1).is_none_or(|next| next.at > stale) {
            ticks.push(Tick { at: stale, role, value: None, since: sample.at });
        }
    }
}

struct Builder {
    held: Vec<Held>,
    marks: Vec<Mark>,
    since: Timestamp,
    reading: Reading,
}

impl Builder {
    fn new(start: Timestamp) -> Self {
        Self { held: Vec::new(), marks: Vec::new(), since: start, reading: Reading::no_data() }
    }

    fn change(&mut self, at: Timestamp, possible_since: Timestamp, reading: Reading) {
        if reading == self.reading {
            return;
        }
        if possible_since < at {
            let open = ActivitySet::of(self.reading.activity).with(ActivitySet::of(reading.activity));
            self.marks.push(Mark { interval: Interval { start: possible_since, end: at }, open });
        }
        if at > self.since {
            let interval = Interval { start: self.since, end: at };
            self.held.push(Held { interval, reading: std::mem::replace(&mut self.reading, reading) });
            self.since = at;
        } else {
            self.reading = reading;
        }
    }

    fn open_end(&mut self, since: Timestamp, end: Timestamp, next: Activity) {
        if next != self.reading.activity && since < end {
            let open = ActivitySet::of(self.reading.activity).with(ActivitySet::of(next));
            self.marks.push(Mark { interval: Interval { start: since, end }, open });
        }
    }

    fn finish(mut self, domain: Interval) -> Equipment {
        if domain.end > self.since {
            self.held.push(Held { interval: Interval { start: self.since, end: domain.end }, reading: self.reading });
        }
        Equipment { held: self.held, marks: self.marks }
    }
}
