//! Which indicators there are, by id and version.

use super::{Formula, Indicator};
use crate::display::Unit;
use crate::file::definition;
use crate::file::document::nearest;

const ALL: [(&str, &str, Formula, Unit); 5] = [
    (
        "availability",
        include_str!("../../definitions/indicators/availability.toml"),
        Formula::Availability,
        Unit::Share,
    ),
    (
        "effectiveness",
        include_str!("../../definitions/indicators/effectiveness.toml"),
        Formula::Effectiveness,
        Unit::Share,
    ),
    (
        "quality_ratio",
        include_str!("../../definitions/indicators/quality_ratio.toml"),
        Formula::QualityRatio,
        Unit::Share,
    ),
    ("oee", include_str!("../../definitions/indicators/oee.toml"), Formula::Oee, Unit::Share),
    (
        "unit_energy",
        include_str!("../../definitions/indicators/unit_energy.toml"),
        Formula::UnitEnergy,
        Unit::KwhPerPiece,
    ),
];

/// Why a text names no indicator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It is not of the form `id@version`.
    #[error(
        "indicator {0:?} is not of the form id@version, such as \"oee@1\"; a definition without its version says nothing"
    )]
    Form(String),
    /// There is no such indicator.
    #[error("indicator `{id}` does not exist; {hint}")]
    UnknownIndicator {
        /// The id as written.
        id: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// There is no such version of it.
    #[error("indicator `{id}` has no version {version}; this program knows {id}@{known}")]
    UnknownVersion {
        /// The id.
        id: String,
        /// The version as written.
        version: u32,
        /// The version that there is.
        known: u32,
    },
}

/// Every indicator that a criterion may name.
pub fn all() -> impl Iterator<Item = Indicator> {
    ALL.iter().map(|(name, text, formula, unit)| Indicator {
        definition: definition::indicator(text, name).expect("the indicators that ship with the program are tested"),
        formula: *formula,
        unit: *unit,
    })
}

/// The indicator of an id and a version; `None` if no such definition ships.
pub fn catalog(id: &str, version: u32) -> Option<Indicator> {
    all().find(|indicator| indicator.id() == id && indicator.version() == version)
}

/// The indicator of a text such as `oee@1`, or why there is none.
pub fn find(text: &str) -> Result<Indicator, CatalogError> {
    let form = || CatalogError::Form(text.to_owned());
    let (id, version) = text.split_once('@').ok_or_else(form)?;
    let version: u32 = version.parse().map_err(|_| form())?;
    let Some(indicator) = all().find(|indicator| indicator.id() == id) else {
        let names: Vec<&str> = ALL.iter().map(|(name, ..)| *name).collect();
        let hint = nearest(id, names.iter().copied())
            .map_or_else(|| format!("there are {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        return Err(CatalogError::UnknownIndicator { id: id.to_owned(), hint });
    };
    let known = indicator.version();
    if known == version {
        Ok(indicator)
    } else {
        Err(CatalogError::UnknownVersion { id: id.to_owned(), version, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_that_ships_reads_and_is_found_by_its_name() {
        for (name, ..) in ALL {
            let indicator = catalog(name, 1).unwrap();
            assert_eq!(indicator.to_string(), format!("{name}@1"));
            assert!(!indicator.definition.title_zh.is_empty());
        }
        assert_eq!(catalog("oee", 2), None);
    }

    #[test]
    fn a_name_that_is_none_says_which_there_are() {
        assert_eq!(
            find("oee@2").unwrap_err().to_string(),
            "indicator `oee` has no version 2; this program knows oee@1"
        );
        assert!(find("oe@1").unwrap_err().to_string().ends_with("did you mean `oee`?"));
        for text in ["oee", "oee@", "oee@one", "@1x"] {
            assert!(matches!(find(text), Err(CatalogError::Form(_))), "{text}");
        }
    }
}
