//! plant.toml: text in, a checked [`Plant`] out, or every problem at once with line and column.
//!
//! The collector stores the text itself as the document; nothing here is written back. `plant.example.toml`
//! shows every key.

use std::ops::Range;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::document::{Problems, Report, Table};
use crate::calendar;
use crate::plant::{Area, ClusterKind, ClusterMembership, Contact, Plant, Product, SCHEMA, Site, WorkCenter};
use crate::time::Timestamp;

mod calendars;
mod check;
mod register;
mod units;

/// What is wrong with a plant.toml.
pub type PlantErrors = Problems;

/// Reads a plant.toml; `file_name` is how messages call it.
pub fn parse(text: &str, file_name: &str) -> Result<Plant, PlantErrors> {
    let report = Report::new(file_name, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    if !root.has_schema(SCHEMA) {
        // Keys of a newer schema would only be called unknown: say the one thing that matters.
        return Err(report.into_problems());
    }
    match read(&report, &root) {
        Some(plant) => report.finish(plant),
        None => Err(report.into_problems()),
    }
}

fn read(report: &Report<'_>, root: &Table<'_, '_>) -> Option<Plant> {
    let site = site(root);
    let zone = site.as_ref().map_or(TimeZone::UTC, |site| site.time_zone.clone());
    let mut names = check::Names::new(report);
    let areas = areas(root, &mut names);
    let work_centers = work_centers(root, &mut names);
    let products = products(root, &mut names);
    let state_rules = units::state_rules(root, &mut names);
    let calendars = calendars::calendars(root, &mut names);
    let mut remarks = Vec::new();
    let context = units::Context { zone: &zone, state_rules: &state_rules };
    let work_units = units::work_units(root, &context, &mut names, &mut remarks);
    let equipment = register::equipment(root, &mut names);
    root.refuse_others();
    names.finish();
    Some(Plant {
        schema: SCHEMA,
        site: site?,
        areas,
        work_centers,
        work_units,
        products,
        calendars,
        state_rules,
        equipment,
        remarks,
    })
}

fn site(root: &Table<'_, '_>) -> Option<Site> {
    if !root.need("site", "the factory") {
        return None;
    }
    let table = root.table("site")?;
    let id = need_id(&table, "id");
    let name = need_label(&table, "name");
    let name_en = optional(&table, "name_en");
    let uscc = table.parsed("uscc", "18 characters of 统一社会信用代码 with a right check character", check::uscc);
    let (industry, county) = (plain(&table, "industry"), plain(&table, "county"));
    let county_name = optional(&table, "county_name");
    let clusters = clusters(&table);
    let contact = table.table("contact").and_then(|table| contact(&table));
    let zone_needed = "an IANA name such as \"Asia/Shanghai\"; there is no default";
    let zone = table.need("time_zone", zone_needed);
    let zone = zone.then(|| {
        table.parsed("time_zone", zone_needed, |name| TimeZone::get(name).ok().map(|zone| (name.to_owned(), zone)))
    });
    table.refuse_others();
    let ((time_zone_name, time_zone), _) = zone.flatten()?;
    Some(Site {
        id: id?,
        name: name?,
        name_en,
        uscc: uscc.map(|(uscc, _)| uscc),
        industry,
        county,
        county_name,
        clusters,
        contact,
        time_zone_name,
        time_zone,
    })
}

fn contact(table: &Table<'_, '_>) -> Option<Contact> {
    let (name, phone) = (need_label(table, "name"), optional(table, "phone"));
    table.refuse_others();
    Some(Contact { name: name?, phone })
}

/// The memberships; those of one cluster must not overlap.
fn clusters(site: &Table<'_, '_>) -> Vec<ClusterMembership> {
    let mut found: Vec<ClusterMembership> = Vec::new();
    for table in site.tables("cluster") {
        let Some(new) = cluster(&table) else { continue };
        let ends = |membership: &ClusterMembership| {
            (membership.from.unwrap_or(Date::MIN), membership.until.unwrap_or(Date::MAX))
        };
        let overlaps = |old: &&ClusterMembership| {
            let ((from, until), (old_from, old_until)) = (ends(&new), ends(old));
            old.id == new.id && from < old_until && old_from < until
        };
        if found.iter().find(overlaps).is_some() {
            table.problem(
                "id",
                format!("cluster `{}` stands twice for the same days; give each its own from and until", new.id),
            );
        }
        found.push(new);
    }
    found
}

fn cluster(table: &Table<'_, '_>) -> Option<ClusterMembership> {
    let id = need_id(table, "id");
    let (name, name_en) = (optional(table, "name"), optional(table, "name_en"));
    let kind = |word: &str| ClusterKind::ALL.into_iter().find(|kind| kind.code() == word);
    let kind = table.parsed("kind", "cluster, zone or park", kind).map(|(kind, _)| kind).unwrap_or_default();
    let (from, until) = (date(table, "from"), date(table, "until"));
    if from.zip(until).is_some_and(|(from, until)| until <= from) {
        table.problem("until", "until is not after from");
    }
    table.refuse_others();
    Some(ClusterMembership { id: id?, name, name_en, kind, from, until })
}

fn areas(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<Area> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::AreaId> = names.define("area", table);
        let name = need_label(table, "name");
        let name_en = optional(table, "name_en");
        table.refuse_others();
        Some(Area { id: id?, name: name?, name_en })
    };
    root.tables("area").iter().filter_map(|table| one(table, names)).collect()
}

