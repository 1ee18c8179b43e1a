//! The program as a process of its own: its commands, their answers and exit codes.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use shopfloor::wire::sign::PublicKey;

use crate::house::{Agent, Wire, config_text, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_plumbline-collector");

/// A running `plumbline-collector run`.
pub struct Program {
    child: Child,
    pub mqtt: (String, u16),
    pub http: SocketAddr,
    pub collector_key: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    /// Writes the configuration and starts the program. The signal that a limit on file sizes sends is ignored, so
    /// that the program sees a refused write.
    pub async fn start(folder: &Path, agents: &[&Agent]) -> Self {
        let (mqtt, http) = (free_port(), free_port());
        let text = config_text(agents).replacen("127.0.0.1:0", &mqtt.to_string(), 1).replacen(
            "127.0.0.1:0",
            &http.to_string(),
            1,
        );
        std::fs::write(folder.join("collector.toml"), text).unwrap();
        let (exit, checked) = json(folder, &["check"]);
        assert_eq!(exit, 0, "{checked:#}");
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" run --config \"$1\"", PROGRAM])
            .arg(folder.join("collector.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let collector_key = checked["collector_key"].as_str().unwrap().to_owned();
        let program = Self { child, mqtt: (mqtt.ip().to_string(), mqtt.port()), http, collector_key };
        until("the program answers", || metric(http, "collector_mqtt_connected") == Some(1.0)).await;
        program
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop and waits for it; it has to end well.
    pub async fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program did not stop");
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// One metric of the running program; `None` while it does not answer.
pub fn metric(http: SocketAddr, name: &str) -> Option<f64> {
    let text = ureq::get(format!("http://{http}/metrics")).call().ok()?.body_mut().read_to_string().ok()?;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).arg("--config").arg(folder.join("collector.toml")).output().unwrap()
}

pub fn json(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = run(folder, &[arguments, &["--format", "json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), value)
}

pub fn doctor(folder: &Path) -> (i32, Value) {
    json(folder, &["doctor"])
}

/// The whole life of a small installation by its commands.
#[tokio::test(flavor = "multi_thread")]
async fn commands_agree_about_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let program = Program::start(folder.path(), &[&agent]).await;
    let key: PublicKey = program.collector_key.parse().unwrap();
    let mut wire = Wire::connect_as(program.mqtt.clone(), &agent, "agent", key).await;
    let blocks: Vec<_> = (0..12).map(|_| agent.block()).collect();
    wire.deliver(&agent, &blocks[..8]).await;

    // A second one must not run, and doctor may look while the first one does.
    let second = run(folder.path(), &["run"]);
    assert_eq!(second.status.code(), Some(74), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(doctor(folder.path()).0, 0);

    wire.send(&agent, &blocks[10]).await;
    wire.ack("11 beyond 8", |ack| ack.beyond == [(11, 11)]).await;
    program.stop().await;

    let (exit, report) = doctor(folder.path());
    assert_eq!(exit, 2, "{report:#}");
    assert_eq!(report["agents"][0]["missing"], serde_json::json!([[9, 10]]));
    assert_eq!(report["agents"][0]["contiguous"], 8);
    let (exit, list) = json(folder.path(), &["agent", "list"]);
    assert_eq!((exit, &list[0]["blocks"]), (0, &Value::from(9)));
    let (exit, rebuilt) = json(folder.path(), &["rebuild"]);
    assert_eq!(
        (exit, &rebuilt["log"]["blocks"], &rebuilt["log"]["fault_count"]),
        (0, &Value::from(9), &Value::from(0))
    );
    assert!(rebuilt["log"]["checkpoints"].as_u64().unwrap() >= 1, "the end of a run is checkpointed");
    let text = String::from_utf8(run(folder.path(), &["doctor", "--lang", "zh"]).stdout).unwrap();
    assert!(text.contains("结论: 有缺失"), "{text}");

    // One bit of one stored block.
    let month = std::fs::read_dir(folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path());
    let month = month
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "db") && path.to_str().unwrap().contains("log-"))
        .unwrap();
    let writer = rusqlite::Connection::open(month).unwrap();
    let of_five = "FROM block WHERE sequence = 5";
    let mut bytes: Vec<u8> = writer.query_row(&format!("SELECT bytes {of_five}"), [], |row| row.get(0)).unwrap();
    bytes[100] ^= 1;
    writer.execute("UPDATE block SET bytes = ?1 WHERE sequence = 5", [bytes]).unwrap();
    drop(writer);
    let (exit, report) = doctor(folder.path());
    assert_eq!(exit, 1, "{report:#}");
    let faults = report["log"]["faults"].as_array().unwrap();
    assert!(
        !faults.is_empty() && faults.iter().all(|fault| fault.as_str().unwrap().starts_with("leaf 4: ")),
        "{faults:?}"
    );
}

/// A plant goes into the log through the running program and beside it, and says what differs.
#[tokio::test(flavor = "multi_thread")]
async fn a_plant_is_imported_with_and_without_a_running_program() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]).await;
    let file = folder.path().join("plant.toml");
    let example = include_str!("../../../shopfloor/plant.example.toml");
    std::fs::write(&file, example).unwrap();
    let plant = file.to_str().unwrap();

    let (exit, rehearsal) = json(folder.path(), &["import", "--dry-run", plant]);
    assert_eq!((exit, &rehearsal["log_index"]), (0, &Value::Null), "{rehearsal:#}");
    let (exit, first) = json(folder.path(), &["import", plant]);
    assert_eq!((exit, &first["log_index"], &first["replaces"]), (0, &Value::from(0), &Value::Null), "{first:#}");
    let changes: Vec<&str> = first["changes"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(changes.contains(&"+ work_unit grinder-01"), "{changes:?}");
    let (_, again) = json(folder.path(), &["import", plant]);
    assert_eq!(again["log_index"], Value::Null, "the same text is in force");
    // What was imported is served.
    let sites = ureq::get(format!("http://{}/api/v1/sites", program.http)).call().unwrap().body_mut().read_to_string();
    assert!(sites.unwrap().contains("huzhou-bearing"));
    program.stop().await;

    std::fs::write(&file, example.replacen("micro_stop = \"2min\"", "micro_stop = \"3min\"", 1)).unwrap();
    let (exit, second) = json(folder.path(), &["import", plant]);
    assert_eq!((exit, &second["log_index"], &second["replaces"]), (0, &Value::from(1), &first["hash"]), "{second:#}");
    assert_eq!(second["changes"], serde_json::json!(["~ work_unit grinder-01"]));
    // The version before comes into force again as a version of its own.
    std::fs::write(&file, example).unwrap();
    let (_, third) = json(folder.path(), &["import", plant]);
    assert_eq!((&third["log_index"], &third["replaces"]), (&Value::from(2), &second["hash"]));

    std::fs::write(&file, example.replacen("[site]", "[site]\nidd = 1", 1)).unwrap();
    let wrong = run(folder.path(), &["import", plant]);
    assert_eq!(wrong.status.code(), Some(65));
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert!(text.contains("plant.toml:7:1"), "{text}");
    let (exit, report) = doctor(folder.path());
    assert_eq!((exit, &report["log"]["documents"]), (0, &Value::from(3)), "{report:#}");
}

#[test]
fn exit_codes_tell_usage_from_configuration_and_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &["fly"]).status.code(), Some(64));
    assert_eq!(run(folder.path(), &["check"]).status.code(), Some(78), "no configuration");
    std::fs::write(folder.path().join("collector.toml"), "schema = 1\n[collector]\nstate_dri = \"x\"\n").unwrap();
    let wrong = run(folder.path(), &["check"]);
    assert_eq!(wrong.status.code(), Some(78));
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert!(text.contains("collector.toml:3:1") && text.contains("did you mean `state_dir`?"), "{text}");
    std::fs::write(folder.path().join("collector.toml"), config_text(&[])).unwrap();
    assert_eq!(run(folder.path(), &["doctor"]).status.code(), Some(74), "nothing is there yet");
    assert_eq!(run(folder.path(), &["--help"]).status.code(), Some(0));
}
