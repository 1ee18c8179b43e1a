//! `import`: a plant.toml, or the equipment register of a site as XLSX, into the log, through the running collector
//! or, if none runs, directly. `export register` writes that sheet.

use std::path::Path;

use serde_json::json;
use shopfloor::id::SiteId;
use shopfloor::time::Clock;

use super::{Answer, Arguments, Failure, Lang, Text, open_existing, read_config};
use crate::config::Config;
use crate::control::{self, answer_of, ask_import};
use crate::ledger::PlantVersion;
use crate::ledger::import::{Imported, import};
use crate::wait::RealWait;
use crate::{CollectorError, lock_state, open_store, register, workbook};

/// Imports a file; `site` says whose register it is where it is a spreadsheet.
pub(super) fn run(arguments: &Arguments, file: &Path, site: Option<&SiteId>, dry_run: bool) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| Failure::new(74, format!("read {name}: {error}")))?;
    let (text, before, ignored) = if is_workbook(file, &bytes) {
        let site = site.ok_or_else(|| Failure::new(64, whose(arguments.lang, &name)))?;
        let version = plant_of(&config, arguments.lang, site)?;
        let (text, ignored) = merged(arguments.lang, &name, &bytes, &version)?;
        (text, Some(version), ignored)
    } else {
        let text = String::from_utf8(bytes).map_err(|_| Failure::new(65, format!("{name} is not UTF-8 text")))?;
        (text, None, Vec::new())
    };
    let imported = bring_in(&config, &name, &text, dry_run)?;
    if before.is_some_and(|before| imported.replaces != Some(before.hash)) {
        // Somebody imported in between; the sheet was compared with the version before.
        tracing::warn!(site = imported.site, "another version was imported meanwhile and was replaced");
    }
    Ok(said(arguments, &name, &imported, &ignored, dry_run))
}

fn bring_in(config: &Config, name: &str, text: &str, dry_run: bool) -> Result<Imported, Failure> {
    let answer = match lock_state(&config.state_dir) {
        Ok(_lock) => {
            let now = RealWait::new().now();
            answer_of(import(&open_store(config, now)?, text, name, now, dry_run))
        }
        Err(CollectorError::InUse(_)) => ask_import(&config.state_dir, name, text, dry_run)
            .map_err(|error| Failure::new(69, format!("a collector runs but does not answer: {error}")))?,
        Err(error) => return Err(error.into()),
    };
    match answer {
        control::Answer::Imported(imported) => Ok(imported),
        control::Answer::Refused { message } => Err(Failure::new(65, message)),
        control::Answer::Failed { message } => Err(Failure::new(74, message)),
    }
}

fn is_workbook(file: &Path, bytes: &[u8]) -> bool {
    let ending = |known: &str| file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(known));
    bytes.starts_with(b"PK") || ["xlsx", "xls", "et"].into_iter().any(ending)
}

fn whose(lang: Lang, name: &str) -> String {
    lang.say(
        format!("{name} 是设备台账，请用 --site 说明是哪家工厂的"),
        format!("{name} is an equipment register; say with --site whose it is"),
    )
}

/// The version in force: a register is a part of a plant, never the whole.
fn plant_of(config: &Config, lang: Lang, site: &SiteId) -> Result<std::sync::Arc<PlantVersion>, Failure> {
    let store = open_existing(config)?;
    store.ledger.plant(site).ok_or_else(|| {
        let message = lang.say(
            format!("没有工厂 {site}；请先导入它的 plant.toml"),
            format!("there is no site {site}; import its plant.toml first"),
        );
        Failure::new(65, message)
    })
}

fn merged(lang: Lang, name: &str, bytes: &[u8], version: &PlantVersion) -> Result<(String, Vec<String>), Failure> {
    let refused = |problems: &register::Problems| {
        let list = lang.say(problems.zh(), problems.en());
        let lines: Vec<&str> = list.lines().collect();
        let lines = format!("\n  {}", lines.join("\n  "));
        Failure::new(65, lang.say(format!("{name} 未导入：{lines}"), format!("{name} was not imported:{lines}")))
    };
    let filled = register::read::read(bytes).map_err(|problems| refused(&problems))?;
    let text = register::merge::merge(&version.text, &version.plant, &filled).map_err(|problems| refused(&problems))?;
    Ok((text, filled.ignored))
}

fn said(arguments: &Arguments, name: &str, imported: &Imported, ignored: &[String], dry_run: bool) -> Answer {
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
    for heading in ignored {
        let said =
            lang.say(format!("列“{heading}”不认识，未导入"), format!("column {heading} is not known, not imported"));
        text.line(format_args!("{} [unknown-column] {said}", lang.say("提示", "remark")));
    }
    Answer { exit: 0, text, json: json!(imported) }
}

/// Writes the register of a site as the sheet that can be imported again.
pub(super) fn export_register(arguments: &Arguments, site: &SiteId, output: &Path) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let version = plant_of(&config, arguments.lang, site)?;
    let book = register::book(&version.plant, version.received.as_nanos().div_euclid(1_000_000_000), false);
    let bytes = workbook::write(&book).map_err(|error| Failure::new(74, error.to_string()))?;
    let shown = output.display();
    std::fs::write(output, bytes).map_err(|error| Failure::new(74, format!("write {shown}: {error}")))?;
    let lines = version.plant.equipment.len();
    let mut text = Text::default();
    let said = arguments.lang.say(
        format!("{shown} 已写出: 工厂 {site}, {lines} 台设备"),
        format!("{shown} is written: site {site}, {lines} machines"),
    );
    text.line(format_args!("{said}"));
    let json = json!({ "site": site, "file": shown.to_string(), "equipment": lines, "plant": version.hash });
    Ok(Answer { exit: 0, text, json })
}
