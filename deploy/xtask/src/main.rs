//! `cargo xtask`: the two commands that a newcomer needs, and the long forms of the tests.
//!
//! Nothing here decides anything about Plumbline; it installs peers, builds the web application and calls cargo.

mod grafana;
mod peers;
mod run;
mod test;
mod web;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  demo [options]     simulated factories, agents, broker, collector and web application in one process
                     (options are passed on; `cargo xtask demo --help` lists them)
  test               everything CI runs: formatting, lints, unit, script, property, end-to-end, peers, browser
  web                build the web application alone
  grafana            write the dashboards of dashboards/grafana
  walk               the browser test alone: a fresh demo, walked in Chinese and English
  bench              CPU-seconds per million samples of agent and ingest beside a floor program; bytes on the wire
  faults             the long form of the fault tests: 200 kills, 20 seeds, the recordings whole
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("demo") => run::demo(rest),
        Some("test") => test::all(),
        Some("web") => web::build(&root()).map(|_| ()),
        Some("grafana") => grafana::write(&root()),
        Some("walk") => test::walk_alone(),
        Some("bench") => test::bench(rest),
        Some("faults") => test::faults(),
        Some("help" | "--help" | "-h") | None => {
            eprint!("{USAGE}");
            Ok(())
        }
        Some(other) => {
            eprint!("{USAGE}");
            run::Outcome::usage(&format!("there is no command {other:?}"))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root: two folders above this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Whether this is a CI run, in which a missing peer is a failure and not a skip.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Fails with a sentence that says what to install.
fn need(program: &str, why: &str) -> Result<()> {
    if run::found(program) {
        return Ok(());
    }
    bail!("{program} is not installed; {why}")
}
