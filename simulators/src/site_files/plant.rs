//! plant.toml of a simulated site.

use shopfloor::id::AgentId;
use shopfloor::time::Timestamp;

use crate::machine::World;

/// From when until when the work units' tags are read from one agent's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The agent.
    pub agent: AgentId,
    /// First instant, if limited.
    pub from: Option<Timestamp>,
    /// First instant after, if limited.
    pub until: Option<Timestamp>,
}

impl World {
    /// The plant model of this site, its work units bound to agents.
    pub fn plant_toml(&self, _bindings: &[Binding]) -> String {
        String::new()
    }
}
