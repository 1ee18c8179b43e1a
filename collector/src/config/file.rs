//! The configuration file as written: TOML with the place of every key, and the list of everything that is
//! wrong with it. What the keys mean is `resolve.rs`.

use std::fmt;
use std::str::FromStr;

use shopfloor::time::{HOUR, MINUTE, SECOND};
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was written, why it cannot be meant, what would be allowed.
    pub message: String,
}

/// Everything that is wrong with a configuration file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The file as it was named.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
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

/// A byte offset into the text: where a key, a value or a table stands.
pub(super) type Place = usize;

/// The text that is being read, and what was found wrong so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<(Place, String)>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// The root table, as far as it could be read; syntax errors are noted.
    pub(super) fn root(&mut self) -> Table<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let place = error.span().map_or(0, |span| span.start);
            self.problem(place, format!("not TOML: {}", error.message().replace('\n', "; ")));
        }
        Table::new("", 0, table.into_inner())
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, place: Place, message: String) {
        self.problems.push((place, message));
    }

    /// The list of problems; empty if there is none.
    pub(super) fn finish(mut self, file: &str) -> Result<(), ConfigErrors> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|(place, _)| *place);
        let text = self.text;
        let problems = self
            .problems
            .into_iter()
            .map(|(place, message)| {
                let (line, column) = line_and_column(text, place);
                Problem { line, column, message }
            })
            .collect();
        Err(ConfigErrors { file: file.to_owned(), problems })
    }
}

fn line_and_column(text: &str, place: Place) -> (usize, usize) {
    let mut end = place.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
pub(super) struct Table<'t> {
    name: String,
    place: Place,
    entries: Vec<(String, Place, Place, DeValue<'t>)>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    fn new(name: &str, place: Place, table: DeTable<'t>) -> Self {
        let entries = table
            .into_iter()
            .map(|(key, value)| {
                let (key_place, value_place) = (key.span().start, value.span().start);
                (key.into_inner().into_owned(), key_place, value_place, value.into_inner())
            })
            .collect();
        Self { name: name.to_owned(), place, entries, known: Vec::new() }
    }

    /// An empty table in the place of one that was not written.
    pub(super) fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), place: 0, entries: Vec::new(), known: Vec::new() }
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    fn take(&mut self, key: &'static str) -> Option<(Place, DeValue<'t>)> {
        self.known.push(key);
        let position = self.entries.iter().position(|(name, ..)| name == key)?;
        let (_, _, place, value) = self.entries.swap_remove(position);
        Some((place, value))
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// A text; `None` if it is absent or not a text.
    pub(super) fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<String>> {
        match self.take(key)? {
            (place, DeValue::String(text)) => Some(At { value: text.into_owned(), place }),
            (place, other) => {
                reader.problem(place, format!("{} must be a text, found {}", self.full(key), other.type_str()));
                None
            }
        }
    }

    /// Something that is written as text; `None` if it is absent or wrong.
    pub(super) fn parsed<T>(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<T>>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(reader, key)?;
        match text.value.parse() {
            Ok(value) => Some(At { value, place: text.place }),
            Err(error) => {
                reader.problem(text.place, format!("{} = {:?}: {error}", self.full(key), text.value));
                None
            }
        }
    }

    /// A text that has to be there.
    pub(super) fn required<T>(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<T>>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        if !self.entries.iter().any(|(name, ..)| name == key) {
            reader.problem(self.place, format!("{} is missing", self.full(key)));
        }
        self.parsed(reader, key)
    }

    /// A whole number of at least 0.
    pub(super) fn number(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<u64>> {
        let (place, value) = self.take(key)?;
        if let DeValue::Integer(written) = &value
            && let Ok(value) = u64::from_str_radix(written.as_str(), written.radix())
        {
            return Some(At { value, place });
        }
        reader.problem(place, format!("{} must be a whole number of at least 0", self.full(key)));
        None
    }

    /// True or false.
    pub(super) fn flag(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<bool>> {
        match self.take(key)? {
            (place, DeValue::Boolean(value)) => Some(At { value, place }),
            (place, other) => {
                let key = self.full(key);
                reader.problem(place, format!("{key} must be true or false, found {}", other.type_str()));
                None
            }
        }
    }

    /// A duration in nanoseconds such as `10s`, `500ms`, `2h`.
    pub(super) fn duration(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<At<i64>> {
        let text = self.text(reader, key)?;
        if let Some(value) = parse_duration(&text.value) {
            return Some(At { value, place: text.place });
        }
        let message = format!(
            "{} = {:?} is not a duration; write a whole number and ms, s, min, h or d, such as \"10min\"",
            self.full(key),
            text.value
        );
        reader.problem(text.place, message);
        None
    }

    /// A table inside this one; an empty one if it is not written.
    pub(super) fn table(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Table<'t> {
        let name = self.full(key);
        match self.take(key) {
            None => Table::absent(&name),
            Some((place, DeValue::Table(table))) => Table::new(&name, place, table),
            Some((place, other)) => {
                reader.problem(place, format!("{name} must be a table [{name}], found {}", other.type_str()));
                Table::absent(&name)
            }
        }
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Vec<Table<'t>> {
        let name = self.full(key);
        let Some((place, value)) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            reader.problem(place, format!("{name} must be written [[{name}]], found {}", value.type_str()));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            let place = item.span().start;
            match item.into_inner() {
                DeValue::Table(table) => tables.push(Table::new(&name, place, table)),
                other => reader.problem(place, format!("{name} must hold tables, found {}", other.type_str())),
            }
        }
        tables
    }

    /// Names every key that nobody asked for, with the nearest one that exists.
    pub(super) fn close(self, reader: &mut Reader<'_>) {
        for (key, place, ..) in &self.entries {
            let hint = match nearest(key, &self.known) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => format!("; known are {}", self.known.join(", ")),
            };
            reader.problem(*place, format!("unknown key {:?}{hint}", self.full(key)));
        }
    }
}

fn parse_duration(text: &str) -> Option<i64> {
    let split = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim_start() {
        "ms" => SECOND / 1000,
        "s" => SECOND,
        "min" => MINUTE,
        "h" => HOUR,
        "d" => 24 * HOUR,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// The known name that differs from `written` in at most a third of its letters.
fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let (distance, name) = known.iter().map(|name| (edits(written, name), *name)).min()?;
    (distance * 3 <= written.chars().count().max(3)).then_some(name)
}

fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_fit() {
        assert_eq!(parse_duration("500ms"), Some(500_000_000));
        assert_eq!(parse_duration("2h"), Some(2 * HOUR));
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_duration("10 parsec"), None);
        assert_eq!(parse_duration("99999999999999999d"), None);
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_name() {
        assert_eq!(nearest("lisen", &["listen", "url"]), Some("listen"));
        assert_eq!(nearest("password", &["listen", "url"]), None);
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(line_and_column("a\n厂=1", "a\n厂=".len()), (2, 3));
    }
}
