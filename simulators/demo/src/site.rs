//! The equipment of one simulated factory behind real sockets, each server with a fault proxy before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use shopfloor::time::{Timestamp, Wait};
use simulators::fault_proxy::{Fault, FaultProxy};
use simulators::machine::World;
use simulators::modbus_server::ModbusServer;
use simulators::nodes::WorldNodes;
use simulators::opcua_server::{OpcUaServer, Pace};
use simulators::registers::WorldRegisters;
use simulators::site_files::ServerAddress;

/// Running servers of a world, by their names in the scenario.
pub struct Site {
    /// What is played.
    pub world: Arc<World>,
    /// Modbus TCP servers.
    pub modbus: BTreeMap<String, ModbusServer>,
    /// OPC UA servers.
    pub opcua: BTreeMap<String, OpcUaServer>,
    /// The proxy before each server: agents connect to these.
    pub proxies: BTreeMap<String, FaultProxy>,
}

impl Site {
    /// Starts every server of the world on loopback, showing the values of `wait.now()`.
    pub async fn start(world: Arc<World>, wait: Arc<dyn Wait>, pace: Pace) -> Result<Self> {
        let mut site = Self {
            world: Arc::clone(&world),
            modbus: BTreeMap::new(),
            opcua: BTreeMap::new(),
            proxies: BTreeMap::new(),
        };
        for (name, is_opcua) in world.scenario().servers() {
            let target = if is_opcua {
                let nodes = Arc::new(WorldNodes::new(Arc::clone(&world), &name));
                let server = OpcUaServer::start(&name, nodes, wait.now(), pace).await?;
                let addr = server.addr();
                site.opcua.insert(name.clone(), server);
                addr
            } else {
                let bank = Arc::new(WorldRegisters::new(Arc::clone(&world), &name));
                let server = ModbusServer::start(bank, Arc::clone(&wait)).await.context("start a Modbus server")?;
                let addr = server.addr();
                site.modbus.insert(name.clone(), server);
                addr
            };
            let proxy = FaultProxy::start(target, world.seed())
                .await
                .with_context(|| format!("start the proxy before {name}"))?;
            site.proxies.insert(name, proxy);
        }
        Ok(site)
    }

    /// Where an agent finds each server: its proxy.
    pub fn addresses(&self) -> BTreeMap<String, ServerAddress> {
        let address = |(name, proxy): (&String, &FaultProxy)| {
            let address = match self.opcua.get(name) {
                Some(server) => ServerAddress::OpcUa {
                    endpoint: format!("opc.tcp://{}/", proxy.addr()),
                    namespace: server.namespace().to_owned(),
                },
                None => ServerAddress::Modbus(proxy.addr()),
            };
            (name.clone(), address)
        };
        self.proxies.iter().map(address).collect()
    }

    /// Shows the values of `at` on every OPC UA server; returns each one's tick.
    pub fn step(&self, at: Timestamp) -> Result<BTreeMap<String, i64>> {
        let step = |(name, server): (&String, &OpcUaServer)| Ok((name.clone(), server.step(at)?));
        self.opcua.iter().map(step).collect()
    }

    /// Cuts and mends the lines that the scenario lets fail, so long after the project's go-live in nanoseconds.
    pub fn set_lines(&self, since_go_live: i64) {
        for line in &self.world.scenario().line_faults {
            let wanted = if line.is_cut(since_go_live) { Fault::Refuse } else { Fault::None };
            if let Some(proxy) = self.proxies.get(&line.server)
                && proxy.fault() != wanted
            {
                proxy.set(wanted);
            }
        }
    }

    /// Attempts to write to any machine; zero unless somebody is at fault.
    pub fn writes(&self) -> u64 {
        let modbus: u64 = self.modbus.values().map(|server| server.counters().writes()).sum();
        modbus + self.opcua.values().map(OpcUaServer::writes).sum::<u64>()
    }
}
