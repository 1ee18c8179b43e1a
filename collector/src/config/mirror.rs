//! `[mirror]`: where the copy for Grafana users goes, and what the server can be trusted with.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shopfloor::file::document::Table;
use shopfloor::file::duration::parse_nanos;
use shopfloor::time::{HOUR, MINUTE, SECOND};

/// Lines in one request unless the file says otherwise.
const BATCH_LINES: usize = 5000;
/// Most lines in one request.
const BATCH_LINES_MAX: i64 = 50_000;
/// Series that are written unless the file says otherwise.
const SERIES_MAX: usize = 100_000;

/// A server with InfluxDB's v2 write path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorConfig {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Organisation; some servers take any.
    pub org: String,
    /// Bucket; some servers take any.
    pub bucket: String,
    /// File with the token, readable by its owner alone.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) that an https server is checked against instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// What every measurement's name begins with.
    pub measurement: String,
    /// What is older than this is parked, not sent, nanoseconds; `None`: the server keeps everything.
    pub retention: Option<i64>,
    /// Whether values that are texts are written.
    pub texts: bool,
    /// How the server is asked what it holds.
    pub query: QueryLanguage,
    /// A request that is not answered by then has failed.
    pub timeout: Duration,
    /// Most lines in one request.
    pub batch_lines: usize,
    /// Most series; further ones are parked.
    pub series_max: usize,
}

/// How the server is asked what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryLanguage {
    /// InfluxDB 2.
    Flux,
    /// VictoriaMetrics: its export of series.
    Export,
}

impl MirrorConfig {
    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.url.starts_with("https://")
    }
}

/// Reads the table; `None` if there is none, which is no mirror.
pub(super) fn mirror(root: &Table<'_, '_>, folder: &Path) -> Option<MirrorConfig> {
    let table = root.table("mirror")?;
    let insecure = table.boolean("insecure").is_some_and(|(insecure, _)| insecure);
    let url = table.need_text("url").map(|(url, _)| url);
    let file = |key| table.text(key).map(|(name, _)| folder.join(name));
    let config = MirrorConfig {
        url: url.clone().unwrap_or_default().trim_end_matches('/').to_owned(),
        org: name(&table, "org"),
        bucket: name(&table, "bucket"),
        token_file: file("token_file"),
        ca_file: file("ca_file"),
        measurement: measurement(&table),
        retention: retention(&table),
        texts: table.boolean("texts").is_none_or(|(texts, _)| texts),
        query: query(&table),
        timeout: timeout(&table),
        batch_lines: bounded(&table, "batch_lines", BATCH_LINES, BATCH_LINES_MAX),
        series_max: bounded(&table, "series_max", SERIES_MAX, 10_000_000),
    };
    table.refuse_others();
    if let Some(url) = url {
        check_url(&table, &url, insecure, config.ca_file.is_some());
    }
    Some(config)
}

fn check_url(table: &Table<'_, '_>, url: &str, insecure: bool, ca: bool) {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.trim_end_matches('/'));
    let parts = authority.filter(|rest| !rest.contains(['/', '@', '?', '#', ' '])).and_then(host);
    let Some(host) = parts else {
        let message = format!(
            "mirror.url = {url:?} is not of the form http://host:port or https://host:port; the path is always /api/v2/write"
        );
        table.problem("url", message);
        return;
    };
    let encrypted = url.starts_with("https://");
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !encrypted && !loopback && !insecure {
        let message = format!(
            "mirror.url = {url:?} leaves this host without transport security; use https:// or write insecure = true"
        );
        table.problem("url", message);
    }
    if !encrypted && ca {
        table.problem("ca_file", "mirror.ca_file has no meaning with an http:// address; use https:// or leave it out");
    }
}

/// The host of `host`, `host:port` or `[address]:port`.
fn host(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (!host.is_empty() && port_is_good).then(|| host.to_owned())
}

