//! The one calculation: samples of a work unit and a window in, times, counts, OEE and their bounds out.
//!
//! The screen, the API, the report and the audit program all call [`work_unit`]; they agree to the last digit
//! because there is nothing else to call. Pure: the same inputs give the same answer.

use std::collections::BTreeMap;

use crate::calendar::{self, PlannedKind};
use crate::id::{TagName, WorkUnitId};
use crate::oee::{self, Figure, Profile, Ratio};
use crate::plant::{Plant, Role, WorkUnit};
use crate::remark::{Remark, note};
use crate::sample::{Quality, Sample};
use crate::state::{Activity, Leaf};
use crate::time::{HOUR, Interval, MINUTE, Timestamp};
use crate::time_element::{self, Times};
use crate::timeline::{self, hold, samples};
use crate::unit::Rational;

mod explain;
mod product;
mod quantity;
mod result;
mod windows;

pub use result::{Current, Definitions, FormulaLine, Input, ProductCount, Window, WindowKind, WorkUnitResult};
pub use windows::{span, windows};

/// Why there is no answer at all. A figure that cannot be said is no error: see [`Figure::reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The plant has no such work unit.
    #[error("evaluate work unit {0}: the plant has no such work unit; look at the ids in plant.toml")]
    UnknownWorkUnit(WorkUnitId),
    /// A work unit names a calendar or a profile that is not there.
    #[error("evaluate work unit {unit}: {what} {name:?} does not exist; name one that does in plant.toml")]
    Missing {
        /// The work unit.
        unit: WorkUnitId,
        /// `calendar` or `profile`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The exact sums do not fit 128 bits.
    #[error(
        "evaluate work unit {0}: the exact sums do not fit 128 bits; look at the scales and modulus of its counters"
    )]
    Overflow(WorkUnitId),
}

/// The samples that an evaluation of `window` wants to see: the window with a look back, for the state that was
/// in force at its start, and a look ahead, for stops and counts that its end cuts. A tag that is sampled less
/// often than every ten minutes needs `stale_after` in plant.toml to be looked for further back.
pub fn sample_range(unit: &WorkUnit, window: Interval) -> Interval {
    let stale = unit.stale_after.unwrap_or(10 * MINUTE).max(10 * MINUTE);
    let reach = stale.saturating_add(unit.micro_stop).min(24 * HOUR);
    Interval { start: window.start.plus(-reach), end: window.end.plus(reach) }
}

