//! What the configuration means: every key with its default, and every problem at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{HOUR, MINUTE, SECOND};
use shopfloor::wire::sign::PublicKey;

use super::file::{At, ConfigErrors, Reader, Table};
use super::{AgentEnrolment, BrokerConfig, Config, SCHEMA, Settle};

const MQTT_PORT: u16 = 1883;

/// Reads a configuration file. `file_name` is used in messages, and relative paths in the file start at its folder.
/// Errors: everything that is wrong, each with line and column.
pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::new(text);
    let mut root = reader.root();
    schema(&mut reader, &mut root);
    let (state_dir, name, shards) = collector(&mut reader, &mut root, file_name);
    let broker = broker(&mut reader, &mut root);
    let http_listen = http(&mut reader, &mut root);
    let settle = settle(&mut reader, &mut root);
    let (checkpoint_interval, missing_after) = timing(&mut reader, &mut root);
    let agents = agents(&mut reader, &mut root);
    root.close(&mut reader);
    reader.finish(file_name)?;
    Ok(Config { state_dir, name, broker, http_listen, shards, agents, settle, checkpoint_interval, missing_after })
}

fn schema(reader: &mut Reader<'_>, root: &mut Table<'_>) {
    match root.number(reader, "schema") {
        None => reader.problem(0, format!("schema is missing; write schema = {SCHEMA}")),
        Some(At { value: SCHEMA, .. }) => {}
        Some(At { value, place }) => reader.problem(
            place,
            format!("schema = {value} is not known to this program, which reads {SCHEMA}; a newer file needs a newer program"),
        ),
    }
}

fn collector(reader: &mut Reader<'_>, root: &mut Table<'_>, file_name: &str) -> (PathBuf, String, RangeInclusive<u8>) {
    let mut table = root.table(reader, "collector");
    let state_dir = table.required::<String>(reader, "state_dir").map(|at| at.value).unwrap_or_default();
    let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
    let state_dir = folder.join(state_dir);
    // The name becomes a line of the checkpoint, so it obeys the rules of an id.
    let name = table.parsed::<SiteId>(reader, "name").map_or_else(|| "plumbline".to_owned(), |at| at.value.to_string());
    let shards = table.text(reader, "shards").and_then(|at| parse_shards(reader, &at)).unwrap_or(0..=255);
    table.close(reader);
    (state_dir, name, shards)
}

fn parse_shards(reader: &mut Reader<'_>, at: &At<String>) -> Option<RangeInclusive<u8>> {
    let hex = |part: &str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten();
    let range = at.value.split_once('-').and_then(|(first, last)| Some(hex(first)?..=hex(last)?));
    match range {
        Some(range) if !range.is_empty() => Some(range),
        _ => {
            let message =
                format!("collector.shards = {:?} is not a range of two hex digits such as \"00-ff\"", at.value);
            reader.problem(at.place, message);
            None
        }
    }
}

fn broker(reader: &mut Reader<'_>, root: &mut Table<'_>) -> BrokerConfig {
    let mut table = root.table(reader, "broker");
    let place = table.place();
    let embedded = table.flag(reader, "embedded");
    let listen = table.parsed::<SocketAddr>(reader, "listen");
    let url = table.text(reader, "url");
    let insecure = table.flag(reader, "insecure").is_some_and(|at| at.value);
    table.close(reader);
    let wants_embedded = embedded.as_ref().map_or(url.is_none(), |at| at.value);
    let default = SocketAddr::from(([127, 0, 0, 1], MQTT_PORT));
    match (wants_embedded, url) {
        (true, Some(url)) => {
            reader.problem(url.place, "broker.url and broker.embedded = true exclude each other; keep one".to_owned());
            BrokerConfig::Embedded { listen: default }
        }
        (true, None) => {
            if let Some(at) = listen.as_ref().filter(|at| !at.value.ip().is_loopback()) {
                let message = format!("broker.listen = {}: the embedded broker listens on loopback only", at.value);
                reader.problem(at.place, message);
            }
            BrokerConfig::Embedded { listen: listen.map_or(default, |at| at.value) }
        }
        (false, Some(url)) => external(reader, &url, insecure),
        (false, None) => {
            reader.problem(
                place,
                "broker.embedded = false needs broker.url, such as \"mqtt://127.0.0.1:1883\"".to_owned(),
            );
            BrokerConfig::Embedded { listen: default }
        }
    }
}

