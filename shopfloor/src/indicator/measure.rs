//! One figure over several work units: their parts are added, then divided once.
//!
//! Bounds of the whole come from the sums of the bounds of the parts, by the same functions that serve one work
//! unit; a share that was already clipped or divided is never added.

use crate::calendar::PlannedKind;
use crate::display;
use crate::evaluate::{Input, WorkUnitResult};
use crate::id::{TagName, WorkUnitId};
use crate::oee::{self, Amount, Figure, Inputs, Ratio};
use crate::plant::Role;
use crate::remark::Remark;
use crate::state::Activity;
use crate::unit::{Bounds, Rational};

use super::{Formula, Indicator};

/// An indicator over a set of work units and one window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measured {
    /// The figure of all of them together; refused if any of them cannot be measured.
    pub figure: Figure,
    /// Known time over planned busy time, added over the work units; `None` if nothing was planned.
    pub coverage: Option<Ratio>,
    /// Planned busy time of all work units, in nanoseconds.
    pub planned: i128,
    /// The part of it whose state is unknown, in nanoseconds.
    pub unknown: i128,
    /// The work units one by one, in the order they were passed.
    pub parts: Vec<Part>,
    /// What could not be measured, and where.
    pub lacks: Vec<Lack>,
}

/// One work unit's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The work unit.
    pub work_unit: WorkUnitId,
    /// Its own figure.
    pub figure: Figure,
    /// Its own coverage.
    pub coverage: Option<Ratio>,
    /// Planned busy time in nanoseconds.
    pub planned: i64,
    /// The part of it whose state is unknown, in nanoseconds.
    pub unknown: i64,
    /// Whether it contributes to the whole: without planned time it does not.
    pub contributes: bool,
    /// The tag that tells its state and gave least: where unknown time comes from.
    pub state_tag: Option<TagName>,
}

/// A work unit whose figure is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The work unit.
    pub work_unit: WorkUnitId,
    /// The role that no tag plays, if that is why.
    pub role: Option<Role>,
    /// Why, in words.
    pub reason: Remark,
}

/// An indicator over work units of one window, each evaluated by [`crate::evaluate::work_unit`].
///
/// A work unit without planned time contributes nothing to what is measured over planned time; energy and pieces
/// count whatever was planned. A work unit that lacks a counter refuses the whole and is named with the role.
/// Refused with `nothing-measured` if no work unit is passed.
pub fn measure(indicator: &Indicator, results: &[&WorkUnitResult]) -> Measured {
    let parts: Vec<Part> = results.iter().map(|result| part(indicator, result)).collect();
    let contributing: Vec<&WorkUnitResult> =
        results.iter().zip(&parts).filter(|(_, part)| part.contributes).map(|(result, _)| *result).collect();
    let lacks: Vec<Lack> = contributing.iter().filter_map(|result| lack(indicator, result)).collect();
    let planned = parts.iter().map(|part| i128::from(part.planned)).sum();
    let unknown = parts.iter().map(|part| i128::from(part.unknown)).sum();
    let figure = match (&lacks[..], contributing.is_empty()) {
        ([], false) => whole(indicator, &contributing),
        ([], true) => Figure::refused(nothing(results.is_empty())),
        (lacks, _) => Figure::refused(lacking(indicator, lacks)),
    };
    let coverage = Ratio::new(Rational::integer(planned - unknown), Rational::integer(planned));
    Measured { figure, coverage, planned, unknown, parts, lacks }
}

fn part(indicator: &Indicator, result: &WorkUnitResult) -> Part {
    let planned = result.times.planned_busy;
    let unknown = result
        .times
        .axes
        .iter()
        .filter(|((kind, activity), _)| *kind == PlannedKind::Busy && *activity == Activity::Unknown)
        .map(|(_, nanos)| nanos)
        .sum();
    Part {
        work_unit: result.work_unit.clone(),
        figure: own(indicator, result),
        coverage: result.coverage,
        planned,
        unknown,
        contributes: planned > 0 || !indicator.formula.needs_planned_time(),
        state_tag: state_tag(&result.inputs),
    }
}

/// The figure of one work unit alone.
fn own(indicator: &Indicator, result: &WorkUnitResult) -> Figure {
    match indicator.formula {
        Formula::Availability => result.availability.clone(),
        Formula::Effectiveness => result.effectiveness.clone(),
        Formula::QualityRatio => result.quality_ratio.clone(),
        Formula::Oee => result.oee.clone(),
        Formula::UnitEnergy => match lack(indicator, result) {
            Some(lack) => Figure::refused(lack.reason),
            None => energy_per_piece(&[result]),
        },
    }
}

