//! `import`: a plant.toml into the log, through the running collector or, if none runs, directly.

use std::path::Path;

use serde_json::json;
use shopfloor::time::Clock;

use super::{Answer, Arguments, Failure, Text, read_config};
use crate::control::{self, answer_of, ask_import};
use crate::ledger::import::{Imported, import};
use crate::wait::RealWait;
use crate::{CollectorError, lock_state, open_store};

/// Imports a file.
pub(super) fn run(arguments: &Arguments, plant: &Path, dry_run: bool) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let name = plant.display().to_string();
    let text = std::fs::read_to_string(plant).map_err(|error| Failure::new(74, format!("read {name}: {error}")))?;
    let answer = match lock_state(&config.state_dir) {
        Ok(_lock) => {
            let now = RealWait::new().now();
            answer_of(import(&open_store(&config, now)?, &text, &name, now, dry_run))
        }
        Err(CollectorError::InUse(_)) => ask_import(&config.state_dir, &name, &text, dry_run)
            .map_err(|error| Failure::new(69, format!("a collector runs but does not answer: {error}")))?,
        Err(error) => return Err(error.into()),
    };
    match answer {
        control::Answer::Imported(imported) => Ok(said(arguments, &name, &imported, dry_run)),
        control::Answer::Refused { message } => Err(Failure::new(65, message)),
        control::Answer::Failed { message } => Err(Failure::new(74, message)),
    }
}

fn said(arguments: &Arguments, name: &str, imported: &Imported, dry_run: bool) -> Answer {
    let lang = arguments.lang;
    let headline = match (imported.log_index, dry_run) {
        (Some(index), _) => lang.say(
            format!("{name} 已导入: 工厂 {}, 日志序号 {index}", imported.site),
            format!("{name} is imported: site {}, log index {index}", imported.site),
        ),
        (None, true) => lang.say(
            format!("{name} 有效, 未写入: 工厂 {}", imported.site),
            format!("{name} is valid, nothing was written: site {}", imported.site),
        ),
        (None, false) => lang.say(
            format!("{name} 与现行版本相同, 未写入: 工厂 {}", imported.site),
            format!("{name} is the version in force, nothing was written: site {}", imported.site),
        ),
    };
    let mut text = Text::default();
    text.line(format_args!("{headline}"));
    for change in &imported.changes {
        text.line(format_args!("  {change}"));
    }
    for (code, zh, en) in &imported.remarks {
        text.line(format_args!("{} [{code}] {}", lang.say("提示", "remark"), lang.say(zh, en)));
    }
    Answer { exit: 0, text, json: json!(imported) }
}
