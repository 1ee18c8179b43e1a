//! `rebuild`: deletes what is derived, reads the whole log again and checks it.

use serde_json::json;

use super::doctor::{log_json, log_text, verify};
use super::{Answer, Arguments, Failure, Text, open_existing, read_config};
use crate::lock_state;

/// What is computed from the log and made anew by the next run.
const DERIVED: [&str; 3] = ["derived.db", "derived.db-wal", "derived.db-shm"];

/// Deletes `derived.db` and verifies the log: 0 fine, 1 something contradicts.
pub(super) fn rebuild(arguments: &Arguments) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let _lock = lock_state(&config.state_dir)?;
    let store = open_existing(&config)?;
    for name in DERIVED {
        let path = config.state_dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::new(74, format!("delete {}: {error}", path.display())));
            }
            _ => {}
        }
    }
    let report = verify(&config, &store.log)?;
    let plants = store.ledger.plants();
    let mut text = Text::default();
    log_text(&mut text, arguments, &store.log, &report);
    for plant in &plants {
        text.line(format_args!("  {} {} {}", arguments.lang.say("工厂", "site"), plant.site.id, plant.site.name));
    }
    let projects: Vec<_> = store.ledger.projects().iter().map(|history| history.current().project.id.clone()).collect();
    for project in &projects {
        text.line(format_args!("  {} {project}", arguments.lang.say("项目", "project")));
    }
    let sites: Vec<_> = plants.iter().map(|plant| plant.site.id.clone()).collect();
    let exit = u8::from(report.fault_count > 0);
    let log = log_json(&store.log, &report);
    Ok(Answer { exit, text, json: json!({ "log": log, "sites": sites, "projects": projects, "exit": exit }) })
}
