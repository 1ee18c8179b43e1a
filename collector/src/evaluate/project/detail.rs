//! The shape of a project: what is registered, and what it came to as far as that is worked out.

use std::sync::Arc;

use jiff::tz::TimeZone;
use shopfloor::acceptance::{
    self, AgentFact, Conclusion, CoverageFact, Delivery, MilestoneFacts, conclude, deliver, milestones,
    not_tested_statistically,
};
use shopfloor::display;
use shopfloor::plant::Plant;
use shopfloor::project::{Criterion, Project, Stage as Step};
use shopfloor::remark::Remark;
use shopfloor::time::{Interval, Timestamp};

use super::agreed::{indicator, moment, named, party, progress, rule, span, stage, target, units};
use super::figures::{bounded, difference, nothing, relative, share, term, value};
use super::shape::{
    ChangeShape, CheckpointShape, ContractEquipment, ContractLine, CriterionShape, DeliveryCounts, MeasuredShape,
    MeasuredUnit, NamedBoth, ProjectDetail, ProjectFacts, ProjectRow, ProjectVersionShape, Registered, Settle, Stage,
    Term, VerdictCounts,
};
use super::standing::Standing;
use super::work::{Judged, Judgement};
use crate::evaluate::words::{Reason, Words};
use crate::ledger::project::ProjectHistory;
use crate::log::LogError;
use crate::store::Store;

/// Everything that a shape is made from.
pub struct View<'a> {
    /// Log, ledger, agents.
    pub store: &'a Store,
    /// The project with its versions.
    pub history: &'a ProjectHistory,
    /// What can be said about it.
    pub standing: &'a Standing,
    /// The clock.
    pub now: Timestamp,
    /// Program and version.
    pub software: &'a str,
}

