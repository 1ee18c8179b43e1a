//! Builds the collector again when the web application was built: it is embedded in the binary.

use std::path::Path;

fn main() {
    let dist = Path::new("../dashboards/web/dist");
    // A path that does not exist would make every build run this again, so the nearest folder there is stands in.
    let watched = dist.ancestors().skip(1).take(2).find(|folder| folder.exists());
    let watched = if dist.exists() { Some(dist) } else { watched };
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(folder) = watched {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
}