fn external(reader: &mut Reader<'_>, url: &At<String>, insecure: bool) -> BrokerConfig {
    let authority = url.value.strip_prefix("mqtt://").map(|rest| rest.trim_end_matches('/'));
    let parts = authority.filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?'])).and_then(host_and_port);
    let Some((host, port)) = parts else {
        let message = format!("broker.url = {:?} is not of the form mqtt://host:port", url.value);
        reader.problem(url.place, message);
        return BrokerConfig::External { host: String::new(), port: MQTT_PORT, insecure };
    };
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !loopback && !insecure {
        let message = format!(
            "broker.url = {:?} leaves this host without transport security; write insecure = true to allow it",
            url.value
        );
        reader.problem(url.place, message);
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

fn http(reader: &mut Reader<'_>, root: &mut Table<'_>) -> SocketAddr {
    let mut table = root.table(reader, "http");
    let listen = table.parsed::<SocketAddr>(reader, "listen");
    table.close(reader);
    if let Some(at) = listen.as_ref().filter(|at| !at.value.ip().is_loopback()) {
        let message = format!(
            "http.listen = {}: there is no sign-in yet, so only loopback is allowed; put a proxy in front of it",
            at.value
        );
        reader.problem(at.place, message);
    }
    listen.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)), |at| at.value)
}

fn settle(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Settle {
    let mut table = root.table(reader, "settle");
    let hour = table.duration(reader, "hour").map_or(10 * MINUTE, |at| at.value);
    let shift = table.duration(reader, "shift").map_or(2 * HOUR, |at| at.value);
    let day = table.duration(reader, "day").map_or(2 * HOUR, |at| at.value);
    table.close(reader);
    Settle { hour, shift, day }
}

fn timing(reader: &mut Reader<'_>, root: &mut Table<'_>) -> (i64, i64) {
    let mut log = root.table(reader, "log");
    let checkpoint = log.duration(reader, "checkpoint");
    log.close(reader);
    if let Some(at) = checkpoint.as_ref().filter(|at| at.value < SECOND) {
        reader.problem(at.place, "log.checkpoint must be at least 1s".to_owned());
    }
    let mut ingest = root.table(reader, "ingest");
    let missing = ingest.duration(reader, "missing_after");
    ingest.close(reader);
    if let Some(at) = missing.as_ref().filter(|at| at.value < SECOND) {
        reader.problem(at.place, "ingest.missing_after must be at least 1s".to_owned());
    }
    (checkpoint.map_or(MINUTE, |at| at.value), missing.map_or(MINUTE, |at| at.value))
}

fn agents(reader: &mut Reader<'_>, root: &mut Table<'_>) -> Vec<AgentEnrolment> {
    let mut agents = Vec::new();
    let mut seen = BTreeSet::new();
    for mut table in root.tables(reader, "agent") {
        let site = table.required::<SiteId>(reader, "site");
        let id = table.required::<AgentId>(reader, "id");
        let public_key = table.required::<PublicKey>(reader, "public_key");
        let epoch = table.number(reader, "epoch");
        table.close(reader);
        if let Some(at) = epoch.as_ref().filter(|at| at.value == 0) {
            reader.problem(at.place, "agent.epoch counts from 1".to_owned());
        }
        let (Some(site), Some(id), Some(public_key)) = (site, id, public_key) else { continue };
        if !seen.insert((site.value.clone(), id.value.clone())) {
            reader.problem(id.place, format!("agent {} of site {} is listed twice", id.value, site.value));
            continue;
        }
        let epoch = epoch.map_or(1, |at| at.value);
        agents.push(AgentEnrolment { site: site.value, id: id.value, public_key: public_key.value, epoch });
    }
    agents
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
        let text = "schema = 2\n[collector]\nstate_dri = \"x\"\nshards = \"ff-00\"\n[broker]\nurl = \"mqtt://plant:1883\"\n\
                    [settle]\nhour = \"10 parsec\"\n[[agent]]\nsite = \"S\"\n";
        let found = messages(text);
        let expect = [
            ":1:10: schema = 2",
            ":2:1: collector.state_dir is missing",
            ":3:1: unknown key \"collector.state_dri\"; did you mean \"state_dir\"?",
            ":4:10: collector.shards",
            ":6:7: broker.url",
            ":8:8: settle.hour",
            ":9:1: agent.id is missing",
            ":9:1: agent.public_key is missing",
            ":10:8: agent.site",
        ];
        for part in expect {
            let whole = format!("etc/collector.toml{part}");
            assert!(found.iter().any(|line| line.starts_with(&whole)), "{whole} not in {found:#?}");
        }
        assert_eq!(found.len(), expect.len(), "{found:#?}");
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
