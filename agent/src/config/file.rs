//! The configuration as written: a reader over TOML that remembers where everything stood.
//!
//! It collects every problem instead of stopping at the first, each with line, column, key, what was found and
//! what is allowed, in English and Chinese. What the values mean is left to `resolve`.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigErrors, Position, Problem, ProblemKind, Said};

/// One table of the file, and which of its keys were asked for.
pub(crate) struct Table<'t, 'i> {
    path: String,
    entries: &'t DeTable<'i>,
    span: Range<usize>,
    known: BTreeSet<&'static str>,
}

impl Table<'_, '_> {
    /// Path of a key of this table.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the table begins.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether the key is written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }
}

/// A value and where it stood.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

/// Reads one file; keeps its problems.
pub(crate) struct Reader<'i> {
    text: &'i str,
    problems: Vec<Problem>,
}

impl<'i> Reader<'i> {
    pub(crate) fn new(text: &'i str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// The whole file as a table; `None` if it is not TOML.
    pub(crate) fn document(&mut self) -> Option<Spanned<DeTable<'i>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let kind = ProblemKind::Syntax(error.message().to_owned());
            self.problem(error.span().unwrap_or(0..0), "", kind);
        }
        errors.is_empty().then_some(table)
    }

    pub(crate) fn root<'t>(document: &'t Spanned<DeTable<'i>>) -> Table<'t, 'i> {
        Table { path: String::new(), entries: document.get_ref(), span: 0..0, known: BTreeSet::new() }
    }

    pub(crate) fn problem(&mut self, span: Range<usize>, key: &str, kind: ProblemKind) {
        let at = self.position(span.start);
        self.problems.push(Problem { at, key: key.to_owned(), kind });
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        Position { line: before.matches('\n').count() + 1, column }
    }

    /// All problems, ordered by place; `None` if there were none.
    pub(crate) fn errors(mut self, file: &str) -> Option<ConfigErrors> {
        self.problems.sort_by_key(|p| p.at);
        (!self.problems.is_empty()).then(|| ConfigErrors { file: file.to_owned(), problems: self.problems })
    }

    /// A table under `key`, empty if it is not written.
    pub(crate) fn table<'t>(&mut self, parent: &mut Table<'t, 'i>, key: &'static str) -> Option<Table<'t, 'i>> {
        let value = Self::value(parent, key)?;
        let path = parent.path(key);
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table { path, entries, span: value.span(), known: BTreeSet::new() }),
            other => {
                let allowed = Said::new(format!("a table [{path}]"), format!("表 [{path}]"));
                self.invalid(value.span(), &path, other.type_str(), allowed);
                None
            }
        }
    }

    /// The tables of an array `[[key]]`; empty if it is not written.
    pub(crate) fn tables<'t>(&mut self, parent: &mut Table<'t, 'i>, key: &'static str) -> Vec<Table<'t, 'i>> {
        let Some(value) = Self::value(parent, key) else { return Vec::new() };
        let path = parent.path(key);
        let mut tables = Vec::new();
        if let DeValue::Array(items) = value.get_ref() {
            for (index, item) in items.iter().enumerate() {
                if let DeValue::Table(entries) = item.get_ref() {
                    let path = format!("{path}[{index}]");
                    tables.push(Table { path, entries, span: item.span(), known: BTreeSet::new() });
                }
            }
            if tables.len() == items.len() {
                return tables;
            }
        }
        let allowed = Said::new(format!("tables [[{path}]]"), format!("表数组 [[{path}]]"));
        self.invalid(value.span(), &path, value.get_ref().type_str(), allowed);
        tables
    }

    /// Says which keys of the table nobody asked for.
    pub(crate) fn finish(&mut self, table: &Table<'_, 'i>) {
        for (key, _) in table.entries {
            let name: &str = key.get_ref();
            if !table.known.contains(name) {
                let nearest = nearest(name, &table.known);
                self.problem(key.span(), &table.path(name), ProblemKind::UnknownKey { nearest });
            }
        }
    }

    /// A text turned into `T`; `None` if absent or wrong (and then it is said).
    pub(crate) fn text<T>(
        &mut self,
        table: &mut Table<'_, 'i>,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Said>,
    ) -> Option<Found<T>> {
        let value = Self::value(table, key)?;
        let parsed = match value.get_ref() {
            DeValue::String(text) => parse(text),
            _ => Err(Said::new("a text in quotes", "带引号的文本")),
        };
        self.kept(table, key, value, parsed)
    }

    /// A whole number in `range`.
    pub(crate) fn integer(
        &mut self,
        table: &mut Table<'_, 'i>,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Found<i64>> {
        let value = Self::value(table, key)?;
        let (low, high) = (range.start(), range.end());
        let allowed = || Said::new(format!("a whole number from {low} to {high}"), format!("{low} 到 {high} 的整数"));
        let parsed = integer_of(value.get_ref()).filter(|n| range.contains(n)).ok_or_else(allowed);
        self.kept(table, key, value, parsed)
    }

    /// `true` or `false`; false if absent.
    pub(crate) fn flag(&mut self, table: &mut Table<'_, 'i>, key: &'static str) -> bool {
        let Some(value) = Self::value(table, key) else { return false };
        let parsed = value.get_ref().as_bool().ok_or_else(|| Said::new("true or false", " true 或 false"));
        self.kept(table, key, value, parsed).is_some_and(|found| found.value)
    }

    /// A duration such as `"500ms"`, in nanoseconds, within `range`.
    pub(crate) fn duration(
        &mut self,
        table: &mut Table<'_, 'i>,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Found<i64>> {
        let value = Self::value(table, key)?;
        let (low, high) = (duration_text(*range.start()), duration_text(*range.end()));
        let allowed = || {
            Said::new(
                format!("a duration from {low} to {high} such as \"500ms\", \"10s\", \"5min\", \"12h\", \"180d\""),
                format!("{low} 到 {high} 的时长，如 \"500ms\"、\"10s\"、\"5min\"、\"12h\"、\"180d\""),
            )
        };
        let parsed = value.get_ref().as_str().and_then(duration).filter(|d| range.contains(d)).ok_or_else(allowed);
        self.kept(table, key, value, parsed)
    }

    /// A number of bytes: `"256KiB"`, `"2GiB"` or a plain number, within `range`.
    pub(crate) fn bytes(
        &mut self,
        table: &mut Table<'_, 'i>,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Found<u64>> {
        let value = Self::value(table, key)?;
        let (low, high) = (range.start(), range.end());
        let allowed = || {
            Said::new(
                format!("bytes from {low} to {high} such as \"256KiB\", \"64MiB\", \"2GiB\""),
                format!("{low} 到 {high} 字节，如 \"256KiB\"、\"64MiB\"、\"2GiB\""),
            )
        };
        let number = integer_of(value.get_ref()).and_then(|n| u64::try_from(n).ok());
        let number = number.or_else(|| value.get_ref().as_str().and_then(bytes));
        let parsed = number.filter(|n| range.contains(n)).ok_or_else(allowed);
        self.kept(table, key, value, parsed)
    }

    /// Says that a required key is absent, unless it is written (then what is wrong with it was said already).
    pub(crate) fn missing(&mut self, table: &Table<'_, 'i>, key: &str, allowed: Said) {
        if !table.has(key) {
            self.problem(table.span(), &table.path(key), ProblemKind::Missing { allowed });
        }
    }

    /// Says that a value is not allowed.
    pub(crate) fn invalid(&mut self, span: Range<usize>, key: &str, found: &str, allowed: Said) {
        self.problem(span, key, ProblemKind::Invalid { found: found.to_owned(), allowed });
    }

    /// The text of the file at `span`, for a message.
    pub(crate) fn written(&self, span: Range<usize>) -> String {
        self.text.get(span).unwrap_or_default().chars().take(80).collect()
    }

    fn value<'t>(table: &mut Table<'t, 'i>, key: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        table.known.insert(key);
        table.entries.get(key)
    }

    fn kept<T>(
        &mut self,
        table: &Table<'_, 'i>,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        parsed: Result<T, Said>,
    ) -> Option<Found<T>> {
        match parsed {
            Ok(parsed) => Some(Found { value: parsed, span: value.span() }),
            Err(allowed) => {
                let found = self.written(value.span());
                self.invalid(value.span(), &table.path(key), &found, allowed);
                None
            }
        }
    }
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Nanoseconds of `"500ms"`, `"10s"`, `"5min"` (or `"5m"`), `"12h"`, `"180d"`.
fn duration(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" | "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// The shortest text that `duration` reads back as `nanos`.
pub(crate) fn duration_text(nanos: i64) -> String {
    for (factor, unit) in
        [(86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s")]
    {
        if nanos >= factor && nanos % factor == 0 {
            return format!("{}{unit}", nanos / factor);
        }
    }
    format!("{}ms", nanos / 1_000_000)
}

fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The known key with the fewest edits, if it is near enough to be what was meant.
fn nearest(name: &str, known: &BTreeSet<&'static str>) -> Option<String> {
    let best = known.iter().map(|k| (edits(name, k), *k)).min()?;
    (best.0 <= 1 + name.len() / 4).then(|| best.1.to_owned())
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for text in ["500ms", "10s", "5min", "12h", "180d"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "99999999999999d"] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(bytes("2GiB"), Some(2 << 30));
        assert_eq!(bytes("2GB"), None);
    }

    #[test]
    fn a_typo_finds_its_nearest_key_and_nonsense_finds_none() {
        let known = BTreeSet::from(["address", "area", "interval"]);
        assert_eq!(nearest("adress", &known).as_deref(), Some("address"));
        assert_eq!(nearest("intervall", &known).as_deref(), Some("interval"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn positions_count_characters_not_bytes() {
        let reader = Reader::new("a = 1\n准 = \"x\"\n");
        let offset = reader.text.find('"').unwrap();
        assert_eq!(reader.position(offset), Position { line: 2, column: 5 });
    }
}
