//! Files as people write them: text in, checked values out, every problem at once with line and column. No I/O.
//!
//! [`document`] walks a TOML document and collects problems; [`plant`] knows plant.toml, [`project`]
//! project.toml, [`definition`] the definition files that ship with the program.

pub mod definition;
pub mod document;
pub mod duration;
pub mod maturity;
pub mod plant;
pub mod project;
