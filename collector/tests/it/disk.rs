//! Bad input 109: the disk is full. The program itself runs, and the system refuses its writes.
//!
//! The refusal is a limit on the size of files that `prlimit` (util-linux) puts on the running process and takes
//! away again: a write beyond it fails as it does on a full disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use shopfloor::wire::sign::PublicKey;

use crate::house::{Agent, Wire, until};
use crate::program::{Program, doctor, metric};

/// 109: while the disk refuses, nothing is acknowledged that is not on it; when it takes again, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_109_a_full_disk_stops_acknowledgements_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let program = Program::start(folder.path(), &[&agent]).await;
    let key: PublicKey = program.collector_key.parse().unwrap();
    let mut wire = Wire::connect_as(program.mqtt.clone(), &agent, "agent", key).await;
    let blocks: Vec<_> = (0..40).map(|_| agent.block()).collect();
    wire.deliver(&agent, &blocks[..10]).await;

    let wal = wal_of(folder.path());
    limit_file_size(program.id(), &(std::fs::metadata(&wal).unwrap().len() + 4096).to_string());
    for sealed in &blocks[10..30] {
        wire.send(&agent, sealed).await;
    }
    until("the disk refuses", || metric(program.http, "collector_disk_refuses") == Some(1.0)).await;
    let errors = metric(program.http, "collector_log_commit_errors_total").unwrap();
    until("it was tried again", || metric(program.http, "collector_log_commit_errors_total").unwrap() > errors + 1.0)
        .await;
    let acknowledged = wire.drain().into_iter().fold(10, |highest, heard| match heard {
        crate::house::Heard::Ack(ack) => ack.contiguous.max(highest),
        _ => highest,
    });
    assert!(acknowledged < 30, "not all of it can be on a full disk");
    let on_disk = sequences(&wal);
    assert!(
        (1..=acknowledged).all(|sequence| on_disk.contains(&sequence)),
        "{acknowledged} acknowledged, {on_disk:?} on disk"
    );

    limit_file_size(program.id(), "unlimited");
    wire.deliver(&agent, &blocks).await;
    until("the alarm is over", || metric(program.http, "collector_disk_refuses") == Some(0.0)).await;
    assert_eq!(sequences(&wal), (1..=40).collect::<Vec<u64>>(), "each once");
    drop(wire);
    program.stop().await;
    let (exit, report) = doctor(folder.path());
    assert_eq!(exit, 0, "{report:#}");
    assert_eq!(report["agents"][0]["blocks"], 40);
    assert_eq!(report["agents"][0]["duplicates"], 0);
    assert_eq!(report["log"]["fault_count"], 0);
}

fn limit_file_size(process: u32, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
    assert!(done.expect("prlimit of util-linux is installed").success());
}

fn wal_of(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder.join("state")).unwrap().map(|entry| entry.unwrap().path());
    files
        .into_iter()
        .find(|path| path.to_str().unwrap().ends_with(".db-wal") && path.to_str().unwrap().contains("log-"))
        .unwrap()
}

/// The sequences in the month's file, as another process sees them.
fn sequences(wal: &Path) -> Vec<u64> {
    let path = wal.to_str().unwrap().strip_suffix("-wal").unwrap();
    let reader = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = reader.prepare("SELECT sequence FROM block ORDER BY sequence").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|row| row.unwrap().cast_unsigned()).collect()
}
