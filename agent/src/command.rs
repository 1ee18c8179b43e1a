//! What the commands other than `run` answer: text or JSON for standard output, and an exit code.
//!
//! Nothing here prints; `main` does. Exit codes are those of the design: 0 fine, 1 the answer is no, 69
//! unreachable, 74 I/O, 78 bad configuration.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
use shopfloor::time::Clock;

use crate::config::{Config, Lang, SourceKind};
use crate::identity::{self, StateDir};
use crate::queue::Queue;
use crate::recorder::error_chain;
use crate::source::{self, Task};
use crate::wait::RealTime;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

impl Answer {
    fn fine(text: String) -> Self {
        Self { text, code: 0 }
    }

    fn failed(error: &dyn std::error::Error, code: u8) -> Self {
        Self { text: format!("{}\n", error_chain(error)), code }
    }
}

/// The configuration as it was understood, defaults filled in.
pub fn check(config: &Config, format: Format, lang: Lang) -> Answer {
    let assembly = source::assemble(config);
    if let Err(error) = assembly.map.check() {
        return Answer::failed(&error, 78);
    }
    if let Err(error) = identity::inspect_key(config) {
        return Answer::failed(&error, 78);
    }
    let (tags, groups) = (assembly.map.tags.len(), assembly.map.groups.len());
    if format == Format::Json {
        let value = json!({
            "site": config.site, "agent": config.agent, "sources": config.sources.len(), "groups": groups,
            "tags": tags, "config_hash": assembly.map.hash().to_string(),
        });
        return Answer::fine(format!("{value}\n"));
    }
    let head = match lang {
        Lang::En => format!("fine: {tags} tags in {groups} requests and subscriptions"),
        Lang::Zh => format!("配置正确：{tags} 个点位，{groups} 个请求与订阅"),
    };
    Answer::fine(format!("{head}\nconfig_hash = {}\n{config:#?}\n", assembly.map.hash()))
}

/// Which requests fetch which tags, and how often.
pub fn plan(config: &Config, format: Format) -> Answer {
    let assembly = source::assemble(config);
    let mut text = String::new();
    let mut lines = Vec::new();
    for (source, tasks) in config.sources.iter().zip(&assembly.tasks) {
        for task in tasks {
            let (group, what, tags) = describe(source, task);
            lines.push(json!({ "source": source.id, "group": group, "request": what, "tags": tags }));
            writeln!(text, "{} group {group}: {what}\n    {}", source.id, tags.join(" ")).expect("a String takes text");
        }
    }
    for (source, tasks) in config.sources.iter().zip(&assembly.tasks) {
        if let Some(load) = load(tasks) {
            writeln!(text, "{}: {load:.1} requests per second", source.id).expect("a String takes text");
        }
    }
    match format {
        Format::Text => Answer::fine(text),
        Format::Json => Answer::fine(format!("{}\n", json!(lines))),
    }
}

/// Requests per second that a polled device is asked to answer; `None` for one that is not polled.
fn load(tasks: &[Task]) -> Option<f64> {
    let interval = |task: &Task| match task {
        Task::Scan { request, .. } => Some(Duration::from_nanos(request.interval.unsigned_abs())),
        Task::Subscribe { .. } => None,
    };
    let each: Vec<f64> = tasks.iter().filter_map(interval).map(|i| 1.0 / i.as_secs_f64()).collect();
    (!each.is_empty()).then(|| each.iter().sum())
}

fn describe(source: &crate::config::Source, task: &Task) -> (u16, String, Vec<String>) {
    match (task, &source.kind) {
        (Task::Scan { group, request }, SourceKind::Modbus(modbus)) => {
            let names = request.tags.iter().map(|i| modbus.tags[*i].name.to_string()).collect();
            (*group, request.to_string(), names)
        }
        (Task::Subscribe { group, tags }, SourceKind::OpcUa(opcua)) => {
            let names = tags.iter().map(|i| opcua.tags[*i].name.to_string()).collect();
            let what = format!("subscription, publishing every {:?}", opcua.publishing_interval);
            (*group, what, names)
        }
        (Task::Scan { group, .. } | Task::Subscribe { group, .. }, _) => (*group, String::new(), Vec::new()),
    }
}

