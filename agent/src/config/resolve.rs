//! The configuration as meant: defaults, ranges and the rules between keys.
//!
//! One pass over the tables of the file. A key that is wrong is said and left out, and the pass goes on, so that
//! one run shows every problem. What stands where is `file`'s business.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use shopfloor::id::IdError;
use shopfloor::time::{HOUR, SECOND};

use super::file::{Found, Reader, Table};
use super::problem::{Position, ProblemKind, Said};
use super::vocabulary::{address, id_said, is_loopback, nanos, path};
use super::{Config, ConfigErrors, KeyOrigin, Publish, QueueLimits, Recording, SCHEMA};

pub(super) const MILLI: i64 = 1_000_000;
const DAY: i64 = 24 * HOUR;

pub(super) fn resolve(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(text);
    let config = match reader.document() {
        Some(document) => {
            let mut root = Reader::root(&document);
            if schema(&mut reader, &mut root) { Pass::new(&mut reader).file(&mut root) } else { None }
        }
        None => None,
    };
    match (reader.errors(file_name), config) {
        (None, Some(config)) => Ok(config),
        (Some(errors), _) => Err(errors),
        (None, None) => Err(ConfigErrors { file: file_name.to_owned(), problems: Vec::new() }),
    }
}

/// A file of a newer schema is refused before anything else is said about it.
fn schema<'i>(reader: &mut Reader<'i>, root: &mut Table<'_, 'i>) -> bool {
    let found = reader.integer(root, "schema", 1..=i64::MAX);
    reader.missing(root, "schema", Said::new("schema = 1", "schema = 1"));
    match found {
        Some(found) if found.value > SCHEMA => {
            let kind = ProblemKind::NewerSchema { found: found.value, known: SCHEMA };
            reader.problem(found.span, "schema", kind);
            false
        }
        _ => true,
    }
}

/// One pass over a file.
pub(super) struct Pass<'r, 'i> {
    pub(super) reader: &'r mut Reader<'i>,
    pub(super) tags: BTreeMap<String, Position>,
    pub(super) sources: BTreeMap<String, Position>,
}

impl<'r, 'i> Pass<'r, 'i> {
    fn new(reader: &'r mut Reader<'i>) -> Self {
        Self { reader, tags: BTreeMap::new(), sources: BTreeMap::new() }
    }

    fn file(&mut self, root: &mut Table<'_, 'i>) -> Option<Config> {
        let identity = if let Some(mut table) = self.reader.table(root, "agent") {
            self.identity(&mut table)
        } else {
            self.reader.missing(root, "agent", Said::new("a table [agent]", "表 [agent]"));
            None
        };
        let queue = self.queue(root);
        let publish = self.reader.table(root, "publish").map(|mut table| self.publish(&mut table));
        let metrics = self.metrics(root);
        let mut sources = Vec::new();
        for mut table in self.reader.tables(root, "source") {
            sources.extend(self.source(&mut table));
        }
        self.reader.finish(root);
        let (site, agent, state_dir, key, recording) = identity?;
        let publish = match publish {
            Some(publish) => Some(publish?),
            None => None,
        };
        Some(Config { site, agent, state_dir, key, recording, queue, publish, metrics, sources })
    }

    #[allow(clippy::type_complexity)] // the five things of [agent], taken apart by the one caller
    fn identity(
        &mut self,
        table: &mut Table<'_, 'i>,
    ) -> Option<(shopfloor::id::SiteId, shopfloor::id::AgentId, PathBuf, KeyOrigin, Recording)> {
        let site = self.reader.text(table, "site", |t| t.parse().map_err(|e: IdError| id_said(&e)));
        self.reader.missing(table, "site", Said::new("the id of the factory site", "工厂标识"));
        let agent = self.reader.text(table, "id", |t| t.parse().map_err(|e: IdError| id_said(&e)));
        self.reader.missing(table, "id", Said::new("the id of this agent", "本采集器标识"));
        let state_dir = self.reader.text(table, "state_dir", path);
        self.reader.missing(table, "state_dir", Said::new("a directory of this agent's own", "本采集器专用目录"));
        let seed_file = self.reader.text(table, "key_seed_file", path);
        let demo = self.reader.flag(table, "demo");
        let key = match (seed_file, demo) {
            (Some(file), demo) => KeyOrigin::SeedFile { path: file.value, demo },
            (None, true) => KeyOrigin::Demo,
            (None, false) => KeyOrigin::StateDir,
        };
        let recording = self.recording(table);
        self.reader.finish(table);
        Some((site?.value, agent?.value, state_dir?.value, key, recording))
    }

