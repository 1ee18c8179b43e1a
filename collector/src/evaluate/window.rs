//! What is due and what came late: the standing of a window. Pure.
//!
//! A window is live until it ends, provisional until every agent that its data come from has delivered everything
//! beyond the grace, then settled. A settled result is never edited: when its inputs change it is restated, as a
//! new version that names the old one and the cause.

use shopfloor::evaluate::WindowKind;
use shopfloor::time::{Interval, MINUTE, Timestamp};

use crate::config::Settle;

/// A block answers for at most this long, so a retired agent's last one may end this much before its binding.
const BLOCK_MAX: i64 = MINUTE;

/// Nanoseconds after the end of a window of a kind during which data are still on time.
pub const fn grace(kind: WindowKind, settle: &Settle) -> i64 {
    match kind {
        WindowKind::Hour => settle.hour,
        WindowKind::Shift => settle.shift,
        WindowKind::Day | WindowKind::Span => settle.day,
    }
}

/// Standing of a window's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has not ended.
    Live,
    /// It has ended, and data may still be on their way in good time.
    Provisional,
    /// Everything up to the grace has arrived.
    Settled,
    /// A settled result was replaced.
    Restated,
}

impl State {
    /// As written in the API and in derived.db.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Provisional => "provisional",
            Self::Settled => "settled",
            Self::Restated => "restated",
        }
    }
}

/// How far one agent has delivered without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// When its binding ended, if that is over: nothing after that is expected from it.
    pub retired: Option<Timestamp>,
    /// Whether it said good-bye and nothing that it sent is missing.
    pub done: bool,
    /// End of the newest block up to which nothing is missing; `None` before the first.
    pub watermark: Option<Timestamp>,
}

/// What a settled result rested on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Hash over everything below.
    pub data_version: String,
    /// Hash of the plant document.
    pub plant: String,
    /// Ids and versions of definition, profile and state rule, and of the time-zone data.
    pub definitions: String,
}

/// Why a settled result is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The plant document (calendar, cycles, roles) is another one.
    PlantChanged,
    /// A definition, a rule or the time-zone data is another one.
    DefinitionChanged,
    /// Blocks came after it was settled.
    LateBlocks,
}

/// What is to be done with a freshly evaluated window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Show it; keep nothing.
    Passing(State),
    /// Keep it as version 1.
    Settle,
    /// The kept version still stands.
    Kept,
    /// Keep it as the next version.
    Restate(Why),
}

/// The standing of `window` at `now`, given how far its agents have delivered and what was kept before.
pub fn standing(
    window: Interval,
    grace: i64,
    now: Timestamp,
    agents: &[Delivered],
    kept: Option<&Basis>,
    found: &Basis,
) -> Standing {
    if let Some(kept) = kept {
        return compare(kept, found).map_or(Standing::Kept, Standing::Restate);
    }
    if now < window.end {
        return Standing::Passing(State::Live);
    }
    if is_due(window, grace, now, agents) { Standing::Settle } else { Standing::Passing(State::Provisional) }
}

/// Whether everything that a window waits for has arrived.
pub fn is_due(window: Interval, grace: i64, now: Timestamp, agents: &[Delivered]) -> bool {
    now >= window.end && !agents.is_empty() && agents.iter().all(|agent| has_delivered(agent, window.end, grace, now))
}

fn compare(kept: &Basis, found: &Basis) -> Option<Why> {
    if kept.data_version == found.data_version {
        None
    } else if kept.plant != found.plant {
        Some(Why::PlantChanged)
    } else if kept.definitions != found.definitions {
        Some(Why::DefinitionChanged)
    } else {
        Some(Why::LateBlocks)
    }
}

fn has_delivered(agent: &Delivered, end: Timestamp, grace: i64, now: Timestamp) -> bool {
    let on_time = end.plus(grace);
    let Some(watermark) = agent.watermark else { return false };
    match agent.retired {
        Some(until) => now >= on_time && (agent.done || watermark >= on_time.min(until.plus(-BLOCK_MAX))),
        None => watermark >= on_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shopfloor::time::HOUR;

    const HOUR_0: Interval = Interval { start: Timestamp::from_secs(0), end: Timestamp::from_nanos(HOUR) };

    fn basis(data: &str, plant: &str, definitions: &str) -> Basis {
        Basis { data_version: data.into(), plant: plant.into(), definitions: definitions.into() }
    }

    fn agent(watermark_minutes: i64) -> Delivered {
        let watermark = Some(Timestamp::from_nanos(watermark_minutes * MINUTE));
        Delivered { retired: None, done: false, watermark }
    }

    fn at(minutes: i64, agents: &[Delivered]) -> Standing {
        let now = Timestamp::from_nanos(minutes * MINUTE);
        standing(HOUR_0, 10 * MINUTE, now, agents, None, &basis("d", "p", "f"))
    }

    #[test]
    fn a_window_is_live_then_provisional_then_settled() {
        assert_eq!(at(59, &[agent(59)]), Standing::Passing(State::Live));
        assert_eq!(at(60, &[agent(60)]), Standing::Passing(State::Provisional));
        assert_eq!(at(70, &[agent(69)]), Standing::Passing(State::Provisional));
        assert_eq!(at(70, &[agent(70)]), Standing::Settle);
    }

    #[test]
    fn one_agent_that_lags_holds_the_window_back() {
        assert_eq!(at(500, &[agent(500), agent(65)]), Standing::Passing(State::Provisional));
        assert_eq!(at(500, &[]), Standing::Passing(State::Provisional));
    }

    #[test]
    fn a_retired_agent_holds_nothing_back_once_it_has_delivered_all_that_it_owes() {
        let until = Some(Timestamp::from_nanos(65 * MINUTE));
        let filling = Delivered { retired: until, ..agent(30) };
        assert_eq!(at(500, &[filling]), Standing::Passing(State::Provisional));
        let complete = Delivered { retired: until, ..agent(64) };
        assert_eq!(at(69, &[complete]), Standing::Passing(State::Provisional));
        assert_eq!(at(70, &[complete]), Standing::Settle);
        assert_eq!(at(70, &[Delivered { done: true, ..filling }]), Standing::Settle);
    }

    #[test]
    fn a_settled_window_is_restated_and_says_why() {
        let now = Timestamp::from_nanos(100 * MINUTE);
        let kept = basis("d1", "p", "f");
        let against = |found| standing(HOUR_0, 0, now, &[], Some(&kept), &found);
        assert_eq!(against(basis("d1", "p", "f")), Standing::Kept);
        assert_eq!(against(basis("d2", "p", "f")), Standing::Restate(Why::LateBlocks));
        assert_eq!(against(basis("d2", "q", "f")), Standing::Restate(Why::PlantChanged));
        assert_eq!(against(basis("d2", "p", "g")), Standing::Restate(Why::DefinitionChanged));
    }
}