fn work_centers(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<WorkCenter> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::WorkCenterId> = names.define("work_center", table);
        let name = need_label(table, "name");
        let name_en = optional(table, "name_en");
        let area = table.from_str("area");
        names.refer("area", area.as_ref());
        table.refuse_others();
        Some(WorkCenter { id: id?, name: name?, name_en, area: area.map(|(area, _)| area) })
    };
    root.tables("work_center").iter().filter_map(|table| one(table, names)).collect()
}

fn products(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<Product> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::ProductId> = names.define("product", table);
        let name = need_label(table, "name");
        let name_en = optional(table, "name_en");
        let code = table.integer("code");
        if let Some((code, span)) = &code {
            names.define_text("product code", &code.to_string(), span.clone());
        }
        table.refuse_others();
        Some(Product { id: id?, name: name?, name_en, code: code.map(|(code, _)| i128::from(code)) })
    };
    root.tables("product").iter().filter_map(|table| one(table, names)).collect()
}

fn need_id<T: FromStr<Err: std::fmt::Display>>(table: &Table<'_, '_>, key: &'static str) -> Option<T> {
    table.need(key, "an id of a-z 0-9 . _ -").then(|| table.from_str(key)).flatten().map(|(id, _)| id)
}

/// Longest name, in characters: what a heading, a label of the mirror and a cell of a report can carry.
pub(crate) const LABEL_MAX: usize = 120;

/// A name that must be there.
fn need_label(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.need(key, "a text").then(|| optional(table, key)).flatten()
}

/// A name: a text of one line that is not too long. What it says is data to everybody who shows or stores it.
fn optional(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.text(key).and_then(|(text, span)| label(table, key, text, span, LABEL_MAX))
}

/// A name that people may also write as a bare number.
fn plain(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.scalar(key).and_then(|(text, span)| label(table, key, text, span, LABEL_MAX))
}

fn label(table: &Table<'_, '_>, key: &str, text: String, span: Range<usize>, most: usize) -> Option<String> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > most || text.chars().any(char::is_control) {
        let found = if length > most { format!("has {length} characters") } else { format!("is {text:?}") };
        table.report().add_in_both(
            span,
            format!("`{key}` {found}; expected 1 to {most} characters on one line, without control characters"),
            format!("应为 1 至 {most} 个字，写在一行内，不含控制字符；现有 {length} 个字"),
        );
        return None;
    }
    Some(text)
}

fn date(table: &Table<'_, '_>, key: &'static str) -> Option<Date> {
    table.parsed(key, "a date such as 2026-01-31 between 1970 and 2200", parse_date).map(|(date, _)| date)
}

fn parse_date(text: &str) -> Option<Date> {
    Date::strptime("%Y-%m-%d", text).ok().filter(|date| (1970..2200).contains(&date.year()))
}

/// An instant with an offset, or a local date, which stands for its midnight at the site.
fn when(table: &Table<'_, '_>, key: &'static str, zone: &TimeZone) -> Option<(Timestamp, Range<usize>)> {
    let expected = "a date such as 2026-01-31, or an instant with its offset such as \"2026-01-31T08:00:00+08:00\"";
    table.parsed(key, expected, |text| {
        let midnight = || parse_date(text).map(|date| calendar::instant(zone, date.at(0, 0, 0, 0)));
        Timestamp::parse(text).or_else(midnight)
    })
}

#[cfg(test)]
mod tests;
