//! `cargo xtask test`, the one form of the tests that CI runs, and the long forms.
//!
//! Steps run one after the other and all of them run, so that one report names every failure.

use crate::peers::{self, Peers};
use crate::run::{cargo, found, must};
use crate::{root, web};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

struct Report {
    lines: Vec<(String, Result<()>, f64)>,
}

impl Report {
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        eprintln!("\nxtask: == {name}");
        let begun = Instant::now();
        let result = work();
        if let Err(error) = &result {
            eprintln!("xtask: {name} failed: {error:#}");
        }
        self.lines.push((name.to_owned(), result, begun.elapsed().as_secs_f64()));
    }

    fn close(self, skipped: usize) -> Result<()> {
        eprintln!();
        for (name, result, seconds) in &self.lines {
            eprintln!("xtask: {:<10} {seconds:>7.1} s  {name}", if result.is_ok() { "ok" } else { "FAILED" });
        }
        let failed = self.lines.iter().filter(|(_, result, _)| result.is_err()).count();
        eprintln!("steps: {} passed, {failed} failed, {skipped} skipped", self.lines.len() - failed);
        if failed == 0 { Ok(()) } else { bail!("{failed} step(s) failed") }
    }
}

/// Everything CI runs.
pub fn all() -> Result<()> {
    let mut report = Report { lines: Vec::new() };
    let mut peers = None;
    report.step("peers", || {
        peers = Some(peers::install(&root())?);
        Ok(())
    });
    let peers = peers.unwrap_or(Peers { python: None, missing: vec!["all".to_owned()] });
    report.step("format", || must(&mut cargo(&["fmt", "--all", "--check"])));
    report.step("web application", || web::build(&root()).map(|_| ()));
    report.step("lints", || {
        must(&mut cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    });
    report.step("build", || must(&mut cargo(&["build", "--quiet", "--workspace", "--all-targets"])));
    report.step("rust tests", || {
        must(with_peers(cargo(&["test", "--workspace", "--no-fail-fast"]), &peers).env("RUST_BACKTRACE", "1"))
    });
    report
        .step("web unit tests", || must(Command::new("npm").args(["--prefix", "dashboards/web", "test", "--silent"])));
    if found("chromium") {
        report.step("browser", walk);
    }
    report.close(peers.missing.len())
}

fn with_peers(mut command: Command, peers: &Peers) -> Command {
    if let Some(python) = &peers.python {
        command.env("PLUMBLINE_PEER_PYTHON", python);
    }
    command
}

/// The browser test alone, with what it needs.
pub fn walk_alone() -> Result<()> {
    peers::install(&root())?;
    web::build(&root())?;
    walk()
}

/// Starts the demo, walks its pages in a real browser in both languages, and keeps the pictures.
fn walk() -> Result<()> {
    must(&mut cargo(&["build", "--quiet", "--package", "demo", "--bin", "plumbline-demo"]))?;
    let (mut demo, address) = start_demo()?;
    let pictures = root().join("target/pictures");
    let result = must(
        Command::new("npm")
            .args(["--prefix", "dashboards/web", "run", "--silent", "walk"])
            .env("BASE_URL", &address)
            .env("PICTURES", &pictures),
    );
    // SIGTERM would be kinder, but the demo keeps nothing that is worth a good-bye.
    demo.kill().context("end the demo")?;
    demo.wait().context("wait for the demo's end")?;
    eprintln!("xtask: pictures are in target/pictures");
    result
}

fn start_demo() -> Result<(Child, String)> {
    // The program itself, not `cargo run`: ending cargo would leave the demo running. Two days are the least in which
    // the projects come out as they should at whatever hour this runs, and in which yesterday is whole everywhere.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let mut demo = Command::new(target.join("debug/plumbline-demo"))
        .args(["--days", "2", "--ready-when-filled"])
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the demo")?;
    let output = demo.stdout.take().context("the demo's output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(address) = line.strip_prefix("ready ") {
            return Ok((demo, address.trim().to_owned()));
        }
    }
    bail!("the demo ended before it said that it was ready")
}

/// CPU-seconds per million samples, beside a floor program of the same run.
pub fn bench(options: &[String]) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "demo", "--bin", "plumbline-bench", "--"]);
    command.args(options);
    let paced = must(&mut command);
    // The agent's work alone, in lock-step: the same per sample, without the wake-ups of a clock that runs.
    must(&mut cargo(&["bench", "--quiet", "--package", "agent", "--bench", "cpu"]))?;
    paced
}

/// The long form of the fault tests; hours, by hand.
pub fn faults() -> Result<()> {
    let peers = peers::install(&root())?;
    let mut command = with_peers(cargo(&["test", "--package", "demo", "--", "--nocapture"]), &peers);
    must(command.env("PLUMBLINE_LONG", "1"))
}
