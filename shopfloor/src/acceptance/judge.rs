//! One criterion: before, after, target, and what the data say.
//!
//! The gates come in a fixed order and the first that is shut names the verdict: windows over, both figures exist,
//! coverage of both, then the agreed rule. What the other rule would have said is always reported beside it.

use super::range::Range;
use super::settle::{self, Settle, Which};
use super::{Verdict, not_tested_statistically};
use crate::display;
use crate::id::CriterionId;
use crate::indicator::Measured;
use crate::project::{Criterion, Direction, Rule, TargetKind, Windows};
use crate::remark::Remark;
use crate::time::{Interval, Timestamp};
use crate::unit::Rational;

/// The result of judging a criterion (指标核验结果).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which criterion.
    pub criterion: CriterionId,
    /// What the data say.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: Remark,
    /// What would settle it; empty unless the verdict is 证据不足.
    pub settle: Vec<Settle>,
    /// After less before, in the indicator's own unit (a share, or kWh per piece); `None` if either is refused.
    pub points: Option<Range>,
    /// After over before, less one; `None` if either is refused or the value before is zero.
    pub relative: Option<Range>,
    /// Whether the contract point value meets the target; `None` where there is none.
    pub meets_by_point: Option<bool>,
    /// Whether the unfavourable end of the bounds meets the target; `None` where it is open.
    pub meets_by_lower_end: Option<bool>,
    /// 未做统计检验.
    pub statistics: Remark,
}

/// Judges a criterion as known at `now`.
///
/// `before` and `after` are the indicator over the criterion's work units in the two windows. Under
/// [`Rule::Point`] the point value decides alone. Under [`Rule::LowerEnd`] the target is met if the unfavourable
/// end meets it and not met if even the favourable end does not; in between the evidence is insufficient.
pub fn judge(criterion: &Criterion, before: &Measured, after: &Measured, now: Timestamp, windows: &Windows) -> Finding {
    let gain = Gain::of(criterion, before, after);
    let (verdict, reason, settle) = gates(criterion, before, after, now, windows, &gain);
    let both = !before.figure.is_refused() && !after.figure.is_refused();
    let divisible = Range::of(&before.figure).point.is_none_or(|point| point > Rational::ZERO);
    Finding {
        criterion: criterion.id.clone(),
        verdict,
        reason,
        settle,
        points: both.then(|| Range::difference(&before.figure, &after.figure)),
        relative: (both && divisible).then(|| Range::relative(&before.figure, &after.figure)),
        meets_by_point: gain.by_point(),
        meets_by_lower_end: gain.by_end(),
        statistics: not_tested_statistically(),
    }
}

type Answer = (Verdict, Remark, Vec<Settle>);

fn gates(
    criterion: &Criterion,
    before: &Measured,
    after: &Measured,
    now: Timestamp,
    windows: &Windows,
    gain: &Gain,
) -> Answer {
    let sides = [(Which::Before, before, windows.baseline), (Which::After, after, windows.after)];
    open_window(now, windows)
        .or_else(|| refused(&sides))
        .or_else(|| short_coverage(criterion, &sides))
        .or_else(|| before_is_zero(criterion, before))
        .unwrap_or_else(|| by_rule(criterion, before, after, gain))
}

fn insufficient(code: &str, zh: String, en: String, settle: Vec<Settle>) -> Answer {
    (Verdict::Insufficient, Remark::new(code, zh, en), settle)
}

fn open_window(now: Timestamp, windows: &Windows) -> Option<Answer> {
    (now < windows.after.end).then(|| {
        let zh = "改造后窗口尚未结束，未到判定时间".to_owned();
        let en = "the after window is not over: not yet judged".to_owned();
        insufficient("window-not-over", zh, en, vec![settle::wait(now, windows)])
    })
}

fn refused(sides: &[(Which, &Measured, Interval); 2]) -> Option<Answer> {
    let refused: Vec<_> = sides.iter().filter(|(_, measured, _)| measured.figure.is_refused()).collect();
    let (which, measured, _) = refused.first()?;
    let (code, zh, en) = match &measured.figure.reason {
        Some(reason) => (reason.code.as_str(), reason.zh.as_str(), reason.en.as_str()),
        None => ("nothing-measured", "没有数值", "there is no figure"),
    };
    let mut settle: Vec<Settle> = Vec::new();
    for lack in refused.iter().flat_map(|(_, measured, _)| &measured.lacks) {
        let one = settle::lack(lack);
        if !settle.contains(&one) {
            settle.push(one);
        }
    }
    if settle.is_empty() {
        settle.push(settle::otherwise());
    }
    Some(insufficient(code, format!("{}：{zh}", which.zh()), format!("{}: {en}", which.en()), settle))
}

fn short_coverage(criterion: &Criterion, sides: &[(Which, &Measured, Interval); 2]) -> Option<Answer> {
    let minimum = criterion.coverage;
    let short: Vec<_> = sides
        .iter()
        .filter(|(_, measured, _)| measured.coverage.is_none_or(|coverage| coverage.value() < minimum))
        .collect();
    if short.is_empty() {
        return None;
    }
    let least = display::plain_percent(minimum);
    let zh: Vec<_> = short.iter().map(|(w, m, _)| format!("{}数据覆盖率 {}", w.zh(), m.coverage_text())).collect();
    let en: Vec<_> =
        short.iter().map(|(w, m, _)| format!("coverage of the {} is {}", w.en(), m.coverage_text())).collect();
    let settle =
        short.iter().flat_map(|(which, measured, window)| settle::coverage(*which, measured, *window, minimum));
    Some(insufficient(
        "coverage-below-minimum",
        format!("{}，低于要求的 {least}", zh.join("，")),
        format!("{}, below the minimum of {least}", en.join(", ")),
        settle.collect(),
    ))
}

