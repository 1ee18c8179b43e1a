//! Work units as they stand now: state, age of the newest sample, and the current shift so far.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use shopfloor::evaluate::{self, Window, WindowKind};
use shopfloor::id::WorkUnitId;
use shopfloor::plant::{IdealCycle as Cycle, WorkUnit};
use shopfloor::register_map::RegisterMap;
use shopfloor::state::{Leaf, StateRule};
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::timeline;
use shopfloor::unit::Rational;

use super::error::{ApiError, ErrorBody};
use super::unit_shape::{
    BindingShape, Covered, Ends, IdealCycle, Named, NewestSample, RoleShape, ShiftShape, StateShape, UnitDetail,
    UnitShape,
};
use super::vocabulary;
use crate::evaluate::pipeline::Evaluated;
use crate::evaluate::words::Reason;
use crate::ledger::PlantVersion;
use crate::serve::Serving;

/// The work units of a site, in the order of its plant.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units", tag = "figures",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, body = Vec<UnitShape>), (status = 404, body = ErrorBody)))]
pub async fn units(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Json<Vec<UnitShape>>, ApiError> {
    let version = serving.plant(&site)?;
    let shapes = serving.clone().work(move || {
        let units = version.plant.work_units.iter();
        units.map(|unit| describe(&serving, &version, unit)).collect::<Result<Vec<_>, _>>()
    });
    Ok(Json(shapes.await?))
}

/// One work unit with the rules that its figures rest on.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units/{unit}", tag = "figures",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id")),
    responses((status = 200, body = UnitDetail), (status = 404, body = ErrorBody)))]
pub async fn unit(
    State(serving): State<Arc<Serving>>,
    Path((site, unit)): Path<(String, String)>,
) -> Result<Json<UnitDetail>, ApiError> {
    let version = serving.plant(&site)?;
    let shape = serving.clone().work(move || {
        let unit = find(&version, &unit)?;
        let map = map_of(&serving, &version, unit)?;
        let (shape, evaluated) = describe_with(&serving, &version, unit)?;
        let definitions = &evaluated.shape;
        Ok(UnitDetail {
            unit: shape,
            roles: roles(unit, map.as_deref()),
            state_rule: definitions.state_rule.clone(),
            ideal_cycles: unit.ideal_cycles.iter().map(cycle).collect(),
            bindings: unit.bindings.iter().map(binding).collect(),
            micro_stop_ms: unit.micro_stop.div_euclid(1_000_000),
            micro_stop_ns: unit.micro_stop.to_string(),
            profile: definitions.profile.clone(),
        })
    });
    Ok(Json(shape.await?))
}

/// The work unit of that id.
pub fn find<'a>(version: &'a PlantVersion, unit: &str) -> Result<&'a WorkUnit, ApiError> {
    let id = unit.parse::<WorkUnitId>().ok();
    let found = id.and_then(|id| version.plant.work_unit(&id));
    found.ok_or_else(|| ApiError::no_unit(version.plant.site.id.as_str(), unit))
}

/// The window that a page about now shows: the shift that runs, or the day when none does.
fn current(version: &PlantVersion, unit: &WorkUnit, now: Timestamp) -> Option<Window> {
    let instant = Interval { start: now, end: now.plus(1) };
    let running = |kind| {
        let windows = evaluate::windows(&version.plant, &unit.id, kind, instant);
        windows.into_iter().find(|window| window.interval.contains(now))
    };
    running(WindowKind::Shift).or_else(|| running(WindowKind::Day))
}

fn describe(serving: &Serving, version: &PlantVersion, unit: &WorkUnit) -> Result<UnitShape, ApiError> {
    describe_with(serving, version, unit).map(|(shape, _)| shape)
}

fn describe_with(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
) -> Result<(UnitShape, Arc<Evaluated>), ApiError> {
    let now = serving.now();
    let window = current(version, unit, now)
        .ok_or_else(|| ApiError::evaluation(&format!("the calendar of {} has no day at {now}", unit.id)))?;
    let evaluated =
        serving.pipeline.evaluated(version, unit, &window, now).map_err(|error| ApiError::evaluate(&error))?;
    let map = map_of(serving, version, unit)?;
    let plant = &version.plant;
    let result = &evaluated.shape;
    let center = unit.work_center.as_ref().and_then(|id| plant.work_center(id));
    let area = center.and_then(|center| center.area.as_ref()).and_then(|id| plant.areas.iter().find(|a| a.id == *id));
    let shape = UnitShape {
        id: unit.id.to_string(),
        name: unit.name.clone(),
        name_en: unit.name_en.clone(),
        work_center: center.map(|center| Named { id: center.id.to_string(), name: center.name.clone() }),
        area: area.map(|area| Named { id: area.id.to_string(), name: area.name.clone() }),
        protocol: map.as_deref().and_then(|map| protocol(unit, map)),
        state: state(&evaluated, unit, now),
        newest_sample: newest(&evaluated, now),
        shift: shift(version, unit, &window),
        window: Covered {
            kind: window.kind.code().to_owned(),
            start: window.interval.start.to_string(),
            end: evaluated.result.evaluated.end.to_string(),
        },
        oee: result.oee.clone(),
        availability: result.availability.clone(),
        effectiveness: result.effectiveness.clone(),
        quality_ratio: result.quality_ratio.clone(),
        coverage: result.coverage.clone(),
        produced: result.counts.produced.clone(),
        good: result.counts.good.clone(),
        scrap: result.counts.scrap.clone(),
        energy_kwh: result.energy.clone(),
        window_state: result.state.clone(),
        demo: result.demo,
        remarks: result.remarks.clone(),
    };
    Ok((shape, evaluated))
}

