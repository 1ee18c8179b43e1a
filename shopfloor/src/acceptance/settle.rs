//! What would settle a criterion that the data leave open: days more, a tag, a role, a bound.

use super::range::Range;
use crate::display;
use crate::id::{TagName, WorkUnitId};
use crate::indicator::{Lack, Measured};
use crate::project::{Criterion, Windows};
use crate::remark::Remark;
use crate::time::{HOUR, Interval, Timestamp};
use crate::unit::Rational;

/// One thing that would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// What, as a code and as a sentence.
    pub remark: Remark,
    /// The work unit it concerns.
    pub work_unit: Option<WorkUnitId>,
    /// The tag it concerns.
    pub tag: Option<TagName>,
    /// Whole days more that it takes.
    pub days: Option<i64>,
}

impl Settle {
    fn of(remark: Remark) -> Self {
        Self { remark, work_unit: None, tag: None, days: None }
    }
}

/// Which of the two windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The baseline.
    Before,
    /// The window after.
    After,
}

impl Which {
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Before => "基准期",
            Self::After => "改造后窗口",
        }
    }

    pub const fn en(self) -> &'static str {
        match self {
            Self::Before => "baseline",
            Self::After => "after window",
        }
    }
}

/// Days until the window is over, counted up.
pub fn wait(now: Timestamp, windows: &Windows) -> Settle {
    let days = ceil_days(windows.after.end.since(now));
    let remark = Remark::new(
        "wait-for-window",
        format!("再过 {days} 天，改造后窗口结束后判定"),
        format!("judged when the after window is over, in {days} days"),
    );
    Settle { days: Some(days), ..Settle::of(remark) }
}

/// What a work unit lacks.
pub fn lack(lack: &Lack) -> Settle {
    let unit = &lack.work_unit;
    let remark = match lack.role {
        Some(role) => Remark::new(
            "bind-role",
            format!("为设备 {unit} 接入“{role}”点位"),
            format!("bind a tag with the role `{role}` to work unit {unit}"),
        ),
        None => Remark::new(
            &lack.reason.code,
            format!("设备 {unit}：{}", lack.reason.zh),
            format!("work unit {unit}: {}", lack.reason.en),
        ),
    };
    Settle { work_unit: Some(unit.clone()), ..Settle::of(remark) }
}

/// A figure that is refused for another reason than a tag that is not there.
pub fn otherwise() -> Settle {
    Settle::of(Remark::new(
        "choose-window",
        "需改用能计算该指标的窗口或设备范围",
        "choose a window or work units for which the indicator can be computed",
    ))
}

/// What would lift the coverage of a window to the minimum, and where the unknown time comes from.
pub fn coverage(which: Which, measured: &Measured, window: Interval, minimum: Rational) -> Vec<Settle> {
    let mut found = vec![longer(which, measured, window, minimum)];
    if let Some(part) = measured.darkest() {
        let share = Rational::new(i128::from(part.unknown), measured.unknown);
        let share = share.map_or_else(String::new, |share| display::percent(share, 0));
        let unit = &part.work_unit;
        let (zh, en) = match &part.state_tag {
            Some(tag) => (format!("点位 {tag}"), format!("tag {tag}")),
            None => ("没有状态点位".to_owned(), "no tag tells its state".to_owned()),
        };
        found.push(Settle {
            remark: Remark::new(
                "dark-tag",
                format!("{}内未知时间最多的是设备 {unit}（{zh}），占 {share}", which.zh()),
                format!("most unknown time of the {} lies with work unit {unit} ({en}): {share}", which.en()),
            ),
            work_unit: Some(unit.clone()),
            tag: part.state_tag.clone(),
            days: None,
        });
    }
    found
}

