//! Which product was running when, and which planned run time per item was in force for it.

use crate::id::ProductId;
use crate::plant::{IdealCycle, Plant, Role, WorkUnit};
use crate::remark::{Remark, note};
use crate::sample::Value;
use crate::state::decode;
use crate::state::rule::Code;
use crate::time::{Interval, Timestamp};
use crate::timeline::samples::{holds_until, value};
use crate::unit::Rational;

use super::Tags;

/// What is known about the product at an instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Running {
    /// A product of the plant.
    Product(ProductId),
    /// The work unit has no product tag, or its tag named something that the plant does not know.
    Unnamed,
    /// The product tag is bound, and nothing is known.
    Unknown,
}

impl Running {
    /// The product, if it is a known one.
    pub fn id(&self) -> Option<&ProductId> {
        match self {
            Self::Product(id) => Some(id),
            Self::Unnamed | Self::Unknown => None,
        }
    }
}

/// The products of a work unit over time.
#[derive(Debug)]
pub struct Runs {
    /// From each instant on; before the first nothing is known.
    from: Vec<(Timestamp, Running)>,
    before: Running,
}

impl Runs {
    /// Reads the product tag, if the work unit has one.
    pub fn read(plant: &Plant, tags: &Tags<'_>, remarks: &mut Vec<Remark>) -> Self {
        let Some(samples) = tags.in_order(Role::Product) else {
            return Self { from: Vec::new(), before: Running::Unnamed };
        };
        let mut from: Vec<(Timestamp, Running)> = Vec::new();
        let mut push = |at, running: Running| {
            if from.last().is_none_or(|(_, last)| *last != running) {
                from.push((at, running));
            }
        };
        for (position, sample) in samples.iter().enumerate() {
            push(sample.at, value(sample).map_or(Running::Unknown, |value| name(plant, value, remarks)));
            let stale = holds_until(sample, tags.unit.stale_after);
            if samples.get(position + 1).is_none_or(|next| next.at > stale) {
                push(stale, Running::Unknown);
            }
        }
        Self { from, before: Running::Unknown }
    }

    /// The product in force at an instant.
    pub fn at(&self, at: Timestamp) -> &Running {
        match self.from.partition_point(|(from, _)| *from <= at) {
            0 => &self.before,
            next => &self.from[next - 1].1,
        }
    }

    /// Every product that may have been running in an interval, its end included.
    pub fn within(&self, interval: Interval) -> Vec<&Running> {
        let mut found = vec![self.at(interval.start)];
        let first = self.from.partition_point(|(from, _)| *from <= interval.start);
        let inside = self.from[first..].iter().take_while(|(from, _)| *from <= interval.end);
        found.extend(inside.map(|(_, running)| running));
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn name(plant: &Plant, value: &Value, remarks: &mut Vec<Remark>) -> Running {
    let code = decode::code(value);
    let found = plant.products.iter().find(|product| match (&code, value) {
        (Some(Code::Integer(code)), _) => product.code == Some(*code),
        (_, Value::Text(text)) => product.id.as_str().eq_ignore_ascii_case(text.trim()),
        _ => false,
    });
    if let Some(product) = found {
        return Running::Product(product.id.clone());
    }
    let shown = match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Exact(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(bit) => bit.to_string(),
    };
    note(
        remarks,
        Remark::new(
            "unknown-product",
            format!("产品点位给出 {shown},工厂模型中没有该产品"),
            format!("the product tag says {shown}, which is no product of the plant"),
        ),
    );
    Running::Unnamed
}

/// The least and the most planned run time per item that may apply, in nanoseconds, and the one for the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerItem {
    /// The least.
    pub low: Rational,
    /// The most.
    pub high: Rational,
    /// The one under the convention, where the product is known.
    pub point: Option<Rational>,
}

/// Planned run time per item for what may have been running in `interval`.
pub fn per_item(unit: &WorkUnit, runs: &Runs, interval: Interval) -> Result<PerItem, Remark> {
    let at = interval.start;
    let mut found: Vec<Rational> = Vec::new();
    for running in runs.within(interval) {
        match running {
            Running::Unknown => found.extend(all_in_force(unit, at)?),
            known => found.push(of_product(unit, known.id(), at)?),
        }
    }
    let (low, high) = match (found.iter().min(), found.iter().max()) {
        (Some(low), Some(high)) => (*low, *high),
        _ => return Err(missing(None)),
    };
    let point = match runs.at(at) {
        _ if low == high => Some(low),
        Running::Unknown => None,
        known => Some(of_product(unit, known.id(), at)?),
    };
    Ok(PerItem { low, high, point })
}

/// The planned run time per item of a product at an instant; a line of its own wins over `*`, a later over an
/// earlier one.
pub fn of_product(unit: &WorkUnit, product: Option<&ProductId>, at: Timestamp) -> Result<Rational, Remark> {
    let newest = |wanted: Option<&ProductId>| {
        let in_force = unit.ideal_cycles.iter().filter(|cycle| cycle.product.as_ref() == wanted && started(cycle, at));
        in_force.max_by_key(|cycle| cycle.from)
    };
    let own = product.and_then(|product| newest(Some(product)));
    let cycle = own.or_else(|| newest(None)).ok_or_else(|| missing(product))?;
    if cycle.per_item > Rational::ZERO { Ok(cycle.per_item) } else { Err(not_positive(cycle)) }
}

fn all_in_force(unit: &WorkUnit, at: Timestamp) -> Result<Vec<Rational>, Remark> {
    let mut products: Vec<Option<&ProductId>> =
        unit.ideal_cycles.iter().filter(|cycle| started(cycle, at)).map(|cycle| cycle.product.as_ref()).collect();
    products.sort_unstable();
    products.dedup();
    products.into_iter().map(|product| of_product(unit, product, at)).collect()
}

fn started(cycle: &IdealCycle, at: Timestamp) -> bool {
    cycle.from.is_none_or(|from| from <= at)
}

fn missing(product: Option<&ProductId>) -> Remark {
    let (zh, en) = match product {
        Some(product) => (format!("产品 {product}"), format!("product {product}")),
        None => ("该设备".to_owned(), "this work unit".to_owned()),
    };
    Remark::new(
        "no-planned-run-time",
        format!("{zh}没有有效的单件计划时间，性能率与 OEE 无法计算"),
        format!("no planned run time per item is in force for {en}, so effectiveness and OEE are not defined"),
    )
}

fn not_positive(cycle: &IdealCycle) -> Remark {
    let product = cycle.product.as_ref().map_or("*", |product| product.as_str());
    Remark::new(
        "planned-run-time-not-positive",
        format!("产品 {product} 的单件计划时间为零或负数，性能率与 OEE 无法计算"),
        format!(
            "the planned run time per item of product {product} is zero or negative, so effectiveness and OEE are refused"
        ),
    )
}
