//! Typed cells into the bytes of an XLSX file.

use jiff::civil::{Date, DateTime};
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Url, Workbook, Worksheet, XlsxError,
};

use super::{Book, Cell, Sheet};

/// What Excel and WPS show Chinese in where the reader's system has it.
const FONT: &str = "等线";
/// First characters for which a spreadsheet may take a typed text to be a formula or a command.
const RISKY: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];
/// Paper size A4.
const A4: u8 = 9;

/// Why a workbook could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The format does not allow it: a sheet's name, a text of more than 32767 characters, a date before 1900.
    #[error("write sheet {sheet}: {source}")]
    Sheet {
        /// Which sheet.
        sheet: String,
        /// What the format forbids.
        source: XlsxError,
    },
    /// The file as a whole could not be made.
    #[error("write the workbook: {0}")]
    Book(XlsxError),
}

/// The bytes of the file. The same book gives the same bytes.
pub fn write(book: &Book) -> Result<Vec<u8>, WriteError> {
    let mut workbook = Workbook::new();
    let made = ExcelDateTime::from_timestamp(book.made_at).map_err(WriteError::Book)?;
    let mut properties = DocProperties::new().set_title(&book.title).set_author("Plumbline 准绳");
    properties = properties.set_creation_datetime(&made);
    if book.demo {
        properties = properties.set_comment("演示数据（仿真） / simulated data");
    }
    workbook.set_properties(&properties);
    let style = Style::new();
    for sheet in &book.sheets {
        let made = one(sheet, book.demo, &style);
        let made = made.map_err(|source| WriteError::Sheet { sheet: sheet.name.clone(), source })?;
        workbook.push_worksheet(made);
    }
    workbook.save_to_buffer().map_err(WriteError::Book)
}

struct Style {
    heading: Format,
    lead: Format,
    text: Format,
    strong: Format,
    link: Format,
}

impl Style {
    fn new() -> Self {
        let base = Format::new().set_font_name(FONT).set_font_size(10).set_align(FormatAlign::Top);
        let text = base.clone().set_text_wrap();
        Self {
            heading: text
                .clone()
                .set_bold()
                .set_background_color(Color::RGB(0x00E8_EDF2))
                .set_border_bottom(FormatBorder::Thin)
                .set_align(FormatAlign::VerticalCenter),
            lead: base.clone().set_bold(),
            strong: text.clone().set_bold(),
            link: base.set_font_color(Color::RGB(0x000B_5CAD)),
            text,
        }
    }

    fn number(&self, format: &str) -> Format {
        self.text.clone().set_num_format(format)
    }
}

fn one(sheet: &Sheet, demo: bool, style: &Style) -> Result<Worksheet, XlsxError> {
    let mut made = Worksheet::new();
    made.set_name(&sheet.name)?;
    for (row, line) in (0..).zip(&sheet.lead) {
        text(&mut made, row, 0, line, &style.lead)?;
    }
    let head = u32::try_from(sheet.lead.len()).map_err(|_| XlsxError::RowColumnLimitError)?;
    for (column, heading) in (0..).zip(&sheet.columns) {
        made.set_column_width(column, heading.width)?;
        text(&mut made, head, column, &heading.heading, &style.heading)?;
    }
    for (row, cells) in (head + 1..).zip(&sheet.rows) {
        for (column, value) in (0..).zip(cells) {
            cell(&mut made, row, column, value, style)?;
        }
    }
    made.set_freeze_panes(head + 1, sheet.frozen_columns)?;
    made.set_paper_size(A4).set_landscape().set_print_fit_to_pages(1, 0);
    made.set_repeat_rows(head, head)?;
    made.set_header(if demo { "&L&A&R演示数据 · 仿真 simulated" } else { "&L&A" });
    made.set_footer("&C&P / &N");
    made.set_hidden(sheet.hidden);
    Ok(made)
}

fn cell(sheet: &mut Worksheet, row: u32, column: u16, cell: &Cell, style: &Style) -> Result<(), XlsxError> {
    match cell {
        Cell::Empty => {}
        Cell::Text(value) => text(sheet, row, column, value, &style.text)?,
        Cell::Strong(value) => text(sheet, row, column, value, &style.strong)?,
        Cell::Number { value, decimals } => {
            sheet.write_number_with_format(row, column, *value, &style.number(&decimal_format(*decimals, "")))?;
        }
        Cell::Percent { value, decimals } => {
            sheet.write_number_with_format(row, column, *value, &style.number(&decimal_format(*decimals, "%")))?;
        }
        Cell::Date(date) => {
            sheet.write_datetime_with_format(row, column, &day(*date)?, &style.number("yyyy-mm-dd"))?;
        }
        Cell::Time(time) => {
            sheet.write_datetime_with_format(row, column, &instant(*time)?, &style.number("yyyy-mm-dd hh:mm:ss"))?;
        }
        Cell::Link { address, text: shown } => {
            if ["http://", "https://", "internal:"].iter().any(|begin| address.starts_with(begin)) {
                let url = Url::new(address).set_text(shown);
                sheet.write_url_with_format(row, column, url, &style.link)?;
            } else {
                text(sheet, row, column, shown, &style.text)?;
            }
        }
    }
    Ok(())
}