/// What the unit does now; Unknown from the start of the window when nothing is known.
fn state(evaluated: &Evaluated, unit: &WorkUnit, now: Timestamp) -> StateShape {
    let segment = evaluated.result.current.as_ref().map(|current| &current.segment);
    let (leaf, since, cause) = match segment {
        Some(segment) => (segment.leaf, segment.interval.start, cause(segment, &unit.state_rule)),
        None => (Leaf::Unknown, evaluated.result.evaluated.start, None),
    };
    StateShape {
        leaf: leaf.code().to_owned(),
        zh: leaf.zh().to_owned(),
        en: leaf.en().to_owned(),
        since: since.to_string(),
        since_ms: now.since(since).div_euclid(1_000_000),
        cause,
    }
}

/// Why the unit is in that state, in the words of its state rule.
pub fn cause(segment: &timeline::Segment, rule: &StateRule) -> Option<Reason> {
    if segment.cause.is_empty() {
        return None;
    }
    let (zh, en) = rule.title(&segment.cause).unwrap_or((&segment.cause, &segment.cause));
    Some(Reason::new(&segment.cause, zh, en))
}

fn newest(evaluated: &Evaluated, now: Timestamp) -> Option<NewestSample> {
    let time = evaluated.result.current.as_ref()?.newest_sample?;
    // The block that told it is the first whose window reaches it.
    let blocks = evaluated.blocks.recent.iter();
    let told = blocks.filter(|block| block.window.end >= time).min_by_key(|block| (block.window.end, block.log_index));
    let received = told.map_or(now, |block| block.received);
    Some(NewestSample {
        time: time.to_string(),
        age_ms: now.since(time).div_euclid(1_000_000),
        received_time: received.to_string(),
        lag_ms: received.since(time).div_euclid(1_000_000),
    })
}

fn shift(version: &PlantVersion, unit: &WorkUnit, window: &Window) -> Option<ShiftShape> {
    let id = window.shift.as_ref()?;
    let calendar = version.plant.calendar_of(unit);
    let shift = calendar.and_then(|calendar| calendar.shifts.iter().find(|shift| shift.id == *id));
    Some(ShiftShape {
        id: id.to_string(),
        name: shift.map_or_else(|| id.to_string(), |shift| shift.name.clone()),
        name_en: shift.and_then(|shift| shift.name_en.clone()),
        business_date: window.business_date.to_string(),
        window: Ends { start: window.interval.start.to_string(), end: window.interval.end.to_string() },
    })
}

/// The register map that is in force for a work unit now, if any of its agents has sent one.
fn map_of(serving: &Serving, version: &PlantVersion, unit: &WorkUnit) -> Result<Option<Arc<RegisterMap>>, ApiError> {
    let now = serving.now();
    let instant = Interval { start: now, end: now.plus(SECOND) };
    let mut bindings: Vec<_> = unit.bindings.iter().collect();
    bindings.sort_by_key(|binding| (binding.within(instant).is_none(), std::cmp::Reverse(binding.from)));
    for binding in bindings {
        if let Some(map) = serving.newest_map(&version.plant.site.id, &binding.agent)? {
            return Ok(Some(map));
        }
    }
    Ok(None)
}

fn protocol(unit: &WorkUnit, map: &RegisterMap) -> Option<String> {
    let tag = unit.roles.values().find_map(|name| map.tag_index(name))?;
    let group = map.groups.get(usize::from(map.tags.get(usize::from(tag))?.group))?;
    let source = map.sources.get(usize::from(group.source))?;
    Some(vocabulary::protocol(source.protocol).to_owned())
}

fn roles(unit: &WorkUnit, map: Option<&RegisterMap>) -> Vec<RoleShape> {
    let shape = |(role, name): (&shopfloor::plant::Role, &shopfloor::id::TagName)| {
        let entry = map.and_then(|map| map.tags.get(usize::from(map.tag_index(name)?)));
        RoleShape {
            role: role.code().to_owned(),
            tag: name.tag().to_owned(),
            unit: entry.map(|entry| entry.unit.clone()),
            section: entry.map(|entry| entry.section.to_string()),
            place: entry.map(|entry| vocabulary::place(&entry.place)),
            data_type: entry.map(|entry| vocabulary::data_type(entry.data_type).to_owned()),
            origin: entry.map(|entry| vocabulary::origin(entry.origin).to_owned()),
        }
    };
    unit.roles.iter().map(shape).collect()
}

fn cycle(cycle: &Cycle) -> IdealCycle {
    let seconds = cycle.per_item.checked_div(Rational::integer(SECOND.into())).unwrap_or(Rational::ZERO);
    IdealCycle {
        product: cycle.product.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string),
        from: cycle.from.map(|at| at.to_string()),
        seconds_per_item: seconds.into(),
    }
}

fn binding(binding: &shopfloor::plant::Binding) -> BindingShape {
    BindingShape {
        agent: binding.agent.to_string(),
        from: binding.from.map(|at| at.to_string()),
        until: binding.until.map(|at| at.to_string()),
    }
}