/// Among the tags that tell the state, the one with the fewest good samples.
fn state_tag(inputs: &[Input]) -> Option<TagName> {
    let tells =
        |role| matches!(role, Role::State | Role::Mode | Role::Running | Role::Fault | Role::Setup | Role::Power);
    let telling = inputs.iter().filter(|input| tells(input.role));
    telling.min_by_key(|input| (input.good, input.role)).map(|input| input.tag.clone())
}

/// Why a work unit cannot be measured at all, whatever its samples say.
fn lack(indicator: &Indicator, result: &WorkUnitResult) -> Option<Lack> {
    let counted = |role, measured: bool| (!measured).then_some(role);
    let produced = counted(Role::Produced, result.produced.is_some());
    let role = match indicator.formula {
        Formula::Availability => None,
        Formula::Effectiveness => produced,
        Formula::QualityRatio | Formula::Oee => produced.or_else(|| counted(Role::Scrap, result.scrap.is_some())),
        Formula::UnitEnergy => produced.or_else(|| counted(Role::Energy, result.energy_kwh.is_some())),
    };
    let parts = &result.parts;
    let uncounted = match indicator.formula {
        Formula::Availability | Formula::UnitEnergy => None,
        Formula::Effectiveness => parts.ideal_all.as_ref().err(),
        Formula::QualityRatio => parts.quality.as_ref().err(),
        Formula::Oee => parts.ideal_all.as_ref().err().or(parts.ideal_scrap.as_ref().err()),
    };
    let reason = role.map(not_counted).or_else(|| uncounted.cloned())?;
    Some(Lack { work_unit: result.work_unit.clone(), role, reason })
}

fn not_counted(role: Role) -> Remark {
    match role {
        Role::Scrap => Remark::new(
            "quality-not-measured",
            "没有不良品计数，合格品率未测量",
            "quality not measured: no tag counts scrap",
        ),
        Role::Energy => Remark::new("energy-not-measured", "没有电能表点位", "no tag reads an energy meter"),
        _ => Remark::new("production-not-measured", "产量没有计数点位", "no tag counts produced pieces"),
    }
}

fn lacking(indicator: &Indicator, lacks: &[Lack]) -> Remark {
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    for lack in lacks {
        let (role_zh, role_en) = match lack.role {
            Some(role) => (format!("缺“{}”（{role}）点位", role_zh(role)), format!("no tag plays the role `{role}`")),
            None => (lack.reason.zh.clone(), lack.reason.en.clone()),
        };
        zh.push(format!("设备 {} {role_zh}", lack.work_unit));
        en.push(format!("work unit {}: {role_en}", lack.work_unit));
    }
    let definition = &indicator.definition;
    Remark::new(
        &lacks[0].reason.code,
        format!("{}无法计算：{}", definition.title_zh, zh.join("；")),
        format!("{} cannot be computed: {}", definition.title_en, en.join("; ")),
    )
}

/// What a counting role is called in Chinese.
const fn role_zh(role: Role) -> &'static str {
    match role {
        Role::Produced => "产量",
        Role::Scrap => "不良品数",
        Role::Energy => "电能",
        _ => "状态",
    }
}

fn nothing(no_units: bool) -> Remark {
    if no_units {
        Remark::new("nothing-measured", "范围内没有可测的设备", "no work unit of the scope can be measured")
    } else {
        Remark::new(
            "no-planned-time",
            "窗口内没有计划生产时间，无法计算",
            "no planned busy time in the window, so the figure is not defined",
        )
    }
}

fn whole(indicator: &Indicator, results: &[&WorkUnitResult]) -> Figure {
    if indicator.formula == Formula::UnitEnergy {
        return energy_per_piece(results);
    }
    let Some(inputs) = add(results) else { return Figure::refused(too_large()) };
    match indicator.formula {
        Formula::Availability => oee::availability(&inputs),
        Formula::Effectiveness => oee::effectiveness(&inputs),
        Formula::QualityRatio => oee::quality_ratio(&inputs),
        Formula::Oee | Formula::UnitEnergy => oee::oee_index(&inputs),
    }
}

fn too_large() -> Remark {
    Remark::new(
        "sum-too-large",
        "各设备之和超出精确数的范围，无法计算",
        "the exact sums over the work units do not fit, so the figure is refused",
    )
}

