//! Acceptance (验收): what was contracted, what was measured, and what can be said about it.
//!
//! Delivery comes first ([`deliver`]), then each criterion ([`judge`]), then the project ([`conclude`]). Nothing
//! here is an official act: a verdict says what the data support. Pure: `now` and facts are passed in.

use crate::project::words;
use crate::remark::Remark;

mod change;
mod conclusion;
mod delivery;
mod judge;
mod milestone;
mod range;
mod settle;

pub use change::{Change, changes};
pub use conclusion::{Conclusion, Counts, conclude};
pub use delivery::{Delivery, EquipmentDelivery, EquipmentFact, LineDelivery, deliver};
pub use judge::{Finding, judge};
pub use milestone::{AgentFact, CoverageFact, MilestoneFacts, SILENT_AFTER, UnitFact, milestones};
pub use range::Range;
pub use settle::Settle;

words! {
    /// What the data say about a criterion.
    Verdict {
        /// 数据支持达标.
        Pass = "pass", "数据支持达标", "data support the target";
        /// 数据不支持达标.
        Fail = "fail", "数据不支持达标", "data do not support the target";
        /// 证据不足.
        Insufficient = "insufficient", "证据不足", "evidence insufficient";
    }
}

words! {
    /// What can be said about a project.
    Outcome {
        /// 数据支持达标: every criterion.
        Pass = "pass", "数据支持达标", "data support the targets";
        /// 数据不支持达标: at least one criterion.
        Fail = "fail", "数据不支持达标", "data do not support the targets";
        /// 证据不足: at least one criterion, none fails.
        Insufficient = "insufficient", "证据不足", "evidence insufficient";
        /// 交付未齐.
        DeliveryIncomplete = "delivery-incomplete", "交付未齐", "delivery incomplete";
        /// 未到判定时间.
        NotJudged = "not-judged", "未到判定时间", "not yet judged";
    }
}

words! {
    /// What is known of one contracted piece of equipment.
    Standing {
        /// Its data arrive here.
        Online = "online", "已联网有数据", "online, data arrive here";
        /// Its data arrived here, but none in the window after.
        Silent = "silent", "曾有数据，改造后窗口内无数据", "was online, no data in the window after";
        /// The register says that it is networked; no data arrive here.
        Declared = "declared", "已申报联网，本系统无数据", "declared networked, no data here";
        /// In the register, never any data.
        NeverOnline = "never-online", "从未联网", "never online";
        /// Not in the equipment register.
        Missing = "missing", "台账中没有", "not in the register";
    }
}

/// 未做统计检验: stands beside every verdict until there are statistics.
pub fn not_tested_statistically() -> Remark {
    Remark::new("not-tested", "未做统计检验", "not tested statistically")
}
