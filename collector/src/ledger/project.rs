//! Projects: every version of a `project.toml` in the order of the log, and what was changed after registration.
//!
//! The first version is the registration. It is never replaced: whether a project was registered before its
//! after-window began is said of that version, for ever.

use std::sync::Arc;

use jiff::tz::TimeZone;
use shopfloor::acceptance::{Change, changes};
use shopfloor::file::project::parse;
use shopfloor::hash::Hash;
use shopfloor::project::Project;
use shopfloor::time::Timestamp;

use crate::log::StoredDocument;

/// One imported version of a project.
#[derive(Debug, Clone)]
pub struct ProjectVersion {
    /// The checked project.
    pub project: Arc<Project>,
    /// SHA-256 of the text.
    pub hash: Hash,
    /// Its place in the log.
    pub log_index: u64,
    /// When it was imported.
    pub received: Timestamp,
    /// The text of `project.toml`.
    pub text: Arc<str>,
}

impl ProjectVersion {
    /// The version that a document of the log holds; the error says why this program cannot read it.
    pub(super) fn read(document: &StoredDocument) -> Result<Self, String> {
        let text = std::str::from_utf8(&document.bytes).map_err(|error| error.to_string())?;
        let project = parse(text, "project.toml").map_err(|error| error.to_string())?;
        Ok(Self {
            project: Arc::new(project),
            hash: document.hash,
            log_index: document.log_index,
            received: document.received,
            text: Arc::from(text),
        })
    }
}

/// A project as the ledger knows it: at least one version.
#[derive(Debug, Clone)]
pub struct ProjectHistory {
    /// All versions, oldest first; the first is the registration.
    pub versions: Vec<Arc<ProjectVersion>>,
}

impl ProjectHistory {
    /// The version in force.
    pub fn current(&self) -> &Arc<ProjectVersion> {
        self.versions.last().expect("a history begins with a version")
    }

    /// The registration.
    pub fn registration(&self) -> &Arc<ProjectVersion> {
        self.versions.first().expect("a history begins with a version")
    }

    /// Whether the registration came before the after-window began, whichever version placed it earliest: a window
    /// that is moved afterwards does not make a late registration an early one.
    pub fn is_in_time(&self, zone: &TimeZone) -> bool {
        let starts = self.versions.iter().map(|version| version.project.windows(zone).after.start);
        starts.min().is_some_and(|earliest| self.registration().received < earliest)
    }

    /// What each later version changed in what is judged, oldest first, with the version that did it.
    pub fn changes(&self) -> Vec<(Arc<ProjectVersion>, Change)> {
        let pairs = self.versions.windows(2);
        pairs
            .flat_map(|pair| {
                let found = changes(&pair[0].project, &pair[1].project);
                found.into_iter().map(|change| (Arc::clone(&pair[1]), change))
            })
            .collect()
    }
}
