//! `mirror status | rebuild | verify`: the copy for Grafana users, which is never the evidence.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Clock, HOUR, Interval, SECOND, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{Answer, Arguments, Failure, Text, open_existing, read_config};
use crate::config::{Config, MirrorConfig};
use crate::mirror::cursor::{Cursor, Place};
use crate::mirror::influx::Server;
use crate::mirror::verify::{Compared, verify};
use crate::mirror::{self, MirrorError};
use crate::store::Store;
use crate::wait::RealWait;
use crate::{CollectorError, lock_state};

/// How often a running collector's progress is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Parked lines and differences that are shown.
const SHOWN_MAX: usize = 10;

/// What can be done with the mirror.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum MirrorCommand {
    /// Say how far the mirror is, what is in its way, and what was parked and why.
    Status,
    /// Write everything anew, from the first block on. Empty the bucket before, or the server holds both.
    Rebuild {
        /// Do not wait until it is done; only with a running collector.
        #[arg(long)]
        no_wait: bool,
    },
    /// Compare what the server says it holds with the log, series by series.
    Verify {
        /// First instant, as 2026-03-02T00:00:00Z; an hour before `--until` if it is left out.
        #[arg(long, value_parser = instant)]
        from: Option<Timestamp>,
        /// First instant after; the end of the newest block if it is left out.
        #[arg(long, value_parser = instant)]
        until: Option<Timestamp>,
    },
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("{text:?} is no instant; write one as 2026-03-02T00:00:00Z"))
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        Self::new(exit(&error), error.to_string())
    }
}

/// The exit code that an error is told with.
pub(super) const fn exit(error: &MirrorError) -> u8 {
    match error {
        MirrorError::Token { .. } | MirrorError::Certificates { .. } | MirrorError::Client(_) => 78,
        MirrorError::Ask(_) => 69,
        _ => 74,
    }
}

/// Runs one of the commands.
pub(super) fn run(arguments: &Arguments, command: &MirrorCommand) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let Some(mirror) = config.mirror.clone() else {
        return Err(Failure::new(78, "the configuration has no [mirror]; collector.example.toml shows one"));
    };
    let store = open_existing(&config)?;
    match command {
        MirrorCommand::Status => status(arguments, &config, &mirror, &store),
        MirrorCommand::Rebuild { no_wait } => rebuild(arguments, &config, &mirror, &store, *no_wait),
        MirrorCommand::Verify { from, until } => compare(arguments, &config, &mirror, &store, *from, *until),
    }
}

/// The place of the mirror as it was left; nothing is made or begun anew by looking.
fn open_cursor(config: &Config) -> Result<Cursor, Failure> {
    let found = Cursor::existing(&config.state_dir)?;
    let none = || Failure::new(2, "the mirror has not been written yet: run the collector with [mirror] once");
    found.ok_or_else(none)
}

/// 0: everything is on the server; 2: something is not yet; 3: something was parked.
fn status(arguments: &Arguments, config: &Config, mirror: &MirrorConfig, store: &Store) -> Result<Answer, Failure> {
    let cursor = open_cursor(config)?;
    let (place, parked, lines) = (cursor.place()?, cursor.parked()?, cursor.parked_lines(SHOWN_MAX)?);
    let standing = mirror::standing(store, &place, RealWait::new().now())?;
    let waiting = cursor.waiting()?.len();
    let say = |zh: &str, en: &str| arguments.lang.say(zh, en);
    let mut text = Text::default();
    text.line(format_args!("{} {}", say("镜像", "mirror"), mirror.url));
    text.line(format_args!("  {} {} / {}", say("日志位置:", "place in the log:"), place.next, store.log.size()));
    let (leaves, age) = (standing.leaves, standing.nanos / SECOND);
    text.line(format_args!("  {} {leaves} ({age} s)", say("落后叶数:", "leaves behind:")));
    text.line(format_args!("  {} {}", say("已写入行数:", "lines written:"), place.written));
    if let Some(taken) = place.taken {
        text.line(format_args!("  {} {taken}", say("最近写入:", "last taken:")));
    }
    if let Some((what, since)) = &place.trouble {
        text.line(format_args!("  {} {what} ({} {since})", say("受阻:", "in the way:"), say("自", "since")));
    }
    if waiting > 0 {
        text.line(format_args!("  {} {waiting}", say("等待寄存器表的数据块:", "blocks without register map:")));
    }
    for kind in &parked {
        let what = say("搁置", "parked");
        text.line(format_args!(
            "  {what} {}: {} ({} .. {}) {}",
            kind.reason, kind.count, kind.first, kind.last, kind.detail
        ));
    }
    for (reason, _, line) in &lines {
        text.line(format_args!("    {reason}: {line}"));
    }
    let behind = leaves > 0 || waiting > 0 || !place.whole;
    let exit = if behind { 2 } else { u8::from(!parked.is_empty()) * 3 };
    let parked: Vec<Value> = parked
        .iter()
        .map(|kind| json!({ "reason": kind.reason, "lines": kind.count, "from": kind.first, "until": kind.last, "detail": kind.detail }))
        .collect();
    let json = json!({
        "url": mirror.url, "org": mirror.org, "bucket": mirror.bucket, "measurement": mirror.measurement,
        "next": place.next, "log_size": store.log.size(), "leaves_behind": leaves, "seconds_behind": age,
        "lines_written": place.written, "last_taken": place.taken, "blocks_waiting": waiting, "parked": parked,
        "trouble": place.trouble.as_ref().map(|(what, since)| json!({ "what": what, "since": since })), "exit": exit,
    });
    Ok(Answer { exit, text, json })
}

