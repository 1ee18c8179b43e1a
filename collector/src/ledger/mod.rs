//! The current view of the documents in the log: the plant of each site, every version of each project, and every
//! register map by its hash.
//!
//! Held in memory and read from the log at the start; the log is the only place where documents are kept.

pub mod import;
pub mod project;
pub mod project_import;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use shopfloor::hash::Hash;
use shopfloor::id::{ProjectId, SiteId};
use shopfloor::plant::Plant;
use shopfloor::register_map::RegisterMap;
use shopfloor::time::Timestamp;
use tokio::sync::watch;

use crate::log::{DocumentKind, Log, LogError, StoredDocument};
use project::{ProjectHistory, ProjectVersion};

/// One imported version of a site's plant model.
#[derive(Debug, Clone)]
pub struct PlantVersion {
    /// The checked model.
    pub plant: Arc<Plant>,
    /// SHA-256 of the text.
    pub hash: Hash,
    /// Its place in the log.
    pub log_index: u64,
    /// When it was imported.
    pub received: Timestamp,
    /// The text of `plant.toml`.
    pub text: Arc<str>,
}

/// The current view of the documents.
pub struct Ledger {
    view: RwLock<View>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct View {
    plants: BTreeMap<SiteId, Vec<Arc<PlantVersion>>>,
    projects: BTreeMap<ProjectId, Vec<Arc<ProjectVersion>>>,
    maps: BTreeMap<Hash, Arc<RegisterMap>>,
}

impl Ledger {
    /// Reads the documents of a log. One that this program cannot read any more is passed over with a warning: it
    /// was checked when it was imported, so a newer program wrote it.
    pub fn open(log: &Log) -> Result<Self, LogError> {
        let (revision, _) = watch::channel(0);
        let ledger = Self { view: RwLock::default(), revision };
        for kind in [DocumentKind::RegisterMap, DocumentKind::Plant, DocumentKind::Project] {
            for document in log.documents(kind)? {
                ledger.apply(&document);
            }
        }
        Ok(ledger)
    }

    /// Takes a document into the view that is in the log now.
    pub(crate) fn apply(&self, document: &StoredDocument) {
        match document.kind {
            DocumentKind::RegisterMap => match RegisterMap::decode(&document.bytes) {
                Ok(map) => {
                    self.write().maps.insert(document.hash, Arc::new(map));
                }
                Err(error) => tracing::warn!(log_index = document.log_index, %error, "register map passed over"),
            },
            DocumentKind::Project => match ProjectVersion::read(document) {
                Ok(version) => {
                    let id = version.project.id.clone();
                    self.write().projects.entry(id).or_default().push(Arc::new(version));
                }
                Err(error) => tracing::warn!(log_index = document.log_index, %error, "project passed over"),
            },
            DocumentKind::Newer => {
                tracing::warn!(log_index = document.log_index, "document of a newer program passed over");
            }
            DocumentKind::Plant => match plant_version(document) {
                Ok(version) => {
                    let site = version.plant.site.id.clone();
                    self.write().plants.entry(site).or_default().push(Arc::new(version));
                }
                Err(error) => tracing::warn!(log_index = document.log_index, %error, "plant passed over"),
            },
        }
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The current plant of every site, by site id.
    pub fn plants(&self) -> Vec<Arc<Plant>> {
        self.read()
            .plants
            .values()
            .filter_map(|versions| versions.last())
            .map(|version| version.plant.clone())
            .collect()
    }

    /// The current plant version of a site.
    pub fn plant(&self, site: &SiteId) -> Option<Arc<PlantVersion>> {
        self.read().plants.get(site)?.last().cloned()
    }

    /// All versions of a site's plant, oldest first.
    pub fn plant_versions(&self, site: &SiteId) -> Vec<Arc<PlantVersion>> {
        self.read().plants.get(site).cloned().unwrap_or_default()
    }

    /// A project with all its versions.
    pub fn project(&self, id: &ProjectId) -> Option<ProjectHistory> {
        self.read().projects.get(id).map(|versions| ProjectHistory { versions: versions.clone() })
    }

    /// All projects with their versions, by id.
    pub fn projects(&self) -> Vec<ProjectHistory> {
        self.read().projects.values().map(|versions| ProjectHistory { versions: versions.clone() }).collect()
    }

    /// The register map with this hash; `None` until its agent's birth has arrived.
    pub fn register_map(&self, hash: &Hash) -> Option<Arc<RegisterMap>> {
        self.read().maps.get(hash).cloned()
    }

    /// A number that rises with every document.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Tells when a document comes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plant_version(document: &StoredDocument) -> Result<PlantVersion, String> {
    let text = std::str::from_utf8(&document.bytes).map_err(|error| error.to_string())?;
    let plant = shopfloor::file::plant::parse(text, "plant.toml").map_err(|error| error.to_string())?;
    Ok(PlantVersion {
        plant: Arc::new(plant),
        hash: document.hash,
        log_index: document.log_index,
        received: document.received,
        text: Arc::from(text),
    })
}
