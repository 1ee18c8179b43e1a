//! Recordings of real equipment, put where a world would be: behind a Modbus or an OPC UA server.
//!
//! [`energy`] reads a table with a column of energy per interval and turns it into a meter; [`shdr`] reads the
//! output of an MTConnect adapter and turns it into variables. Both are pure: whoever asks says what time it is, so a
//! recording plays in real time, faster, or in lock-step.

pub mod energy;
pub mod shdr;

pub use energy::{Energy, EnergyMeter, EnergyNodes};
pub use shdr::{Shdr, ShdrNodes, ShdrRegisters};

/// Why a recording cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The table has no such column.
    #[error("read table: no column {column:?}; there are {found}")]
    Column {
        /// Column that was asked for.
        column: String,
        /// Columns of the first line.
        found: String,
    },
    /// A line that does not mean what it must.
    #[error("read line {line}: {problem}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// Nothing to play.
    #[error("the recording has no data")]
    Empty,
}