    fn recording(&mut self, table: &mut Table<'_, 'i>) -> Recording {
        let reader = &mut *self.reader;
        let block = reader.duration(table, "block_interval", SECOND..=60 * SECOND);
        let commit = reader.duration(table, "journal_commit", 50 * MILLI..=60 * SECOND);
        let empty = reader.duration(table, "empty_block", SECOND..=60 * SECOND);
        let bytes = reader.bytes(table, "block_bytes", 4 << 10..=512 << 10);
        let value = |found: Option<Found<i64>>, default| found.map_or(default, |f| f.value);
        Recording {
            block_interval: value(block, 10 * SECOND),
            journal_commit: value(commit, SECOND),
            empty_block: value(empty, 60 * SECOND),
            block_bytes: bytes.and_then(|f| usize::try_from(f.value).ok()).unwrap_or(256 << 10),
        }
    }

    fn queue(&mut self, root: &mut Table<'_, 'i>) -> QueueLimits {
        let mut limits = QueueLimits { bytes: 2 << 30, age: 180 * DAY, disk_reserve: 256 << 20 };
        if let Some(mut table) = self.reader.table(root, "queue") {
            if let Some(found) = self.reader.bytes(&mut table, "bytes", 64 << 10..=1 << 50) {
                limits.bytes = found.value;
            }
            if let Some(found) = self.reader.duration(&mut table, "age", 60 * SECOND..=3650 * DAY) {
                limits.age = found.value;
            }
            if let Some(found) = self.reader.bytes(&mut table, "disk_reserve", 0..=1 << 50) {
                limits.disk_reserve = found.value;
            }
            self.reader.finish(&table);
        }
        limits
    }

    fn publish(&mut self, table: &mut Table<'_, 'i>) -> Option<Publish> {
        let broker = self.reader.text(table, "broker", |t| address(t, "mqtt", 1883));
        self.reader.missing(table, "broker", Said::new("a URL mqtt://host:port", "地址 mqtt://主机:端口"));
        let insecure = self.reader.flag(table, "insecure");
        let key_said = || Said::new("the collector's key \"ed25519:…\"", "汇聚端公钥 \"ed25519:…\"");
        let key = self.reader.text(table, "collector_key", |t| t.parse().map_err(|_| key_said()));
        self.reader.missing(table, "collector_key", key_said());
        let in_flight = self.reader.integer(table, "in_flight", 1..=1024);
        let resend = self.reader.duration(table, "resend", 100 * MILLI..=HOUR);
        let resend_max = self.reader.duration(table, "resend_max", 100 * MILLI..=24 * HOUR);
        let rate = self.reader.bytes(table, "rate", 1024..=1 << 40);
        let reconnect_max = self.reconnect_max(table);
        self.reader.finish(table);
        if let Some(broker) = &broker
            && !insecure
            && !is_loopback(&broker.value.0)
        {
            self.plaintext(table, &broker.span, "broker");
        }
        let (host, port) = broker?.value;
        let resend = resend.map_or(Duration::from_secs(15), |f| nanos(f.value));
        Some(Publish {
            insecure: insecure && !is_loopback(&host),
            host,
            port,
            collector_key: key?.value,
            in_flight: in_flight.and_then(|f| usize::try_from(f.value).ok()).unwrap_or(32),
            resend,
            resend_max: resend_max.map_or(Duration::from_mins(5), |f| nanos(f.value)).max(resend),
            rate: rate.map_or(4 << 20, |f| f.value),
            reconnect_max,
        })
    }

    pub(super) fn reconnect_max(&mut self, table: &mut Table<'_, 'i>) -> Duration {
        let found = self.reader.duration(table, "reconnect_max", 100 * MILLI..=HOUR);
        found.map_or(Duration::from_mins(1), |f| nanos(f.value))
    }

    fn plaintext(&mut self, table: &Table<'_, 'i>, span: &Range<usize>, key: &str) {
        let found = self.reader.written(span.clone());
        let allowed = Said::new(
            "a loopback address, or `insecure = true` beside it to say that this link is not encrypted",
            "回环地址；或在旁边写明 `insecure = true`，表示此连接不加密",
        );
        self.reader.invalid(span.clone(), &table.path(key), &found, allowed);
    }

    fn metrics(&mut self, root: &mut Table<'_, 'i>) -> Option<SocketAddr> {
        let mut table = self.reader.table(root, "metrics")?;
        let listen = self.reader.text(&mut table, "listen", |text| {
            let address: Option<SocketAddr> = text.parse().ok().filter(|a: &SocketAddr| a.ip().is_loopback());
            address.ok_or_else(|| {
                Said::new("a loopback address such as \"127.0.0.1:9464\"", "回环地址，如 \"127.0.0.1:9464\"")
            })
        });
        self.reader.finish(&table);
        listen.map(|found| found.value)
    }
}
