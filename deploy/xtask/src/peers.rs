//! Programs that we did not write, for the tests to talk to: Debian's packages and a Python environment.
//!
//! In CI a peer that cannot be had is a failure. By hand it is named, and its tests say `skipped`.

use crate::is_ci;
use crate::run::{found, must};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What could be had.
pub struct Peers {
    /// A Python with the packages of deploy/peers/requirements.txt.
    pub python: Option<PathBuf>,
    /// Names of peers that are missing.
    pub missing: Vec<String>,
}

/// Installs what is missing, as far as this machine allows.
pub fn install(root: &Path) -> Result<Peers> {
    let mut missing = debian(root);
    let python = match venv(root) {
        Ok(python) => Some(python),
        Err(error) => {
            eprintln!("xtask: no Python peers: {error:#}");
            missing.push("pymodbus, asyncua".to_owned());
            None
        }
    };
    if is_ci() && !missing.is_empty() {
        bail!("missing in CI, where every peer is required: {}", missing.join(", "));
    }
    for name in &missing {
        eprintln!("xtask: {name} is missing; its tests will say skipped");
    }
    Ok(Peers { python, missing })
}

fn debian(root: &Path) -> Vec<String> {
    let list = std::fs::read_to_string(root.join("deploy/peers/debian.txt")).unwrap_or_default();
    let wanted = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let absent: Vec<(&str, &str)> = wanted.filter(|(_, program)| !found(program)).collect();
    if absent.is_empty() {
        return Vec::new();
    }
    if found("apt-get") {
        let packages: Vec<&str> = absent.iter().map(|(package, _)| *package).collect();
        eprintln!("xtask: installing Debian packages: {}", packages.join(" "));
        let update = must(Command::new("apt-get").args(["-qq", "update"]));
        let install = must(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["-qq", "-y", "--no-install-recommends", "install"])
                .args(packages),
        );
        for result in [update, install] {
            if let Err(error) = result {
                eprintln!("xtask: {error:#}");
            }
        }
    }
    absent.iter().filter(|(_, program)| !found(program)).map(|(package, _)| (*package).to_owned()).collect()
}

fn venv(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".peers/venv");
    let python = folder.join("bin/python3");
    let requirements = root.join("deploy/peers/requirements.txt");
    let stamp = folder.join("installed.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    eprintln!("xtask: installing the Python peers into .peers/venv");
    must(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements),
    )?;
    std::fs::write(&stamp, wanted)?;
    Ok(python)
}
