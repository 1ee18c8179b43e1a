//! Nothing is lost: agent, broker and collector are killed with SIGKILL, in turn and at random moments.
//!
//! Each is a process of its own; the broker is mosquitto. The oracle never asks the programs: it takes copies of the
//! agent's database, with its write-ahead log, and of the journal's file after every kill and each second between, and
//! collects what stands there as (tag, scan, words). At the end the collector's log, as a Python reader sees it, must
//! hold every one of these, the same, once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use collector::account::Account;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::OpenFlags;
use shopfloor::time::{Timestamp, Wait};
use simulators::modbus_server::ModbusServer;
use simulators::registers::{BitArea, Exception, RegisterBank, WordArea};

use crate::oracle::{Look, Oracle, Scan};
use crate::peers::{Mosquitto, long_form, python, root};

/// Registers of the simulated device, one tag each.
const TAGS: u16 = 700;
/// Fewest readings that the comparison rests on.
const READINGS_MIN: usize = 200_000;
/// What the device's values change with.
const SCAN: i64 = 100_000_000;

/// Registers whose words depend on address and time, so that a word in the wrong scan shows.
struct Ticking;

impl RegisterBank for Ticking {
    fn bits(&self, _: u8, _: BitArea, _: u16, _: u16, _: Timestamp) -> Result<Vec<bool>, Exception> {
        Err(Exception::IllegalAddress)
    }

    fn words(&self, _: u8, _: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception> {
        if u32::from(start) + u32::from(count) > u32::from(TAGS) {
            return Err(Exception::IllegalAddress);
        }
        let step = (at.as_nanos() / SCAN) as u16;
        Ok((start..start + count).map(|a| step.wrapping_mul(31).wrapping_add(a.wrapping_mul(7))).collect())
    }
}

/// A child that can be killed and started again, and the last thing it said about its phase.
struct Program {
    arguments: [String; 3],
    child: Option<Child>,
    said: Arc<Mutex<String>>,
    log: PathBuf,
}

impl Program {
    fn start(role: &str, config: &Path) -> Self {
        let arguments = [role.to_owned(), "--config".to_owned(), config.display().to_string()];
        let log = config.with_extension("log");
        let mut program = Self { arguments, child: None, said: Arc::default(), log };
        program.restart();
        program
    }

    fn restart(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plumbline-demo"))
            .args(&self.arguments)
            .env("RUST_LOG", "info,phase=debug")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::clone(&self.said);
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, phase)) = line.split_once("phase=") {
                    said.lock().unwrap().replace_range(.., phase);
                } else {
                    writeln!(log, "{line}").unwrap();
                }
            }
        });
        self.child = Some(child);
    }

    /// Waits until the program says `phase`, at most `patience`.
    fn wait_for(&self, phase: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.said.lock().unwrap().clear();
        while Instant::now() < deadline && !self.said.lock().unwrap().starts_with(phase) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        assert!(
            child.try_wait().unwrap().is_none(),
            "{} ended by itself; see {}",
            self.arguments[0],
            self.log.display()
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM and a graceful end.
    fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        Command::new("kill").arg(child.id().to_string()).status().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{} did not stop in 20 s", self.arguments[0]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _waited = child.wait();
        }
    }
}

struct Bench {
    folder: tempfile::TempDir,
    broker: Mosquitto,
    agent: Program,
    collector: Program,
    oracle: Oracle,
}

impl Bench {
    fn database(&self) -> PathBuf {
        self.folder.path().join("agent/queue.db")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("agent/readings.journal")
    }

