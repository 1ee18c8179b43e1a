//! What was agreed, in the shapes that are served: stages, parties, windows, indicators, targets; and what stands
//! where there is no answer yet.

use jiff::tz::TimeZone;
use shopfloor::calendar;
use shopfloor::id::WorkUnitId;
use shopfloor::oee::profile;
use shopfloor::plant::Plant;
use shopfloor::project::{self, Criterion, Moment, Project, Scope, Stage as Step};

use super::figures::term;
use super::shape::{IndicatorShape, NamedBoth, Party, Progress, Span, Stage, Target};
use super::standing::Standing;
use crate::evaluate::number::Number;
use crate::evaluate::words::{Reason, Words};

pub(super) fn rule(kind: &str, name: &str) -> Reason {
    let title = name.split('@').next().and_then(profile);
    match (kind, title) {
        ("profile", Some(profile)) => Reason::new(
            "profile",
            format!("OEE 口径 {name}：{}；出处 {}", profile.title_zh, profile.source),
            format!("OEE profile {name}: {}; source {}", profile.title_en, profile.source),
        ),
        ("profile", None) => Reason::new("profile", format!("OEE 口径 {name}"), format!("OEE profile {name}")),
        ("state-rule", _) => Reason::new("state-rule", format!("状态规则 {name}"), format!("state rule {name}")),
        _ => Reason::new("tz", format!("时区数据版本 {name}"), format!("time-zone data {name}")),
    }
}

pub(super) fn progress(standing: &Standing) -> Progress {
    let (code, zh, en, percent) = match standing {
        Standing::NoPlant => {
            ("no-plant", "工厂模型未导入, 无法计算", "the site has no plant.toml, so nothing is worked out", 0)
        }
        Standing::Computing { percent } => ("computing", "正在计算", "being worked out", *percent),
        Standing::Recomputing { percent, .. } => {
            ("recomputing", "数据有更新, 正在重新计算", "data came since; being worked out again", *percent)
        }
        Standing::Current(_) => ("current", "现行结果", "current", 100),
    };
    Progress { code: code.to_owned(), zh: zh.to_owned(), en: en.to_owned(), percent }
}

pub(super) fn stage(step: Step, project: &Project) -> Stage {
    let text = step.text();
    Stage {
        code: step.code().to_owned(),
        zh: text.zh,
        en: text.en,
        date: project.stages.get(&step).map(ToString::to_string),
    }
}

pub(super) fn party(party: &project::Party) -> Party {
    Party { role: term(party.role.code(), party.role.text()), name: party.name.clone(), contact: party.contact.clone() }
}

/// As an instant where the site's zone is known, else as it is written.
pub(super) fn moment(moment: Moment, zone: Option<&TimeZone>) -> String {
    zone.map_or_else(|| moment.to_string(), |zone| moment.resolve(zone).to_string())
}

pub(super) fn span(span: project::Span, zone: Option<&TimeZone>) -> Span {
    let text = match zone {
        Some(zone) => {
            let local =
                |moment: Moment| calendar::local(zone, moment.resolve(zone)).strftime("%Y-%m-%d %H:%M").to_string();
            let (from, until) = (local(span.from), local(span.until));
            Words::new(format!("{from} 至 {until}（不含）"), format!("{from} to {until} (excluded)"))
        }
        None => Words::new(format!("{} 至 {}（不含）", span.from, span.until), span.to_string()),
    };
    Span { from: moment(span.from, zone), until: moment(span.until, zone), text }
}

pub(super) fn indicator(criterion: &Criterion) -> IndicatorShape {
    let definition = &criterion.indicator.definition;
    let unit = criterion.indicator.unit;
    IndicatorShape {
        id: definition.id.clone(),
        version: definition.version,
        zh: definition.title_zh.clone(),
        en: definition.title_en.clone(),
        unit: if unit.is_dimensionless() { String::new() } else { unit.text().zh },
        expression: definition.expression.clone(),
        source: definition.source.clone(),
    }
}

pub(super) fn target(criterion: &Criterion) -> Target {
    let kind = criterion.target.kind.text();
    Target {
        kind: criterion.target.kind.code().to_owned(),
        zh: kind.zh,
        en: kind.en,
        text: criterion.target_text().into(),
        value: Number::from(criterion.target.value),
    }
}

pub(super) fn units(criterion: &Criterion, plant: Option<&Plant>) -> Vec<WorkUnitId> {
    match &criterion.scope {
        Scope::Units(units) => units.clone(),
        Scope::All => {
            let all = plant.map(|plant| plant.work_units.as_slice()).unwrap_or_default();
            all.iter().filter(|unit| unit.is_connected()).map(|unit| unit.id.clone()).collect()
        }
    }
}

pub(super) fn named(id: &str, plant: Option<&Plant>) -> NamedBoth {
    let unit = plant.and_then(|plant| plant.work_units.iter().find(|unit| unit.id.as_str() == id));
    NamedBoth {
        id: id.to_owned(),
        name: unit.map_or_else(|| id.to_owned(), |unit| unit.name.clone()),
        name_en: unit.and_then(|unit| unit.name_en.clone()),
    }
}
