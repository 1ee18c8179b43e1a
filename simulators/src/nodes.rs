//! What an OPC UA server of a simulator shows, as pure data: variables, and how their values change with time.

use std::sync::Arc;

use shopfloor::sample::StatusCode;
use shopfloor::time::Timestamp;

use crate::machine::World;
use crate::points::{Place, Reading, Shape};

/// One variable of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// String identifier in the server's namespace, without `s=`.
    pub identifier: String,
    /// Name of the folder that it lies in.
    pub folder: String,
    /// Display name.
    pub name: String,
    /// Type.
    pub shape: Shape,
}

/// A new value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Index into [`NodeSource::nodes`].
    pub node: usize,
    /// The value; `None` exactly when the status is Bad.
    pub value: Option<Reading>,
    /// Status code.
    pub status: StatusCode,
    /// When it became so, as the device says.
    pub source_time: Timestamp,
}

/// Where a server's values come from. Answers depend on the arguments alone.
pub trait NodeSource: Send + Sync {
    /// The variables; always the same ones.
    fn nodes(&self) -> Vec<NodeSpec>;

    /// What changes after `after` up to and including `until`, in order of time. Without `after`: the first value of
    /// every variable, as it stands at `until`.
    fn changes(&self, after: Option<Timestamp>, until: Timestamp) -> Vec<Change>;
}

/// The OPC UA machines of a world that are behind one server. Values change at the instants asked for: whoever steps
/// through the scenario's quanta sees every one of them.
pub struct WorldNodes {
    world: Arc<World>,
    /// Machine and point of each node.
    nodes: Vec<(usize, usize)>,
}

impl WorldNodes {
    /// The machines behind `server`.
    pub fn new(world: Arc<World>, server: &str) -> Self {
        let mut nodes = Vec::new();
        for (machine, played) in world.machines().iter().enumerate().filter(|(_, m)| m.spec().server == server) {
            let shown = played.points().iter().enumerate();
            nodes.extend(
                shown.filter(|(_, p)| matches!(p.place, Place::Node { .. })).map(|(point, _)| (machine, point)),
            );
        }
        Self { world, nodes }
    }

    fn read(&self, node: (usize, usize), at: Timestamp) -> Reading {
        let machine = &self.world.machines()[node.0];
        machine.read(&machine.points()[node.1], at)
    }
}

impl NodeSource for WorldNodes {
    fn nodes(&self) -> Vec<NodeSpec> {
        let spec = |(machine, point): &(usize, usize)| {
            let machine = &self.world.machines()[*machine];
            let Place::Node { identifier, shape } = &machine.points()[*point].place else {
                unreachable!("only nodes were taken in")
            };
            let folder = machine.spec().id.to_string();
            let name = identifier.rsplit('.').next().unwrap_or(identifier).to_owned();
            NodeSpec { identifier: identifier.clone(), folder, name, shape: *shape }
        };
        self.nodes.iter().map(spec).collect()
    }

    fn changes(&self, after: Option<Timestamp>, until: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for (node, place) in self.nodes.iter().enumerate() {
            let value = self.read(*place, until);
            if after.is_none_or(|after| self.read(*place, after) != value) {
                let status = StatusCode::GOOD;
                changes.push(Change { node, value: Some(value), status, source_time: until });
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use shopfloor::time::{HOUR, SECOND};

    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn only_what_changed_is_written() {
        let start = Timestamp::parse("2026-11-25T09:00:00+08:00").unwrap();
        let world = Arc::new(World::new(&Scenario::builtin("small").unwrap(), 1, start, HOUR));
        let nodes = WorldNodes::new(world, "opcua-a");
        assert_eq!(nodes.changes(None, start).len(), nodes.nodes().len());
        assert_eq!(nodes.changes(Some(start), start), []);
        let mut value = nodes.changes(None, start);
        for step in 1..=360 {
            let (before, now) = (start.plus((step - 1) * 10 * SECOND), start.plus(step * 10 * SECOND));
            for change in nodes.changes(Some(before), now) {
                assert_ne!(value[change.node].value, change.value);
                let node = change.node;
                value[node] = change;
            }
        }
        let last = nodes.changes(None, start.plus(HOUR));
        assert!(value.iter().zip(&last).all(|(kept, fresh)| kept.value == fresh.value));
    }
}
