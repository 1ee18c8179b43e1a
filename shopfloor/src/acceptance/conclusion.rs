//! The project as a whole.

use super::{Delivery, Finding, Outcome, Verdict};
use crate::project::Windows;
use crate::remark::Remark;
use crate::time::Timestamp;

/// How many criteria got which verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// 数据支持达标.
    pub pass: usize,
    /// 数据不支持达标.
    pub fail: usize,
    /// 证据不足.
    pub insufficient: usize,
}

/// What can be said about a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// In one word.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: Remark,
    /// Verdicts of the criteria.
    pub counts: Counts,
}

/// The conclusion as known at `now`. From go-live on an incomplete delivery outweighs everything; until the after
/// window is over nothing else is judged; then one failed criterion outweighs an open one, and that a met one.
pub fn conclude(delivery: &Delivery, findings: &[Finding], now: Timestamp, windows: &Windows) -> Conclusion {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let counts =
        Counts { pass: count(Verdict::Pass), fail: count(Verdict::Fail), insufficient: count(Verdict::Insufficient) };
    let (outcome, reason) = if now >= windows.go_live && !delivery.complete {
        (Outcome::DeliveryIncomplete, incomplete(delivery))
    } else if now < windows.after.end {
        (Outcome::NotJudged, not_judged())
    } else {
        by_counts(counts)
    };
    Conclusion { outcome, reason, counts }
}

fn incomplete(delivery: &Delivery) -> Remark {
    let open: Vec<_> = delivery.lines.iter().filter(|line| !line.delivered).collect();
    let zh: Vec<_> = open.iter().map(|line| line.reason.zh.as_str()).collect();
    let en: Vec<_> = open.iter().map(|line| line.reason.en.as_str()).collect();
    Remark::new(
        "delivery-incomplete",
        format!("交付未齐：{}", zh.join("；")),
        format!("delivery incomplete: {}", en.join("; ")),
    )
}

fn not_judged() -> Remark {
    Remark::new("window-not-over", "改造后窗口尚未结束，未到判定时间", "the after window is not over: not yet judged")
}

fn by_counts(counts: Counts) -> (Outcome, Remark) {
    let Counts { pass, fail, insufficient } = counts;
    let all = pass + fail + insufficient;
    let (outcome, code) = match (fail, insufficient, pass) {
        (1.., _, _) => (Outcome::Fail, "criteria-fail"),
        (0, 0, 1..) => (Outcome::Pass, "criteria-pass"),
        _ => (Outcome::Insufficient, "criteria-insufficient"),
    };
    let zh = format!("{all} 项指标中：{pass} 项数据支持达标，{fail} 项数据不支持达标，{insufficient} 项证据不足");
    let en = format!(
        "of {all} criteria: {pass} supported by the data, {fail} not supported, {insufficient} without sufficient evidence"
    );
    (outcome, Remark::new(code, zh, en))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance::not_tested_statistically;
    use crate::time::Interval;

    const AT: fn(i64) -> Timestamp = Timestamp::from_secs;

    /// Before from 0 to 10, go-live at 10, after from 10 to 20.
    fn windows() -> Windows {
        let interval = |start, end| Interval { start: AT(start), end: AT(end) };
        Windows { baseline: interval(0, 10), after: interval(10, 20), go_live: AT(10) }
    }

    fn outcome(complete: bool, verdicts: &[Verdict], now: i64) -> &'static str {
        let finding = |verdict: &Verdict| Finding {
            criterion: "c".parse().unwrap(),
            verdict: *verdict,
            reason: not_judged(),
            settle: Vec::new(),
            points: None,
            relative: None,
            meets_by_point: None,
            meets_by_lower_end: None,
            statistics: not_tested_statistically(),
        };
        let findings: Vec<_> = verdicts.iter().map(finding).collect();
        let delivery = Delivery { lines: Vec::new(), complete };
        let conclusion = conclude(&delivery, &findings, AT(now), &windows());
        let Counts { pass, fail, insufficient } = conclusion.counts;
        assert_eq!(pass + fail + insufficient, verdicts.len());
        conclusion.outcome.code()
    }

    #[test]
    fn the_gravest_finding_names_the_conclusion() {
        use Verdict::{Fail, Insufficient, Pass};
        assert_eq!(outcome(true, &[Pass, Pass], 20), "pass");
        assert_eq!(outcome(true, &[Pass, Insufficient], 20), "insufficient");
        assert_eq!(outcome(true, &[Insufficient, Fail, Pass], 20), "fail");
        assert_eq!(outcome(true, &[], 20), "insufficient");
        // Not delivered in full outweighs even that every criterion is met.
        assert_eq!(outcome(false, &[Pass, Pass], 20), "delivery-incomplete");
    }

    #[test]
    fn before_the_window_is_over_nothing_is_judged_and_before_go_live_nothing_is_missing() {
        assert_eq!(outcome(true, &[Verdict::Pass], 19), "not-judged");
        assert_eq!(outcome(false, &[Verdict::Pass], 19), "delivery-incomplete");
        assert_eq!(outcome(false, &[Verdict::Pass], 9), "not-judged");
    }
}