fn before_is_zero(criterion: &Criterion, before: &Measured) -> Option<Answer> {
    let zero = Range::of(&before.figure).point == Some(Rational::ZERO);
    (zero && criterion.target.kind == TargetKind::Percent).then(|| {
        let zh = "改造前的值为零，百分比变化无意义".to_owned();
        let en = "the value before is zero, so a change in percent means nothing".to_owned();
        insufficient("before-is-zero", zh, en, vec![settle::not_in_percent(criterion)])
    })
}

fn by_rule(criterion: &Criterion, before: &Measured, after: &Measured, gain: &Gain) -> Answer {
    let met = match criterion.rule {
        Rule::Point => gain.by_point(),
        Rule::LowerEnd => gain.by_both_ends(),
    };
    let Some(met) = met else {
        let settle = settle::bounds(before, after, gain.range);
        return match criterion.rule {
            Rule::Point => insufficient(
                "point-not-defined",
                "数据缺口使合同点值无法确定".to_owned(),
                "gaps in the data leave the contract point value undefined".to_owned(),
                settle,
            ),
            Rule::LowerEnd => insufficient(
                "bounds-straddle-target",
                format!("目标（{}）落在上下限之间，数据不足以判定", criterion.target_text().zh),
                format!("the target ({}) lies between the bounds: the data do not decide", criterion.target_text().en),
                settle,
            ),
        };
    };
    let (zh, en) = sentence(criterion, gain, met);
    if met {
        (Verdict::Pass, Remark::new("target-met", zh, en), Vec::new())
    } else {
        (Verdict::Fail, Remark::new("target-not-met", zh, en), Vec::new())
    }
}

/// What was gained, turned so that more is better, beside the threshold that it has to reach.
struct Gain {
    range: Range,
    threshold: Rational,
}

impl Gain {
    fn of(criterion: &Criterion, before: &Measured, after: &Measured) -> Self {
        let (before, after) = (&before.figure, &after.figure);
        let refused = before.is_refused() || after.is_refused();
        let threshold = criterion.target.threshold();
        let range = match criterion.target.kind {
            _ if refused => Range::default(),
            TargetKind::Absolute => Range::of(after),
            TargetKind::Points => Range::difference(before, after),
            TargetKind::Percent if Range::of(before).point == Some(Rational::ZERO) => Range::default(),
            TargetKind::Percent => Range::relative(before, after),
        };
        match (criterion.direction, criterion.target.kind) {
            (Direction::Up, _) => Self { range, threshold },
            // Less is better: an absolute value turns with its threshold, a change turns alone.
            (Direction::Down, TargetKind::Absolute) => {
                let turned = Rational::ZERO.checked_sub(threshold).unwrap_or(threshold);
                Self { range: range.turned(), threshold: turned }
            }
            (Direction::Down, _) => Self { range: range.turned(), threshold },
        }
    }

    fn by_point(&self) -> Option<bool> {
        self.range.point.map(|point| point >= self.threshold)
    }

    fn by_end(&self) -> Option<bool> {
        self.range.low.map(|low| low >= self.threshold)
    }

    /// By the unfavourable end; `None` where the target lies between the ends.
    fn by_both_ends(&self) -> Option<bool> {
        if self.by_end() == Some(true) {
            return Some(true);
        }
        self.range.high.filter(|high| *high < self.threshold).map(|_| false)
    }
}

/// The reason of a decision, as one sentence, with the number that it was made by.
fn sentence(criterion: &Criterion, gain: &Gain, met: bool) -> (String, String) {
    let (value, by_zh, by_en) = match (criterion.rule, met) {
        (Rule::Point, _) => (gain.range.point, "按合同点值", "by the contract point value"),
        (Rule::LowerEnd, true) => (gain.range.low, "按区间不利端", "by the unfavourable end of the bounds"),
        (Rule::LowerEnd, false) => (gain.range.high, "即使按区间有利端", "even by the favourable end of the bounds"),
    };
    // Turned back, so that the number reads as it stands beside the figures.
    let turn_back = |value: Rational| match criterion.direction {
        Direction::Up => value,
        Direction::Down => Rational::ZERO.checked_sub(value).unwrap_or(value),
    };
    let value = value.map_or(Rational::ZERO, turn_back);
    let unit = criterion.indicator.unit;
    let (shown, quantity_zh, quantity_en) = match criterion.target.kind {
        TargetKind::Absolute => (display::figure(value, unit), "改造后为", "the value after is"),
        TargetKind::Points => (display::difference(value, unit), "变化", "the change is"),
        TargetKind::Percent => (display::relative(value), "变化", "the change is"),
    };
    let target = criterion.target_text();
    let (zh, en) = if met { ("达到", "which meets") } else { ("未达到", "which does not meet") };
    (
        format!("{by_zh}，{quantity_zh} {}，{zh}目标（{}）", shown.zh, target.zh),
        format!("{by_en}, {quantity_en} {}, {en} the target ({})", shown.en, target.en),
    )
}
