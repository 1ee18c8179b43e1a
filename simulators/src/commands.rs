//! What the program does: put a scenario or a recording behind servers, list scenarios, tell the truth.
//!
//! Results go to the writer that is passed in; notices are log events. Arguments and exit codes are `main`'s.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use shopfloor::time::{Clock, HOUR, Interval, SECOND, Timestamp, Wait};
use tokio_util::sync::CancellationToken;

use crate::machine::World;
use crate::modbus_server::ModbusServer;
use crate::nodes::{NodeSource, WorldNodes};
use crate::opcua_server::{OpcUaServer, OpcUaServerError, Pace};
use crate::paced_clock::PacedClock;
use crate::registers::{RegisterBank, WordOrder, WorldRegisters};
use crate::replay::energy::QUARTER;
use crate::replay::{Energy, EnergyMeter, EnergyNodes, ReplayError, Shdr, ShdrNodes, ShdrRegisters};
use crate::scenario::{BUILTIN, Scenario, ScenarioError};
use crate::site_files::{AgentOptions, Binding, ServerAddress};
use crate::truth::truth;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A file cannot be read or written, or a socket not be opened.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on which thing.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A scenario that is none.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A recording that is none.
    #[error("{file}: {source}")]
    Recording {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: ReplayError,
    },
    /// An OPC UA server that cannot run.
    #[error(transparent)]
    OpcUa(#[from] OpcUaServerError),
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
}

impl CommandError {
    /// Exit code for it: 64 usage, 65 bad input data, 74 input or output.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Scenario(_) | Self::Recording { .. } => 65,
            Self::Io { .. } | Self::OpcUa(_) => 74,
        }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which protocol a recording is put behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Modbus TCP.
    Modbus,
    /// OPC UA.
    OpcUa,
}

/// A built-in scenario by name, or one from a file.
pub fn load(name: &str) -> Result<Scenario, CommandError> {
    if BUILTIN.iter().any(|(builtin, _)| *builtin == name) {
        return Ok(Scenario::builtin(name)?);
    }
    if Path::new(name).extension().is_none_or(|extension| extension != "toml") {
        return Err(ScenarioError::Unknown(name.to_owned()).into());
    }
    Ok(Scenario::parse(&read(Path::new(name))?)?)
}

/// Lists the built-in scenarios.
pub fn scenarios(out: &mut dyn Write, format: Format) -> Result<(), CommandError> {
    let mut rows = Vec::new();
    for (name, text) in BUILTIN {
        let scenario = Scenario::parse(text)?;
        rows.push((name, scenario.machines.len(), scenario.seed, scenario.title));
    }
    match format {
        Format::Json => {
            let row =
                |(id, machines, seed, title)| json!({"id": id, "machines": machines, "seed": seed, "title": title});
            print(out, &format!("{:#}", serde_json::Value::from(rows.into_iter().map(row).collect::<Vec<_>>())))
        }
        Format::Text => rows.into_iter().try_for_each(|(name, machines, seed, title)| {
            print(out, &format!("{name:<10} {machines:>3} machines  seed {seed:<10} {title}"))
        }),
    }
}

/// Tells the truth about a window as JSON: a list with one entry for each machine.
pub fn tell_truth(
    out: &mut dyn Write,
    scenario: &str,
    seed: Option<u64>,
    start: Option<Timestamp>,
    window: Interval,
    machine: Option<&str>,
) -> Result<(), CommandError> {
    let scenario = load(scenario)?;
    let start = start.unwrap_or(window.start);
    if window.start < start || window.end <= window.start {
        return Err(CommandError::Usage("the window must begin at or after the world's start and end later".into()));
    }
    let world = World::new(&scenario, seed.unwrap_or(scenario.seed), start, window.end.since(start));
    let wanted = |id: &str| machine.is_none_or(|wanted| wanted == id);
    let machines: Vec<_> = world.machines().iter().filter(|machine| wanted(machine.spec().id.as_str())).collect();
    if machines.is_empty() {
        return Err(CommandError::Usage(format!("the scenario has no machine {:?}", machine.unwrap_or_default())));
    }
    let truths: Vec<_> = machines.into_iter().map(|machine| truth(&world, machine, window)).collect();
    let text = serde_json::to_string_pretty(&truths).expect("a truth has only texts and numbers");
    print(out, &text)
}