/// The times and amounts of all work units together; `None` where a sum does not fit.
fn add(results: &[&WorkUnitResult]) -> Option<Inputs> {
    // Pieces may be added to pieces; where one work unit weighs its products by ideal time, all do.
    let pieces = results.iter().all(|result| result.quality_in_pieces);
    let mut sum = Inputs {
        planned_busy: 0,
        production: Bounds::exact(0),
        production_point: 0,
        ideal_all: Ok(Amount::ZERO),
        ideal_scrap: Ok(Amount::ZERO),
        quality: Ok((Amount::ZERO, Amount::ZERO)),
    };
    for result in results {
        let parts = &result.parts;
        sum.planned_busy = sum.planned_busy.checked_add(parts.planned_busy)?;
        sum.production.low = sum.production.low.checked_add(parts.production.low)?;
        sum.production.high = sum.production.high.checked_add(parts.production.high)?;
        sum.production_point = sum.production_point.checked_add(parts.production_point)?;
        sum.ideal_all = plus(sum.ideal_all, &parts.ideal_all)?;
        sum.ideal_scrap = plus(sum.ideal_scrap, &parts.ideal_scrap)?;
        let weighed = || parts.ideal_all.clone().and_then(|all| Ok((all, parts.ideal_scrap.clone()?)));
        let quality = if pieces { parts.quality.clone() } else { weighed() };
        sum.quality = match (sum.quality, quality) {
            (Ok((all, scrap)), Ok((more, more_scrap))) => Ok((both(all, more)?, both(scrap, more_scrap)?)),
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        };
    }
    Some(sum)
}

fn plus(sum: Result<Amount, Remark>, more: &Result<Amount, Remark>) -> Option<Result<Amount, Remark>> {
    match (sum, more) {
        (Ok(sum), Ok(more)) => both(sum, *more).map(Ok),
        (Err(reason), _) => Some(Err(reason)),
        (_, Err(reason)) => Some(Err(reason.clone())),
    }
}

fn both(a: Amount, b: Amount) -> Option<Amount> {
    let sum = |a: Option<Rational>, b: Option<Rational>| match (a, b) {
        (Some(a), Some(b)) => a.checked_add(b).map(Some),
        _ => Some(None),
    };
    Some(Amount { low: a.low.checked_add(b.low)?, high: sum(a.high, b.high)?, point: sum(a.point, b.point)? })
}

/// Energy of the work units over their pieces, kWh per piece: dE / PQ.
/// Refused with `nothing-produced` when PQ is zero for certain. The bounds pair the least energy with the most
/// pieces and the most energy with the fewest; with no piece certain there is no upper bound.
fn energy_per_piece(results: &[&WorkUnitResult]) -> Figure {
    let amount = |count: &Option<crate::counter::Count>| {
        count.as_ref().map(|count| Amount { low: count.low, high: count.high, point: count.point })
    };
    let total = |of: fn(&WorkUnitResult) -> &Option<crate::counter::Count>| {
        results.iter().try_fold(Amount::ZERO, |sum, result| both(sum, amount(of(result))?))
    };
    let (Some(energy), Some(pieces)) = (total(|result| &result.energy_kwh), total(|result| &result.produced)) else {
        return Figure::refused(too_large());
    };
    if pieces.high == Some(Rational::ZERO) {
        return Figure::refused(Remark::new(
            "nothing-produced",
            "窗口内产量为零，单位产品电耗无法计算",
            "nothing was produced in the window, so the energy per piece is not defined",
        ));
    }
    // With an open total the least energy per piece is nothing at all.
    let low = pieces.high.and_then(|pieces| Ratio::new(energy.low, pieces));
    let low = low.unwrap_or(Ratio { num: Rational::ZERO, den: Rational::ONE });
    let high = energy.high.and_then(|energy| Ratio::new(energy, pieces.low));
    let point = energy.point.zip(pieces.point).and_then(|(energy, pieces)| Ratio::new(energy, pieces));
    let reason = high.is_none().then(|| {
        Remark::new(
            "open-bound",
            "数据有缺口，上限无法确定；在 plant.toml 中声明计数器的最大速率可得到上限",
            "no upper bound is known over unread time; declare the counter's maximum_rate in plant.toml to have one",
        )
    });
    Figure { low: Some(low), high, point, reason }
}

impl Measured {
    /// Coverage as people read it, or a dash.
    pub fn coverage_text(&self) -> String {
        self.coverage
            .map_or_else(|| "—".to_owned(), |coverage| display::percent(coverage.value(), display::PERCENT_DIGITS))
    }

    /// The contributing work unit with most unknown time, if there is any.
    pub fn darkest(&self) -> Option<&Part> {
        let dark = self.parts.iter().filter(|part| part.contributes && part.unknown > 0);
        dark.max_by_key(|part| (part.unknown, std::cmp::Reverse(&part.work_unit)))
    }
}
