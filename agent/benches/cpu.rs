//! CPU seconds per million samples of the agent, beside a floor: `cargo bench -p agent --bench cpu [scans]`.
//!
//! One device with 100 registers, scanned once a second of lock-step time, so that journal commits, blocks and
//! acknowledgements come as often for each sample as in real time. Device, broker and a collector that acknowledges
//! whatever it is sent run in this process; the agent and the floor run in a child each, and the child says what the kernel counted for it. The
//! floor does only what cannot be left out: it asks the device and appends the words to a file, fsynced each scan.

#[allow(dead_code, clippy::unwrap_used)] // shared with the tests, which use more of it
#[path = "../tests/it/broker.rs"]
mod broker;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use agent::Agent;
use agent::config;
use broker::{Broker, Seen};
use shopfloor::time::{Clock, SECOND, Timestamp, Wait};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::control::Ack;
use shopfloor::wire::sign::SecretKey;
use shopfloor::wire::topic::{Channel, Topic};
use simulators::lockstep::LockStep;
use tokio_util::sync::CancellationToken;

const TAGS: u64 = 100;
const SCANS: u64 = 3000;

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    match arguments.get(1).map(String::as_str) {
        Some("agent") => child_agent(&arguments[2], &arguments[3], &arguments[4]),
        Some("floor") => child_floor(&arguments[2], &arguments[3]),
        scans => parent(scans.and_then(|s| s.parse().ok()).unwrap_or(SCANS)),
    }
}

fn parent(scans: u64) {
    let device = device();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let broker = runtime.block_on(Broker::start());
    let address = broker.address.to_string();
    let acknowledging = runtime.spawn(acknowledge(broker));
    let program = std::env::current_exe().expect("a program knows itself");
    let run = |role: &str| {
        let child = Command::new(&program).args([role, &device.to_string(), &scans.to_string(), &address]).output();
        let output = child.expect("the child runs");
        assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().expect("the child says its CPU seconds")
    };
    let million = 1e6 / num(scans * TAGS);
    for _ in 0..3 {
        let (floor, agent) = (run("floor") * million, run("agent") * million);
        let line =
            format!("CPU-s per million samples: agent {agent:.2}, floor {floor:.2}, ratio {:.1}\n", agent / floor);
        std::io::stdout().write_all(line.as_bytes()).expect("standard output takes text");
    }
    acknowledging.abort();
}

fn collector_key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

/// Answers each block with a signed acknowledgement of everything up to it.
async fn acknowledge(mut broker: Broker) {
    while let Some(seen) = broker.seen.recv().await {
        let Seen::Publish { topic, payload, .. } = seen else { continue };
        let Ok(opened) = block::open(&payload, &Limits::default()) else { continue };
        let ack = Ack {
            site: opened.header.site.clone(),
            agent: opened.header.agent.clone(),
            epoch: opened.header.epoch,
            contiguous: opened.header.sequence,
            beyond: Vec::new(),
            refused: Vec::new(),
            log_index: opened.header.sequence,
            log_origin: "bench".to_owned(),
            sent_at: opened.header.window.end,
        };
        let topic: Topic = topic.parse().expect("the agent uses our topics");
        broker.send(&Topic { channel: Channel::Ack, ..topic }.to_string(), ack.encode(&collector_key()));
    }
}

#[allow(clippy::cast_precision_loss)] // a count of samples in a figure for people
fn num(count: u64) -> f64 {
    count as f64
}

/// A device on a thread for each connection: registers that step slowly, as quantised signals do.
fn device() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut request = [0; 12];
    let mut scan = 0_u16;
    while stream.read_exact(&mut request).is_ok() {
        let count = u16::from_be_bytes([request[10], request[11]]);
        let mut frame = vec![request[0], request[1], 0, 0];
        frame.extend((2 * count + 3).to_be_bytes());
        frame.extend([request[6], request[7], (2 * count).to_le_bytes()[0]]);
        for register in 0..count {
            frame.extend((scan / (1 + register % 7)).wrapping_add(register).to_be_bytes());
        }
        scan = scan.wrapping_add(1);
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}

fn child_agent(device: &str, scans: &str, broker: &str) {
    let state = tempfile::tempdir().expect("a scratch directory");
    let text = configuration(state.path(), device.parse().expect("an address"), broker);
    let config = config::parse(&text, "bench").expect("the configuration is right");
    let scans: i64 = scans.parse().expect("a number");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let before = cpu_seconds();
    runtime.block_on(async {
        let start = Timestamp::from_secs(1_800_000_000);
        let clock = LockStep::starting_at(start);
        let mut driver = clock.worker();
        let stop = CancellationToken::new();
        let agent = Agent::start(config, Arc::new(clock.clone()), stop.clone()).await.expect("the agent starts");
        driver.until(start.plus(scans * SECOND)).await;
        assert!(clock.now() >= start.plus(scans * SECOND));
        stop.cancel();
        assert!(agent.progress().sealed >= scans.unsigned_abs() / 11, "blocks were sealed");
        assert!(agent.progress().acknowledged > 0, "blocks were acknowledged");
        agent.join().await;
    });
    say(cpu_seconds() - before);
}

fn configuration(state: &Path, device: SocketAddr, broker: &str) -> String {
    let mut text = format!(
        "schema = 1\n[agent]\nsite = \"bench\"\nid = \"agent\"\nstate_dir = \"{}\"\ndemo = true\n\
         [publish]\nbroker = \"mqtt://{broker}\"\ncollector_key = \"{}\"\n\
         [[source]]\nid = \"device\"\nprotocol = \"modbus-tcp\"\nhost = \"{}\"\nport = {}\nunit = 1\naddress_base = 0\n",
        state.display(),
        collector_key().public(),
        device.ip(),
        device.port()
    );
    for tag in 0..TAGS {
        let section = if tag < 20 { "kpi" } else { "process" };
        write!(
            text,
            "[[source.tag]]\nname = \"m/t{tag}\"\narea = \"holding\"\naddress = {tag}\ntype = \"u16\"\n\
             interval = \"1s\"\nsection = \"{section}\"\n"
        )
        .expect("a String takes text");
    }
    text
}

fn child_floor(device: &str, scans: &str) {
    let state = tempfile::tempdir().expect("a scratch directory");
    let mut file = std::fs::File::create(state.path().join("words")).expect("a file");
    let mut stream = TcpStream::connect(device).expect("the device is there");
    stream.set_nodelay(true).expect("a socket option");
    let scans: u16 = scans.parse().expect("at most 65535 scans");
    let before = cpu_seconds();
    let mut frame = [0; 209];
    for scan in 0..scans {
        let [high, low] = scan.to_be_bytes();
        stream.write_all(&[high, low, 0, 0, 0, 6, 1, 3, 0, 0, 0, 100]).expect("the device takes a request");
        stream.read_exact(&mut frame).expect("the device answers");
        file.write_all(&frame[9..]).expect("the disk takes words");
        file.sync_data().expect("the disk keeps them");
    }
    say(cpu_seconds() - before);
}

/// User and system time of this process, ended threads included, as the kernel counts it (100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    num(fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0)) / 100.0
}

fn say(seconds: f64) {
    std::io::stdout().write_all(format!("{seconds}\n").as_bytes()).expect("standard output takes text");
}
