//! What a machine does, and the leaf of the time ledger that follows from it.
//!
//! Two axes are kept: what the equipment says ([`Activity`]) and what the calendar says
//! ([`crate::calendar::PlannedKind`]). The [`Leaf`] is a function of both. Which device code means which
//! activity is data: see [`rule`].

use std::fmt;

use serde::Serialize;

use crate::calendar::PlannedKind;

pub mod catalog;
pub mod decode;
pub mod rule;

pub use rule::StateRule;

/// What the equipment says it is doing: the equipment axis of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Activity {
    /// Value-adding. OPC 40001-1: Executing + Processing.
    Run,
    /// Stopped for an internal, technical cause. OutOfService + Processing.
    Down,
    /// Blocked, starved, no material, no operator.
    External,
    /// Changeover or first start after a product change.
    Setup,
    /// Being maintained.
    Maintenance,
    /// Available, nothing to do. NotExecuting + Processing without an order.
    Idle,
    /// Manual operation, editing, process development.
    Trial,
    /// No trustworthy data. NotAvailable.
    Unknown,
}

impl Activity {
    /// All of them, in the order of their bits in an [`ActivitySet`].
    pub const ALL: [Self; 8] =
        [Self::Run, Self::Down, Self::External, Self::Setup, Self::Maintenance, Self::Idle, Self::Trial, Self::Unknown];

    /// Whether this is a stop that a minor stop can be: Down or External.
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Down | Self::External)
    }

    /// The activity that a state rule file names by a leaf code: `RUN DOWN EXT SETUP PM IDLE ENG UNK`.
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "RUN" => Self::Run,
            "DOWN" => Self::Down,
            "EXT" => Self::External,
            "SETUP" => Self::Setup,
            "PM" => Self::Maintenance,
            "IDLE" => Self::Idle,
            "ENG" => Self::Trial,
            "UNK" => Self::Unknown,
            _ => return None,
        })
    }
}

/// A set of activities: what the data leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActivitySet(u8);

impl ActivitySet {
    /// Nothing known: any activity is possible.
    pub const ANY: Self = Self(0xff);

    /// The set of one.
    pub const fn of(activity: Activity) -> Self {
        Self(1 << activity as u8)
    }

    /// Both together; a set with Unknown in it is [`Self::ANY`].
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        let both = self.0 | other.0;
        if both & (1 << Activity::Unknown as u8) == 0 { Self(both) } else { Self::ANY }
    }

    /// Whether `activity` is in the set.
    pub const fn has(self, activity: Activity) -> bool {
        self.0 & (1 << activity as u8) != 0
    }
}

/// A leaf category of the time ledger: every instant of a window is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leaf {
    /// Producing.
    Run,
    /// A stop shorter than the work unit's threshold.
    Micro,
    /// Unplanned, technical.
    Down,
    /// Waiting: blocked, starved, no material, no operator.
    External,
    /// Changeover.
    Setup,
    /// Maintenance inside a planned window.
    Maintenance,
    /// Available, no order.
    Idle,
    /// A break of the calendar.
    Break,
    /// Outside all shifts.
    Off,
    /// Trial operation.
    Trial,
    /// No trustworthy data inside planned busy time.
    Unknown,
}

impl Leaf {
    /// All leaves, in the order of the ledger.
    pub const ALL: [Self; 11] = [
        Self::Run,
        Self::Micro,
        Self::Down,
        Self::External,
        Self::Setup,
        Self::Maintenance,
        Self::Idle,
        Self::Break,
        Self::Off,
        Self::Trial,
        Self::Unknown,
    ];

