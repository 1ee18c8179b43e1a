//! What the log says should be on the server, compared with what the server says it holds, series by series. It finds
//! what was taken (204) and thrown away later, which no answer to a write tells.

use std::collections::{BTreeMap, BTreeSet};

use shopfloor::id::{AgentId, SiteId};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::{Interval, MINUTE, Timestamp};

use super::MirrorError;
use super::facts::{Look, decode};
use super::influx::Server;
use super::line::{self, Origin};
use crate::config::{MirrorConfig, QueryLanguage};
use crate::store::Store;

/// The tags that name a series here. An `occurrence` belongs to the series whose instant it repeats.
const NAMES: [&str; 5] = ["site", "work_unit", "tag", "agent", "unit"];
/// What a device stamped may lie in a block this much later or earlier.
const MARGIN: i64 = 2 * MINUTE;

/// A series that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Site, work unit, tag, agent, unit.
    pub series: Vec<String>,
    /// Points that the log has.
    pub log: u64,
    /// Points that the server has.
    pub mirror: u64,
}

/// What was compared.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Series.
    pub series: usize,
    /// Points of the log.
    pub points: u64,
    /// Those that differ.
    pub differences: Vec<Difference>,
}

/// Compares the samples of an interval that these agents read. Errors: log or server do not answer.
pub async fn verify(
    config: &MirrorConfig,
    store: &Store,
    agents: &[(SiteId, AgentId)],
    server: &Server,
    interval: Interval,
) -> Result<Compared, MirrorError> {
    let (store, agents, of) = (store.clone(), agents.to_vec(), config.clone());
    let wanted = tokio::task::spawn_blocking(move || wanted(&of, &store, &agents, interval));
    let wanted =
        wanted.await.unwrap_or_else(|error| Err(MirrorError::Line(format!("reading the log ended: {error}"))))?;
    let measurement = format!("{}_sample", config.measurement);
    let held = server.held(config.query, &measurement, &NAMES, interval).await?;
    Ok(compare(&wanted, &held))
}

fn compare(wanted: &BTreeMap<Vec<String>, u64>, held: &BTreeMap<Vec<String>, u64>) -> Compared {
    let names: BTreeSet<&Vec<String>> = wanted.keys().chain(held.keys()).collect();
    let count = |of: &BTreeMap<Vec<String>, u64>, name: &Vec<String>| of.get(name).copied().unwrap_or(0);
    let differences = names.iter().filter_map(|name| {
        let (log, mirror) = (count(wanted, name), count(held, name));
        (log != mirror).then(|| Difference { series: (*name).clone(), log, mirror })
    });
    Compared { series: names.len(), points: wanted.values().sum(), differences: differences.collect() }
}

/// Instants by series, each with every different thing that was said of it.
type Said = BTreeMap<Vec<String>, BTreeMap<i64, Vec<(StatusCode, Option<Value>)>>>;

/// Points of each series that the log says should be there.
fn wanted(
    config: &MirrorConfig,
    store: &Store,
    agents: &[(SiteId, AgentId)],
    interval: Interval,
) -> Result<BTreeMap<Vec<String>, u64>, MirrorError> {
    let near = Interval { start: interval.start.plus(-MARGIN), end: interval.end.plus(MARGIN) };
    let mut said = Said::new();
    for (site, agent) in agents {
        for block in store.log.blocks_overlapping(site, agent, near)? {
            let Look::Opened(opened) = decode(store, &block)? else { continue };
            for (tag, (unit, samples)) in &opened.tags {
                let origin = Origin { site, agent, tag, unit, demo: opened.demo };
                for sample in samples.iter().filter(|sample| interval.contains(sample.at)) {
                    let point = line::sample(&config.measurement, origin, sample, 0, config.texts);
                    let name = NAMES.iter().map(|name| point.tags.get(name).cloned().unwrap_or_default()).collect();
                    let fact = (sample.status, sample.value.clone());
                    let facts = said.entry(name).or_default().entry(precision(config.query, sample.at)).or_default();
                    if !facts.contains(&fact) {
                        facts.push(fact);
                    }
                }
            }
        }
    }
    let points = |instants: BTreeMap<i64, Vec<_>>| instants.values().map(|facts| facts.len() as u64).sum();
    Ok(said.into_iter().map(|(name, instants)| (name, points(instants))).collect())
}

/// An instant as the server keeps it: VictoriaMetrics knows milliseconds.
fn precision(language: QueryLanguage, at: Timestamp) -> i64 {
    match language {
        QueryLanguage::Flux => at.as_nanos(),
        QueryLanguage::Export => at.as_nanos().div_euclid(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_nobody_wrote_are_differences() {
        let of = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| (vec![(*name).to_owned()], *n)).collect();
        let compared = compare(&of(&[("a", 3), ("b", 2)]), &of(&[("a", 3), ("b", 1), ("c", 4)]));
        assert_eq!((compared.series, compared.points), (3, 5));
        let found: Vec<(&str, u64, u64)> =
            compared.differences.iter().map(|d| (d.series[0].as_str(), d.log, d.mirror)).collect();
        assert_eq!(found, [("b", 2, 1), ("c", 0, 4)]);
    }
}