/// What `run` is asked to do.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Name or file of the scenario.
    pub scenario: String,
    /// Seed; the scenario's own if none.
    pub seed: Option<u64>,
    /// Where to write plant.toml and agent.toml, if anywhere.
    pub files: Option<PathBuf>,
    /// Directory that the written agent.toml names as the agent's own.
    pub state_dir: String,
    /// How addresses are printed.
    pub format: Format,
}

/// Puts a scenario behind servers in real time until cancelled.
pub async fn run(out: &mut dyn Write, options: &RunOptions, cancel: CancellationToken) -> Result<(), CommandError> {
    let scenario = load(&options.scenario)?;
    let clock = Arc::new(PacedClock::real());
    let begin = clock.now().plus(-HOUR);
    let world = World::new(&scenario, options.seed.unwrap_or(scenario.seed), begin, 90 * 24 * HOUR);
    let world = Arc::new(world);
    let (mut modbus, mut opcua, mut addresses) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (name, is_opcua) in scenario.servers() {
        if is_opcua {
            let nodes = Arc::new(WorldNodes::new(Arc::clone(&world), &name));
            let server = OpcUaServer::start(&name, nodes, clock.now(), Pace::Calm).await?;
            addresses.insert(name, ServerAddress::from(&server));
            opcua.push(server);
        } else {
            let bank = Arc::new(WorldRegisters::new(Arc::clone(&world), &name));
            let server = start_modbus(None, bank, clock.clone()).await?;
            addresses.insert(name, ServerAddress::Modbus(server.addr()));
            modbus.push(server);
        }
    }
    announce(out, options.format, &addresses)?;
    if let Some(directory) = &options.files {
        write_files(&world, directory, &options.state_dir, addresses)?;
    }
    step_until_cancelled(&opcua, &clock, &cancel).await?;
    for server in opcua {
        server.stop().await;
    }
    for server in modbus {
        server.stop().await;
    }
    Ok(())
}

fn announce(
    out: &mut dyn Write,
    format: Format,
    addresses: &BTreeMap<String, ServerAddress>,
) -> Result<(), CommandError> {
    if format == Format::Json {
        let shown = addresses.iter().map(|(name, address)| match address {
            ServerAddress::Modbus(addr) => {
                json!({"server": name, "protocol": "modbus-tcp", "address": addr.to_string()})
            }
            ServerAddress::OpcUa { endpoint, namespace } => {
                json!({"server": name, "protocol": "opc-ua", "address": endpoint, "namespace": namespace})
            }
        });
        return print(out, &serde_json::Value::from(shown.collect::<Vec<_>>()).to_string());
    }
    addresses.iter().try_for_each(|(name, address)| match address {
        ServerAddress::Modbus(addr) => print(out, &format!("{name:<12} modbus-tcp  {addr}")),
        ServerAddress::OpcUa { endpoint, .. } => print(out, &format!("{name:<12} opc-ua      {endpoint}")),
    })
}

fn write_files(
    world: &World,
    directory: &Path,
    state_dir: &str,
    servers: BTreeMap<String, ServerAddress>,
) -> Result<(), CommandError> {
    let agent = "agent-1".parse().expect("a sound id");
    let options = AgentOptions { servers, scan: "1s".into(), ..AgentOptions::new(agent, state_dir) };
    let binding = Binding { agent: options.agent.clone(), from: None, until: None };
    std::fs::create_dir_all(directory).map_err(|source| io_error("create directory", directory, source))?;
    for (name, text) in [("agent.toml", world.agent_toml(&options)), ("plant.toml", world.plant_toml(&[binding]))] {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|source| io_error("write", &path, source))?;
        tracing::info!(file = %path.display(), "written");
    }
    Ok(())
}

/// What `replay` is asked to do.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The recording.
    pub file: PathBuf,
    /// Column of energy, if the recording is a table; otherwise it is SHDR.
    pub column: Option<String>,
    /// Instant at which a table begins.
    pub start: Timestamp,
    /// Data items of an SHDR recording to show; all if none.
    pub keys: Vec<String>,
    /// Protocol of the server.
    pub protocol: Protocol,
    /// Word order of a meter's u32.
    pub order: WordOrder,
    /// Times real time.
    pub speed: u32,
    /// Where to listen; a free loopback port if none.
    pub listen: Option<SocketAddr>,
    /// How the address is printed.
    pub format: Format,
}

