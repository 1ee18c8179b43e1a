//! The work of judging a project: each work unit over both windows, the criteria, the contract's equipment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shopfloor::acceptance::{EquipmentFact, Finding, UnitFact, judge};
use shopfloor::evaluate::WorkUnitResult;
use shopfloor::id::WorkUnitId;
use shopfloor::indicator::{Lack, Measured, measure};
use shopfloor::oee::Figure;
use shopfloor::plant::WorkUnit;
use shopfloor::project::{Criterion, Project, Scope, Windows};
use shopfloor::remark::Remark;
use shopfloor::time::{HOUR, Interval, Timestamp};

use super::spans::{Answer, Spans};
use crate::evaluate::EvaluateError;
use crate::evaluate::pipeline::Pipeline;
use crate::ledger::PlantVersion;
use crate::ledger::project::ProjectVersion;

/// What a project came to, as known at an instant.
#[derive(Debug)]
pub struct Judged {
    /// The version that was judged.
    pub version: Arc<ProjectVersion>,
    /// The plant that it was judged with.
    pub plant: Arc<PlantVersion>,
    /// The windows as instants.
    pub windows: Windows,
    /// Up to which instant the figures are worked out.
    pub as_of: Timestamp,
    /// The criteria, in the order of the file.
    pub criteria: Vec<Judgement>,
    /// What is known of the contract's equipment.
    pub equipment: Vec<EquipmentFact>,
    /// Work units that any criterion covers.
    pub units: Vec<UnitFact>,
    /// Whether any of the data is simulated or signed with a demo key.
    pub demo: bool,
    /// Whether every counter was read shortly before and after each window: then only blocks near them matter.
    pub enclosed: bool,
    /// Blocks whose register map had not arrived.
    pub unmapped: u64,
    /// Rules that the figures rest on, by name: profiles, state rules, time-zone data.
    pub rules: BTreeSet<(String, String)>,
}

/// A criterion and what it came to.
#[derive(Debug)]
pub struct Judgement {
    /// The criterion.
    pub criterion: Criterion,
    /// Its work units, in the order of the file or of the plant.
    pub units: Vec<WorkUnitId>,
    /// The baseline.
    pub before: Measured,
    /// The window after.
    pub after: Measured,
    /// The verdict.
    pub finding: Finding,
}

/// What is needed to judge.
pub struct Work<'a> {
    /// Reads and computes.
    pub pipeline: &'a Pipeline,
    /// What was computed before.
    pub spans: &'a Spans,
    /// The project.
    pub version: &'a Arc<ProjectVersion>,
    /// Its factory.
    pub plant: &'a Arc<PlantVersion>,
    /// As of when.
    pub now: Timestamp,
    /// No block came since the last time that could matter.
    pub untouched: bool,
    /// Told after each step how many percent are done; says whether to go on.
    pub progress: &'a dyn Fn(u8) -> bool,
}

/// Which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    After,
}

type Answers = BTreeMap<(Side, WorkUnitId), Answer>;

