//! agent.toml of an agent that reads every machine of a world.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use shopfloor::id::{AgentId, TagName};

use crate::machine::{Machine, World};
use crate::opcua_server::{OpcUaServer, TICK};
use crate::points::{Place, Point, Shape, points};
use crate::registers::{BitArea, Encoding, WordArea};

/// Where a server of the world is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// A Modbus TCP server.
    Modbus(SocketAddr),
    /// An OPC UA server.
    OpcUa {
        /// Address as clients dial it, `opc.tcp://…`.
        endpoint: String,
        /// URI of its machines' namespace.
        namespace: String,
    },
}

impl From<&OpcUaServer> for ServerAddress {
    fn from(server: &OpcUaServer) -> Self {
        Self::OpcUa { endpoint: server.endpoint(), namespace: server.namespace().to_owned() }
    }
}

/// What the agent's file says beside its tags. Texts are written as they are.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Id of the agent.
    pub agent: AgentId,
    /// Directory of its own.
    pub state_dir: String,
    /// Servers by the names that the scenario gives them; machines of others are left out.
    pub servers: BTreeMap<String, ServerAddress>,
    /// Scan interval of Modbus tags, such as `10s`.
    pub scan: String,
    /// Publishing and sampling interval of OPC UA tags, such as `5ms`.
    pub publishing: String,
    /// Whether each OPC UA server's tick is a tag too; see [`World::tick_tag`].
    pub tick: bool,
    /// Broker and public key of the collector; without them the agent only records.
    pub publish: Option<(String, String)>,
    /// Where to serve health and metrics.
    pub metrics: Option<SocketAddr>,
    /// Further lines of the table `[agent]`, such as `demo = true`.
    pub agent_lines: Vec<String>,
    /// Further lines of the table `[publish]`.
    pub publish_lines: Vec<String>,
    /// Further lines of every source, such as `response_timeout = "100ms"`.
    pub source_lines: Vec<String>,
}

impl AgentOptions {
    /// An agent that scans every 10 s and only records.
    pub fn new(agent: AgentId, state_dir: impl Into<String>) -> Self {
        Self {
            agent,
            state_dir: state_dir.into(),
            servers: BTreeMap::new(),
            scan: "10s".into(),
            publishing: "500ms".into(),
            tick: false,
            publish: None,
            metrics: None,
            agent_lines: Vec::new(),
            publish_lines: Vec::new(),
            source_lines: Vec::new(),
        }
    }
}

impl World {
    /// The tag under which an agent shows the tick of an OPC UA server.
    pub fn tick_tag(&self, server: &str) -> Option<TagName> {
        let machine = self.machines_of(server).next().filter(|machine| machine.spec().kind.is_opcua())?;
        format!("{}/{TICK}", machine.spec().id).parse().ok()
    }

    /// The configuration of an agent that reads the machines of this world.
    pub fn agent_toml(&self, options: &AgentOptions) -> String {
        let mut out = String::new();
        head(&mut out, self, options);
        for (server, address) in &options.servers {
            match address {
                ServerAddress::Modbus(addr) => {
                    self.machines_of(server).for_each(|machine| modbus_sources(&mut out, machine, *addr, options));
                }
                ServerAddress::OpcUa { endpoint, namespace } => {
                    opcua_source(&mut out, self, server, (endpoint, namespace), options);
                }
            }
        }
        out
    }
}

fn head(out: &mut String, world: &World, options: &AgentOptions) {
    line!(out, "# Written by the simulators for the scenario {:?}.", world.scenario().id);
    line!(out, "schema = 1\n\n[agent]\nsite = {:?}", world.scenario().site.id.as_str());
    line!(out, "id = {:?}\nstate_dir = {:?}", options.agent.as_str(), options.state_dir);
    options.agent_lines.iter().for_each(|text| line!(out, "{text}"));
    if let Some((broker, key)) = &options.publish {
        line!(out, "\n[publish]\nbroker = {broker:?}\ncollector_key = {key:?}");
        options.publish_lines.iter().for_each(|text| line!(out, "{text}"));
    }
    if let Some(listen) = options.metrics {
        line!(out, "\n[metrics]\nlisten = \"{listen}\"");
    }
}

