//! State rules as data: which values of which roles mean which activity.
//!
//! A rule is a named, versioned table that a result cites, because published mappings differ (OPC 40001-1
//! Annex C.2 against OPC 40501-1 Annex C.2.3). Reading samples with it is `decode`'s work.

use std::collections::BTreeMap;

use super::Activity;
use crate::plant::Role;
use crate::unit::Rational;

/// What one device code means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// What the equipment does.
    pub activity: Activity,
    /// Short code of the cause, as the timeline shows it.
    pub cause: String,
    /// The cause in Chinese.
    pub zh: String,
    /// The cause in English.
    pub en: String,
}

/// A device code: integers and texts never mix in one comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// An integer, or a bit as 0 and 1.
    Integer(i128),
    /// A text, compared without regard to case.
    Text(String),
}

/// How a rule reads the roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// The `state` role holds a code (`enumeration`, `packml`, `okuma`, `mtconnect`); a second table over the
    /// `mode` role, where present, wins over it unless the state is Unknown.
    Table {
        /// Meaning of each code of the `state` role.
        states: BTreeMap<Code, Meaning>,
        /// Meaning of each code of the `mode` role that overrides the state; other modes leave it alone.
        modes: BTreeMap<Code, Meaning>,
    },
    /// The `running` role is a bit; `fault` and `setup` bits, where bound, explain a stop.
    RunningBit {
        /// What a machine does that neither runs, nor reports a fault, nor is being set up.
        stopped: Meaning,
    },
    /// The `power` role against two thresholds: at or above the upper it runs, below the lower it does not,
    /// in between it stays what it was (hysteresis).
    PowerThreshold {
        /// At or above this the machine runs; in the unit of the tag.
        running_at: Rational,
        /// Below this the machine is stopped; not above `running_at`.
        stopped_below: Rational,
        /// What a machine does that draws less.
        stopped: Meaning,
    },
}

/// A named, versioned state rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRule {
    /// Its name, as `state_rule` of a work unit gives it.
    pub id: String,
    /// Grows with each change of meaning.
    pub version: u32,
    /// Title in Chinese.
    pub title_zh: String,
    /// Title in English.
    pub title_en: String,
    /// How it reads the roles.
    pub kind: RuleKind,
}

impl StateRule {
    /// The roles whose tags it reads; the first is the one it cannot do without.
    pub const fn roles(&self) -> &'static [Role] {
        match &self.kind {
            RuleKind::Table { .. } => &[Role::State, Role::Mode],
            RuleKind::RunningBit { .. } => &[Role::Running, Role::Fault, Role::Setup],
            RuleKind::PowerThreshold { .. } => &[Role::Power],
        }
    }

    /// Chinese and English name of a cause code; `None` for one that the rule does not know.
    pub fn title(&self, cause: &str) -> Option<(&str, &str)> {
        let found = match &self.kind {
            RuleKind::Table { states, modes } => states.values().chain(modes.values()).find(|m| m.cause == cause),
            RuleKind::RunningBit { stopped } | RuleKind::PowerThreshold { stopped, .. } => {
                Some(stopped).filter(|m| m.cause == cause)
            }
        };
        found.map(|m| (m.zh.as_str(), m.en.as_str())).or(match cause {
            "running" => Some(("运行", "running")),
            "fault" => Some(("故障信号", "fault signal")),
            "setup" => Some(("调整信号", "setup signal")),
            "no-data" => Some(("无可信数据", "no trustworthy data")),
            "unknown-code" => Some(("未知状态码", "unknown state code")),
            "in-between" => Some(("功率介于两阈值之间", "power between the thresholds")),
            _ => None,
        })
    }
}
