//! What the configuration means: every key with its default, and every problem at once.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use shopfloor::file::document::{Report, Table};
use shopfloor::file::duration::parse_nanos;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{HOUR, MINUTE, SECOND};
use shopfloor::wire::sign::PublicKey;

use super::{AgentEnrolment, BrokerConfig, Config, ConfigErrors, SCHEMA, Settle};

const MQTT_PORT: u16 = 1883;
const DURATION: &str = "a duration such as 10s, 500ms, 2h";

/// Reads a configuration file. `file_name` is used in messages, and relative paths in the file start at its folder.
/// Errors: everything that is wrong, each with line and column.
pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    let report = Report::new(file_name, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    if !schema_is_known(&root) {
        // Keys of a newer schema would only be called unknown: say the one thing that matters.
        return Err(report.into_problems());
    }
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    let (state_dir, name, shards) = collector(&root);
    let (checkpoint_interval, missing_after) = (checkpoint(&root), missing_after(&root));
    let config = Config {
        state_dir: folder.join(state_dir),
        name,
        broker: broker(&root),
        http_listen: http(&root),
        shards,
        agents: agents(&root),
        settle: settle(&root),
        checkpoint_interval,
        missing_after,
        mirror: super::mirror::mirror(&root, folder),
    };
    root.refuse_others();
    report.finish(config)
}

fn schema_is_known(root: &Table<'_, '_>) -> bool {
    if !root.need("schema", "the version of this form: schema = 1") {
        return false;
    }
    match root.integer("schema") {
        Some((SCHEMA, _)) => true,
        Some((found, _)) => {
            let message = format!("schema = {found} is not the {SCHEMA} that this program reads; use a newer program");
            root.problem("schema", message);
            false
        }
        None => false,
    }
}

fn collector(root: &Table<'_, '_>) -> (PathBuf, String, RangeInclusive<u8>) {
    let default = (PathBuf::new(), "plumbline".to_owned(), 0..=255);
    root.need("collector", "a table with state_dir");
    let Some(table) = root.table("collector") else { return default };
    let state_dir = table.need_text("state_dir").map_or(default.0, |(text, _)| PathBuf::from(text));
    // The name becomes a line of the checkpoint, so it obeys the rules of an id.
    let name = table.from_str::<SiteId>("name").map_or(default.1, |(name, _)| name.to_string());
    let expected = "a range of two hex digits such as \"00-ff\"";
    let shards = table.parsed("shards", expected, parse_shards).map_or(default.2, |(shards, _)| shards);
    table.refuse_others();
    (state_dir, name, shards)
}

fn parse_shards(text: &str) -> Option<RangeInclusive<u8>> {
    let hex = |part: &str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten();
    let (first, last) = text.split_once('-')?;
    Some(hex(first)?..=hex(last)?).filter(|range| !range.is_empty())
}

fn broker(root: &Table<'_, '_>) -> BrokerConfig {
    let default = BrokerConfig::Embedded { listen: SocketAddr::from(([127, 0, 0, 1], MQTT_PORT)) };
    let Some(table) = root.table("broker") else { return default };
    let embedded = table.boolean("embedded").map(|(embedded, _)| embedded);
    let listen = table.from_str::<SocketAddr>("listen");
    let url = table.text("url");
    let insecure = table.boolean("insecure").is_some_and(|(insecure, _)| insecure);
    table.refuse_others();
    match (embedded.unwrap_or(url.is_none()), url) {
        (true, None) => listen.map_or(default, |(listen, _)| embedded_on(&table, listen)),
        (false, Some((url, _))) => external(&table, &url, insecure),
        (true, Some(_)) => {
            table.problem("url", "broker.url and broker.embedded = true exclude each other; keep one");
            default
        }
        (false, None) => {
            let message = "broker.embedded = false needs broker.url, such as \"mqtt://127.0.0.1:1883\"";
            table.problem("embedded", message);
            default
        }
    }
}

fn embedded_on(table: &Table<'_, '_>, listen: SocketAddr) -> BrokerConfig {
    if !listen.ip().is_loopback() {
        table.problem("listen", format!("broker.listen = {listen}: the embedded broker listens on loopback only"));
    }
    BrokerConfig::Embedded { listen }
}

fn external(table: &Table<'_, '_>, url: &str, insecure: bool) -> BrokerConfig {
    let authority = url.strip_prefix("mqtt://").map(|rest| rest.trim_end_matches('/'));
    let parts = authority.filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?'])).and_then(host_and_port);
    let Some((host, port)) = parts else {
        table.problem("url", format!("broker.url = {url:?} is not of the form mqtt://host:port"));
        return BrokerConfig::External { host: String::new(), port: MQTT_PORT, insecure };
    };
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !loopback && !insecure {
        let message = format!(
            "broker.url = {url:?} leaves this host without transport security; write insecure = true to allow it"
        );
        table.problem("url", message);
    }
    BrokerConfig::External { host, port, insecure: !loopback }
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host.to_owned(), port.parse().ok()?)),
        Some(_) => None,
        None => Some((authority.to_owned(), MQTT_PORT)),
    }
}

fn http(root: &Table<'_, '_>) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    let Some(table) = root.table("http") else { return default };
    let listen = table.from_str::<SocketAddr>("listen").map_or(default, |(listen, _)| listen);
    table.refuse_others();
    if !listen.ip().is_loopback() {
        let message = format!(
            "http.listen = {listen}: there is no sign-in yet, so only loopback is allowed; put a proxy before it"
        );
        table.problem("listen", message);
    }
    listen
}