/// Writes a text as a text. Where its first character might be taken for a formula's, the cell also gets the mark
/// that a typed apostrophe makes: it stays a text when somebody edits it, and its value is unchanged.
fn text(sheet: &mut Worksheet, row: u32, column: u16, value: &str, format: &Format) -> Result<(), XlsxError> {
    if value.is_empty() {
        return Ok(());
    }
    if value.starts_with(RISKY) {
        sheet.write_string_with_format(row, column, value, &format.clone().set_quote_prefix())?;
    } else {
        sheet.write_string_with_format(row, column, value, format)?;
    }
    Ok(())
}

fn decimal_format(decimals: u8, suffix: &str) -> String {
    match decimals {
        0 => format!("0{suffix}"),
        more => format!("0.{}{suffix}", "0".repeat(usize::from(more))),
    }
}

fn day(date: Date) -> Result<ExcelDateTime, XlsxError> {
    let part = |number: i8| u8::try_from(number).unwrap_or_default();
    ExcelDateTime::from_ymd(u16::try_from(date.year()).unwrap_or_default(), part(date.month()), part(date.day()))
}

fn instant(time: DateTime) -> Result<ExcelDateTime, XlsxError> {
    let part = |number: i8| u8::try_from(number).unwrap_or_default();
    day(time.date())?.and_hms(u16::from(part(time.hour())), part(time.minute()), f64::from(part(time.second())))
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Value, read};
    use super::*;

    fn book(rows: Vec<Vec<Cell>>) -> Book {
        let mut sheet = Sheet::new("设备台账", vec![Column::new("设备编号", 14.0), Column::new("数量", 10.0)]);
        sheet.rows = rows;
        let notes = Sheet::notes([("联网".to_owned(), "三种状态".to_owned())]);
        Book { title: "台账".to_owned(), made_at: 1_764_000_000, demo: true, sheets: vec![sheet, notes] }
    }

    #[test]
    fn what_is_written_reads_back_with_its_type() {
        let day = Date::constant(2026, 10, 20);
        let rows = vec![
            vec![Cell::text("eq-001"), Cell::count(30)],
            vec![Cell::Date(day), Cell::Percent { value: 2.0 / 3.0, decimals: 2 }],
            vec![Cell::Empty, Cell::Time(day.at(8, 30, 5, 0))],
        ];
        let tables = read(&write(&book(rows)).unwrap()).unwrap();
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["设备台账", "口径"]);
        let cells = &tables[0];
        assert_eq!(cells.value(0, 0), &Value::Text("设备编号".into()));
        assert_eq!(cells.value(1, 1), &Value::Number(30.0));
        assert_eq!(cells.value(2, 0), &Value::Time(day.at(0, 0, 0, 0)));
        assert_eq!(cells.value(2, 1), &Value::Number(2.0 / 3.0));
        assert_eq!(cells.value(3, 0), &Value::Empty);
        assert_eq!(cells.value(3, 1), &Value::Time(day.at(8, 30, 5, 0)));
    }

    #[test]
    fn bad_input_99_a_text_that_begins_like_a_formula_stays_a_text() {
        let risky = ["=1+1", "+86 1", "-5", "@SUM(A1)", "=HYPERLINK(\"http://x\")", "\t=1", "=cmd|' /C calc'!A0"];
        let rows = risky.iter().map(|text| vec![Cell::text(*text), Cell::Strong((*text).to_owned())]).collect();
        let tables = read(&write(&book(rows)).unwrap()).unwrap();
        for (row, text) in risky.iter().enumerate() {
            assert_eq!(tables[0].value(row + 1, 0), &Value::Text((*text).to_owned()));
            assert_eq!(tables[0].value(row + 1, 1), &Value::Text((*text).to_owned()));
        }
        let script = Cell::Link { address: "javascript:alert(1)".into(), text: "=x".into() };
        let tables = read(&write(&book(vec![vec![script]])).unwrap()).unwrap();
        assert_eq!(tables[0].value(1, 0), &Value::Text("=x".into()));
    }

    #[test]
    fn the_same_book_gives_the_same_bytes() {
        let rows = vec![vec![Cell::text("a"), Cell::count(1)]];
        assert_eq!(write(&book(rows.clone())).unwrap(), write(&book(rows)).unwrap());
    }
}
