//! project.toml: text in, a checked [`Project`] out, or every problem at once with line and column.
//!
//! The collector stores the text itself as the document; nothing here is written back. `project.example.toml`
//! shows every key.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::civil::Date;

use super::document::{At, Problems, Report, Table, nearest};
use crate::project::{Level, Moment, Party, PartyRole, Project, SCHEMA, Span, Stage};
use crate::time::Timestamp;

mod contract;
mod criteria;

/// What is wrong with a project.toml.
pub type ProjectErrors = Problems;

/// Reads a project.toml; `file_name` is how messages call it.
pub fn parse(text: &str, file_name: &str) -> Result<Project, ProjectErrors> {
    let report = Report::new(file_name, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    if !root.has_schema(SCHEMA) {
        // Keys of a newer schema would only be called unknown: say the one thing that matters.
        return Err(report.into_problems());
    }
    match read(&root) {
        Some(project) => report.finish(project),
        None => Err(report.into_problems()),
    }
}

fn read(root: &Table<'_, '_>) -> Option<Project> {
    let head = root.need("project", "id, name, site, level, author, go_live").then(|| root.table("project")).flatten();
    let head = head.and_then(|table| head_of(&table));
    let contract_lines = contract::lines(root);
    let criteria = criteria::criteria(root);
    let baseline = baseline(root);
    let after = window(root, "after", "the window after go-live: from and until");
    root.refuse_others();
    order(root, head.as_ref(), baseline.as_ref(), after.as_ref());
    let (head, (baseline, _), (after, _)) = (head?, baseline?, after?);
    Some(Project {
        schema: SCHEMA,
        id: head.id,
        name: head.name,
        name_en: head.name_en,
        code: head.code,
        site: head.site,
        level: head.level,
        author: head.author,
        reason: head.reason,
        go_live: head.go_live.0,
        stages: head.stages,
        parties: head.parties,
        baseline,
        after,
        contract_lines,
        criteria,
    })
}

struct Head {
    id: crate::id::ProjectId,
    name: String,
    name_en: Option<String>,
    code: Option<String>,
    site: crate::id::SiteId,
    level: Level,
    author: String,
    reason: Option<String>,
    go_live: At<Moment>,
    stages: BTreeMap<Stage, Date>,
    parties: Vec<Party>,
}

fn head_of(table: &Table<'_, '_>) -> Option<Head> {
    let id = need_id(table, "id");
    let name = table.need_text("name");
    let (name_en, code, reason) = (optional(table, "name_en"), plain(table, "code"), optional(table, "reason"));
    let site = need_id(table, "site");
    let level = need_word(table, "level", Level::from_code, Level::ALL.iter().map(|level| level.code()));
    let author = table.need_text("author");
    let go_live = table.need("go_live", MOMENT).then(|| moment(table, "go_live")).flatten();
    let stages = stages(table);
    let parties = parties(table);
    table.refuse_others();
    Some(Head {
        id: id?,
        name: name?.0,
        name_en,
        code,
        site: site?,
        level: level?,
        author: author?.0,
        reason,
        go_live: go_live?,
        stages,
        parties,
    })
}

/// The path: dates that never go back.
fn stages(table: &Table<'_, '_>) -> BTreeMap<Stage, Date> {
    if !table.need("stage", "the path with its dates, for example diagnosis = 2026-06-01") {
        return BTreeMap::new();
    }
    let Some(table) = table.table("stage") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    let mut last: Option<(Stage, Date)> = None;
    for stage in Stage::ALL {
        let Some((date, span)) = date(&table, stage.code()) else { continue };
        if let Some((before, earlier)) = last.filter(|(_, earlier)| date < *earlier) {
            table.report().add(
                span,
                format!(
                    "`{stage}` = {date} lies before `{before}` = {earlier}; the path goes {}, and no date may go back",
                    path()
                ),
            );
        }
        last = Some((*stage, date));
        found.insert(*stage, date);
    }
    if last.is_none() {
        table.problem("stage", "the path needs at least one date, for example diagnosis = 2026-06-01");
    }
    table.refuse_others();
    found
}

fn path() -> String {
    Stage::ALL.iter().map(|stage| stage.code()).collect::<Vec<_>>().join(", ")
}

fn parties(table: &Table<'_, '_>) -> Vec<Party> {
    if !table.need("party", "[project.party.enterprise] and [project.party.supplier]") {
        return Vec::new();
    }
    let Some(table) = table.table("party") else { return Vec::new() };
    let mut found = Vec::new();
    for role in PartyRole::ALL {
        let needed = matches!(role, PartyRole::Enterprise | PartyRole::Supplier);
        if needed && !table.need(role.code(), "a table with the name") {
            continue;
        }
        let Some(party) = table.table(role.code()) else { continue };
        let (name, contact) = (party.need_text("name"), optional(&party, "contact"));
        party.refuse_others();
        found.extend(name.map(|(name, _)| Party { role: *role, name, contact }));
    }
    table.refuse_others();
    found
}

/// The window before; what is judged needs one.
fn baseline(root: &Table<'_, '_>) -> Option<At<Span>> {
    if root.get("baseline").is_some() {
        return window(root, "baseline", "");
    }
    let criteria = root.tables("criterion");
    if criteria.is_empty() {
        root.need("baseline", "the window before go-live: from and until");
    }
    for criterion in criteria {
        let id = criterion.text("id").map_or_else(|| "?".to_owned(), |(id, _)| id);
        criterion.problem(
            "id",
            format!("criterion `{id}` has no baseline: nothing can be compared without [baseline] from = …, until = …, measured before go-live"),
        );
    }
    None
}

fn window(root: &Table<'_, '_>, key: &'static str, what: &str) -> Option<At<Span>> {
    if !root.need(key, what) {
        return None;
    }
    let table = root.table(key)?;
    let from = table.need("from", MOMENT).then(|| moment(&table, "from")).flatten();
    let until = table.need("until", MOMENT).then(|| moment(&table, "until")).flatten();
    table.refuse_others();
    let ((from, _), (until, span)) = (from?, until?);
    if !from.is_before_everywhere(until) && comparable(from, until) {
        table.report().add(
            span,
            format!("[{key}] `until` = {until} is not after `from` = {from}; it is the first moment after the window"),
        );
    }
    Some((Span { from, until }, table.span()))
}

/// Whether both are of one kind, so that not before means at or after.
const fn comparable(a: Moment, b: Moment) -> bool {
    matches!((a, b), (Moment::Date(_), Moment::Date(_)) | (Moment::Instant(_), Moment::Instant(_)))
}

/// The order of baseline, go-live and after window, as far as it can be told without the site's zone; the rest is
/// told when the project meets its plant.
fn order(root: &Table<'_, '_>, head: Option<&Head>, baseline: Option<&At<Span>>, after: Option<&At<Span>>) {
    let report = root.report();
    if let (Some((baseline, before_span)), Some((after, after_span))) = (baseline, after)
        && after.from.is_before_everywhere(baseline.until)
    {
        let pointer = report.pointer(before_span);
        report.add(
            after_span.clone(),
            format!(
                "[after] begins at {}, before the [baseline] at {pointer} is over ({}); the windows overlap",
                after.from, baseline.until
            ),
        );
    }
    let Some((go_live, go_live_span)) = head.map(|head| &head.go_live) else { return };
    let pointer = report.pointer(go_live_span);
    if let Some((after, span)) = after
        && after.from.is_before_everywhere(*go_live)
    {
        report
            .add(span.clone(), format!("[after] begins at {}, before `go_live` = {go_live} at {pointer}", after.from));
    }
    if let Some((baseline, span)) = baseline
        && go_live.is_before_everywhere(baseline.until)
    {
        report.add(
            span.clone(),
            format!(
                "[baseline] ends at {}, after `go_live` = {go_live} at {pointer}: it would measure the new equipment",
                baseline.until
            ),
        );
    }
}

const MOMENT: &str = "a date such as 2026-01-31, or an instant with its offset such as \"2026-01-31T08:00:00+08:00\"";

fn moment(table: &Table<'_, '_>, key: &'static str) -> Option<At<Moment>> {
    table.parsed(key, MOMENT, |text| {
        Timestamp::parse(text).map(Moment::Instant).or_else(|| parse_date(text).map(Moment::Date))
    })
}

fn date(table: &Table<'_, '_>, key: &'static str) -> Option<(Date, Range<usize>)> {
    table.parsed(key, "a date such as 2026-01-31 between 1970 and 2200", parse_date)
}

fn parse_date(text: &str) -> Option<Date> {
    Date::strptime("%Y-%m-%d", text).ok().filter(|date| (1970..2200).contains(&date.year()))
}

fn need_id<T: std::str::FromStr<Err: std::fmt::Display>>(table: &Table<'_, '_>, key: &'static str) -> Option<T> {
    table.need(key, "an id of a-z 0-9 . _ -").then(|| table.from_str(key)).flatten().map(|(id, _)| id)
}

/// One of a few words, with the nearest one if it is none of them.
fn need_word<T>(
    table: &Table<'_, '_>,
    key: &'static str,
    read: impl Fn(&str) -> Option<T>,
    known: impl Iterator<Item = &'static str>,
) -> Option<T> {
    let known: Vec<&str> = known.collect();
    let all = known.join(", ");
    let (word, span) = table.need(key, &format!("one of {all}")).then(|| table.text(key)).flatten()?;
    let found = read(&word);
    if found.is_none() {
        let hint = nearest(&word, known)
            .map_or_else(|| format!("allowed are {all}"), |near| format!("did you mean `{near}`?"));
        table.report().add(span, format!("`{key}` is {word:?}; {hint}"));
    }
    found
}

fn optional(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.text(key).map(|(text, _)| text)
}

/// A text that people may also write as a bare number.
fn plain(table: &Table<'_, '_>, key: &'static str) -> Option<String> {
    table.scalar(key).map(|(text, _)| text)
}

#[cfg(test)]
mod tests;
