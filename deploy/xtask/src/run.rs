//! Running other programs, and the demo.

use crate::{root, web};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Results that are not a program's own.
pub struct Outcome;

impl Outcome {
    /// The command line was not understood.
    pub fn usage(what: &str) -> Result<()> {
        bail!("{what}")
    }
}

/// Whether a program can be started by its name.
pub fn found(program: &str) -> bool {
    let sbin = format!("/usr/sbin/{program}");
    std::path::Path::new(&sbin).exists()
        || Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// Runs a command in the workspace's root and fails if it fails.
pub fn must(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.current_dir(root()).status().with_context(|| format!("start {shown}"))?;
    if status.success() { Ok(()) } else { bail!("{shown} ended with {status}") }
}

/// Cargo, as the one that called us.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// `cargo xtask demo`: builds the web application if it can, then hands over to the demo program.
pub fn demo(options: &[String]) -> Result<()> {
    web::build_if_stale(&root())?;
    let mut command = cargo(&["run", "--quiet", "--package", "demo", "--bin", "plumbline-demo", "--"]);
    command.args(options);
    must(&mut command)
}