/// One source for each unit id of the machine.
fn modbus_sources(out: &mut String, machine: &Machine, addr: SocketAddr, options: &AgentOptions) {
    let mut units: BTreeMap<u8, Vec<&Point>> = BTreeMap::new();
    for point in machine.points() {
        match point.place {
            Place::Words { unit, .. } | Place::Bit { unit, .. } => units.entry(unit).or_default().push(point),
            Place::Node { .. } => {}
        }
    }
    for (unit, points) in units {
        let id = &machine.spec().id;
        line!(out, "\n[[source]]\nid = \"{id}-{unit}\"\nprotocol = \"modbus-tcp\"");
        line!(
            out,
            "host = \"{}\"\nport = {}\nunit = {unit}\naddress_base = 0\nsimulated = true",
            addr.ip(),
            addr.port()
        );
        options.source_lines.iter().for_each(|text| line!(out, "{text}"));
        for point in points {
            line!(out, "\n[[source.tag]]\nname = \"{id}/{}\"", point.tag);
            modbus_place(out, &point.place);
            line!(out, "interval = {:?}", options.scan);
            meaning(out, point);
        }
    }
}

fn modbus_place(out: &mut String, place: &Place) {
    match place {
        Place::Words { area, address, encoding, order, .. } => {
            let area = if *area == WordArea::Holding { "holding" } else { "input" };
            line!(out, "area = {area:?}\naddress = {address}\ntype = {:?}", encoding.name());
            if !matches!(encoding, Encoding::U16 | Encoding::I16) {
                line!(out, "word_order = {:?}", order.name().to_lowercase());
            }
        }
        Place::Bit { area, address, .. } => {
            let area = if *area == BitArea::Coil { "coil" } else { "discrete_input" };
            line!(out, "area = {area:?}\naddress = {address}\ntype = \"bool\"");
        }
        Place::Node { .. } => {}
    }
}

fn opcua_source(out: &mut String, world: &World, server: &str, address: (&str, &str), options: &AgentOptions) {
    let (endpoint, namespace) = address;
    line!(out, "\n[[source]]\nid = {server:?}\nprotocol = \"opc-ua\"\nendpoint = {endpoint:?}\ninsecure = true");
    line!(out, "publishing_interval = {0:?}\nsampling_interval = {0:?}\nsimulated = true", options.publishing);
    let lines = options.source_lines.iter().filter(|text| !text.starts_with("response_timeout"));
    lines.for_each(|text| line!(out, "{text}"));
    for machine in world.machines_of(server) {
        for point in points(machine.spec()) {
            let Place::Node { identifier, shape } = &point.place else { continue };
            node(out, &format!("{}/{}", machine.spec().id, point.tag), namespace, identifier, type_name(*shape));
            meaning(out, &point);
        }
    }
    if let Some(tick) = world.tick_tag(server).filter(|_| options.tick) {
        node(out, &tick.to_string(), namespace, TICK, "i64");
        line!(out, "section = \"process\"");
    }
}

fn node(out: &mut String, name: &str, namespace: &str, identifier: &str, data_type: &str) {
    line!(out, "\n[[source.tag]]\nname = {name:?}\nnode = \"nsu={namespace};s={identifier}\"");
    line!(out, "type = {data_type:?}\nqueue_size = 100");
}

const fn type_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Int32 => "i32",
        Shape::UInt32 => "u32",
        Shape::Int16 => "i16",
        Shape::Tenths => "f32",
        Shape::Text => "text",
    }
}

fn meaning(out: &mut String, point: &Point) {
    if point.scale != "1" {
        line!(out, "scale = {:?}", point.scale);
    }
    if !point.unit.is_empty() {
        line!(out, "unit = {:?}", point.unit);
    }
    line!(out, "section = {:?}", point.section);
}

#[cfg(test)]
mod tests {
    use shopfloor::time::{HOUR, Timestamp};

    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_point_of_every_machine_is_a_tag_of_the_file() {
        let world = World::new(&Scenario::builtin("demo").unwrap(), 1, Timestamp::from_secs(1_800_000_000), HOUR);
        let mut options = AgentOptions::new("agent-1".parse().unwrap(), "/tmp/agent-1");
        options.tick = true;
        for (server, opcua) in world.scenario().servers() {
            let address = if opcua {
                ServerAddress::OpcUa { endpoint: "opc.tcp://127.0.0.1:4840/".into(), namespace: "urn:x".into() }
            } else {
                ServerAddress::Modbus(SocketAddr::from(([127, 0, 0, 1], 502)))
            };
            options.servers.insert(server, address);
        }
        let parsed: toml::Table = world.agent_toml(&options).parse().unwrap();
        let sources = parsed["source"].as_array().unwrap();
        assert_eq!(sources.len(), 3 + 3 + 2); // three Modbus machines, three unit ids behind the other, two servers
        let tags: usize = sources.iter().map(|source| source["tag"].as_array().unwrap().len()).sum();
        assert_eq!(tags, world.machines().iter().map(|machine| machine.points().len()).sum::<usize>() + 2);
        assert_eq!(world.tick_tag("opcua-a").unwrap().to_string(), "imm-01/tick");
        assert_eq!(world.tick_tag("modbus-a"), None);
    }
}
