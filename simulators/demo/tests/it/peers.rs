//! Programs that we did not write, started for a test and ended with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A recording of ../shared/data, or `None` after saying `skipped`.
pub fn recording(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no recordings");
    None
}

/// The Python of the peers, or `None` after saying `skipped`; in CI its absence fails.
pub fn python() -> Option<PathBuf> {
    let set = std::env::var_os("PLUMBLINE_PEER_PYTHON").map(PathBuf::from);
    let found = set.or_else(|| Some(root().join(".peers/venv/bin/python3"))).filter(|path| path.exists());
    if found.is_none() {
        assert!(!in_ci(), "CI needs the Python peers: run cargo xtask test");
        println!("skipped: no Python peers (cargo xtask test installs them)");
    }
    found
}

/// Whether a missing peer is a failure.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Whether the long form was asked for.
pub fn long_form() -> bool {
    std::env::var_os("PLUMBLINE_LONG").is_some()
}

/// The answer of a Python script that reads files and prints JSON.
pub fn ask(python: &Path, script: &str, arguments: &[&Path]) -> serde_json::Value {
    let output = Command::new(python)
        .arg(root().join("simulators/demo/tests/peers").join(script))
        .args(arguments)
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

/// A Python server that obeys a JSON command a line.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it printed first: its port or endpoint.
    pub address: String,
}

impl Peer {
    /// Starts `script` and waits until it says where it listens.
    pub fn start(python: &Path, script: &str) -> Self {
        let mut child = Command::new(python)
            .arg(root().join("simulators/demo/tests/peers").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the peer says where it listens");
        let address = line.split_whitespace().nth(1).expect("a word and an address").to_owned();
        Self { child, input, output, address }
    }

    /// One command and its answer.
    pub fn tell(&mut self, command: &serde_json::Value) -> String {
        writeln!(self.input, "{command}").expect("the peer reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the peer answers");
        assert!(!line.is_empty(), "the peer ended on {command}");
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// mosquitto, as a process of its own, with persistence in a folder.
pub struct Mosquitto {
    child: Option<Child>,
    folder: PathBuf,
    /// Its port on loopback.
    pub port: u16,
}

impl Mosquitto {
    /// Starts the broker; `None` after saying `skipped` if it is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        if program().is_none() {
            assert!(!in_ci(), "CI needs mosquitto: run cargo xtask test");
            println!("skipped: no mosquitto");
            return None;
        }
        // mosquitto does not tell a port that the system chose, so one is picked and retried.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut broker = Self { child: None, folder: folder.to_path_buf(), port };
            broker.restart();
            if broker.child.is_some() {
                return Some(broker);
            }
        }
        panic!("mosquitto found no free port in twenty tries");
    }

    /// Starts it on the same port with what it kept on disk.
    pub fn restart(&mut self) {
        let config = self.folder.join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_interval 1\nmax_queued_messages 0\nmax_inflight_messages 200\n",
            self.port,
            self.folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(program().expect("found at start"));
        command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        // As root, mosquitto becomes another user, who must reach its folder; `user root` keeps it simple here.
        std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "user root\n").unwrap();
        let mut child = command.spawn().expect("mosquitto starts");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ended = child.kill();
                let _waited = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> Option<&'static str> {
    ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}