    /// A copy of the files as a kill left them.
    fn copy_dead(&mut self) -> Look {
        let to = self.folder.path().join("copy.db");
        for (from, end) in [(".db", ""), (".db-wal", "-wal")] {
            let from = self.folder.path().join(format!("agent/queue{from}"));
            let to = PathBuf::from(format!("{}{end}", to.display()));
            let _absent = std::fs::remove_file(&to);
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
        let _absent = std::fs::remove_file(self.folder.path().join("copy.db-shm"));
        self.oracle.read(&to, &std::fs::read(self.journal()).unwrap())
    }

    /// A copy of the running agent's journal, then of its database, through SQLite's own snapshot.
    fn copy_live(&mut self) -> Option<Look> {
        let journal = std::fs::read(self.journal()).ok()?;
        let to = self.folder.path().join("live.db");
        for end in ["", "-wal", "-shm"] {
            let _absent = std::fs::remove_file(format!("{}{end}", to.display()));
        }
        // Never create it: an agent that has just been started finds its own way.
        let source = rusqlite::Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
        source.busy_timeout(Duration::from_secs(2)).unwrap();
        let mut target = rusqlite::Connection::open(&to).unwrap();
        rusqlite::backup::Backup::new(&source, &mut target)
            .and_then(|backup| backup.run_to_completion(1000, Duration::ZERO, None))
            .ok()?;
        let begun =
            target.query_row("SELECT count(*) FROM state", [], |row| row.get::<_, i64>(0)).is_ok_and(|rows| rows == 1);
        drop(target);
        begun.then(|| self.oracle.read(&to, &journal))
    }

    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep((end - Instant::now()).min(Duration::from_secs(1)));
            self.copy_live();
        }
    }

    fn hit(&mut self, phase: &'static str) {
        *self.oracle.phases.entry(phase).or_default() += 1;
    }

    /// Kills the agent, says in which phase the copy shows it, and starts it again.
    fn kill_agent(&mut self, moment: Option<&str>) {
        let before = self.copy_live().map_or(0, |look| look.next_sequence);
        if let Some(moment) = moment {
            self.agent.wait_for(moment, Duration::from_secs(5));
        }
        self.agent.kill();
        let said = self.agent.said.lock().unwrap().clone();
        let look = self.copy_dead();
        let sealing = said.strip_prefix("sealing sequence=").and_then(|number| number.trim().parse::<u64>().ok());
        if sealing == Some(look.next_sequence) && look.next_sequence >= before {
            // It had begun to seal this sequence, and the transaction never came to be.
            self.hit("sealing");
        } else if look.journal_rows > 0 {
            self.hit("journal open");
        }
        if look.queued.iter().any(|sequence| *sequence > look.acknowledged) && said.starts_with("sent") {
            self.hit("sent but unacknowledged");
        }
        self.agent.restart();
    }

    /// Kills the collector; if it had committed what it never acknowledged, that phase is hit.
    fn kill_collector(&mut self, moment: Option<&str>) {
        if let Some(moment) = moment {
            self.collector.wait_for(moment, Duration::from_secs(5));
        }
        self.collector.kill();
        if self.collector.said.lock().unwrap().starts_with("committed") {
            self.hit("between commit and ack");
        }
        self.collector.restart();
    }
}

fn write_configs(folder: &Path, modbus_port: u16, broker_port: u16) -> (PathBuf, PathBuf) {
    let agent_id = "edge-01".parse().unwrap();
    let seed_file = folder.join("agent.seed");
    std::fs::write(&seed_file, demo::keys::hex(demo::keys::agent_seed(7, &agent_id))).unwrap();
    demo::files::make_private(&seed_file).unwrap();
    let collector = folder.join("collector.toml");
    let text = format!(
        "schema = 1\n[collector]\nstate_dir = \"{}\"\nname = \"kill-test\"\n[broker]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nmissing_after = \"2s\"\n\
         [[agent]]\nsite = \"kill-site\"\nid = \"edge-01\"\npublic_key = \"{}\"\nepoch = 1\n",
        folder.join("collector").display(),
        demo::keys::agent_key(7, &agent_id).public()
    );
    std::fs::write(&collector, &text).unwrap();
    let config = collector::config::parse(&text, "collector.toml").unwrap();
    std::fs::create_dir_all(&config.state_dir).unwrap();
    let collector_key = collector::keys::Keys::open(&config.state_dir).unwrap().ack.public();
    let agent = folder.join("agent.toml");
    let mut text = format!(
        "schema = 1\n[agent]\nsite = \"kill-site\"\nid = \"edge-01\"\nstate_dir = \"{}\"\nkey_seed_file = \"{}\"\ndemo = true\n\
         block_interval = \"1s\"\njournal_commit = \"200ms\"\n[publish]\nbroker = \"mqtt://127.0.0.1:{broker_port}\"\n\
         collector_key = \"{collector_key}\"\nresend = \"1s\"\nresend_max = \"5s\"\nreconnect_max = \"1s\"\n\
         [[source]]\nid = \"device\"\nprotocol = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {modbus_port}\nunit = 1\naddress_base = 0\n\
         reconnect_max = \"1s\"\nsimulated = true\n",
        folder.join("agent").display(),
        seed_file.display()
    );
    for tag in 0..TAGS {
        text += &format!(
            "[[source.tag]]\nname = \"device/t{tag:03}\"\narea = \"holding\"\naddress = {tag}\ntype = \"u16\"\ninterval = \"100ms\"\nsection = \"process\"\n"
        );
    }
    std::fs::write(&agent, text).unwrap();
    (agent, collector)
}

