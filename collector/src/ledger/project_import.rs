//! Importing a `project.toml`: checked as a whole and against its factory, compared with the version in force,
//! appended to the log. The first import is the registration.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use shopfloor::acceptance::{Change, changes};
use shopfloor::file::project::{ProjectErrors, parse};
use shopfloor::hash::Hash;
use shopfloor::project::{Project, check_against};
use shopfloor::remark::Remark;
use shopfloor::time::Timestamp;

use super::project::ProjectHistory;
use crate::log::{Batch, DocumentKind, LogError, NewDocument, StoredDocument};
use crate::store::Store;

/// Longest project.toml in bytes.
pub const PROJECT_BYTES_MAX: usize = 1 << 20;

/// Why a project was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ProjectImportError {
    /// It is longer than any project.
    #[error("{file} has {found} bytes, more than the {PROJECT_BYTES_MAX} allowed; nothing was imported")]
    TooBig {
        /// The file as it was named.
        file: String,
        /// Its length.
        found: usize,
    },
    /// Something in it is wrong.
    #[error("{0}")]
    Content(ProjectErrors),
    /// It does not fit the factory that it is about.
    #[error(
        "{file} 与工厂模型不符, 未导入 / does not fit the plant of site {site}, nothing was imported:\n{}",
        listed(problems)
    )]
    Plant {
        /// The file as it was named.
        file: String,
        /// The site.
        site: String,
        /// What does not fit.
        problems: Vec<Remark>,
    },
    /// The project is registered for another factory.
    #[error(
        "{file}: 项目 {project} 已登记于工厂 {registered}, 不能改为 {found}; 请为新项目另取 id / project {project} is registered for site {registered}, not {found}; give a new project an id of its own"
    )]
    OtherSite {
        /// The file as it was named.
        file: String,
        /// The project.
        project: String,
        /// The site of the registration.
        registered: String,
        /// The site in the file.
        found: String,
    },
    /// A registered term is changed and nothing says why.
    #[error(
        "{file}: 已登记的内容有更改, 但没有 reason; 在 [project] 中写明更改理由 / registered terms are changed without a reason; write `reason` in [project] and say why:\n{}",
        shown(changes)
    )]
    NoReason {
        /// The file as it was named.
        file: String,
        /// What is changed.
        changes: Vec<ProjectChange>,
    },
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// One thing that differs from the version in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectChange {
    /// What, in Chinese.
    pub zh: String,
    /// What, in English.
    pub en: String,
    /// As it is in force; empty if it is new.
    pub before: String,
    /// As the file has it; empty if it is removed.
    pub after: String,
    /// The criterion, where it concerns one.
    pub criterion: Option<String>,
}

impl From<&Change> for ProjectChange {
    fn from(change: &Change) -> Self {
        Self {
            zh: change.what.zh.clone(),
            en: change.what.en.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            criterion: change.criterion.as_ref().map(ToString::to_string),
        }
    }
}

/// What an import of a project did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedProject {
    /// The project.
    pub project: String,
    /// Its site.
    pub site: String,
    /// SHA-256 of the text.
    pub hash: Hash,
    /// Hash of the version that was in force before; `None` for the registration.
    pub replaces: Option<Hash>,
    /// Its place in the log; `None` if nothing was written: nothing differs, or it was a rehearsal.
    pub log_index: Option<u64>,
    /// When the project was registered; for a rehearsal of the first version, when it would be.
    pub registered: Timestamp,
    /// Whether the registration came before the after-window began; `None` while the site has no plant.
    pub in_time: Option<bool>,
    /// What differs from the version in force in what is judged.
    pub changes: Vec<ProjectChange>,
    /// What was noticed and did not stop it: code, Chinese, English.
    pub remarks: Vec<(String, String, String)>,
}