fn settle(root: &Table<'_, '_>) -> Settle {
    let default = Settle { hour: 10 * MINUTE, shift: 2 * HOUR, day: 2 * HOUR };
    let Some(table) = root.table("settle") else { return default };
    let duration = |key, default| table.parsed(key, DURATION, parse_nanos).map_or(default, |(nanos, _)| nanos);
    let settle = Settle {
        hour: duration("hour", default.hour),
        shift: duration("shift", default.shift),
        day: duration("day", default.day),
    };
    table.refuse_others();
    settle
}

fn checkpoint(root: &Table<'_, '_>) -> i64 {
    at_least_a_second(root, "log", "checkpoint")
}

fn missing_after(root: &Table<'_, '_>) -> i64 {
    at_least_a_second(root, "ingest", "missing_after")
}

/// The one duration of a table, a minute unless it is written.
fn at_least_a_second(root: &Table<'_, '_>, name: &'static str, key: &'static str) -> i64 {
    let Some(table) = root.table(name) else { return MINUTE };
    let nanos = table.parsed(key, DURATION, parse_nanos).map_or(MINUTE, |(nanos, _)| nanos);
    table.refuse_others();
    if nanos < SECOND {
        table.problem(key, format!("{name}.{key} must be at least 1s"));
    }
    nanos
}

fn agents(root: &Table<'_, '_>) -> Vec<AgentEnrolment> {
    let mut agents: Vec<AgentEnrolment> = Vec::new();
    for table in root.tables("agent") {
        let Some(agent) = agent(&table) else { continue };
        if agents.iter().any(|other| (&other.site, &other.id) == (&agent.site, &agent.id)) {
            table.problem("id", format!("agent {} of site {} is listed twice", agent.id, agent.site));
        }
        agents.push(agent);
    }
    agents
}

fn agent(table: &Table<'_, '_>) -> Option<AgentEnrolment> {
    for (key, what) in [("site", "id of the site"), ("id", "id of the agent"), ("public_key", "ed25519:...")] {
        table.need(key, what);
    }
    let site = table.from_str::<SiteId>("site").map(|(site, _)| site);
    let id = table.from_str::<AgentId>("id").map(|(id, _)| id);
    let public_key = table.from_str::<PublicKey>("public_key").map(|(key, _)| key);
    let epoch = table.integer("epoch").map_or(1, |(epoch, _)| epoch);
    if epoch < 1 {
        table.problem("epoch", "agent.epoch counts from 1");
    }
    table.refuse_others();
    Some(AgentEnrolment { site: site?, id: id?, public_key: public_key?, epoch: u64::try_from(epoch).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let errors = parse(text, "etc/collector.toml").expect_err("the file is wrong");
        errors.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_example_is_valid_and_shows_the_defaults() {
        let example = include_str!("../../collector.example.toml");
        let config = parse(example, "collector.example.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let short = parse("schema = 1\n[collector]\nstate_dir = \"state\"\n", "collector.example.toml").unwrap();
        assert_eq!(config.state_dir, short.state_dir);
        assert_eq!((config.name, config.broker, config.http_listen), (short.name, short.broker, short.http_listen));
        assert_eq!((config.settle, config.shards), (short.settle, short.shards));
        assert_eq!(config.checkpoint_interval, short.checkpoint_interval);
        assert_eq!(config.missing_after, short.missing_after);
    }

    #[test]
    fn every_problem_is_named_with_its_place() {
        let text = "schema = 1\n[collector]\nstate_dri = \"x\"\nshards = \"ff-00\"\n[broker]\nurl = \"mqtt://plant:1883\"\n\
                    [settle]\nhour = \"10 parsec\"\n[[agent]]\nsite = \"S\"\n";
        let found = messages(text);
        let expect = [
            (":2:1: ", "needs `state_dir`"),
            (":3:1: ", "did you mean `state_dir`?"),
            (":4:10: ", "`shards`"),
            (":6:7: ", "insecure = true"),
            (":8:8: ", "`hour`"),
            (":9:1: ", "needs `id`"),
            (":9:1: ", "needs `public_key`"),
            (":10:8: ", "`site`"),
        ];
        for (place, part) in expect {
            let whole = format!("etc/collector.toml{place}");
            let there = found.iter().any(|line| line.starts_with(&whole) && line.contains(part));
            assert!(there, "{whole}{part} not in {found:#?}");
        }
        assert_eq!(found.len(), expect.len(), "{found:#?}");
    }

    #[test]
    fn a_newer_file_says_that_alone() {
        let found = messages("schema = 2\n[colector]\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("etc/collector.toml:1:10: schema = 2"), "{found:?}");
    }

    #[test]
    fn listeners_stay_on_loopback_and_plaintext_is_asked_for() {
        let open = "schema = 1\n[collector]\nstate_dir = \"s\"\n[broker]\nlisten = \"0.0.0.0:1883\"\n[http]\nlisten = \"0.0.0.0:80\"\n";
        assert_eq!(messages(open).len(), 2);
        let plain =
            "schema = 1\n[collector]\nstate_dir = \"s\"\n[broker]\nurl = \"mqtt://10.0.0.7\"\ninsecure = true\n";
        let broker = parse(plain, "c.toml").unwrap().broker;
        assert_eq!(broker, BrokerConfig::External { host: "10.0.0.7".into(), port: 1883, insecure: true });
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let config =
            parse("schema = 1\n[collector]\nstate_dir = \"state\"\n", "/etc/plumbline/collector.toml").unwrap();
        assert_eq!(config.state_dir, Path::new("/etc/plumbline/state"));
    }
}
