//! Pieces, ideal times and energy of an interval, with bounds.

use std::collections::{BTreeMap, BTreeSet};

use super::product::{self, Running, Runs};
use super::{ProductCount, Tags};
use crate::counter::{self, Count, Reading, Step, StepClass};
use crate::oee::Amount;
use crate::plant::{Plant, Role, WorkUnit};
use crate::remark::{Remark, note};
use crate::sample::{Quality, Sample, Value};
use crate::time::Interval;
use crate::timeline::samples::holds_until;
use crate::unit::Rational;

/// What was counted.
pub struct Quantities {
    pub produced: Option<Count>,
    pub scrap: Option<Count>,
    pub good: Option<Count>,
    pub energy_kwh: Option<Count>,
    pub products: Vec<ProductCount>,
    pub ideal_all: Result<Amount, Remark>,
    pub ideal_scrap: Result<Amount, Remark>,
    pub quality: Result<(Amount, Amount), Remark>,
    pub quality_in_pieces: bool,
}

/// Measures every counter of the work unit; `None` if a sum does not fit.
pub fn measure(plant: &Plant, tags: &Tags<'_>, interval: Interval, remarks: &mut Vec<Remark>) -> Option<Quantities> {
    let runs = Runs::read(plant, tags, remarks);
    let produced = steps(tags, Role::Produced, interval, remarks);
    let scrap = steps(tags, Role::Scrap, interval, remarks);
    let energy = steps(tags, Role::Energy, interval, remarks);

    let not_counted =
        || Err(not_measured("production-not-measured", "产量没有计数点位", "no tag counts produced pieces"));
    let no_scrap = || {
        Err(not_measured(
            "quality-not-measured",
            "没有不良品计数，合格品率未测量",
            "quality not measured: no tag counts scrap",
        ))
    };
    let ideal = |steps: &Option<Vec<Step>>, missing: Result<Amount, Remark>| match steps {
        Some(steps) => ideal_time(tags.unit, &runs, steps),
        None => Some(missing),
    };
    let ideal_all = ideal(&produced, not_counted())?;
    let ideal_scrap = ideal(&scrap, no_scrap())?;

    let total = |steps: &Option<Vec<Step>>| steps.as_deref().map(Count::sum);
    let (produced_count, scrap_count) = (transpose(total(&produced))?, transpose(total(&scrap))?);
    let good = produced_count.as_ref().zip(scrap_count.as_ref()).map(|(all, scrap)| good(all, scrap, remarks));
    let quality_in_pieces = one_measure(tags.unit, &runs, interval);
    let quality = match (&produced_count, &scrap_count) {
        (None, _) => Err(not_measured("production-not-measured", "产量没有计数点位", "no tag counts produced pieces")),
        (_, None) => no_scrap().map(|amount| (amount, amount)),
        (Some(all), Some(scrap)) if quality_in_pieces => Ok((amount(all), amount(scrap))),
        _ => ideal_all.clone().and_then(|all| ideal_scrap.clone().map(|scrap| (all, scrap))),
    };
    let products = by_product(tags.unit, &runs, produced.as_deref(), scrap.as_deref())?;
    Some(Quantities {
        produced: produced_count,
        scrap: scrap_count,
        good: transpose(good)?,
        energy_kwh: transpose(total(&energy))?,
        products,
        ideal_all,
        ideal_scrap,
        quality,
        quality_in_pieces,
    })
}

fn not_measured(code: &str, zh: &str, en: &str) -> Remark {
    Remark::new(code, zh, en)
}

/// `Some(None)` for what is not there, `None` for what does not fit.
#[allow(clippy::option_option)] // absence and overflow are two things
fn transpose<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}

fn amount(count: &Count) -> Amount {
    Amount { low: count.low, high: count.high, point: count.point }
}

/// The steps of a counter; `None` if no tag plays the role.
fn steps(tags: &Tags<'_>, role: Role, interval: Interval, remarks: &mut Vec<Remark>) -> Option<Vec<Step>> {
    let samples = tags.in_order(role)?;
    let policy = tags.unit.counter(role);
    let readings = readings(&samples, tags.unit.stale_after, role, remarks);
    let steps = counter::within(&readings, &policy, interval);
    for class in [StepClass::Reset, StepClass::Jump, StepClass::Decrease, StepClass::Ambiguous] {
        let times = steps.iter().filter(|step| step.class == class).count();
        if times > 0 {
            note(
                remarks,
                Remark::new(
                    &format!("counter-{}", class.code()),
                    format!("“{role}”计数器有 {times} 次{},见上下限", zh(class)),
                    format!("the `{role}` counter shows {times} x {}; see the bounds", class.code()),
                ),
            );
        }
    }
    Some(steps)
}

const fn zh(class: StepClass) -> &'static str {
    match class {
        StepClass::Reset => "清零",
        StepClass::Jump => "跳变(超过最大速率)",
        StepClass::Decrease => "倒退",
        _ => "回绕或清零(无法区分)",
    }
}

/// The Good readings of a counter; others only say that it was not watched.
fn readings(samples: &[&Sample], stale_after: Option<i64>, role: Role, remarks: &mut Vec<Remark>) -> Vec<Reading> {
    let mut found = Vec::new();
    for (position, sample) in samples.iter().enumerate() {
        if sample.quality() != Quality::Good {
            continue;
        }
        let Some(value) = sample.value.as_ref().and_then(|value| number(value, role)) else {
            note(
                remarks,
                Remark::new(
                    "counter-not-a-number",
                    format!("“{role}”点位的值不是可精确计数的数"),
                    format!("the `{role}` tag gives values that are no exact numbers to count with"),
                ),
            );
            continue;
        };
        let stale = holds_until(sample, stale_after);
        let watched_until = samples.get(position + 1).map_or(stale, |next| next.at.min(stale));
        found.push(Reading { at: sample.at, value, watched_until });
    }
    found
}

