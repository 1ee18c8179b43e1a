//! The bytes of an XLSX file into plain values, each with the name of its cell. Bounded in bytes and cells.

use std::io::Cursor;

use calamine::{DataRef, Reader, Xlsx, XlsxError};
use jiff::civil::{Date, DateTime};

/// Longest file in bytes.
pub const FILE_BYTES_MAX: usize = 8 << 20;
/// Most cells with a value in a file, and the largest row or column number that is looked at.
pub const CELLS_MAX: usize = 400_000;
/// Columns that are looked at: up to ZZ.
const COLUMNS_MAX: u32 = 702;
/// Rows that are looked at.
const ROWS_MAX: u32 = 100_000;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is longer than any register.
    #[error("the workbook has {0} bytes, more than the {FILE_BYTES_MAX} allowed")]
    TooBig(usize),
    /// It is not an XLSX file.
    #[error(
        "the file is no XLSX workbook ({0}); save it in Excel or WPS as 工作簿 .xlsx, not as .xls, .et or .csv, and without a password"
    )]
    NotXlsx(String),
    /// A sheet of it could not be read.
    #[error("read sheet {sheet}: {message}")]
    Sheet {
        /// Which sheet.
        sheet: String,
        /// What is wrong with it.
        message: String,
    },
    /// It has more cells, or cells further out, than any register.
    #[error(
        "sheet {sheet} goes beyond {ROWS_MAX} rows, {COLUMNS_MAX} columns or {CELLS_MAX} filled cells; delete what does not belong to it"
    )]
    TooManyCells {
        /// Which sheet.
        sheet: String,
    },
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing, or only blanks.
    #[default]
    Empty,
    /// A text, without blanks around it.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A date, at midnight, or a date and time; local, as it was typed.
    Time(DateTime),
    /// An error such as `#REF!`, by its name.
    Error(String),
}

/// A sheet as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name on the tab.
    pub name: String,
    /// Rows from the first one of the sheet, each from column A.
    pub rows: Vec<Vec<Value>>,
    /// Merged regions: first row and column, last row and column, from 0. Only the first cell of one has a value.
    pub merged: Vec<((usize, usize), (usize, usize))>,
}

impl Table {
    /// What stands in a cell, by row and column from 0; empty beyond the end.
    pub fn value(&self, row: usize, column: usize) -> &Value {
        const EMPTY: &Value = &Value::Empty;
        self.rows.get(row).and_then(|cells| cells.get(column)).unwrap_or(EMPTY)
    }

    /// Whether a row has nothing in it.
    pub fn is_blank(&self, row: usize) -> bool {
        self.rows.get(row).is_none_or(|cells| cells.iter().all(|value| *value == Value::Empty))
    }

    /// The first cell of the merged region of more than one cell that a cell belongs to, if it does.
    pub fn merged_with(&self, row: usize, column: usize) -> Option<(usize, usize)> {
        let inside = |&&((top, left), (bottom, right)): &&((usize, usize), (usize, usize))| {
            (top..=bottom).contains(&row) && (left..=right).contains(&column) && (top, left) != (bottom, right)
        };
        self.merged.iter().find(inside).map(|(first, _)| *first)
    }
}

/// The name of a cell as a spreadsheet shows it, from its row and column from 0: `B7`.
pub fn cell_name(row: usize, column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column;
    loop {
        let letter = u8::try_from(rest % 26).map_or('?', |letter| char::from(b'A' + letter));
        letters.push(letter);
        if rest < 26 {
            break;
        }
        rest = rest / 26 - 1;
    }
    let letters: String = letters.into_iter().rev().collect();
    format!("{letters}{}", row + 1)
}

/// Reads every sheet of a file, hidden ones too.
pub fn read(bytes: &[u8]) -> Result<Vec<Table>, ReadError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooBig(bytes.len()));
    }
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| ReadError::NotXlsx(error.to_string()))?;
    let mut left = CELLS_MAX;
    book.sheet_names().iter().map(|name| table(&mut book, name, &mut left)).collect()
}

