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
use crate::plant::{Area, ClusterMembership, Equipment, Networked, Plant, Product, SCHEMA, Site, WorkCenter};
use crate::time::Timestamp;

mod calendars;
mod check;
mod units;

/// What is wrong with a plant.toml.
pub type PlantErrors = Problems;

/// Reads a plant.toml; `file_name` is how messages call it.
pub fn parse(text: &str, file_name: &str) -> Result<Plant, PlantErrors> {
    let report = Report::new(file_name, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    if !schema_is_known(&root) {
        // Keys of a newer schema would only be called unknown: say the one thing that matters.
        return Err(report.into_problems());
    }
    match read(&report, &root) {
        Some(plant) => report.finish(plant),
        None => Err(report.into_problems()),
    }
}

fn schema_is_known(root: &Table<'_, '_>) -> bool {
    if !root.need("schema", "the version of this format: schema = 1") {
        return false;
    }
    let Some((schema, _)) = root.integer("schema") else { return false };
    if schema > SCHEMA {
        root.problem(
            "schema",
            format!("schema = {schema} is newer than this program, which reads up to {SCHEMA}; upgrade Plumbline, the file is left as it is"),
        );
    } else if schema < 1 {
        root.problem("schema", format!("schema = {schema} does not exist; write schema = {SCHEMA}"));
    }
    schema == SCHEMA
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
    let equipment = equipment(root, &mut names);
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
    let name = table.need_text("name");
    let name_en = optional(&table, "name_en");
    let uscc = table.parsed("uscc", "18 characters of 统一社会信用代码 with a right check character", check::uscc);
    let (industry, county) = (plain(&table, "industry"), plain(&table, "county"));
    let clusters = table.tables("cluster").iter().filter_map(cluster).collect();
    let zone_needed = "an IANA name such as \"Asia/Shanghai\"; there is no default";
    let zone = table.need("time_zone", zone_needed);
    let zone = zone.then(|| {
        table.parsed("time_zone", zone_needed, |name| TimeZone::get(name).ok().map(|zone| (name.to_owned(), zone)))
    });
    table.refuse_others();
    let ((time_zone_name, time_zone), _) = zone.flatten()?;
    Some(Site {
        id: id?,
        name: name?.0,
        name_en,
        uscc: uscc.map(|(uscc, _)| uscc),
        industry,
        county,
        clusters,
        time_zone_name,
        time_zone,
    })
}

fn cluster(table: &Table<'_, '_>) -> Option<ClusterMembership> {
    let id = need_id(table, "id");
    let (from, until) = (date(table, "from"), date(table, "until"));
    table.refuse_others();
    Some(ClusterMembership { id: id?, from, until })
}

fn areas(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<Area> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::AreaId> = names.define("area", table);
        let name = table.need_text("name");
        let name_en = optional(table, "name_en");
        table.refuse_others();
        Some(Area { id: id?, name: name?.0, name_en })
    };
    root.tables("area").iter().filter_map(|table| one(table, names)).collect()
}

fn work_centers(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<WorkCenter> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::WorkCenterId> = names.define("work_center", table);
        let name = table.need_text("name");
        let name_en = optional(table, "name_en");
        let area = table.from_str("area");
        names.refer("area", area.as_ref());
        table.refuse_others();
        Some(WorkCenter { id: id?, name: name?.0, name_en, area: area.map(|(area, _)| area) })
    };
    root.tables("work_center").iter().filter_map(|table| one(table, names)).collect()
}

fn products(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<Product> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::ProductId> = names.define("product", table);
        let name = table.need_text("name");
        let name_en = optional(table, "name_en");
        let code = table.integer("code");
        if let Some((code, span)) = &code {
            names.define_text("product code", &code.to_string(), span.clone());
        }
        table.refuse_others();
        Some(Product { id: id?, name: name?.0, name_en, code: code.map(|(code, _)| i128::from(code)) })
    };
    root.tables("product").iter().filter_map(|table| one(table, names)).collect()
}

fn equipment(root: &Table<'_, '_>, names: &mut check::Names<'_, '_>) -> Vec<Equipment> {
    let one = |table: &Table<'_, '_>, names: &mut check::Names<'_, '_>| {
        let id: Option<crate::id::EquipmentId> = names.define("equipment", table);
        let name = table.need_text("name");
        let expected = "verified, declared or none";
        let networked =
            table.need("networked", expected).then(|| table.parsed("networked", expected, networked)).flatten();
        let work_unit = table.from_str("work_unit");
        names.refer("work_unit", work_unit.as_ref());
        let line = Equipment {
            id: id.clone()?,
            name: name.map(|(name, _)| name).unwrap_or_default(),
            name_en: optional(table, "name_en"),
            model: optional(table, "model"),
            serial: optional(table, "serial"),
            key_process: table.boolean("key_process").is_some_and(|(bit, _)| bit),
            contract_line: plain(table, "contract_line"),
            networked: networked.map_or(Networked::None, |(networked, _)| networked),
            attested_by: optional(table, "attested_by"),
            attested_at: date(table, "attested_at"),
            work_unit: work_unit.map(|(unit, _)| unit),
        };
        table.refuse_others();
        Some(line)
    };
    root.tables("equipment").iter().filter_map(|table| one(table, names)).collect()
}

fn networked(word: &str) -> Option<Networked> {
    [Networked::Verified, Networked::Declared, Networked::None].into_iter().find(|state| state.code() == word)
}

fn need_id<T: FromStr<Err: std::fmt::Display>>(table: &Table<'_, '_>, key: &'static str) -> Option<T> {
    table.need(key, "an id of a-z 0-9 . _ -").then(|| table.from_str(key)).flatten().map(|(id, _)| id)
}

fn optional(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.text(key).map(|(text, _)| text)
}

/// A text that people may also write as a bare number.
fn plain(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.scalar(key).map(|(text, _)| text)
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