impl View<'_> {
    /// The project as a row of a list.
    pub fn row(&self) -> Result<ProjectRow, LogError> {
        Ok(ProjectRow { facts: self.facts()?, changes: self.history.changes().len() as u64 })
    }

    /// The whole project.
    pub fn detail(&self) -> Result<ProjectDetail, LogError> {
        let (project, plant) = (self.project(), self.plant());
        let zone = plant.as_ref().map(|plant| &plant.site.time_zone);
        let judged = self.standing.judged();
        let changes = self.changes();
        let delivery = judged.map(|judged| deliver(project, &judged.equipment));
        Ok(ProjectDetail {
            facts: self.facts()?,
            parties: project.parties.iter().map(party).collect(),
            go_live: Some(moment(project.go_live, zone)),
            baseline: span(project.baseline, zone),
            after: span(project.after, zone),
            contract_lines: self.contract_lines(delivery.as_ref(), plant.as_deref()),
            criteria: self.criteria(plant.as_deref(), &changes),
            changes,
            versions: self.history.versions.iter().map(|version| version_shape(version)).collect(),
            checkpoint: checkpoint(self.store),
            as_of: judged.map_or(self.now, |judged| judged.as_of).to_string(),
            software: self.software.to_owned(),
            definitions: self.definitions(),
        })
    }

    fn project(&self) -> &Project {
        &self.history.current().project
    }

    /// The plant that the answer was worked out with, or the one in force.
    fn plant(&self) -> Option<Arc<Plant>> {
        let judged = self.standing.judged().map(|judged| Arc::clone(&judged.plant.plant));
        judged.or_else(|| self.store.ledger.plant(&self.project().site).map(|version| Arc::clone(&version.plant)))
    }

    fn facts(&self) -> Result<ProjectFacts, LogError> {
        let (project, plant) = (self.project(), self.plant());
        let judged = self.standing.judged();
        let delivery = judged.map(|judged| deliver(project, &judged.equipment));
        let conclusion = judged.zip(delivery.as_ref()).map(|(judged, delivery)| conclusion(judged, delivery));
        let counts = conclusion.as_ref().map(|conclusion| conclusion.counts).unwrap_or_default();
        let path: Vec<Stage> = Step::ALL.iter().map(|step| stage(*step, project)).collect();
        Ok(ProjectFacts {
            id: project.id.to_string(),
            name: project.name.clone(),
            name_en: project.name_en.clone(),
            code: project.code.clone(),
            level: term(project.level.code(), project.level.text()),
            site: NamedBoth {
                id: project.site.to_string(),
                name: plant.as_ref().map_or_else(|| project.site.to_string(), |plant| plant.site.name.clone()),
                name_en: plant.as_ref().and_then(|plant| plant.site.name_en.clone()),
            },
            stage: project.stage().map(|(step, _)| stage(step, project)),
            path,
            conclusion_reason: conclusion
                .as_ref()
                .map_or_else(|| self.waiting(), |conclusion| Reason::from(&conclusion.reason)),
            conclusion: conclusion.map_or_else(
                || self.no_answer(),
                |conclusion| term(conclusion.outcome.code(), conclusion.outcome.text()),
            ),
            counts: VerdictCounts {
                pass: counts.pass as u64,
                fail: counts.fail as u64,
                insufficient: counts.insufficient as u64,
            },
            delivery: DeliveryCounts {
                lines: project.contract_lines.len() as u64,
                delivered: delivery
                    .map_or(0, |delivery| delivery.lines.iter().filter(|line| line.delivered).count() as u64),
            },
            lowest_coverage: judged.and_then(|judged| lowest_coverage(judged)),
            warnings: judged.map(|judged| self.warnings(judged)).transpose()?.unwrap_or_default(),
            registered: self.registered(plant.as_ref().map(|plant| &plant.site.time_zone)),
            demo: judged.is_some_and(|judged| judged.demo),
            state: progress(self.standing),
        })
    }

    /// What stands where a verdict would stand.
    fn no_answer(&self) -> Term {
        let progress = progress(self.standing);
        Term::new(progress.code, progress.zh, progress.en)
    }

    fn warnings(&self, judged: &Judged) -> Result<Vec<Reason>, LogError> {
        let project = self.project();
        let instant = Interval { start: self.now, end: self.now.plus(1) };
        let plant = &judged.plant.plant;
        let covered = judged.units.iter().filter_map(|unit| plant.work_unit(&unit.work_unit));
        let bindings = covered.flat_map(|unit| &unit.bindings).filter(|binding| binding.within(instant).is_some());
        let agents: std::collections::BTreeSet<_> = bindings.map(|binding| &binding.agent).collect();
        let agents = agents.into_iter().map(|agent| {
            let known = self.store.agents.agent(&plant.site.id, agent).and_then(|view| view.newest_block_time);
            let newest = match known {
                Some(at) => Some(at),
                // Beside a running collector nothing is registered; the log knows.
                None => self.store.log.summary(&plant.site.id, agent)?.newest.map(|block| block.window.end),
            };
            Ok(AgentFact { agent: agent.clone(), newest })
        });
        let begun = |start: Timestamp, measured: &shopfloor::indicator::Measured| {
            (start < judged.as_of).then(|| measured.clone())
        };
        let facts = MilestoneFacts {
            now: self.now,
            windows: judged.windows,
            registered: Some(self.history.registration().received),
            units: judged.units.clone(),
            agents: agents.collect::<Result<_, LogError>>()?,
            coverage: judged
                .criteria
                .iter()
                .map(|judgement| CoverageFact {
                    criterion: judgement.criterion.id.clone(),
                    before: begun(judged.windows.baseline.start, &judgement.before),
                    after: begun(judged.windows.after.start, &judgement.after),
                })
                .collect(),
        };
        let mut warnings: Vec<Reason> = milestones(project, &facts).iter().map(Reason::from).collect();
        warnings.extend(self.changed_late(judged));
        Ok(warnings)
    }

    /// What was changed when results could already be seen.
    fn changed_late(&self, judged: &Judged) -> Option<Reason> {
        let changes = self.history.changes();
        let late = changes.iter().filter(|(version, _)| version.received >= judged.windows.after.start);
        let what: Vec<_> = late.map(|(_, change)| &change.what).collect();
        let zh: Vec<_> = what.iter().map(|what| what.zh.as_str()).collect();
        let en: Vec<_> = what.iter().map(|what| what.en.as_str()).collect();
        (!what.is_empty()).then(|| {
            Reason::new(
                "changed-late",
                format!("改造后窗口开始之后更改了登记内容：{}", zh.join("、")),
                format!("registered terms were changed after the after window began: {}", en.join(", ")),
            )
        })
    }

    fn registered(&self, zone: Option<&TimeZone>) -> Registered {
        let first = self.history.registration();
        let in_time = zone.map(|zone| self.history.is_in_time(zone));
        let (zh, en) = match in_time {
            Some(true) => ("改造后时段开始前登记", "registered before the after-window began"),
            Some(false) => ("补登记：改造后时段开始后登记", "retrospective: registered after the after-window began"),
            None => ("工厂模型未导入，登记先后未核对", "no plant yet, so it was not compared with the after-window"),
        };
        Registered {
            at: first.received.to_string(),
            log_index: first.log_index.to_string(),
            hash: first.hash.to_string(),
            in_time: in_time.unwrap_or(false),
            zh: zh.to_owned(),
            en: en.to_owned(),
        }
    }

    fn contract_lines(&self, delivery: Option<&Delivery>, plant: Option<&Plant>) -> Vec<ContractLine> {
        let lines = self.project().contract_lines.iter();
        lines
            .map(|line| {
                let found = delivery.and_then(|delivery| delivery.lines.iter().find(|found| found.line == line.id));
                let device = |id: &shopfloor::id::EquipmentId| {
                    let row = plant.and_then(|plant| plant.equipment.iter().find(|row| row.id == *id));
                    let known = found.and_then(|found| found.equipment.iter().find(|known| known.id == *id));
                    ContractEquipment {
                        id: id.to_string(),
                        name: row.map(|row| row.name.clone()),
                        model: row.and_then(|row| row.model.clone()),
                        serial: row.and_then(|row| row.serial.clone()),
                        standing: known.map_or_else(
                            || self.no_answer(),
                            |known| term(known.standing.code(), known.standing.text()),
                        ),
                        work_unit: row.and_then(|row| row.work_unit.as_ref()).map(ToString::to_string),
                        first_data: known.and_then(|known| known.first_data).map(|at| at.to_string()),
                        last_data: known.and_then(|known| known.last_data).map(|at| at.to_string()),
                        coverage: known.and_then(|known| known.coverage).map(share),
                    }
                };
                ContractLine {
                    id: line.id.to_string(),
                    name: line.name.clone(),
                    quantity: u64::from(line.quantity),
                    delivered: found.is_some_and(|found| found.delivered),
                    reason: found.map_or_else(|| self.waiting(), |found| Reason::from(&found.reason)),
                    equipment: line.equipment.iter().map(device).collect(),
                }
            })
            .collect()
    }

    fn waiting(&self) -> Reason {
        let progress = progress(self.standing);
        Reason::new(progress.code, progress.zh, progress.en)
    }

    fn criteria(&self, plant: Option<&Plant>, changes: &[ChangeShape]) -> Vec<CriterionShape> {
        let judged = self.standing.judged();
        let find = |criterion: &Criterion| {
            judged.and_then(|judged| judged.criteria.iter().find(|found| found.criterion.id == criterion.id))
        };
        let criteria = self.project().criteria.iter();
        criteria.map(|criterion| self.criterion(criterion, find(criterion), plant, changes)).collect()
    }

    fn criterion(
        &self,
        criterion: &Criterion,
        found: Option<&Judgement>,
        plant: Option<&Plant>,
        changes: &[ChangeShape],
    ) -> CriterionShape {
        let unit = criterion.indicator.unit;
        let finding = found.map(|found| &found.finding);
        let id = criterion.id.to_string();
        let statistics = not_tested_statistically();
        CriterionShape {
            indicator: indicator(criterion),
            work_units: units(criterion, plant).iter().map(|id| named(id.as_str(), plant)).collect(),
            direction: criterion.direction.code().to_owned(),
            target: target(criterion),
            rule: term(criterion.rule.code(), criterion.rule.text()),
            coverage_minimum: value(criterion.coverage, display::Unit::Share),
            before: self.measured(found.map(|found| &found.before), self.project().baseline, criterion, plant),
            after: self.measured(found.map(|found| &found.after), self.project().after, criterion, plant),
            points: finding.and_then(|finding| finding.points).map(|points| difference(points, unit)),
            relative: finding.and_then(|finding| finding.relative).map(relative),
            verdict: finding
                .map_or_else(|| self.no_answer(), |finding| term(finding.verdict.code(), finding.verdict.text())),
            reason: finding.map_or_else(|| self.waiting(), |finding| Reason::from(&finding.reason)),
            settle: finding.map(|finding| finding.settle.iter().map(settle).collect()).unwrap_or_default(),
            meets_by_point: finding.and_then(|finding| finding.meets_by_point),
            meets_by_lower_end: finding.and_then(|finding| finding.meets_by_lower_end),
            statistics: Words::new(statistics.zh, statistics.en),
            changes: changes.iter().filter(|change| change.criterion.as_ref() == Some(&id)).cloned().collect(),
            id,
        }
    }

    fn measured(
        &self,
        found: Option<&shopfloor::indicator::Measured>,
        window: shopfloor::project::Span,
        criterion: &Criterion,
        plant: Option<&Plant>,
    ) -> MeasuredShape {
        let ends = span(window, plant.map(|plant| &plant.site.time_zone));
        let waiting = self.waiting();
        let unit = criterion.indicator.unit;
        let part = |part: &shopfloor::indicator::Part| {
            let NamedBoth { id, name, name_en } = named(part.work_unit.as_str(), plant);
            MeasuredUnit {
                id,
                name,
                name_en,
                figure: bounded(&part.figure, unit),
                coverage: part.coverage.map(share),
                start: ends.from.clone(),
                end: ends.until.clone(),
            }
        };
        MeasuredShape {
            figure: found.map_or_else(
                || nothing(&Remark::new(&waiting.code, waiting.zh.clone(), waiting.en.clone())),
                |found| bounded(&found.figure, unit),
            ),
            coverage: found.and_then(|found| found.coverage).map(share),
            work_units: found.map(|found| found.parts.iter().map(part).collect()).unwrap_or_default(),
            from: ends.from,
            until: ends.until,
        }
    }

    fn changes(&self) -> Vec<ChangeShape> {
        let shape =
            |(version, change): (Arc<crate::ledger::project::ProjectVersion>, acceptance::Change)| ChangeShape {
                at: version.received.to_string(),
                author: version.project.author.clone(),
                reason: version.project.reason.clone(),
                log_index: version.log_index.to_string(),
                hash: version.hash.to_string(),
                what: change.what.into(),
                before: change.before,
                after: change.after,
                criterion: change.criterion.map(|id| id.to_string()),
            };
        self.history.changes().into_iter().map(shape).collect()
    }

    /// What the figures rest on: formulas, rules, data.
    fn definitions(&self) -> Vec<Reason> {
        let mut found: Vec<Reason> = Vec::new();
        for criterion in &self.project().criteria {
            let definition = &criterion.indicator.definition;
            let line = Reason::new(
                criterion.indicator.to_string(),
                format!(
                    "{}（{}）：{}；出处 {}",
                    definition.title_zh, criterion.indicator, definition.expression, definition.source
                ),
                format!(
                    "{} ({}): {}; source {}",
                    definition.title_en, criterion.indicator, definition.expression, definition.source
                ),
            );
            if !found.contains(&line) {
                found.push(line);
            }
        }
        let Some(judged) = self.standing.judged() else { return found };
        found.extend(judged.rules.iter().map(|(kind, name)| rule(kind, name)));
        let plant = &judged.plant;
        found.push(Reason::new(
            "plant",
            format!(
                "工厂模型版本 {}（日志序号 {}）：单件计划时间、班次日历和状态规则取自这一版",
                plant.hash, plant.log_index
            ),
            format!(
                "plant {} (log index {}): ideal cycles, calendars and state rules are those of this version",
                plant.hash, plant.log_index
            ),
        ));
        found
    }
}

