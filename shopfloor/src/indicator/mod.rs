//! Indicators that a project is judged by: their definitions by `id@version`, and their measure over work units.
//!
//! [`catalog()`] gives a definition, [`measure`] adds the parts of several work units and divides once; a ratio is
//! never averaged.

use std::fmt;

use crate::display::Unit;
use crate::oee;

mod catalog;
mod measure;

pub use catalog::{CatalogError, all, catalog, find};
pub use measure::{Lack, Measured, Part, measure};

/// Which formula an indicator is computed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Formula {
    /// APT / PBT.
    Availability,
    /// Sum of PRI x PQ / APT.
    Effectiveness,
    /// GQ / PQ.
    QualityRatio,
    /// Sum of PRI x GQ / PBT.
    Oee,
    /// Energy / PQ.
    UnitEnergy,
}

impl Formula {
    /// Whether its base is planned time, so that a work unit without any contributes nothing.
    pub const fn needs_planned_time(self) -> bool {
        !matches!(self, Self::UnitEnergy)
    }
}

/// A defined measure of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indicator {
    /// What it is called and where it comes from.
    pub definition: oee::Indicator,
    /// How it is computed.
    pub formula: Formula,
    /// What its values are measured in.
    pub unit: Unit,
}

impl Indicator {
    /// Its id, without the version.
    pub fn id(&self) -> &str {
        &self.definition.id
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.definition.version
    }
}

impl fmt::Display for Indicator {
    /// `oee@1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.definition.id, self.definition.version)
    }
}