fn rebuild(
    arguments: &Arguments,
    config: &Config,
    mirror: &MirrorConfig,
    store: &Store,
    no_wait: bool,
) -> Result<Answer, Failure> {
    match lock_state(&config.state_dir) {
        // Nobody else writes: it is done here.
        Ok(_lock) => {
            Cursor::open(&config.state_dir, store.log.origin(), &mirror::target(mirror))?.rebuild()?;
            alone(config, mirror, store)?;
        }
        // The running collector takes notice.
        Err(CollectorError::InUse(_)) => {
            let cursor = open_cursor(config)?;
            cursor.rebuild()?;
            if !no_wait {
                wait_for(&cursor, store)?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    status(arguments, config, mirror, store)
}

/// Writes everything in this process.
fn alone(config: &Config, mirror: &MirrorConfig, store: &Store) -> Result<(), Failure> {
    let runtime = runtime()?;
    let registry = prometheus::Registry::new();
    let wait = Arc::new(RealWait::new());
    let (stop, state_dir) = (CancellationToken::new(), &config.state_dir);
    let writer = mirror::open(mirror, state_dir, store.clone(), &registry, wait, stop.clone())?;
    runtime.block_on(async {
        let stopping = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        });
        let done = writer.catch_up().await;
        stopping.abort();
        done
    })?;
    Ok(())
}

/// Waits until the running collector has written everything.
fn wait_for(cursor: &Cursor, store: &Store) -> Result<(), Failure> {
    let size = store.log.size();
    let mut said: Option<String> = None;
    loop {
        let Place { next, trouble, whole, .. } = cursor.place()?;
        // Results come after the log.
        if next >= size && whole {
            return Ok(());
        }
        let way = trouble.map(|(what, _)| format!(" ({what})")).unwrap_or_default();
        let line = format!("mirror: {next} / {size}{way}");
        if said.as_ref() != Some(&line) {
            eprintln!("{line}");
        }
        said = Some(line);
        std::thread::sleep(LOOK);
    }
}

/// 0: the same; 1: it differs.
fn compare(
    arguments: &Arguments,
    config: &Config,
    mirror: &MirrorConfig,
    store: &Store,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Answer, Failure> {
    let agents: Vec<(SiteId, AgentId)> =
        config.agents.iter().map(|agent| (agent.site.clone(), agent.id.clone())).collect();
    let until = match until {
        Some(until) => until,
        None => newest(store, &agents)?.ok_or_else(|| Failure::new(2, "the log holds no block yet"))?,
    };
    let from = from.unwrap_or(until.plus(-HOUR));
    let interval = Interval::new(from, until)
        .ok_or_else(|| Failure::new(64, format!("--from {from} is not before --until {until}")))?;
    let server = Server::open(mirror)?;
    let compared = runtime()?.block_on(verify(mirror, store, &agents, &server, interval))?;
    Ok(told(arguments, interval, &compared))
}

fn newest(store: &Store, agents: &[(SiteId, AgentId)]) -> Result<Option<Timestamp>, Failure> {
    let mut newest = None;
    for (site, agent) in agents {
        newest = newest.max(store.log.summary(site, agent)?.newest.map(|block| block.window.end));
    }
    Ok(newest)
}

fn told(arguments: &Arguments, interval: Interval, compared: &Compared) -> Answer {
    let say = |zh: &str, en: &str| arguments.lang.say(zh, en);
    let mut text = Text::default();
    text.line(format_args!("{} .. {}", interval.start, interval.end));
    let (series, points, different) = (compared.series, compared.points, compared.differences.len());
    text.line(format_args!("  {} {series}, {} {points}", say("序列", "series"), say("点", "points")));
    text.line(format_args!("  {} {different}", say("不一致的序列:", "series that differ:")));
    for difference in compared.differences.iter().take(SHOWN_MAX) {
        let name = difference.series.join(" ");
        let (log, mirror) = (say("日志", "log"), say("镜像", "mirror"));
        text.line(format_args!("    {name}: {log} {}, {mirror} {}", difference.log, difference.mirror));
    }
    if different > 0 {
        let hint = say(
            "镜像不是证据; 可运行 mirror rebuild 重写, 搁置的行见 mirror status",
            "the mirror is not the evidence; mirror rebuild writes it anew, mirror status names parked lines",
        );
        text.line(format_args!("  {hint}"));
    }
    let rows: Vec<Value> = compared
        .differences
        .iter()
        .map(|difference| json!({ "series": difference.series, "log": difference.log, "mirror": difference.mirror }))
        .collect();
    let exit = u8::from(different > 0);
    let json = json!({
        "from": interval.start, "until": interval.end, "series": series, "points": points, "differences": rows,
        "exit": exit,
    });
    Answer { exit, text, json }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new(74, format!("start the runtime: {error}")))
}