fn conclusion(judged: &Judged, delivery: &Delivery) -> Conclusion {
    let findings: Vec<_> = judged.criteria.iter().map(|judgement| judgement.finding.clone()).collect();
    conclude(delivery, &findings, judged.as_of, &judged.windows)
}

fn settle(settle: &acceptance::Settle) -> Settle {
    Settle {
        code: settle.remark.code.clone(),
        zh: settle.remark.zh.clone(),
        en: settle.remark.en.clone(),
        work_unit: settle.work_unit.as_ref().map(ToString::to_string),
        tag: settle.tag.as_ref().map(|tag| tag.tag().to_owned()),
        days: settle.days,
    }
}

fn version_shape(version: &crate::ledger::project::ProjectVersion) -> ProjectVersionShape {
    ProjectVersionShape {
        hash: version.hash.to_string(),
        log_index: version.log_index.to_string(),
        received: version.received.to_string(),
        author: version.project.author.clone(),
    }
}

/// The newest checkpoint as it is signed; before the first, the head of the log.
fn checkpoint(store: &Store) -> CheckpointShape {
    let log = &store.log;
    let note = log.checkpoint();
    let lines: Vec<String> = note.iter().flat_map(|note| note.lines().take(3)).map(str::to_owned).collect();
    match <[String; 3]>::try_from(lines) {
        Ok([origin, size, root]) => CheckpointShape { origin, size, root, note },
        Err(_) => CheckpointShape {
            origin: log.origin().to_owned(),
            size: log.size().to_string(),
            root: log.root().to_string(),
            note: None,
        },
    }
}

fn lowest_coverage(judged: &Judged) -> Option<super::shape::Figure> {
    let all = judged.criteria.iter().flat_map(|judgement| [judgement.before.coverage, judgement.after.coverage]);
    all.flatten().min_by_key(|coverage| coverage.value()).map(share)
}