/// The exact number of a value: pieces must be whole; a float is taken by its exact binary value.
fn number(value: &Value, role: Role) -> Option<Rational> {
    let exact = match value {
        Value::Exact(number) => *number,
        Value::Float(number) => binary(*number)?,
        Value::Bool(_) | Value::Text(_) => return None,
    };
    (role == Role::Energy || exact.to_integer().is_some()).then_some(exact)
}

/// A finite float as the fraction that it is.
fn binary(number: f64) -> Option<Rational> {
    let bits = number.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).ok()?;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let (mantissa, power) = if exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), exponent - 1075) };
    let mantissa = if number < 0.0 { -mantissa } else { mantissa };
    let shift = 1_i128.checked_shl(power.unsigned_abs()).filter(|_| power.unsigned_abs() < 100)?;
    if power >= 0 { mantissa.checked_mul(shift).map(Rational::integer) } else { Rational::new(mantissa, shift) }
}

/// Sum of planned run time per item x pieces over the steps, in nanoseconds.
fn ideal_time(unit: &WorkUnit, runs: &Runs, steps: &[Step]) -> Option<Result<Amount, Remark>> {
    let mut sum = Amount::ZERO;
    let mut any = false;
    for step in steps {
        let per_item = match product::per_item(unit, runs, step.interval) {
            Ok(per_item) => per_item,
            Err(reason) => return Some(Err(reason)),
        };
        any = true;
        sum.low = sum.low.checked_add(step.low.checked_mul(per_item.low)?)?;
        sum.high = match (sum.high, step.high) {
            (Some(sum), Some(high)) => Some(sum.checked_add(high.checked_mul(per_item.high)?)?),
            _ => None,
        };
        sum.point = match (sum.point, step.point, per_item.point) {
            (Some(sum), Some(Rational::ZERO), _) => Some(sum),
            (Some(sum), Some(point), Some(per_item)) => Some(sum.checked_add(point.checked_mul(per_item)?)?),
            _ => None,
        };
    }
    // Nothing was made, but whether a planned run time is there matters all the same.
    if !any && let Err(reason) = check_cycles(unit) {
        return Some(Err(reason));
    }
    Some(Ok(sum))
}

fn check_cycles(unit: &WorkUnit) -> Result<(), Remark> {
    match unit.ideal_cycles.iter().find(|cycle| cycle.per_item > Rational::ZERO) {
        Some(_) => Ok(()),
        None => product::of_product(unit, None, crate::time::Timestamp::from_nanos(i64::MAX)).map(|_| ()),
    }
}

/// Whether all pieces of the interval may be added: one product, or none named.
fn one_measure(unit: &WorkUnit, runs: &Runs, interval: Interval) -> bool {
    let running = runs.within(Interval { start: interval.start, end: interval.end.plus(-1).max(interval.start) });
    let per_item: BTreeSet<_> =
        running.iter().map(|r| product::of_product(unit, r.id(), interval.start).ok()).collect();
    running.len() <= 1 || per_item.len() == 1 && !per_item.contains(&None)
}

/// GQ = PQ - SQ. Source: ISO 22400-2, quantities.
fn good(all: &Count, scrap: &Count, remarks: &mut Vec<Remark>) -> Option<Count> {
    let point = match (all.point, scrap.point) {
        (Some(all), Some(scrap)) => Some(all.checked_sub(scrap)?),
        _ => None,
    };
    if point.is_some_and(|point| point < Rational::ZERO) {
        note(
            remarks,
            Remark::new(
                "scrap-exceeds-produced",
                "不良品数大于产量，请核对两个计数器",
                "more scrap than produced pieces: check the two counters",
            ),
        );
    }
    let low = match scrap.high {
        Some(scrap) => all.low.checked_sub(scrap)?.max(Rational::ZERO),
        None => Rational::ZERO,
    };
    let low = point.map_or(low, |point| low.min(point));
    let high = match all.high {
        Some(all) => Some(all.checked_sub(scrap.low)?.max(low)),
        None => None,
    };
    Some(Count { low, high, point, steps: BTreeMap::new() })
}

fn by_product(
    unit: &WorkUnit,
    runs: &Runs,
    produced: Option<&[Step]>,
    scrap: Option<&[Step]>,
) -> Option<Vec<ProductCount>> {
    let of = |running: &Running, steps: Option<&[Step]>| {
        steps.map(|steps| {
            let own: Vec<Step> = steps.iter().filter(|step| runs.at(step.interval.start) == running).copied().collect();
            Count::sum(&own)
        })
    };
    let mut seen: BTreeMap<&Running, crate::time::Timestamp> = BTreeMap::new();
    for step in produced.unwrap_or_default().iter().filter(|step| step.class != StepClass::Unread) {
        seen.insert(runs.at(step.interval.start), step.interval.start);
    }
    seen.into_iter()
        .map(|(running, last)| {
            Some(ProductCount {
                product: running.id().cloned(),
                produced: transpose(of(running, produced))?.unwrap_or(Count::ZERO),
                scrap: transpose(of(running, scrap))?,
                per_item: match running {
                    Running::Unknown => None,
                    known => product::of_product(unit, known.id(), last).ok(),
                },
            })
        })
        .collect()
}
