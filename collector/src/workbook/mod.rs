//! Spreadsheets (XLSX): the one place that knows the file format, in both directions.
//!
//! [`write`] makes a workbook out of typed cells: headings frozen and in a style of their own, numbers as numbers with
//! a format, dates as dates, and every text guarded, so that nothing a person typed becomes a formula. [`read`] takes
//! one that people filled in and gives plain values with the names of their cells. What a sheet means is decided
//! elsewhere.

mod read;
mod write;

use jiff::civil::{Date, DateTime};

pub use read::{CELLS_MAX, FILE_BYTES_MAX, ReadError, Table, Value, cell_name, read};
pub use write::{WriteError, write};

/// Name of the sheet that says what the figures of a workbook mean.
pub const NOTES: &str = "口径";

/// A workbook to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    /// Title in the file's properties.
    pub title: String,
    /// When it was made: seconds since 1970, UTC. The same book at the same second gives the same bytes.
    pub made_at: i64,
    /// Whether any figure rests on simulated data; then every printed page says so.
    pub demo: bool,
    /// The sheets, in order; Excel opens the first that is not hidden.
    pub sheets: Vec<Sheet>,
}

/// A sheet: lines of text, one row of headings, rows of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// Name on the tab: 1 to 31 characters without `[ ] : * ? / \`.
    pub name: String,
    /// Lines above the headings, such as the name of the site. A sheet that is meant to be read in again has none.
    pub lead: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows under the headings; a shorter row leaves its last columns empty.
    pub rows: Vec<Vec<Cell>>,
    /// Columns at the left that stay in sight.
    pub frozen_columns: u16,
    /// Whether the tab is hidden; its cells are read by programs.
    pub hidden: bool,
}

/// A column of a sheet.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// Its width in characters of the default font; a Chinese character takes two.
    pub width: f64,
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text; it never becomes a formula.
    Text(String),
    /// The same in bold.
    Strong(String),
    /// A number, shown with so many decimals; the cell holds all of it.
    Number {
        /// The number.
        value: f64,
        /// Decimals shown.
        decimals: u8,
    },
    /// A ratio, shown as a percentage with so many decimals; the cell holds the ratio.
    Percent {
        /// The ratio, 1 for 100 %.
        value: f64,
        /// Decimals shown.
        decimals: u8,
    },
    /// A day.
    Date(Date),
    /// A local date and time of the site.
    Time(DateTime),
    /// A text that leads to an address beginning with `http://`, `https://` or `internal:`; any other stays a text.
    Link {
        /// Where it leads.
        address: String,
        /// What is shown.
        text: String,
    },
}

impl Sheet {
    /// A sheet with these columns and no rows; the first column stays in sight.
    pub fn new(name: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { name: name.into(), lead: Vec::new(), columns, rows: Vec::new(), frozen_columns: 1, hidden: false }
    }

    /// The sheet 口径: what each figure means, over which time, from which definition.
    pub fn notes(lines: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut sheet = Self::new(NOTES, vec![Column::new("项目", 24.0), Column::new("说明", 96.0)]);
        sheet.rows = lines.into_iter().map(|(what, meaning)| vec![Cell::Strong(what), Cell::Text(meaning)]).collect();
        sheet
    }

    /// The same sheet with a line above its headings.
    #[must_use]
    pub fn with_lead(mut self, line: impl Into<String>) -> Self {
        self.lead.push(line.into());
        self
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }
}

impl Column {
    /// A column of so many characters.
    pub fn new(heading: impl Into<String>, width: f64) -> Self {
        Self { heading: heading.into(), width }
    }
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A text, or an empty cell where there is none.
    pub fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Empty, Self::text)
    }

    /// A whole number, such as a count of machines.
    #[allow(clippy::cast_precision_loss)] // counts are far below 2^53; beyond it a spreadsheet holds no integer either
    pub const fn count(count: u64) -> Self {
        Self::Number { value: count as f64, decimals: 0 }
    }
}
