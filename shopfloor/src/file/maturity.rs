//! Definition files of maturity models: items in our own words, and whether the whole was read against the documents.

use super::document::{Problems, Report, Table};
use crate::display::Text;
use crate::maturity::{Document, Fact, Item, Model};

/// Reads one model.
pub fn model(text: &str, file: &str) -> Result<Model, Problems> {
    let report = Report::new(file, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    match read(&root) {
        Some(model) => report.finish(model),
        None => Err(report.into_problems()),
    }
}

fn read(root: &Table<'_, '_>) -> Option<Model> {
    let id = root.need_text("id");
    let version = root.need("version", "an integer above zero").then(|| root.integer("version")).flatten();
    let (zh, en) = (root.need_text("title_zh"), root.need_text("title_en"));
    let verified = root.need("verified", "true or false").then(|| root.boolean("verified")).flatten();
    let document = root.table("document").and_then(|table| document(&table));
    let items: Vec<Item> = root.tables("item").iter().filter_map(item).collect();
    root.refuse_others();
    let verified = verified?.0;
    if verified && document.is_none() {
        root.problem(
            "verified",
            "verified = true needs [document] with title, edition, clauses, reader and date: who read it against what",
        );
    }
    Some(Model {
        id: id?.0,
        version: u32::try_from(version?.0).ok()?,
        title: Text::new(zh?.0, en?.0),
        verified,
        document,
        items,
    })
}

fn document(table: &Table<'_, '_>) -> Option<Document> {
    let [title, edition, clauses, reader] = ["title", "edition", "clauses", "reader"].map(|key| table.need_text(key));
    let date = table.need("date", "the day it was read").then(|| table.scalar("date")).flatten();
    table.refuse_others();
    Some(Document { title: title?.0, edition: edition?.0, clauses: clauses?.0, reader: reader?.0, date: date?.0 })
}

fn item(table: &Table<'_, '_>) -> Option<Item> {
    let id = table.need_text("id");
    let (group, title) = (both(table, "group"), both(table, "title"));
    let word = |word: &str| Fact::ALL.iter().copied().find(|fact| fact.code() == word);
    let fact = table.need("fact", "what it rests on").then(|| table.parsed("fact", "a known fact", word)).flatten();
    let settle = table.table("settle").and_then(|table| words(&table));
    if fact.as_ref().is_some_and(|(fact, _)| *fact == Fact::None) && settle.is_none() {
        table.problem("settle", "an item that no measurement touches says what would settle it");
    }
    table.refuse_others();
    Some(Item { id: id?.0, group: group?, title: title?, fact: fact?.0, settle })
}

fn both(table: &Table<'_, '_>, key: &'static str) -> Option<Text> {
    let found = table.need(key, "{ zh, en }").then(|| table.table(key)).flatten()?;
    words(&found)
}

fn words(table: &Table<'_, '_>) -> Option<Text> {
    let (zh, en) = (table.need_text("zh"), table.need_text("en"));
    table.refuse_others();
    Some(Text::new(zh?.0, en?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SME: &str = include_str!("../../definitions/maturity/sme.toml");

    #[test]
    fn a_flipped_flag_without_the_document_is_refused() {
        assert!(!model(SME, "sme.toml").unwrap().verified);
        let flipped = SME.replace("verified = false", "verified = true");
        let text = model(&flipped, "sme.toml").unwrap_err().to_string();
        assert!(
            text.contains("verified = true needs [document] with title, edition, clauses, reader and date"),
            "{text}"
        );
        let half = format!("{flipped}\n[document]\ntitle = \"x\"\n");
        assert!(model(&half, "sme.toml").unwrap_err().to_string().contains("[document] needs `edition`"));
    }

    #[test]
    fn an_item_without_a_measurement_says_what_would_settle_it() {
        let text =
            SME.replace("settle = { zh = \"接入安全监测点位\", en = \"connect tags of safety monitoring\" }\n", "");
        assert!(model(&text, "sme.toml").unwrap_err().to_string().contains("says what would settle it"));
    }
}
