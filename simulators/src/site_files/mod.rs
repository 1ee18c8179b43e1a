//! The files of a simulated site, as its people would write them: agent configuration, plant model, project.
//!
//! Written out as text, because text is what the programs read. The plant model holds what a factory knows of
//! itself: hierarchy, roles, codes, calendar, ideal cycles, equipment; nothing of causes or chances.

/// Writes a line; writing to a string cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("a string takes everything")
    };
}

pub mod agent;
pub mod plant;
pub mod project;

pub use agent::{AgentOptions, ServerAddress};
pub use plant::Binding;
pub use project::Schedule;
