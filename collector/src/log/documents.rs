//! Documents in the log: register maps, plants, projects. Canonical bytes, named by their hash, appended like blocks.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use shopfloor::hash::Hash;
use shopfloor::time::Timestamp;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A register map of an agent: canonical CBOR; blocks cite its hash.
    RegisterMap,
    /// The plant model of a site: the text of `plant.toml`.
    Plant,
    /// A project with its criteria: the text of `project.toml`.
    Project,
    /// Something that a newer program wrote. Its bytes are kept, counted and verified like all others; what they
    /// mean is passed over.
    Newer,
}

impl DocumentKind {
    /// The name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RegisterMap => "register_map",
            Self::Plant => "plant",
            Self::Project => "project",
            Self::Newer => "newer",
        }
    }
}

impl FromStr for DocumentKind {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let known = [Self::RegisterMap, Self::Plant, Self::Project];
        Ok(known.into_iter().find(|kind| kind.as_str() == text).unwrap_or(Self::Newer))
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A document to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// SHA-256 of the bytes.
    pub hash: Hash,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

impl NewDocument {
    /// The document with these bytes.
    pub fn new(kind: DocumentKind, bytes: Vec<u8>) -> Self {
        Self { kind, hash: Hash::of(&bytes), bytes }
    }
}

/// A document as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its place in the log.
    pub log_index: u64,
    /// SHA-256 of the bytes.
    pub hash: Hash,
    /// What it is.
    pub kind: DocumentKind,
    /// When the collector received it.
    pub received: Timestamp,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}
