//! Building dashboards/web with npm.

use crate::run::{found, must};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Builds the web application from its lock file; returns the folder with the built pages.
pub fn build(root: &Path) -> Result<PathBuf> {
    let folder = root.join("dashboards/web");
    crate::need("npm", "install Node.js 20 or later (it brings npm), then run the command again")?;
    eprintln!("xtask: building the web application (npm ci, npm run build)");
    npm(&folder, &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    npm(&folder, &["run", "--silent", "build"])?;
    Ok(folder.join("dist"))
}

/// Builds unless the built pages are newer than every source. Without Node it says so and goes on: the
/// collector then shows "web not built" and everything else works.
pub fn build_if_stale(root: &Path) -> Result<()> {
    let folder = root.join("dashboards/web");
    let built = modified(&folder.join("dist/index.html"));
    let newest = [folder.join("src"), folder.join("package-lock.json"), folder.join("index.html")]
        .iter()
        .filter_map(|path| newest_in(path))
        .max();
    if let (Some(built), Some(newest)) = (built, newest)
        && built >= newest
    {
        return Ok(());
    }
    if !found("npm") {
        eprintln!("xtask: npm is not installed, so the pages are not built; install Node.js 20 or later for them");
        return Ok(());
    }
    build(root).map(|_| ())
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("npm");
    command.arg("--prefix").arg(folder).args(arguments);
    must(&mut command)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn newest_in(path: &Path) -> Option<SystemTime> {
    if path.is_file() {
        return modified(path);
    }
    std::fs::read_dir(path).ok()?.filter_map(|entry| newest_in(&entry.ok()?.path())).max()
}
