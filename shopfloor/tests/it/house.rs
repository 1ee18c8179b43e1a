//! The rules of the house, checked mechanically: who may import whom, what stays out of shopfloor, how files open.

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("shopfloor lies in the workspace").to_owned()
}

/// Every file with `extension` under `folder`, without build output and installed packages.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules" | "dist") {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&workspace().join(folder), "rs", &mut found);
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// What a crate depends on, by kind of table.
fn dependencies(member: &str, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join(member).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let names = manifest.get(table).and_then(toml::Value::as_table);
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn every_rust_file_opens_by_saying_what_it_is() {
    let files = rust_files(".");
    assert!(files.len() > 30, "only {} files found: is this the workspace?", files.len());
    let silent: Vec<_> = files.iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these files do not open with //!: {silent:?}");
}

#[test]
fn shopfloor_does_no_io_and_reads_no_clock() {
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "SystemTime",
        "Instant::now",
        "Timestamp::now(",
        "Zoned::now",
        "tokio",
        "rand::",
    ];
    let mut found = Vec::new();
    for (path, text) in rust_files("shopfloor/src") {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(word) = banned.iter().find(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "shopfloor is pure:\n{}", found.join("\n"));
}

#[test]
fn the_arrows_between_the_crates_point_one_way() {
    let ours = ["shopfloor", "audit", "agent", "collector", "simulators", "demo", "xtask"];
    let allowed: [(&str, &str, &[&str]); 9] = [
        ("shopfloor", "dependencies", &[]),
        ("shopfloor", "dev-dependencies", &[]),
        ("shopfloor/audit", "dependencies", &["shopfloor"]),
        ("agent", "dependencies", &["shopfloor"]),
        ("agent", "dev-dependencies", &["simulators", "shopfloor"]),
        ("collector", "dependencies", &["shopfloor"]),
        ("collector", "dev-dependencies", &["agent", "simulators", "shopfloor"]),
        ("simulators", "dependencies", &["shopfloor"]),
        ("simulators/demo", "dependencies", &["shopfloor", "agent", "collector", "simulators"]),
    ];
    for (member, table, may) in allowed {
        for name in dependencies(member, table).iter().filter(|name| ours.contains(&name.as_str())) {
            assert!(may.contains(&name.as_str()), "{member} must not have {name} among its {table}");
        }
    }
}

#[test]
fn outside_things_are_known_by_one_module_each() {
    let homes: [(&str, &[&str]); 10] = [
        ("influxdb2::", &["collector/src/mirror/influx.rs"]),
        ("influxdb2_http::", &["collector/src/mirror/influx.rs"]),
        ("ureq::", &["collector/src/mirror/influx.rs"]),
        ("calamine::", &["collector/src/workbook/"]),
        ("rust_xlsxwriter::", &["collector/src/workbook/"]),
        ("toml_edit::", &["collector/src/register/merge.rs"]),
        ("rumqttc::", &["agent/src/publish/", "collector/src/ingest/"]),
        ("rumqttd::", &["collector/src/broker.rs"]),
        ("tokio_modbus::", &["agent/src/source/modbus/", "simulators/src/modbus_server.rs", "simulators/src/replay"]),
        (
            "rusqlite::",
            &[
                "agent/src/queue/",
                "collector/src/log/",
                "collector/src/series/",
                "collector/src/ledger/",
                "collector/src/ingest/quarantine.rs",
                "collector/src/mirror/",
            ],
        ),
    ];
    for folder in ["agent/src", "collector/src", "simulators/src"] {
        for (path, text) in rust_files(folder) {
            let place = path.strip_prefix(workspace()).unwrap().to_string_lossy().replace('\\', "/");
            for (name, allowed) in homes {
                let used = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(name));
                assert!(!used || allowed.iter().any(|home| place.starts_with(home)), "{place} must not know {name}");
            }
        }
    }
}

#[test]
fn no_file_hides_behind_a_name_that_says_nothing() {
    let nameless = ["utils", "helpers", "common", "manager", "types", "util", "misc"];
    let found: Vec<_> = rust_files(".")
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| nameless.contains(&path.file_stem().unwrap().to_string_lossy().as_ref()))
        .collect();
    assert!(found.is_empty(), "these files have not found their names yet: {found:?}");
}

#[test]
fn no_room_is_larger_than_it_may_be() {
    let large: Vec<_> = rust_files(".")
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 700)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(
        large.is_empty(),
        "rooms run to 500 lines, tests included; these have lost their measure:\n{}",
        large.join("\n")
    );
}
