//! A TOML document walked by hand: every problem collected with its place, unknown keys with the nearest name.
//!
//! serde would stop at the first problem; here a file is read to the end and all of it is reported.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong, why, and what to write instead.
    pub message: String,
    /// The same in Chinese, where people meet it outside the file: in the rows of a register, for example.
    pub zh: Option<String>,
}

/// Everything wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    /// Name of the file, as it was passed in.
    pub file: String,
    /// The problems in order of place.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
        }
        Ok(())
    }
}

/// Collects problems while a document is walked.
#[derive(Debug)]
pub struct Report<'a> {
    file: &'a str,
    text: &'a str,
    problems: RefCell<BTreeSet<Problem>>,
}

impl<'a> Report<'a> {
    /// An empty report about `text`, which was read from `file`.
    pub const fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::new(BTreeSet::new()) }
    }

    /// Notes a problem at a place of the text.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>) {
        self.put(span, message.into(), None);
    }

    /// The same in both languages.
    pub fn add_in_both(&self, span: Range<usize>, message: impl Into<String>, zh: impl Into<String>) {
        self.put(span, message.into(), Some(zh.into()));
    }

    fn put(&self, span: Range<usize>, message: String, zh: Option<String>) {
        let (line, column) = self.place(span.start);
        self.problems.borrow_mut().insert(Problem { line, column, message, zh });
    }

    /// `file:line:column` of a place, to point at a second one in a message.
    pub fn pointer(&self, span: &Range<usize>) -> String {
        let (line, column) = self.place(span.start);
        format!("{}:{line}:{column}", self.file)
    }

    /// Parses the text as TOML; syntax errors and duplicate keys become problems.
    pub fn parse(&self) -> Spanned<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.add(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        table
    }

    /// Whether nothing was noted so far.
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// `value` if nothing was noted, else everything that was.
    pub fn finish<T>(self, value: T) -> Result<T, Problems> {
        if self.is_clean() { Ok(value) } else { Err(self.into_problems()) }
    }

    /// Everything that was noted, in order of place.
    pub fn into_problems(self) -> Problems {
        Problems { file: self.file.to_owned(), problems: self.problems.into_inner().into_iter().collect() }
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}

/// One table of the document; remembers which keys were asked for.
pub struct Table<'t, 'a> {
    report: &'t Report<'a>,
    entries: &'t DeTable<'a>,
    span: Range<usize>,
    path: String,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A value with its place.
pub type At<T> = (T, Range<usize>);

impl<'t, 'a> Table<'t, 'a> {
    /// The table `path`, which begins at `span`.
    pub fn new(report: &'t Report<'a>, table: &'t DeTable<'a>, span: Range<usize>, path: impl Into<String>) -> Self {
        Self { report, entries: table, span, path: path.into(), asked: RefCell::default() }
    }

    /// The report that its problems go to.
    pub const fn report(&self) -> &'t Report<'a> {
        self.report
    }

    /// Where it begins.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Its name in the document.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes a problem with one of its keys, or with itself if the key is not there.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        let span = self.entries.get(key).map_or_else(|| self.span(), Spanned::span);
        self.report.add(span, message);
    }

    /// The same in both languages.
    pub fn problem_in_both(&self, key: &str, message: impl Into<String>, zh: impl Into<String>) {
        let span = self.entries.get(key).map_or_else(|| self.span(), Spanned::span);
        self.report.add_in_both(span, message, zh);
    }

    /// The keys of a table whose keys are names, with their places.
    pub fn keys(&self) -> Vec<At<String>> {
        self.entries.keys().map(|key| (key.get_ref().to_string(), key.span())).collect()
    }

