//! Milestone warnings: what should be looked after now, so that there is evidence later.

use crate::display;
use crate::id::{AgentId, CriterionId, WorkUnitId};
use crate::indicator::Measured;
use crate::project::{Project, Windows};
use crate::remark::Remark;
use crate::time::{HOUR, Timestamp};

/// An agent that says nothing for longer than this is silent: one day, in nanoseconds.
pub const SILENT_AFTER: i64 = 24 * HOUR;

/// How long before go-live the baseline should be running: four weeks, in nanoseconds.
pub const BASELINE_LEAD: i64 = 28 * 24 * HOUR;

/// An agent that the project's work units are read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFact {
    /// The agent.
    pub agent: AgentId,
    /// The newest sample that it delivered.
    pub newest: Option<Timestamp>,
}

/// A work unit that a criterion covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFact {
    /// The work unit.
    pub work_unit: WorkUnitId,
    /// First sample that ever arrived for it.
    pub first_data: Option<Timestamp>,
}

/// The windows of a criterion as far as they are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageFact {
    /// The criterion.
    pub criterion: CriterionId,
    /// The baseline; `None` while it has not begun.
    pub before: Option<Measured>,
    /// The window after; `None` while it has not begun.
    pub after: Option<Measured>,
}

/// What the collector knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MilestoneFacts {
    /// As of when.
    pub now: Timestamp,
    /// The windows as instants.
    pub windows: Windows,
    /// When the first version was received; `None` if it is not registered.
    pub registered: Option<Timestamp>,
    /// Work units that any criterion covers.
    pub units: Vec<UnitFact>,
    /// Agents that they are read by.
    pub agents: Vec<AgentFact>,
    /// Criteria with what was measured so far.
    pub coverage: Vec<CoverageFact>,
}

/// Everything that endangers the evidence, the gravest first.
pub fn milestones(project: &Project, facts: &MilestoneFacts) -> Vec<Remark> {
    let mut found = Vec::new();
    found.extend(registration(facts));
    found.extend(baseline(facts));
    found.extend(silent(facts));
    for criterion in &project.criteria {
        let fact = facts.coverage.iter().find(|fact| fact.criterion == criterion.id);
        let windows =
            fact.map(|fact| [("基准期", "baseline", &fact.before), ("改造后窗口", "after window", &fact.after)]);
        for (zh, en, measured) in windows.into_iter().flatten() {
            let Some(measured) = measured else { continue };
            if measured.coverage.is_some_and(|coverage| coverage.value() < criterion.coverage) {
                let (id, least, is) =
                    (&criterion.id, display::plain_percent(criterion.coverage), measured.coverage_text());
                found.push(Remark::new(
                    "coverage-below-minimum",
                    format!("指标 {id}：{zh}数据覆盖率 {is}，低于要求的 {least}"),
                    format!("criterion {id}: coverage of the {en} is {is}, below the minimum of {least}"),
                ));
            }
        }
    }
    found
}

fn registration(facts: &MilestoneFacts) -> Option<Remark> {
    let from = facts.windows.after.start;
    match facts.registered {
        Some(at) if at >= from => Some(Remark::new(
            "registered-late",
            "补登记：改造后窗口开始之后才登记",
            "retrospective: registered after the after window began",
        )),
        None if facts.now >= from => Some(Remark::new(
            "not-registered",
            "改造后窗口已开始，项目尚未登记",
            "the after window has begun and the project is not registered",
        )),
        _ => None,
    }
}

/// The baseline should have been running for four weeks when the new equipment goes live.
fn baseline(facts: &MilestoneFacts) -> Option<Remark> {
    let latest = facts.windows.go_live.plus(-BASELINE_LEAD);
    let from = facts.windows.baseline.start;
    if from > latest {
        return Some(Remark::new(
            "baseline-too-late",
            "基准期在投用前不足四周才开始",
            "the baseline begins less than four weeks before go-live",
        ));
    }
    if facts.now < latest {
        return None;
    }
    let late = |unit: &&UnitFact| unit.first_data.is_none_or(|first| first > latest);
    let units: Vec<_> = facts.units.iter().filter(late).map(|unit| unit.work_unit.as_str()).collect();
    (!units.is_empty()).then(|| {
        let units = units.join(", ");
        Remark::new(
            "baseline-not-running",
            format!("投用前四周基准期数据尚未采集：{units}"),
            format!("four weeks before go-live no baseline data arrived yet from {units}"),
        )
    })
}

