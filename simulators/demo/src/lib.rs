//! Simulators, agents, broker and collector in one process: the demo, and what the tests of the whole road share.

pub mod factory;
pub mod files;
pub mod history;
pub mod keys;
pub mod play;
pub mod roster;
pub mod site;
