//! `doctor`: what is in the log, what is missing, and whether it holds together.

use serde_json::{Value, json};
use shopfloor::time::SECOND;

use super::{Answer, Arguments, Failure, Text, open_existing, ranges, read_config};
use crate::account::Account;
use crate::config::{AgentEnrolment, Config};
use crate::keys::Keys;
use crate::log::{Log, LogReport};

/// Reads everything and answers: 0 fine, 1 something contradicts, 2 something is missing.
pub(super) fn doctor(arguments: &Arguments) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let store = open_existing(&config)?;
    let report = verify(&config, &store.log)?;
    let (mut text, mut rows) = (Text::default(), Vec::new());
    let (mut contradicts, mut incomplete) = (report.fault_count > 0, false);
    for enrolled in &config.agents {
        let account = Account::of(&store.log, enrolled)?;
        contradicts |= account.duplicates + account.equivocations + account.broken_links > 0;
        incomplete |= !account.missing.is_empty() || account.unaccounted > 0;
        agent_text(&mut text, arguments, enrolled, &account);
        rows.push(agent_json(enrolled, &account));
    }
    log_text(&mut text, arguments, &store.log, &report);
    let exit = if contradicts { 1 } else { u8::from(incomplete) * 2 };
    let verdict = match exit {
        0 => arguments.lang.say("结论: 完整, 无矛盾", "verdict: complete, nothing contradicts"),
        1 => arguments.lang.say("结论: 有矛盾", "verdict: something contradicts"),
        _ => arguments.lang.say("结论: 有缺失", "verdict: something is missing"),
    };
    text.line(format_args!("{verdict}"));
    let json = json!({ "agents": rows, "log": log_json(&store.log, &report), "exit": exit });
    Ok(Answer { exit, text, json })
}

/// Reads and checks the whole log with the enrolled keys.
pub(super) fn verify(config: &Config, log: &Log) -> Result<LogReport, Failure> {
    let keys = Keys::open(&config.state_dir).map_err(|error| Failure::new(78, error.to_string()))?;
    let key = |site: &_, agent: &_| {
        let found = config.agents.iter().find(|enrolled| enrolled.site == *site && enrolled.id == *agent);
        found.map(|enrolled| enrolled.public_key)
    };
    Ok(log.verify(key, &keys.checkpoint.public())?)
}

fn agent_text(text: &mut Text, arguments: &Arguments, enrolled: &AgentEnrolment, account: &Account) {
    let lang = arguments.lang;
    text.line(format_args!("{}/{} (epoch {})", enrolled.site, enrolled.id, enrolled.epoch));
    let mut line = |zh: &str, en: &str, value: String| text.line(format_args!("  {} {value}", lang.say(zh, en)));
    line("区块:", "blocks:", account.blocks.to_string());
    line("采样值:", "samples:", account.samples.to_string());
    line("连续至:", "contiguous to:", account.contiguous.to_string());
    line("缺失序号:", "missing sequences:", format!("{} {}", account.missing_count(), ranges(&account.missing)));
    line("缺口记录:", "gap records:", account.gap_records.to_string());
    line("缺口记录时长:", "time in gap records:", format!("{} s", account.recorded_gaps / SECOND));
    line("未说明的缺口时长:", "unaccounted gap:", format!("{} s", account.unaccounted / SECOND));
    line("重复:", "duplicates:", account.duplicates.to_string());
    line("同号异块:", "equivocations:", account.equivocations.to_string());
    line("断链:", "broken links:", account.broken_links.to_string());
}

fn agent_json(enrolled: &AgentEnrolment, account: &Account) -> Value {
    json!({
        "site": enrolled.site, "agent": enrolled.id, "epoch": enrolled.epoch,
        "blocks": account.blocks, "samples": account.samples, "contiguous": account.contiguous,
        "missing": account.missing, "missing_sequences": account.missing_count(),
        "gap_records": account.gap_records, "recorded_gap_seconds": account.recorded_gaps / SECOND,
        "unaccounted_gap_seconds": account.unaccounted / SECOND,
        "duplicates": account.duplicates, "equivocations": account.equivocations, "broken_links": account.broken_links,
        "span": account.span, "newest_received": account.newest_received,
    })
}

pub(super) fn log_text(text: &mut Text, arguments: &Arguments, log: &Log, report: &LogReport) {
    let lang = arguments.lang;
    text.line(format_args!("{} {}", lang.say("日志", "log"), log.origin()));
    text.line(format_args!("  {} {}", lang.say("叶数:", "leaves:"), report.size));
    text.line(format_args!("  {} {}", lang.say("根:", "root:"), log.root()));
    text.line(format_args!(
        "  {} {}, {} {}, {} {}",
        lang.say("区块", "blocks"),
        report.blocks,
        lang.say("文档", "documents"),
        report.documents,
        lang.say("检查点", "checkpoints"),
        report.checkpoints
    ));
    if report.unchecked_signatures > 0 {
        let what = lang.say("未核签名(代理已不在配置中):", "signatures not checked, agent no longer enrolled:");
        text.line(format_args!("  {what} {}", report.unchecked_signatures));
    }
    text.line(format_args!("  {} {}", lang.say("错误:", "faults:"), report.fault_count));
    for fault in &report.faults {
        text.line(format_args!("    {fault}"));
    }
}

pub(super) fn log_json(log: &Log, report: &LogReport) -> Value {
    json!({
        "origin": log.origin(), "size": report.size, "root": log.root(), "blocks": report.blocks,
        "documents": report.documents, "checkpoints": report.checkpoints,
        "unchecked_signatures": report.unchecked_signatures, "fault_count": report.fault_count,
        "faults": report.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
