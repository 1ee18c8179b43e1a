//! Importing a `plant.toml`: checked as a whole, compared with the version in force, appended to the log.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shopfloor::file::plant::{PlantErrors, parse};
use shopfloor::hash::Hash;
use shopfloor::id::SiteId;
use shopfloor::plant::{Equipment, Plant};
use shopfloor::time::Timestamp;

use crate::log::{Batch, DocumentKind, LogError, NewDocument, StoredDocument};
use crate::register::{Column, Entry};
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
    /// Another site has the same credit code: one enterprise would be counted twice.
    #[error(
        "{file}: 统一社会信用代码 {uscc} of site `{site}` is the one of site `{other}` ({other_name}) already; each site has its own, nothing was imported"
    )]
    CreditCode {
        /// The file as it was named.
        file: String,
        /// The code.
        uscc: String,
        /// The site of the file.
        site: SiteId,
        /// The site that has it.
        other: SiteId,
        /// Its name.
        other_name: String,
    },
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
    let others = others(store, &plant);
    refuse_shared_code(&others, &plant, file_name)?;
    let document = NewDocument::new(DocumentKind::Plant, text.as_bytes().to_vec());
    let before = store.ledger.plant(&plant.site.id);
    let mut imported = Imported {
        site: plant.site.id.to_string(),
        hash: document.hash,
        replaces: before.as_ref().map(|before| before.hash),
        log_index: None,
        changes: changes(before.as_ref().map(|before| &before.plant), &plant),
        remarks: noticed(&others, &plant),
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

/// The plants of the other sites.
fn others(store: &Store, plant: &Plant) -> Vec<Arc<Plant>> {
    store.ledger.plants().into_iter().filter(|other| other.site.id != plant.site.id).collect()
}

fn refuse_shared_code(others: &[Arc<Plant>], plant: &Plant, file_name: &str) -> Result<(), ImportError> {
    let Some(uscc) = &plant.site.uscc else { return Ok(()) };
    match others.iter().find(|other| other.site.uscc.as_ref() == Some(uscc)) {
        None => Ok(()),
        Some(other) => Err(ImportError::CreditCode {
            file: file_name.to_owned(),
            uscc: uscc.clone(),
            site: plant.site.id.clone(),
            other: other.site.id.clone(),
            other_name: other.site.name.clone(),
        }),
    }
}

/// What was noticed in the file, and against other sites: a cluster that they call or class otherwise.
fn noticed(others: &[Arc<Plant>], plant: &Plant) -> Vec<(String, String, String)> {
    let mut remarks: Vec<_> = plant.remarks.iter().map(|r| (r.code.clone(), r.zh.clone(), r.en.clone())).collect();
    for own in &plant.site.clusters {
        let differs = |other: &&Arc<Plant>| {
            let same = other.site.clusters.iter().find(|cluster| cluster.id == own.id);
            same.is_some_and(|found| {
                found.kind != own.kind || found.name.is_some() && own.name.is_some() && found.name != own.name
            })
        };
        if let Some(other) = others.iter().find(differs) {
            let (id, site) = (&own.id, &other.site.id);
            remarks.push((
                "cluster-differs".to_owned(),
                format!("集群 {id} 的名称或类别与工厂 {site} 写的不同；区域页按工厂编号最前的一家显示"),
                format!("cluster {id} is named or classed otherwise by site {site}; the region shows what the first site by id says"),
            ));
        }
    }
    remarks
}

/// What differs between two versions of a plant.
fn changes(before: Option<&Arc<Plant>>, after: &Plant) -> Vec<String> {
    let mut lines = Vec::new();
    let before = before.map(Arc::as_ref);
    let site = |plant: Option<&Plant>| plant.map(|plant| plant.site.clone()).into_iter().collect::<Vec<_>>();
    compare(&mut lines, "site", &site(before), &site(Some(after)), |site| site.id.to_string(), |_, _| String::new());
    macro_rules! compare_all {
        ($($kind:literal $field:ident),*) => {
            $(compare(&mut lines, $kind, before.map_or(&[], |plant| &plant.$field), &after.$field, |item| item.id.to_string(), |_, _| String::new());)*
        };
    }
    compare_all!(
        "area" areas, "work_center" work_centers, "work_unit" work_units, "product" products,
        "calendar" calendars, "state_rule" state_rules
    );
    let equipment = before.map_or(&[][..], |plant| &plant.equipment);
    compare(&mut lines, "equipment", equipment, &after.equipment, |line| line.id.to_string(), fields);
    lines
}

/// What differs between two lines of the register, by its headings: `（出厂编号 "A1" → "A2"）`.
fn fields(before: &Equipment, after: &Equipment) -> String {
    let shown = |entry: Entry| match entry {
        Entry::Nothing => "—".to_owned(),
        Entry::Text(text) => format!("{text:?}"),
        Entry::Flag(flag) => if flag { "是" } else { "否" }.to_owned(),
        Entry::Day(day) => day.to_string(),
    };
    let differing = Column::ALL.into_iter().filter_map(|column| {
        let (old, new) = (Entry::of(before, column), Entry::of(after, column));
        (old != new).then(|| format!("{} {} → {}", column.heading(), shown(old), shown(new)))
    });
    format!("（{}）", differing.collect::<Vec<_>>().join("；"))
}

fn compare<T: Debug>(
    lines: &mut Vec<String>,
    kind: &str,
    before: &[T],
    after: &[T],
    id: impl Fn(&T) -> String,
    what: impl Fn(&T, &T) -> String,
) {
    for old in before {
        if !after.iter().any(|new| id(new) == id(old)) {
            lines.push(format!("- {kind} {}", id(old)));
        }
    }
    for new in after {
        match before.iter().find(|old| id(old) == id(new)) {
            None => lines.push(format!("+ {kind} {}", id(new))),
            // The checked values are compared, not the text: a comment or another order is no change.
            Some(old) if format!("{old:?}") != format!("{new:?}") => {
                lines.push(format!("~ {kind} {}{}", id(new), what(old, new)));
            }
            Some(_) => {}
        }
    }
}