/// A name on the server. It stands in queries too, so it may hold nothing that ends a quoted text.
fn name(table: &Table<'_, '_>, key: &'static str) -> String {
    let plain = |text: &str| {
        let good = !text.is_empty() && text.len() <= 128 && !text.contains(['"', '\\', '$', '\'']);
        (good && !text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    let expected = "1 to 128 bytes without quotes, backslashes, $ and control characters";
    table.parsed(key, expected, plain).map_or_else(|| "plumbline".to_owned(), |(name, _)| name)
}

fn measurement(table: &Table<'_, '_>) -> String {
    let plain = |text: &str| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 32 && text.chars().all(word);
        good.then(|| text.to_owned())
    };
    let expected = "1 to 32 characters of a-z 0-9 _ that begin with a letter";
    table.parsed("measurement", expected, plain).map_or_else(|| "plumbline".to_owned(), |(name, _)| name)
}

fn retention(table: &Table<'_, '_>) -> Option<i64> {
    let (nanos, _) = table.parsed("retention", "a duration such as 30d", parse_nanos)?;
    if nanos < HOUR {
        table.problem("retention", "mirror.retention must be at least 1h; leave it out if the server keeps everything");
    }
    Some(nanos)
}

fn timeout(table: &Table<'_, '_>) -> Duration {
    let nanos = table.parsed("timeout", "a duration such as 30s", parse_nanos).map_or(30 * SECOND, |(nanos, _)| nanos);
    if !(SECOND..=10 * MINUTE).contains(&nanos) {
        table.problem("timeout", "mirror.timeout must be between 1s and 10min");
    }
    Duration::from_nanos(nanos.unsigned_abs())
}

fn query(table: &Table<'_, '_>) -> QueryLanguage {
    let known = |text: &str| match text {
        "flux" => Some(QueryLanguage::Flux),
        "export" => Some(QueryLanguage::Export),
        _ => None,
    };
    let expected = "\"flux\" (InfluxDB 2) or \"export\" (VictoriaMetrics)";
    table.parsed("query", expected, known).map_or(QueryLanguage::Flux, |(language, _)| language)
}

fn bounded(table: &Table<'_, '_>, key: &'static str, default: usize, max: i64) -> usize {
    let Some((number, _)) = table.integer(key) else { return default };
    if !(1..=max).contains(&number) {
        table.problem(key, format!("mirror.{key} = {number} is not between 1 and {max}"));
    }
    usize::try_from(number).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn with(mirror: &str) -> String {
        format!("schema = 1\n[collector]\nstate_dir = \"s\"\n[mirror]\n{mirror}")
    }

    fn messages(mirror: &str) -> Vec<String> {
        let errors = parse(&with(mirror), "c.toml").expect_err("the file is wrong");
        errors.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn without_the_table_there_is_no_mirror_and_with_a_url_everything_else_has_a_default() {
        assert_eq!(parse("schema = 1\n[collector]\nstate_dir = \"s\"\n", "c.toml").unwrap().mirror, None);
        let mirror = parse(&with("url = \"http://127.0.0.1:8086/\"\n"), "c.toml").unwrap().mirror.unwrap();
        assert_eq!((mirror.url.as_str(), mirror.bucket.as_str()), ("http://127.0.0.1:8086", "plumbline"));
        assert_eq!((mirror.retention, mirror.texts, mirror.query), (None, true, QueryLanguage::Flux));
    }

    #[test]
    fn plaintext_off_loopback_must_be_asked_for() {
        let found = messages("url = \"http://10.0.0.7:8086\"\n");
        assert!(found.len() == 1 && found[0].contains("insecure = true"), "{found:?}");
        for url in ["https://influx.plant:8086", "http://[::1]:8086", "http://localhost"] {
            assert!(parse(&with(&format!("url = {url:?}\n")), "c.toml").is_ok(), "{url}");
        }
        assert!(parse(&with("url = \"http://10.0.0.7:8086\"\ninsecure = true\n"), "c.toml").is_ok());
    }

    #[test]
    fn every_problem_is_named() {
        let found = messages(
            "url = \"http://127.0.0.1:8086/influx\"\nbucket = 'a\"b'\nmeasurement = \"A b\"\nretention = \"5s\"\n\
             query = \"sql\"\nbatch_lines = 0\nca_file = \"x\"\nsereis_max = 1\n",
        );
        for part in [
            "is not of the form",
            "`bucket`",
            "`measurement`",
            "at least 1h",
            "`query`",
            "batch_lines = 0",
            "sereis_max",
        ] {
            assert!(found.iter().any(|line| line.contains(part)), "{part} not in {found:#?}");
        }
        assert!(messages("bucket = \"b\"\n").iter().any(|line| line.contains("needs `url`")));
    }
}