#[test]
fn nothing_is_lost_by_kills_of_agent_broker_and_collector() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(folder.path()) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock: Arc<dyn Wait> = Arc::new(collector::wait::RealWait::new());
    let device = runtime.block_on(ModbusServer::start(Arc::new(Ticking), clock)).unwrap();
    let (agent_config, collector_config) = write_configs(folder.path(), device.addr().port(), broker.port);
    let collector = Program::start("collector", &collector_config);
    let agent = Program::start("agent", &agent_config);
    let mut bench = Bench { folder, broker, agent, collector, oracle: Oracle::default() };

    let seed = std::env::var("PLUMBLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125_u64);
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let kills = if long_form() { 200 } else { 12 };
    bench.run_for(Duration::from_secs(5));
    let moments = [Some("sealing"), None, Some("sent")];
    for kill in 0..kills {
        bench.run_for(Duration::from_millis(random.random_range(1500..4000)));
        match kill % 3 {
            0 => bench.kill_agent(moments[kill / 3 % 3]),
            1 => {
                bench.broker.kill();
                std::thread::sleep(Duration::from_millis(random.random_range(0..800)));
                bench.broker.restart();
            }
            _ => bench.kill_collector((kill / 3 % 2 == 0).then_some("committed")),
        }
    }
    // A phase is a matter of microseconds; what twelve kills missed, a few more look for.
    for _ in 0..20 {
        let missing: Vec<&str> = PHASES.into_iter().filter(|phase| !bench.oracle.phases.contains_key(phase)).collect();
        let Some(phase) = missing.first() else { break };
        bench.run_for(Duration::from_millis(random.random_range(1500..3000)));
        match *phase {
            "sealing" => bench.kill_agent(Some("sealing")),
            "sent but unacknowledged" => bench.kill_agent(Some("sent")),
            "journal open" => bench.kill_agent(None),
            _ => bench.kill_collector(Some("committed")),
        }
    }
    bench.run_for(Duration::from_secs(8));
    for _ in 0..60 {
        // A busy machine reads less in the same time; what is asked for is a number of readings.
        if bench.oracle.seen.len() >= READINGS_MIN {
            break;
        }
        bench.run_for(Duration::from_secs(3));
    }
    settle(&mut bench);
    assert_eq!(device.counters().writes(), 0, "nobody may write to a machine");
    runtime.block_on(device.stop());
    judge(&bench, &python, kills);
}

const PHASES: [&str; 4] = ["journal open", "sealing", "sent but unacknowledged", "between commit and ack"];

/// Stops the agent in good order, starts it once more to send the rest, and waits until its queue is empty.
fn settle(bench: &mut Bench) {
    bench.agent.stop();
    bench.copy_dead();
    bench.agent.restart();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if bench.copy_live().is_some_and(|look| look.queued.iter().all(|sequence| *sequence + 2 >= look.next_sequence))
        {
            break;
        }
        assert!(Instant::now() < deadline, "the queue did not drain in 60 s");
    }
    bench.agent.stop();
    let last = bench.copy_dead();
    bench.agent.restart();
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.copy_live().is_none_or(|look| look.acknowledged + 1 < last.next_sequence) {
        assert!(Instant::now() < deadline, "the last blocks were not acknowledged in 30 s");
        std::thread::sleep(Duration::from_millis(200));
    }
    bench.agent.kill();
    bench.copy_dead();
    bench.collector.stop();
}

/// Compares what the oracle saw with the log as the Python reader sees it.
fn judge(bench: &Bench, python: &Path, kills: usize) {
    let state = bench.folder.path().join("collector");
    let keys = bench.folder.path().join("keys.txt");
    let key = demo::keys::agent_key(7, &"edge-01".parse().unwrap()).public();
    std::fs::write(&keys, format!("kill-site edge-01 {key}\n")).unwrap();
    let output = Command::new(python)
        .arg(root().join("docs/vectors/reader.py"))
        .arg("log")
        .arg(&state)
        .arg("--keys")
        .arg(&keys)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "reader.py: {}", String::from_utf8_lossy(&output.stderr));
    let mut log: BTreeMap<Scan, u64> = BTreeMap::new();
    let mut double = 0;
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let row: serde_json::Value = serde_json::from_slice(line).unwrap();
        if row["status"].as_u64().unwrap() >= 0x8000_0000 {
            continue;
        }
        let key = (row["tag"].as_str().unwrap().to_owned(), row["response"].as_i64().unwrap());
        let words = row["words"][0].as_u64().unwrap_or_else(|| panic!("a word in {row}"));
        double += usize::from(log.insert(key, words).is_some());
    }
    let oracle = &bench.oracle;
    // The last copy may hold rows that were read after the last acknowledged block; they are not owed yet.
    let newest = log.keys().map(|(_, at)| *at).max().unwrap_or(0);
    let owed = oracle.seen.iter().filter(|((_, at), _)| *at <= newest);
    let missing = owed.clone().filter(|(key, _)| !log.contains_key(*key)).count();
    let different = owed.clone().filter(|(key, words)| log.get(*key).is_some_and(|logged| logged != *words)).count();
    println!(
        "{kills} kills; {} copies; oracle {} readings, log {}; missing {missing}, different {different}, double {double}; phases {:?}",
        oracle.copies,
        oracle.seen.len(),
        log.len(),
        oracle.phases
    );
    assert_eq!((missing, different, double, oracle.contradictions), (0, 0, 0, 0));
    assert!(log.len() >= READINGS_MIN, "only {} readings", log.len());
    for phase in PHASES {
        assert!(oracle.phases.contains_key(phase), "no kill hit the phase {phase:?}");
    }
    let text = std::fs::read_to_string(bench.folder.path().join("collector.toml")).unwrap();
    let config = collector::config::parse(&text, "collector.toml").unwrap();
    let store = collector::open_store(&config, Timestamp::default()).unwrap();
    let account = Account::of(&store.log, &config.agents[0]).unwrap();
    println!("doctor: {account:?}");
    assert_eq!(account.missing, []);
    assert_eq!((account.unaccounted, account.duplicates, account.equivocations, account.broken_links), (0, 0, 0, 0));
}