/// Checks a project.toml and, unless it is a rehearsal or the same text is in force, makes it the current version.
pub fn import_project(
    store: &Store,
    text: &str,
    file_name: &str,
    now: Timestamp,
    dry_run: bool,
) -> Result<ImportedProject, ProjectImportError> {
    let file = || file_name.to_owned();
    if text.len() > PROJECT_BYTES_MAX {
        return Err(ProjectImportError::TooBig { file: file(), found: text.len() });
    }
    let project = parse(text, file_name).map_err(ProjectImportError::Content)?;
    let document = NewDocument::new(DocumentKind::Project, text.as_bytes().to_vec());
    let history = store.ledger.project(&project.id);
    let mut remarks = fits(store, &project, file_name)?;
    let changes = against_registered(history.as_ref(), &project, file_name, &mut remarks)?;
    let replaces = history.as_ref().map(|history| history.current().hash);
    let registered = history.as_ref().map_or(now, |history| history.registration().received);
    let zone = store.ledger.plant(&project.site).map(|version| version.plant.site.time_zone.clone());
    let mut imported = ImportedProject {
        project: project.id.to_string(),
        site: project.site.to_string(),
        hash: document.hash,
        replaces,
        log_index: None,
        registered,
        in_time: zone.map(|zone| in_time(history.as_ref(), &project, registered, &zone)),
        changes,
        remarks: remarks.into_iter().map(|remark| (remark.code, remark.zh, remark.en)).collect(),
    };
    if dry_run || replaces == Some(imported.hash) {
        return Ok(imported);
    }
    let batch = Batch { documents: vec![document.clone()], ..Batch::default() };
    let log_index = store.log.append(now, &batch)?;
    let NewDocument { kind, hash, bytes } = document;
    store.ledger.apply(&StoredDocument { log_index, hash, kind, received: now, bytes });
    imported.log_index = Some(log_index);
    Ok(imported)
}

fn in_time(history: Option<&ProjectHistory>, project: &Project, registered: Timestamp, zone: &TimeZone) -> bool {
    let so_far = history.is_none_or(|history| history.is_in_time(zone));
    so_far && registered < project.windows(zone).after.start
}

/// Whether the project fits its factory. A site without a plant yet is a remark: registering early is what is asked.
fn fits(store: &Store, project: &Project, file_name: &str) -> Result<Vec<Remark>, ProjectImportError> {
    let Some(plant) = store.ledger.plant(&project.site) else {
        let site = &project.site;
        return Ok(vec![Remark::new(
            "site-without-plant",
            format!("工厂 {site} 还没有 plant.toml, 设备和合同设备未核对"),
            format!("site {site} has no plant.toml yet, so work units and contract equipment were not checked"),
        )]);
    };
    let against = check_against(project, &plant.plant);
    if against.is_acceptable() {
        return Ok(against.remarks);
    }
    let (file, site) = (file_name.to_owned(), project.site.to_string());
    Err(ProjectImportError::Plant { file, site, problems: against.problems })
}

fn against_registered(
    history: Option<&ProjectHistory>,
    project: &Project,
    file_name: &str,
    remarks: &mut Vec<Remark>,
) -> Result<Vec<ProjectChange>, ProjectImportError> {
    let Some(history) = history else { return Ok(Vec::new()) };
    let before = &history.current().project;
    let registered = &history.registration().project.site;
    let file = file_name.to_owned();
    if *registered != project.site {
        return Err(ProjectImportError::OtherSite {
            file,
            project: project.id.to_string(),
            registered: registered.to_string(),
            found: project.site.to_string(),
        });
    }
    let found: Vec<ProjectChange> = changes(before, project).iter().map(ProjectChange::from).collect();
    let given = project.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    if !found.is_empty() && !given {
        return Err(ProjectImportError::NoReason { file, changes: found });
    }
    if !found.is_empty() && before.reason == project.reason {
        remarks.push(Remark::new(
            "reason-unchanged",
            "reason 与上一版本相同, 请确认它说明的是本次更改",
            "the reason is the one of the version before; make sure that it speaks of this change",
        ));
    }
    Ok(found)
}

fn listed(problems: &[Remark]) -> String {
    let line = |problem: &Remark| format!("  [{}] {} / {}", problem.code, problem.zh, problem.en);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(changes: &[ProjectChange]) -> String {
    let line =
        |change: &ProjectChange| format!("  {} / {}: {} -> {}", change.zh, change.en, change.before, change.after);
    changes.iter().map(line).collect::<Vec<_>>().join("\n")
}