    /// The code that files, scripts and the API use.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Run => "RUN",
            Self::Micro => "MICRO",
            Self::Down => "DOWN",
            Self::External => "EXT",
            Self::Setup => "SETUP",
            Self::Maintenance => "PM",
            Self::Idle => "IDLE",
            Self::Break => "BREAK",
            Self::Off => "OFF",
            Self::Trial => "ENG",
            Self::Unknown => "UNK",
        }
    }

    /// The leaf of a code; `None` for any other text.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|leaf| leaf.code() == code)
    }

    /// The Chinese name.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Run => "生产",
            Self::Micro => "短暂停机",
            Self::Down => "故障停机",
            Self::External => "外因等待",
            Self::Setup => "换型调整",
            Self::Maintenance => "计划维护",
            Self::Idle => "无任务",
            Self::Break => "休息",
            Self::Off => "非班次时间",
            Self::Trial => "试制调试",
            Self::Unknown => "数据缺失",
        }
    }

    /// The English name.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Run => "Producing",
            Self::Micro => "Minor stop",
            Self::Down => "Down",
            Self::External => "Waiting",
            Self::Setup => "Setup",
            Self::Maintenance => "Planned maintenance",
            Self::Idle => "No order",
            Self::Break => "Break",
            Self::Off => "Off shift",
            Self::Trial => "Trial",
            Self::Unknown => "Unknown",
        }
    }

    /// The leaf of an activity inside or outside planned busy time; a short stop is told apart by `minor`.
    ///
    /// Producing is producing wherever it happens, so that Availability may pass 1 and says so. Outside planned
    /// busy time everything else is what the calendar says. Maintenance outside a planned window is Down.
    pub const fn of(planned: PlannedKind, activity: Activity, minor: bool) -> Self {
        match (planned, activity) {
            (_, Activity::Run) => Self::Run,
            (PlannedKind::Break, _) => Self::Break,
            (PlannedKind::Off, _) => Self::Off,
            (PlannedKind::Maintenance, _) => Self::Maintenance,
            (PlannedKind::Busy, Activity::Down | Activity::External) if minor => Self::Micro,
            (PlannedKind::Busy, Activity::Down | Activity::Maintenance) => Self::Down,
            (PlannedKind::Busy, Activity::External) => Self::External,
            (PlannedKind::Busy, Activity::Setup) => Self::Setup,
            (PlannedKind::Busy, Activity::Idle) => Self::Idle,
            (PlannedKind::Busy, Activity::Trial) => Self::Trial,
            (PlannedKind::Busy, Activity::Unknown) => Self::Unknown,
        }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Leaf {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// A set of leaves: where an instant may belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeafSet(u16);

impl LeafSet {
    /// The set of one.
    pub const fn of(leaf: Leaf) -> Self {
        Self(1 << leaf as u16)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `leaf` is in the set.
    pub const fn has(self, leaf: Leaf) -> bool {
        self.0 & (1 << leaf as u16) != 0
    }

    /// Whether `leaf` is the only one in the set.
    pub const fn is_only(self, leaf: Leaf) -> bool {
        self.0 == 1 << leaf as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_names_one_leaf() {
        for leaf in Leaf::ALL {
            assert_eq!(Leaf::from_code(leaf.code()), Some(leaf));
        }
        assert_eq!(Leaf::from_code("run"), None);
    }

    #[test]
    fn a_set_with_unknown_in_it_excludes_nothing() {
        let set = ActivitySet::of(Activity::Run).with(ActivitySet::of(Activity::Unknown));
        assert!(Activity::ALL.into_iter().all(|activity| set.has(activity)));
        let edge = ActivitySet::of(Activity::Run).with(ActivitySet::of(Activity::Down));
        assert!(edge.has(Activity::Run) && edge.has(Activity::Down) && !edge.has(Activity::Idle));
    }

    #[test]
    fn producing_in_a_break_is_producing_and_a_stop_there_is_a_break() {
        assert_eq!(Leaf::of(PlannedKind::Break, Activity::Run, false), Leaf::Run);
        assert_eq!(Leaf::of(PlannedKind::Break, Activity::Down, true), Leaf::Break);
        assert_eq!(Leaf::of(PlannedKind::Busy, Activity::Maintenance, false), Leaf::Down);
        assert_eq!(Leaf::of(PlannedKind::Maintenance, Activity::Maintenance, false), Leaf::Maintenance);
    }
}