impl Work<'_> {
    /// Judges the project. `None` if it was told to stop.
    pub fn judge(&self) -> Result<Option<Judged>, EvaluateError> {
        let project = &self.version.project;
        let windows = project.windows(&self.plant.plant.site.time_zone);
        let Some(answers) = self.answers(project, &windows)? else { return Ok(None) };
        let criteria: Vec<_> =
            project.criteria.iter().map(|criterion| self.judgement(criterion, &windows, &answers)).collect();
        let equipment = self.equipment(project, &windows, &answers)?;
        let covered: BTreeSet<&WorkUnitId> = criteria.iter().flat_map(|judgement| &judgement.units).collect();
        let units = covered.into_iter().map(|id| {
            let first = self.first_data(id, &answers)?;
            Ok(UnitFact { work_unit: id.clone(), first_data: first })
        });
        let units = units.collect::<Result<_, EvaluateError>>()?;
        let spans = || answers.values().filter_map(|answer| answer.as_ref().ok());
        Ok(Some(Judged {
            version: Arc::clone(self.version),
            plant: Arc::clone(self.plant),
            windows,
            as_of: self.now,
            criteria,
            equipment,
            units,
            demo: spans().any(|span| span.demo),
            enclosed: spans().all(|span| span.enclosed),
            unmapped: spans().map(|span| span.unmapped).sum(),
            rules: spans().flat_map(|span| rules(&span.evaluated.result)).collect(),
        }))
    }

    /// Every work unit over every window that it is needed for, as far as the window has begun.
    fn answers(&self, project: &Project, windows: &Windows) -> Result<Option<Answers>, EvaluateError> {
        let plant = &self.plant.plant;
        let criteria = project.criteria.iter().flat_map(|criterion| self.covered(criterion));
        let contract = self.contract_units(project).into_iter().map(|id| (Side::After, id));
        let mut wanted: BTreeSet<(Side, WorkUnitId)> = contract.collect();
        for id in criteria {
            wanted.extend([(Side::Before, id.clone()), (Side::After, id)]);
        }
        let begun = |side| interval(windows, side).start < self.now;
        let wanted: Vec<_> = wanted.into_iter().filter(|(side, _)| begun(*side)).collect();
        let mut answers = Answers::new();
        for (done, (side, id)) in wanted.iter().enumerate() {
            if !(self.progress)(percent(done, wanted.len())) {
                return Ok(None);
            }
            let Some(unit) = plant.work_unit(id) else { continue };
            answers.insert((*side, id.clone()), self.span(unit, interval(windows, *side))?);
        }
        Ok(Some(answers))
    }

    fn span(&self, unit: &WorkUnit, interval: Interval) -> Result<Answer, EvaluateError> {
        self.spans.get(self.pipeline, self.plant, unit, interval, self.now, self.untouched)
    }

    /// The work units of a criterion; those that the file names also where the plant has them no more.
    fn covered(&self, criterion: &Criterion) -> Vec<WorkUnitId> {
        match &criterion.scope {
            Scope::Units(units) => units.clone(),
            Scope::All => {
                let units = self.plant.plant.work_units.iter();
                units.filter(|unit| unit.is_connected()).map(|unit| unit.id.clone()).collect()
            }
        }
    }

    fn contract_units(&self, project: &Project) -> Vec<WorkUnitId> {
        let listed = project.contract_lines.iter().flat_map(|line| &line.equipment);
        let rows = listed.filter_map(|id| self.plant.plant.equipment.iter().find(|row| row.id == *id));
        rows.filter_map(|row| row.work_unit.clone()).collect()
    }

    fn judgement(&self, criterion: &Criterion, windows: &Windows, answers: &Answers) -> Judgement {
        let units = self.covered(criterion);
        let before = self.measured(criterion, &units, Side::Before, windows, answers);
        let after = self.measured(criterion, &units, Side::After, windows, answers);
        let finding = judge(criterion, &before, &after, self.now, windows);
        Judgement { criterion: criterion.clone(), units, before, after, finding }
    }

    fn measured(
        &self,
        criterion: &Criterion,
        units: &[WorkUnitId],
        side: Side,
        windows: &Windows,
        answers: &Answers,
    ) -> Measured {
        if interval(windows, side).start >= self.now {
            return refused(not_begun(), Vec::new());
        }
        let (mut results, mut lacks) = (Vec::new(), Vec::new());
        for id in units {
            match answers.get(&(side, id.clone())) {
                Some(Ok(span)) => results.push(&span.evaluated.result),
                Some(Err(reason)) => {
                    lacks.push(Lack { work_unit: id.clone(), role: None, reason: reason.clone() });
                }
                None => lacks.push(Lack { work_unit: id.clone(), role: None, reason: gone(id) }),
            }
        }
        // A criterion about three machines is not one about the two that can be measured.
        match lacks.first() {
            Some(lack) => refused(lack.reason.clone(), lacks),
            None => measure(&criterion.indicator, &results),
        }
    }

    fn equipment(
        &self,
        project: &Project,
        windows: &Windows,
        answers: &Answers,
    ) -> Result<Vec<EquipmentFact>, EvaluateError> {
        let listed: BTreeSet<_> = project.contract_lines.iter().flat_map(|line| &line.equipment).collect();
        let rows = self.plant.plant.equipment.iter().filter(|row| listed.contains(&row.id));
        rows.map(|row| {
            let unit = row.work_unit.as_ref();
            let after = unit.and_then(|id| answers.get(&(Side::After, id.clone()))?.as_ref().ok());
            let begun = windows.after.start < self.now;
            Ok(EquipmentFact {
                id: row.id.clone(),
                name: row.name.clone(),
                networked: row.networked,
                attested_by: row.attested_by.clone(),
                attested_at: row.attested_at,
                work_unit: row.work_unit.clone(),
                first_data: unit.map(|id| self.first_data(id, answers)).transpose()?.flatten(),
                last_data: unit.map(|id| self.last_data(id, answers)).transpose()?.flatten(),
                after_coverage: after.filter(|_| begun).and_then(|span| span.evaluated.result.coverage),
            })
        })
        .collect()
    }

    /// The first good sample of a work unit that is known: in the hour in which its agents began, or in a window.
    fn first_data(&self, id: &WorkUnitId, answers: &Answers) -> Result<Option<Timestamp>, EvaluateError> {
        let Some(unit) = self.plant.plant.work_unit(id) else { return Ok(None) };
        let began = self.pipeline.began(self.plant, unit)?;
        let hour = began.map(|start| Interval { start, end: start.plus(HOUR) });
        let early = hour.map(|hour| self.good(unit, hour)).transpose()?.flatten();
        let windows =
            [Side::Before, Side::After].into_iter().filter_map(|side| good_of(answers.get(&(side, id.clone()))));
        let first = early.into_iter().chain(windows).map(|(first, _)| first).min();
        match first {
            Some(first) => Ok(Some(first)),
            None => Ok(self.recent(unit)?.map(|(first, _)| first)),
        }
    }

    /// The newest good sample of a work unit: of the last hour, else of the windows.
    fn last_data(&self, id: &WorkUnitId, answers: &Answers) -> Result<Option<Timestamp>, EvaluateError> {
        let Some(unit) = self.plant.plant.work_unit(id) else { return Ok(None) };
        let recent = self.recent(unit)?;
        let windows =
            [Side::Before, Side::After].into_iter().filter_map(|side| good_of(answers.get(&(side, id.clone()))));
        Ok(recent.into_iter().chain(windows).map(|(_, last)| last).max())
    }

    fn recent(&self, unit: &WorkUnit) -> Result<Option<(Timestamp, Timestamp)>, EvaluateError> {
        self.good(unit, Interval { start: self.now.plus(-HOUR), end: self.now })
    }

    fn good(&self, unit: &WorkUnit, interval: Interval) -> Result<Option<(Timestamp, Timestamp)>, EvaluateError> {
        Ok(good_of(Some(&self.span(unit, interval)?)))
    }
}