/// Makes the key if there is none, and says what to paste into the collector's configuration.
pub fn init(config: &Config, format: Format) -> Answer {
    let key = match StateDir::claim(&config.state_dir).and_then(|directory| directory.key(config)) {
        Ok(key) => key.public(),
        Err(error) => return Answer::failed(&error, 74),
    };
    match format {
        Format::Text => Answer::fine(format!(
            "[[agent]]\nsite = \"{}\"\nid = \"{}\"\npublic_key = \"{key}\"\n",
            config.site, config.agent
        )),
        Format::Json => {
            let value = json!({ "site": config.site, "id": config.agent, "public_key": key.to_string() });
            Answer::fine(format!("{value}\n"))
        }
    }
}

/// What waits in the queue. The agent must not be running.
pub fn queue(config: &Config, format: Format) -> Answer {
    let directory = match StateDir::claim(&config.state_dir) {
        Ok(directory) => directory,
        Err(error) => return Answer::failed(&error, 74),
    };
    let opened = Queue::open(directory.path(), config.queue.clone(), RealTime::new().now());
    let read = opened.and_then(|(mut queue, _)| Ok((queue.state().clone(), queue.size(), queue.lines(10_000)?)));
    let (state, (blocks, bytes), lines) = match read {
        Ok(read) => read,
        Err(error) => return Answer::failed(&error, 74),
    };
    if format == Format::Json {
        let value = json!({
            "epoch": state.epoch, "sealed": state.next_sequence - 1, "acknowledged": state.acknowledged,
            "blocks": blocks, "bytes": bytes, "lines": lines,
        });
        return Answer::fine(format!("{value}\n"));
    }
    let mut text = format!(
        "epoch {}, sealed up to {}, acknowledged up to {}, {blocks} blocks of {bytes} bytes\n",
        state.epoch,
        state.next_sequence - 1,
        state.acknowledged
    );
    for line in lines {
        let parked = line.parked.map(|why| format!(", refused: {why}")).unwrap_or_default();
        writeln!(text, "{:>10}  {}  {} bytes{parked}", line.sequence, line.sealed_at, line.bytes)
            .expect("a String takes text");
    }
    Answer::fine(text)
}

/// Looks at what can be looked at without reading any device: key, queue, broker, each source's port.
pub async fn doctor(config: &Config, format: Format) -> Answer {
    let mut findings: Vec<(String, Result<String, String>, u8)> = Vec::new();
    match StateDir::claim(&config.state_dir) {
        Ok(directory) => {
            let key = directory.key(config).map(|k| k.public().to_string()).map_err(|e| error_chain(&e));
            findings.push(("key".to_owned(), key, 74));
            let opened = Queue::open(directory.path(), config.queue.clone(), RealTime::new().now());
            let state = opened.map(|(queue, _)| format!("{:?}", queue.size())).map_err(|e| error_chain(&e));
            findings.push(("queue (blocks, bytes)".to_owned(), state, 74));
        }
        Err(error) => findings.push(("state directory".to_owned(), Err(error_chain(&error)), 74)),
    }
    if let Some(publish) = &config.publish {
        findings.push((
            format!("broker {}:{}", publish.host, publish.port),
            reach(&publish.host, publish.port).await,
            69,
        ));
    }
    for source in &config.sources {
        let (host, port) = match &source.kind {
            SourceKind::Modbus(modbus) => (modbus.host.clone(), modbus.port),
            SourceKind::OpcUa(opcua) => crate::config::host_and_port(&opcua.endpoint),
        };
        findings.push((format!("source {} {host}:{port}", source.id), reach(&host, port).await, 69));
    }
    let code = findings.iter().filter(|(_, result, _)| result.is_err()).map(|(_, _, code)| *code).max().unwrap_or(0);
    let text = match format {
        Format::Json => {
            let line = |(what, result, _): &(String, Result<String, String>, u8)| json!({ "what": what, "fine": result.is_ok(), "detail": result.as_ref().unwrap_or_else(|e| e) });
            format!("{}\n", json!(findings.iter().map(line).collect::<Vec<_>>()))
        }
        Format::Text => {
            let line = |(what, result, _): &(String, Result<String, String>, u8)| match result {
                Ok(detail) => format!("ok    {what}: {detail}\n"),
                Err(why) => format!("FAIL  {what}: {why}\n"),
            };
            findings.iter().map(line).collect()
        }
    };
    Answer { text, code }
}

async fn reach(host: &str, port: u16) -> Result<String, String> {
    let connecting = tokio::net::TcpStream::connect((host, port));
    match tokio::time::timeout(Duration::from_secs(3), connecting).await {
        Ok(Ok(_)) => Ok("reachable".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer within 3 s".to_owned()),
    }
}