    /// Refuses every key that nobody asked for, naming the nearest one that exists.
    pub fn refuse_others(&self) {
        let asked = self.asked.borrow();
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if asked.contains(name) {
                continue;
            }
            let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            let hint = match nearest(name, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("allowed are {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.report.add(key.span(), format!("unknown key `{name}`{place}; {hint}"));
        }
    }

    /// The raw value of a key, if present.
    pub fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key);
        self.entries.get(key)
    }

    /// A value whose key is a name of the document, not of the format.
    pub fn entry(&self, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    /// A text, if present.
    pub fn text(&self, key: &'static str) -> Option<At<String>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            other => {
                self.wrong(key, "a text", other, value.span());
                None
            }
        }
    }

    /// A text that must be there.
    pub fn need_text(&self, key: &'static str) -> Option<At<String>> {
        self.need(key, "a text").then(|| self.text(key)).flatten()
    }

    /// An integer, if present.
    pub fn integer(&self, key: &'static str) -> Option<At<i64>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Integer(number) => {
                let digits = number.as_str().replace('_', "");
                let parsed = i64::from_str_radix(&digits, number.radix()).ok();
                if parsed.is_none() {
                    self.report.add(value.span(), format!("`{key}` = {digits} does not fit 64 bits"));
                }
                parsed.map(|parsed| (parsed, value.span()))
            }
            other => {
                self.wrong(key, "an integer", other, value.span());
                None
            }
        }
    }

    /// True or false, if present.
    pub fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(bit) => Some((*bit, value.span())),
            other => {
                self.wrong(key, "true or false", other, value.span());
                None
            }
        }
    }

    /// Text, integer, float or date, as it was written; for values that have their own grammar.
    pub fn scalar(&self, key: &'static str) -> Option<At<String>> {
        let value = self.get(key)?;
        let text = scalar_text(value.get_ref());
        if text.is_none() {
            self.wrong(key, "a single value", value.get_ref(), value.span());
        }
        text.map(|text| (text, value.span()))
    }

    /// A value with a grammar of its own: `parse` reads it, `expected` says what it should look like.
    pub fn parsed<T>(&self, key: &'static str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<At<T>> {
        let (text, span) = self.scalar(key)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.report.add(span.clone(), format!("`{key}` is {text:?}; expected {expected}"));
        }
        parsed.map(|parsed| (parsed, span))
    }

    /// The same for a type with an error of its own.
    pub fn from_str<T: std::str::FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<At<T>> {
        let (text, span) = self.text(key)?;
        match text.parse() {
            Ok(parsed) => Some((parsed, span)),
            Err(error) => {
                self.report.add(span, format!("`{key}`: {error}"));
                None
            }
        }
    }

    /// A key that must be there.
    pub fn need(&self, key: &'static str, what: &str) -> bool {
        let present = self.get(key).is_some();
        if !present {
            let place = if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path) };
            self.report.add(self.span(), format!("{place} needs `{key}` ({what})"));
        }
        present
    }

    /// Whether the key `schema` says `known`; a newer or impossible one is a problem that says what to do.
    pub fn has_schema(&self, known: i64) -> bool {
        if !self.need("schema", "the version of this format: schema = 1") {
            return false;
        }
        let Some((schema, _)) = self.integer("schema") else { return false };
        if schema > known {
            self.problem(
                "schema",
                format!("schema = {schema} is newer than this program, which reads up to {known}; upgrade Plumbline, the file is left as it is"),
            );
        } else if schema < 1 {
            self.problem("schema", format!("schema = {schema} does not exist; write schema = {known}"));
        }
        schema == known
    }

    /// A table, if present.
    pub fn table(&self, key: &'static str) -> Option<Table<'t, 'a>> {
        let value = self.get(key)?;
        self.as_table(key, value)
    }

    /// A value as a table under this one.
    pub fn as_table(&self, key: &str, value: &'t Spanned<DeValue<'a>>) -> Option<Table<'t, 'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Table::new(self.report, table, value.span(), self.below(key))),
            other => {
                self.wrong(key, "a table", other, value.span());
                None
            }
        }
    }

    /// An array of tables; empty if absent.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'t, 'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(key, "an array of tables", value.get_ref(), value.span());
            return Vec::new();
        };
        items.iter().filter_map(|item| self.as_table(key, item)).collect()
    }

    /// An array of texts; `None` if absent.
    pub fn texts(&self, key: &'static str) -> Option<Vec<At<String>>> {
        let value = self.get(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(key, "an array of texts", value.get_ref(), value.span());
            return None;
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => found.push((text.to_string(), item.span())),
                other => self.wrong(key, "a text", other, item.span()),
            }
        }
        Some(found)
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong(&self, key: &str, expected: &str, found: &DeValue<'_>, span: Range<usize>) {
        self.report.add(span, format!("`{key}` should be {expected}, found {}", kind(found)));
    }
}

fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Datetime(date) => Some(date.to_string()),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The candidate that differs least from `name`, if it differs by no more than a third of its letters.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let ranked = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    let (edits, candidate) = ranked.min()?;
    (edits <= 1.max(name.chars().count().max(candidate.chars().count()) / 3)).then_some(candidate)
}

/// Number of letters inserted, dropped or exchanged between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["address", "agent", "name"];
        assert_eq!(nearest("adress", names), Some("address"));
        assert_eq!(nearest("nmae", names), None);
        assert_eq!(nearest("naem", ["name"]), None);
        assert_eq!(nearest("nam", names), Some("name"));
        assert_eq!(nearest("zzzzzz", names), None);
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let text = "size = \"x\"\nnmae = 1\n";
        let report = Report::new("a.toml", text);
        let parsed = report.parse();
        let table = Table::new(&report, parsed.get_ref(), 0..0, "");
        assert_eq!(table.integer("size"), None);
        assert_eq!(table.need_text("name"), None);
        table.refuse_others();
        let problems = report.finish(()).unwrap_err();
        let lines: Vec<_> = problems.problems.iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(lines, [(1, 1), (1, 8), (2, 1)]);
        assert!(problems.to_string().starts_with("a.toml:1:1: the file needs `name` (a text)\n"));
    }

    #[test]
    fn a_duplicate_key_is_a_problem_with_a_place() {
        let report = Report::new("a.toml", "a = 1\na = 2\n");
        let _ = report.parse();
        assert_eq!(report.finish(()).unwrap_err().problems[0].line, 2);
    }
}