fn good_of(answer: Option<&Answer>) -> Option<(Timestamp, Timestamp)> {
    answer?.as_ref().ok()?.good
}

const fn interval(windows: &Windows, side: Side) -> Interval {
    match side {
        Side::Before => windows.baseline,
        Side::After => windows.after,
    }
}

fn percent(done: usize, all: usize) -> u8 {
    u8::try_from(done * 100 / all.max(1)).unwrap_or(100)
}

fn refused(reason: Remark, lacks: Vec<Lack>) -> Measured {
    Measured { figure: Figure::refused(reason), lacks, ..Measured::default() }
}

fn not_begun() -> Remark {
    Remark::new("window-not-begun", "时段尚未开始", "the window has not begun")
}

fn gone(id: &WorkUnitId) -> Remark {
    Remark::new(
        "unknown-work-unit",
        format!("设备 {id} 不在现行工厂模型中"),
        format!("work unit {id} is not in the plant any more"),
    )
}

fn rules(result: &WorkUnitResult) -> [(String, String); 3] {
    let definitions = &result.definitions;
    [
        ("profile".to_owned(), format!("{}@{}", definitions.profile_id, definitions.profile_version)),
        ("state-rule".to_owned(), format!("{}@{}", definitions.state_rule_id, definitions.state_rule_version)),
        ("tz".to_owned(), definitions.tz_version.clone()),
    ]
}