/// How much longer the window would have to be, at full coverage.
fn longer(which: Which, measured: &Measured, window: Interval, minimum: Rational) -> Settle {
    let least = display::plain_percent(minimum);
    let days = days_to_minimum(measured, window, minimum);
    let remark = match (which, days) {
        (Which::Before, _) => Remark::new(
            "baseline-not-covered",
            format!("基准期已过，不能补测；需经各方同意改用覆盖率达到 {least} 的基准期"),
            format!(
                "the baseline cannot be measured afterwards; the parties may agree on one whose coverage reaches {least}"
            ),
        ),
        (Which::After, Some(days)) => Remark::new(
            "extend-window",
            format!("改造后窗口延长 {days} 天并保持数据完整，覆盖率可达到 {least}"),
            format!("{days} days more with complete data lift the coverage of the after window to {least}"),
        ),
        (Which::After, None) => Remark::new(
            "choose-window",
            format!("延长窗口不能使覆盖率达到 {least}；需改用数据完整的窗口"),
            format!("no longer window reaches a coverage of {least}; choose one with complete data"),
        ),
    };
    let days = if which == Which::After { days } else { None };
    Settle { days, ..Settle::of(remark) }
}

/// Whole days more, each planned as the window's days were on average and fully known, that lift the coverage to
/// the minimum: (known + d·p) / (planned + d·p) ≥ minimum. `None` if no number of days does.
pub fn days_to_minimum(measured: &Measured, window: Interval, minimum: Rational) -> Option<i64> {
    if measured.planned <= 0 {
        return None;
    }
    let planned = Rational::integer(measured.planned);
    let known = Rational::integer(measured.planned - measured.unknown);
    let short = minimum.checked_mul(planned)?.checked_sub(known)?;
    if short <= Rational::ZERO {
        return Some(0);
    }
    let length = Rational::new(i128::from(window.nanos()), i128::from(24 * HOUR))?;
    let per_day = planned.checked_div(length)?;
    let gain = per_day.checked_mul(Rational::ONE.checked_sub(minimum)?)?;
    if gain <= Rational::ZERO {
        return None;
    }
    let days = short.checked_div(gain)?;
    i64::try_from(ceil(days)).ok()
}

/// What would narrow bounds that straddle the target.
pub fn bounds(before: &Measured, after: &Measured, range: Range) -> Vec<Settle> {
    let mut found = Vec::new();
    if range.low.is_none() || range.high.is_none() {
        found.push(Settle::of(Remark::new(
            "declare-maximum-rate",
            "在 plant.toml 中声明计数器的最大速率 maximum_rate，可得到确定的上下限",
            "declare the counters' maximum_rate in plant.toml, which bounds what unread time can hold",
        )));
    }
    for (which, measured) in [(Which::Before, before), (Which::After, after)] {
        let Some(part) = measured.darkest() else { continue };
        let unit = &part.work_unit;
        let minutes = part.unknown / (60 * 1_000_000_000);
        found.push(Settle {
            remark: Remark::new(
                "unknown-time",
                format!("{}内设备 {unit} 有 {minutes} 分钟状态未知，区间因此变宽", which.zh()),
                format!("{minutes} min of work unit {unit} are unknown in the {} and widen the bounds", which.en()),
            ),
            work_unit: Some(unit.clone()),
            tag: part.state_tag.clone(),
            days: None,
        });
    }
    found
}

/// A target that asks for the other kind where a percentage cannot be formed.
pub fn not_in_percent(criterion: &Criterion) -> Settle {
    let kinds = if criterion.indicator.unit.is_dimensionless() {
        ("百分点或绝对值", "in points or as an absolute value")
    } else {
        ("绝对值", "as an absolute value")
    };
    Settle::of(Remark::new(
        "state-target-otherwise",
        format!("改造前的值为零，目标需改为{}", kinds.0),
        format!("the value before is zero: state the target {}", kinds.1),
    ))
}

fn ceil_days(nanos: i64) -> i64 {
    let day = 24 * HOUR;
    nanos.max(0).div_euclid(day) + i64::from(nanos.max(0).rem_euclid(day) > 0)
}

fn ceil(value: Rational) -> i128 {
    value.num().div_euclid(value.den()) + i128::from(value.num().rem_euclid(value.den()) > 0)
}