fn silent(facts: &MilestoneFacts) -> Vec<Remark> {
    let is_silent = |fact: &&AgentFact| fact.newest.is_none_or(|newest| facts.now.since(newest) > SILENT_AFTER);
    let one = |fact: &AgentFact| match fact.newest {
        Some(newest) => {
            let hours = facts.now.since(newest) / HOUR;
            Remark::new(
                "agent-silent",
                format!("采集代理 {} 已 {hours} 小时没有数据", fact.agent),
                format!("agent {} has been silent for {hours} h", fact.agent),
            )
        }
        None => Remark::new(
            "agent-silent",
            format!("采集代理 {} 从未有数据", fact.agent),
            format!("agent {} never delivered any data", fact.agent),
        ),
    };
    facts.agents.iter().filter(is_silent).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::project;
    use crate::oee::Ratio;
    use crate::unit::Rational;
    use jiff::tz::TimeZone;

    const DAY: i64 = 24 * HOUR;

    fn example() -> (Project, MilestoneFacts) {
        let project = project::parse(include_str!("../../project.example.toml"), "project.toml").unwrap();
        let windows = project.windows(&TimeZone::get("Asia/Shanghai").unwrap());
        let facts = MilestoneFacts {
            now: windows.go_live.plus(-10 * DAY),
            windows,
            registered: Some(windows.baseline.start),
            units: vec![UnitFact {
                work_unit: "grinder-01".parse().unwrap(),
                first_data: Some(windows.baseline.start),
            }],
            agents: Vec::new(),
            coverage: Vec::new(),
        };
        (project, facts)
    }

    fn codes(project: &Project, facts: &MilestoneFacts) -> Vec<String> {
        milestones(project, facts).into_iter().map(|remark| remark.code).collect()
    }

    #[test]
    fn all_is_well_where_nothing_is_late_dark_or_silent() {
        let (project, facts) = example();
        assert_eq!(codes(&project, &facts), [""; 0]);
    }

    #[test]
    fn the_baseline_must_be_running_four_weeks_before_go_live() {
        let (project, mut facts) = example();
        let latest = facts.windows.go_live.plus(-28 * DAY);
        facts.units[0].first_data = Some(latest);
        assert_eq!(codes(&project, &facts), [""; 0]);
        facts.units[0].first_data = Some(latest.plus(1));
        let found = milestones(&project, &facts);
        assert_eq!(found[0].code, "baseline-not-running");
        assert!(found[0].zh.contains("grinder-01"));
        facts.units[0].first_data = None;
        assert_eq!(codes(&project, &facts), ["baseline-not-running"]);
        // Five weeks before there is still time.
        facts.now = latest.plus(-1);
        assert_eq!(codes(&project, &facts), [""; 0]);
        // A window that is laid too late is said at once.
        facts.windows.baseline.start = latest.plus(1);
        assert_eq!(codes(&project, &facts), ["baseline-too-late"]);
    }

    #[test]
    fn registration_after_the_window_began_is_retrospective() {
        let (project, mut facts) = example();
        facts.registered = Some(facts.windows.after.start);
        assert_eq!(codes(&project, &facts), ["registered-late"]);
        facts.registered = Some(facts.windows.after.start.plus(-1));
        assert_eq!(codes(&project, &facts), [""; 0]);
        facts.registered = None;
        facts.now = facts.windows.after.start;
        assert_eq!(codes(&project, &facts), ["not-registered"]);
    }

    #[test]
    fn an_agent_is_silent_after_more_than_a_day() {
        let (project, mut facts) = example();
        let agent = |newest| AgentFact { agent: "edge-01".parse().unwrap(), newest };
        facts.agents = vec![agent(Some(facts.now.plus(-SILENT_AFTER)))];
        assert_eq!(codes(&project, &facts), [""; 0]);
        facts.agents = vec![agent(Some(facts.now.plus(-50 * HOUR)))];
        assert_eq!(milestones(&project, &facts)[0].en, "agent edge-01 has been silent for 50 h");
        facts.agents = vec![agent(None)];
        assert_eq!(codes(&project, &facts), ["agent-silent"]);
    }

    #[test]
    fn coverage_below_the_minimum_of_its_criterion_is_named() {
        let (project, mut facts) = example();
        let measured = |percent| Measured {
            coverage: Ratio::new(Rational::integer(percent), Rational::integer(100)),
            ..Measured::default()
        };
        // energy-down asks for 90 %, oee-up for 95 %.
        for (criterion, percent) in [("energy-down", 92), ("oee-up", 92)] {
            facts.coverage.push(CoverageFact {
                criterion: criterion.parse().unwrap(),
                before: Some(measured(percent)),
                after: None,
            });
        }
        let found = milestones(&project, &facts);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].zh, "指标 oee-up：基准期数据覆盖率 92.00 %，低于要求的 95 %");
    }
}
