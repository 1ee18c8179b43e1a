//! A project on paper and in a workbook: 《项目指标核验单》.

pub mod book;
pub mod criteria;
pub mod sheet;
pub mod words;

use jiff::tz::TimeZone;
use shopfloor::time::Timestamp;

/// A time of the API as people at the site read it: `2026-11-25 08:00`; seconds where there are any.
pub fn local(text: &str, zone: &TimeZone) -> String {
    let Some(at) = Timestamp::parse(text) else { return text.to_owned() };
    let local = shopfloor::calendar::local(zone, at);
    let form = if local.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    local.strftime(form).to_string()
}

/// The name by which a figure of a criterion is compared across page, API, sheet and workbook.
pub fn key(criterion: &str, rest: &str) -> String {
    format!("criterion.{criterion}.{rest}")
}
