//! Importing a `plant.toml`: checked as a whole, compared with the version in force, appended to the log.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shopfloor::file::plant::{PlantErrors, parse};
use shopfloor::hash::Hash;
use shopfloor::plant::Plant;
use shopfloor::time::Timestamp;

use crate::log::{Batch, DocumentKind, LogError, NewDocument, StoredDocument};
use crate::store::Store;

/// Longest plant.toml in bytes.
pub const PLANT_BYTES_MAX: usize = 4 << 20;

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is longer than any plant.
    #[error("{file} has {found} bytes, more than the {PLANT_BYTES_MAX} allowed; nothing was imported")]
    TooBig {
        /// The file as it was named.
        file: String,
        /// Its length.
        found: usize,
    },
    /// Something in it is wrong.
    #[error("{0}")]
    Content(PlantErrors),
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The site.
    pub site: String,
    /// SHA-256 of the text.
    pub hash: Hash,
    /// Hash of the version that was in force before; `None` for the first.
    pub replaces: Option<Hash>,
    /// Its place in the log; `None` if nothing was written: nothing differs, or it was a rehearsal.
    pub log_index: Option<u64>,
    /// What differs from the version before: `+`, `-` or `~`, what kind of thing, and its id.
    pub changes: Vec<String>,
    /// What was noticed in the file and did not stop it: code, Chinese, English.
    pub remarks: Vec<(String, String, String)>,
}

/// Checks a plant.toml and, unless it is a rehearsal or the same text is in force, makes it the current version.
pub fn import(
    store: &Store,
    text: &str,
    file_name: &str,
    now: Timestamp,
    dry_run: bool,
) -> Result<Imported, ImportError> {
    if text.len() > PLANT_BYTES_MAX {
        return Err(ImportError::TooBig { file: file_name.to_owned(), found: text.len() });
    }
    let plant = parse(text, file_name).map_err(ImportError::Content)?;
    let document = NewDocument::new(DocumentKind::Plant, text.as_bytes().to_vec());
    let before = store.ledger.plant(&plant.site.id);
    let mut imported = Imported {
        site: plant.site.id.to_string(),
        hash: document.hash,
        replaces: before.as_ref().map(|before| before.hash),
        log_index: None,
        changes: changes(before.as_ref().map(|before| &before.plant), &plant),
        remarks: plant.remarks.iter().map(|r| (r.code.clone(), r.zh.clone(), r.en.clone())).collect(),
    };
    if dry_run || imported.replaces == Some(imported.hash) {
        return Ok(imported);
    }
    let batch = Batch { documents: vec![document.clone()], ..Batch::default() };
    let log_index = store.log.append(now, &batch)?;
    let NewDocument { kind, hash, bytes } = document;
    store.ledger.apply(&StoredDocument { log_index, hash, kind, received: now, bytes });
    imported.log_index = Some(log_index);
    Ok(imported)
}

/// What differs between two versions of a plant.
fn changes(before: Option<&Arc<Plant>>, after: &Plant) -> Vec<String> {
    let mut lines = Vec::new();
    let before = before.map(Arc::as_ref);
    let site = |plant: Option<&Plant>| plant.map(|plant| plant.site.clone()).into_iter().collect::<Vec<_>>();
    compare(&mut lines, "site", &site(before), &site(Some(after)), |site| site.id.to_string());
    macro_rules! compare_all {
        ($($kind:literal $field:ident),*) => {
            $(compare(&mut lines, $kind, before.map_or(&[], |plant| &plant.$field), &after.$field, |item| item.id.to_string());)*
        };
    }
    compare_all!(
        "area" areas, "work_center" work_centers, "work_unit" work_units, "product" products,
        "calendar" calendars, "state_rule" state_rules, "equipment" equipment
    );
    lines
}

fn compare<T: Debug>(lines: &mut Vec<String>, kind: &str, before: &[T], after: &[T], id: impl Fn(&T) -> String) {
    for old in before {
        if !after.iter().any(|new| id(new) == id(old)) {
            lines.push(format!("- {kind} {}", id(old)));
        }
    }
    for new in after {
        match before.iter().find(|old| id(old) == id(new)) {
            None => lines.push(format!("+ {kind} {}", id(new))),
            // The checked values are compared, not the text: a comment or another order is no change.
            Some(old) if format!("{old:?}") != format!("{new:?}") => lines.push(format!("~ {kind} {}", id(new))),
            Some(_) => {}
        }
    }
}
