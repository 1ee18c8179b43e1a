//! Projects: each work unit over both windows, criteria judged, delivery held against what is really online.
//!
//! The verdicts come from `shopfloor::acceptance` and the figures from `shopfloor::evaluate`; here is only what reads
//! for them, remembers, and puts the answer into the shape that page, API, sheet and workbook share.

mod agreed;
pub mod detail;
pub mod figures;
pub mod shape;
pub mod spans;
pub mod standing;
pub mod work;

pub use standing::{Projects, Standing};
pub use work::{Judged, Work};