/// Times, counts and figures of a work unit over a window, as known at `now`.
///
/// `samples` holds the tags of the work unit's roles; order and duplicates do not matter. Pass what
/// [`sample_range`] asks for: less makes wider bounds, never wrong ones. Samples after `now` are not looked at, and
/// of a window that is not over only the part up to `now` is evaluated.
pub fn work_unit(
    plant: &Plant,
    unit: &WorkUnitId,
    samples: &BTreeMap<TagName, Vec<Sample>>,
    window: &Window,
    now: Timestamp,
) -> Result<WorkUnitResult, EvaluateError> {
    let unit = plant.work_unit(unit).ok_or_else(|| EvaluateError::UnknownWorkUnit(unit.clone()))?;
    let missing = |what, name: &str| EvaluateError::Missing { unit: unit.id.clone(), what, name: name.to_owned() };
    let calendar = plant.calendar_of(unit).ok_or_else(|| missing("calendar", &unit.calendar))?;
    let profile = oee::profile(&unit.profile).ok_or_else(|| missing("profile", &unit.profile))?;
    let definition = oee::indicator("oee").expect("the OEE index is defined");

    let evaluated =
        Interval { start: window.interval.start, end: window.interval.end.min(now).max(window.interval.start) };
    let planned = if evaluated.is_empty() { Vec::new() } else { calendar.planned(&plant.site.time_zone, evaluated) };
    let tags = Tags { unit, samples, now };
    let mut remarks = Vec::new();

    let equipment = equipment(&tags, evaluated, &mut remarks);
    let timeline = timeline::build(&equipment, &planned, unit.micro_stop);
    let times = time_element::measure(&timeline, &profile.production);
    let quantities = quantity::measure(plant, &tags, evaluated, &mut remarks)
        .ok_or_else(|| EvaluateError::Overflow(unit.id.clone()))?;
    let parts = oee::Inputs {
        planned_busy: times.planned_busy,
        production: time_element::production_bounds(&times, &profile.production),
        production_point: times.production,
        ideal_all: quantities.ideal_all.clone(),
        ideal_scrap: quantities.ideal_scrap.clone(),
        quality: quantities.quality.clone(),
    };
    let factors = oee::compute(&parts);
    let coverage = coverage(&times);
    notice(&times, coverage, &factors.effectiveness, &profile, &mut remarks);

    let current = timeline
        .segments
        .last()
        .map(|segment| Current { segment: whole_of_last(segment, &timeline.segments), newest_sample: tags.newest() });
    let mut result = WorkUnitResult {
        work_unit: unit.id.clone(),
        window: window.clone(),
        evaluated,
        planned,
        segments: timeline.segments,
        current,
        times,
        produced: quantities.produced,
        good: quantities.good,
        scrap: quantities.scrap,
        energy_kwh: quantities.energy_kwh,
        products: quantities.products,
        availability: factors.availability,
        effectiveness: factors.effectiveness,
        quality_ratio: factors.quality_ratio,
        oee: factors.oee,
        availability_effectiveness: factors.availability_effectiveness,
        parts,
        quality_in_pieces: quantities.quality_in_pieces,
        coverage,
        micro_stops: timeline.micro_stops,
        formula: Vec::new(),
        inputs: tags.inputs(evaluated),
        remarks,
        definitions: Definitions {
            definition_id: definition.id,
            definition_version: definition.version,
            profile_id: profile.id,
            profile_version: profile.version,
            state_rule_id: unit.state_rule.id.clone(),
            state_rule_version: unit.state_rule.version,
            tz_version: calendar::tz_version().to_owned(),
        },
    };
    result.formula = explain::lines(&result, quantities.ideal_all.ok(), quantities.ideal_scrap.ok());
    Ok(result)
}

/// The samples of one work unit as the parts of the calculation ask for them.
struct Tags<'a> {
    unit: &'a WorkUnit,
    samples: &'a BTreeMap<TagName, Vec<Sample>>,
    now: Timestamp,
}

impl<'a> Tags<'a> {
    /// The samples of a role; `None` if no tag plays it, empty if its tag said nothing.
    fn role(&self, role: Role) -> Option<&'a [Sample]> {
        let tag = self.unit.role(role)?;
        Some(self.samples.get(tag).map(Vec::as_slice).unwrap_or_default())
    }

    fn in_order(&self, role: Role) -> Option<Vec<&'a Sample>> {
        self.role(role).map(|samples| samples::in_order(samples, self.now))
    }

    fn newest(&self) -> Option<Timestamp> {
        let all = self.unit.roles.values().filter_map(|tag| self.samples.get(tag)).flatten();
        all.map(|sample| sample.at).filter(|at| *at <= self.now).max()
    }

    fn inputs(&self, window: Interval) -> Vec<Input> {
        let one = |(role, tag): (&Role, &TagName)| {
            let inside: Vec<_> =
                self.in_order(*role).unwrap_or_default().into_iter().filter(|s| window.contains(s.at)).collect();
            let bad = inside.iter().filter(|sample| sample.quality() == Quality::Bad).count() as u64;
            let samples = inside.len() as u64;
            Input {
                tag: tag.clone(),
                role: *role,
                samples,
                good: samples - bad,
                bad,
                first: inside.first().map(|sample| sample.at),
                last: inside.last().map(|sample| sample.at),
            }
        };
        self.unit.roles.iter().map(one).collect()
    }
}