/// Plays a recording behind a server until cancelled.
pub async fn replay(
    out: &mut dyn Write,
    options: &ReplayOptions,
    cancel: CancellationToken,
) -> Result<(), CommandError> {
    let text = read(&options.file)?;
    let wrong = |source| CommandError::Recording { file: options.file.display().to_string(), source };
    let (bank, nodes, begin): (Arc<dyn RegisterBank>, Arc<dyn NodeSource>, Timestamp);
    if let Some(column) = &options.column {
        let energy = Arc::new(Energy::read(&text, column, options.start, QUARTER).map_err(wrong)?);
        bank = Arc::new(EnergyMeter::new(Arc::clone(&energy), 1, options.order));
        begin = energy.start();
        nodes = Arc::new(EnergyNodes(energy));
    } else {
        let keys: Vec<&str> = options.keys.iter().map(String::as_str).collect();
        let whole = Shdr::read(&text).map_err(wrong)?;
        let recording = Arc::new(if keys.is_empty() { whole } else { whole.only(&keys) });
        begin = recording.instants().first().copied().ok_or_else(|| wrong(ReplayError::Empty))?;
        bank = Arc::new(ShdrRegisters::new(&recording));
        nodes = Arc::new(ShdrNodes::new(recording));
    }
    let clock = Arc::new(PacedClock::from(begin, options.speed));
    if options.protocol == Protocol::Modbus {
        let server = start_modbus(options.listen, bank, clock).await?;
        announce(out, options.format, &BTreeMap::from([("replay".into(), ServerAddress::Modbus(server.addr()))]))?;
        cancel.cancelled().await;
        server.stop().await;
        return Ok(());
    }
    let at = options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = OpcUaServer::start_at(at, "replay", nodes, begin, Pace::Calm).await?;
    announce(out, options.format, &BTreeMap::from([("replay".into(), ServerAddress::from(&server))]))?;
    let servers = [server];
    step_until_cancelled(&servers, &clock, &cancel).await?;
    for server in servers {
        server.stop().await;
    }
    Ok(())
}

/// Steps OPC UA servers to the clock's time, once a second of it or ten times a real second, whichever is rarer.
async fn step_until_cancelled(
    servers: &[OpcUaServer],
    clock: &PacedClock,
    cancel: &CancellationToken,
) -> Result<(), CommandError> {
    let pause = SECOND.max(SECOND / 10 * i64::from(clock.speed()));
    let mut next = clock.now();
    loop {
        next = Timestamp::from_nanos((next.as_nanos() / pause + 1) * pause);
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = clock.until(next) => {}
        }
        for server in servers {
            server.step(next)?;
        }
    }
}

async fn start_modbus(
    at: Option<SocketAddr>,
    bank: Arc<dyn RegisterBank>,
    clock: Arc<dyn Wait>,
) -> Result<ModbusServer, CommandError> {
    let at = at.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let what = || format!("listen for Modbus TCP at {at}");
    ModbusServer::start_at(at, bank, clock).await.map_err(|source| CommandError::Io { what: what(), source })
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| io_error("read", path, source))
}

fn io_error(what: &str, path: &Path, source: io::Error) -> CommandError {
    CommandError::Io { what: format!("{what} {}", path.display()), source }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), CommandError> {
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|source| CommandError::Io { what: "write the result".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_is_told_as_json() {
        let start = Timestamp::parse("2026-11-25T08:00:00+08:00").unwrap();
        let window = Interval::new(start, start.plus(HOUR)).unwrap();
        let mut out = Vec::new();
        tell_truth(&mut out, "small", Some(1), None, window, Some("imm-01")).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(told[0]["work_unit"], "imm-01");
        let leaves = told[0]["leaves"].as_object().unwrap();
        assert_eq!(leaves.values().map(|ns| ns.as_i64().unwrap()).sum::<i64>(), HOUR);
        let error = tell_truth(&mut out, "small", None, None, window, Some("imm-09")).unwrap_err();
        assert_eq!((error.exit_code(), load("nowhere").unwrap_err().exit_code()), (64, 65));
        assert_eq!(load("missing.toml").unwrap_err().exit_code(), 74);
    }

    #[tokio::test]
    async fn a_scenario_runs_and_writes_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        let options = RunOptions {
            scenario: "small".into(),
            seed: None,
            files: Some(scratch.path().join("site")),
            state_dir: "/var/lib/plumbline-agent".into(),
            format: Format::Json,
        };
        let (cancel, mut out) = (CancellationToken::new(), Vec::new());
        cancel.cancel();
        run(&mut out, &options, cancel).await.unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(shown.as_array().unwrap().len(), 2);
        assert!(scratch.path().join("site/agent.toml").exists() && scratch.path().join("site/plant.toml").exists());
    }
}