fn table(book: &mut Xlsx<Cursor<&[u8]>>, name: &str, left: &mut usize) -> Result<Table, ReadError> {
    let failed = |error: XlsxError| ReadError::Sheet { sheet: name.to_owned(), message: error.to_string() };
    let mut rows: Vec<Vec<Value>> = Vec::new();
    {
        // Cell by cell: the range of the whole sheet would be as large as its furthest cell says.
        let mut cells = book.worksheet_cells_reader(name).map_err(failed)?;
        while let Some(cell) = cells.next_cell().map_err(failed)? {
            let value = value(cell.get_value());
            if value == Value::Empty {
                continue;
            }
            let (row, column) = cell.get_position();
            if *left == 0 || row >= ROWS_MAX || column >= COLUMNS_MAX {
                return Err(ReadError::TooManyCells { sheet: name.to_owned() });
            }
            *left -= 1;
            put(&mut rows, row as usize, column as usize, value);
        }
    }
    let merged = book.merge_cells_by_sheet_name(name).map_err(failed)?;
    let place = |(row, column): (u32, u32)| (row as usize, column as usize);
    let merged = merged.iter().map(|region| (place(region.start), place(region.end))).collect();
    Ok(Table { name: name.to_owned(), rows, merged })
}

fn put(rows: &mut Vec<Vec<Value>>, row: usize, column: usize, value: Value) {
    if rows.len() <= row {
        rows.resize_with(row + 1, Vec::new);
    }
    if let Some(cells) = rows.get_mut(row) {
        if cells.len() <= column {
            cells.resize_with(column + 1, Value::default);
        }
        if let Some(cell) = cells.get_mut(column) {
            *cell = value;
        }
    }
}

#[allow(clippy::cast_precision_loss)] // a spreadsheet itself holds no integer beyond 2^53
fn value(data: &DataRef<'_>) -> Value {
    match data {
        DataRef::Empty => Value::Empty,
        DataRef::Int(number) => Value::Number(*number as f64),
        DataRef::Float(number) => Value::Number(*number),
        DataRef::String(text) | DataRef::DurationIso(text) => self::text(text),
        DataRef::SharedString(text) => self::text(text),
        DataRef::Bool(bit) => Value::Boolean(*bit),
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            civil(year, [month, day, hour, minute, second]).map_or(Value::Number(time.as_f64()), Value::Time)
        }
        DataRef::DateTime(duration) => Value::Number(duration.as_f64()),
        DataRef::DateTimeIso(text) => {
            let parsed = text.parse::<DateTime>().ok();
            parsed
                .or_else(|| text.parse::<Date>().ok().map(|day| day.at(0, 0, 0, 0)))
                .map_or_else(|| self::text(text), Value::Time)
        }
        DataRef::Error(error) => Value::Error(error.to_string()),
    }
}

fn text(text: &str) -> Value {
    // The blank that Chinese typing makes (U+3000) and the one that never breaks count as blanks in `trim`.
    // A leading tab is kept out too: nobody means it.
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() && c != '\t').to_owned();
    if trimmed.trim().is_empty() { Value::Empty } else { Value::Text(trimmed) }
}

fn civil(year: u16, parts: [u8; 5]) -> Option<DateTime> {
    let [month, day, hour, minute, second] = parts.map(|part| i8::try_from(part).unwrap_or(-1));
    DateTime::new(i16::try_from(year).ok()?, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_named_as_the_spreadsheet_names_it() {
        let names = [(0, 0), (6, 1), (0, 25), (0, 26), (9, 701), (0, 702)].map(|(row, column)| cell_name(row, column));
        assert_eq!(names, ["A1", "B7", "Z1", "AA1", "ZZ10", "AAA1"]);
    }

    #[test]
    fn a_file_that_is_no_workbook_is_refused_with_what_to_do() {
        for bytes in [&b""[..], b"id,name\n1,x\n", b"PK\x03\x04 and then nothing"] {
            let message = read(bytes).unwrap_err().to_string();
            assert!(message.contains("no XLSX workbook") && message.contains(".xlsx"), "{message}");
        }
        assert!(matches!(read(&vec![0; FILE_BYTES_MAX + 1]), Err(ReadError::TooBig(_))));
    }

    #[test]
    fn a_cell_far_out_costs_no_memory() {
        let mut book = rust_xlsxwriter::Workbook::new();
        book.add_worksheet().write_string(1_048_575, 16_383, "x").unwrap();
        let bytes = book.save_to_buffer().unwrap();
        assert!(matches!(read(&bytes), Err(ReadError::TooManyCells { .. })));
    }

    #[test]
    fn merged_cells_are_told() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.merge_range(2, 0, 3, 0, "x", &rust_xlsxwriter::Format::new()).unwrap();
        let tables = read(&book.save_to_buffer().unwrap()).unwrap();
        assert_eq!(tables[0].merged_with(3, 0), Some((2, 0)));
        assert_eq!(tables[0].merged_with(4, 0), None);
        assert!(tables[0].is_blank(0) && !tables[0].is_blank(2));
    }
}
