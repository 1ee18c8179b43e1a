//! From samples to results of windows: what is due, what is kept, what is restated and why.
//!
//! The figures themselves come from `shopfloor::evaluate` and from nowhere else.

pub mod background;
pub mod convert;
pub mod days;
pub mod maturity;
pub mod number;
pub mod pipeline;
pub mod project;
pub mod region;
pub mod result;
pub mod window;
pub mod words;

use crate::log::LogError;
use crate::series::SeriesError;
use crate::series::derived::DerivedError;

/// Why a window could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Samples could not be read.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Results could not be read or kept.
    #[error(transparent)]
    Derived(#[from] DerivedError),
    /// A kept result is not readable.
    #[error("a result in derived.db is unreadable: {0}; the file may be deleted, it is built again from the log")]
    Kept(#[from] serde_json::Error),
    /// The calculation refused.
    #[error(transparent)]
    Refused(#[from] shopfloor::evaluate::EvaluateError),
}