fn equipment(tags: &Tags<'_>, evaluated: Interval, remarks: &mut Vec<Remark>) -> timeline::Equipment {
    let rule = &tags.unit.state_rule;
    let bound: BTreeMap<Role, &[Sample]> =
        rule.roles().iter().filter_map(|role| tags.role(*role).map(|samples| (*role, samples))).collect();
    let needed = rule.roles()[0];
    if !bound.contains_key(&needed) {
        note(
            remarks,
            Remark::new(
                "state-not-measured",
                format!("没有点位承担“{needed}”角色，设备状态无法得知"),
                format!("no tag plays the role `{needed}`, so the state is not known"),
            ),
        );
    }
    let times = bound.values().flat_map(|samples| samples.iter().map(|sample| sample.at));
    let seen = times.filter(|at| *at <= tags.now);
    let (first, last) = seen.fold((evaluated.start, evaluated.end), |(first, last), at| (first.min(at), last.max(at)));
    let domain = Interval { start: first, end: last };
    let equipment = hold::equipment(rule, &bound, domain, tags.unit.stale_after, tags.now);
    for held in equipment.held.iter().filter(|held| held.interval.intersect(evaluated).is_some()) {
        if let Some(code) = &held.reading.unknown_code {
            note(
                remarks,
                Remark::new(
                    "unknown-state-code",
                    format!("状态码 {code} 不在状态规则“{}”中，该段时间按数据缺失处理", rule.id),
                    format!("state code {code} is not in state rule `{}`; its time is Unknown", rule.id),
                ),
            );
        }
    }
    equipment
}

/// The last segment as it began, also where only the calendar cut it.
fn whole_of_last(last: &timeline::Segment, segments: &[timeline::Segment]) -> timeline::Segment {
    let mut whole = last.clone();
    for segment in segments.iter().rev().skip(1) {
        if segment.leaf != whole.leaf || segment.cause != whole.cause {
            break;
        }
        whole.interval.start = segment.interval.start;
    }
    whole
}

/// Share of the planned busy time whose state is known; of the whole window if nothing was planned.
fn coverage(times: &Times) -> Option<Ratio> {
    let whole = |nanos| Rational::integer(i128::from(nanos));
    let planned = times.planned_busy > 0;
    let unknown: i64 = times
        .axes
        .iter()
        .filter(|((kind, activity), _)| *activity == Activity::Unknown && (!planned || *kind == PlannedKind::Busy))
        .map(|(_, nanos)| nanos)
        .sum();
    let base = if planned { times.planned_busy } else { times.total };
    Ratio::new(whole(base - unknown), whole(base))
}

fn notice(
    times: &Times,
    coverage: Option<Ratio>,
    effectiveness: &Figure,
    profile: &Profile,
    remarks: &mut Vec<Remark>,
) {
    if coverage.is_some_and(|coverage| coverage.value() < profile.coverage_minimum) {
        note(
            remarks,
            Remark::new(
                "low-coverage",
                "数据覆盖率低于要求，数值不可核验，请看上下限",
                "coverage is below the minimum: the figures cannot be verified, see their bounds",
            ),
        );
    }
    if times.production_outside_plan > 0 {
        note(
            remarks,
            Remark::new(
                "production-outside-plan",
                "计划时间之外(休息、非班次、节假日或计划维护)有生产，计入实际生产时间",
                "there was production outside planned time (break, off shift, holiday, planned maintenance); it counts",
            ),
        );
    }
    // The low bound: where much is unknown, the point alone proves nothing about the planned run time.
    if effectiveness.low.is_some_and(|low| low.value() > Rational::ONE) {
        note(
            remarks,
            Remark::new(
                "effectiveness-above-one",
                "性能率大于 1:单件计划时间可能偏长，请核对",
                "effectiveness is above 1: the planned run time looks too long",
            ),
        );
    }
    if times.leaf(Leaf::Unknown) == 0 && times.planned_busy == 0 && times.total > 0 {
        note(remarks, Remark::new("nothing-planned", "窗口内没有计划生产时间", "nothing was planned in the window"));
    }
}
