//! What sources have in common: the readings they make, and the register map of them all.
//!
//! A source turns its device's answers into [`Reading`]s and pushes them into the recorder's memory; it never
//! waits for disk or network of the north. Protocols live in `modbus` and `opcua`, and their types stay there.

pub mod modbus;
pub mod opcua;

use std::sync::Arc;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::register_map::{
    GroupEntry, GroupKind, Origin, Place, Protocol, RegisterMap, SourceAuth, SourceEntry, TagEntry,
};
use shopfloor::sample::StatusCode;
use shopfloor::wire::section::EventRow;

use crate::config::{Common, Config, Modbus, OpcUa, Source, SourceKind};
use crate::source::modbus::plan::{self, Request};

/// What a source saw, by index of the register map.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// One scheduled scan of a group.
    Scan {
        /// Index of the group.
        group: u16,
        /// When the request was sent, ns UTC.
        request: i64,
        /// When the answer came or the failure was clear, ns UTC.
        response: i64,
        /// Status of every value of the scan.
        status: StatusCode,
        /// Raw values in the order of the group's tags; empty if the status is Bad.
        words: Vec<u64>,
    },
    /// Notifications of one publish response.
    Events {
        /// Index of the group.
        group: u16,
        /// Column within the group and the row, in the order received.
        rows: Vec<(u16, EventRow)>,
    },
    /// A subscription gave a sign of life.
    Life {
        /// Index of the group.
        group: u16,
        /// When, ns UTC.
        at: i64,
    },
}

impl Reading {
    /// How many samples it carries, for a group of `columns` tags.
    pub fn samples(&self, columns: usize) -> usize {
        match self {
            Self::Scan { .. } => columns,
            Self::Events { rows, .. } => rows.len(),
            Self::Life { .. } => 0,
        }
    }
}

/// One group of the register map and what its source must do for it.
#[derive(Debug, Clone)]
pub enum Task {
    /// Poll this request.
    Scan {
        /// Index of the group.
        group: u16,
        /// What to read.
        request: Request,
    },
    /// Subscribe these tags.
    Subscribe {
        /// Index of the group.
        group: u16,
        /// Tags as indices into the source's list, in the order of the group's columns.
        tags: Vec<usize>,
    },
}

/// What all sources together read.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// The register map.
    pub map: Arc<RegisterMap>,
    /// Tasks of each source, in the order of the configuration.
    pub tasks: Vec<Vec<Task>>,
    /// Hash of the read plans.
    pub plan_hash: Hash,
}

/// Monitored items of one subscription, at most; several servers refuse more.
pub const SUBSCRIPTION_ITEMS_MAX: usize = 1000;

/// Plans every source and lays out the register map.
pub fn assemble(config: &Config) -> Assembly {
    let mut assembly = Building::new(config.site.clone(), config.agent.clone());
    for (index, source) in config.sources.iter().enumerate() {
        assembly.source(u16::try_from(index).expect("the configuration has fewer than 65536 sources"), source);
    }
    assembly.finish()
}

struct Building {
    map: RegisterMap,
    tasks: Vec<Vec<Task>>,
    plan: String,
}

impl Building {
    fn new(site: SiteId, agent: AgentId) -> Self {
        let map = RegisterMap { site, agent, sources: Vec::new(), groups: Vec::new(), tags: Vec::new() };
        Self { map, tasks: Vec::new(), plan: String::new() }
    }

    fn source(&mut self, index: u16, source: &Source) {
        let (protocol, endpoint) = match &source.kind {
            SourceKind::Modbus(m) => (Protocol::ModbusTcp, format!("{}:{}/{}", m.host, m.port, m.unit)),
            SourceKind::OpcUa(o) => (Protocol::OpcUa, o.endpoint.clone()),
        };
        let auth = if source.simulated { SourceAuth::Simulated } else { SourceAuth::Unauthenticated };
        self.map.sources.push(SourceEntry { id: source.id.clone(), protocol, endpoint, auth });
        let origin = if source.simulated { Origin::Simulated } else { Origin::Device };
        let tasks = match &source.kind {
            SourceKind::Modbus(modbus) => self.modbus(index, modbus, origin),
            SourceKind::OpcUa(opcua) => self.opcua(index, opcua, origin),
        };
        self.tasks.push(tasks);
    }

    fn modbus(&mut self, source: u16, modbus: &Modbus, origin: Origin) -> Vec<Task> {
        let requests = plan::plan(modbus);
        self.plan.push_str(&plan::hash(&requests).to_string());
        let first_group = self.map.groups.len();
        let mut group_of = vec![0; modbus.tags.len()];
        let mut tasks = Vec::new();
        for (offset, request) in requests.into_iter().enumerate() {
            let group = index16(first_group + offset);
            for tag in &request.tags {
                group_of[*tag] = group;
            }
            let kind = GroupKind::Scan { interval: request.interval };
            self.map.groups.push(GroupEntry { source, kind, stale_after: request.interval.saturating_mul(3) });
            tasks.push(Task::Scan { group, request });
        }
        for (tag, group) in modbus.tags.iter().zip(group_of) {
            let place = Place::Modbus {
                unit: modbus.unit,
                area: tag.area,
                address: tag.address,
                words: plan::width(tag),
                bit: tag.bit,
            };
            let entry = entry(&tag.common, tag.name.clone(), group, place, tag.data_type, origin);
            self.map.tags.push(TagEntry { word_order: tag.word_order, ..entry });
        }
        tasks
    }

    fn opcua(&mut self, source: u16, opcua: &OpcUa, origin: Origin) -> Vec<Task> {
        let mut tasks = Vec::new();
        let order: Vec<usize> = (0..opcua.tags.len()).collect();
        let publishing = nanos(opcua.publishing_interval);
        for chunk in order.chunks(SUBSCRIPTION_ITEMS_MAX) {
            let group = index16(self.map.groups.len());
            let sampling = chunk.iter().map(|i| nanos(opcua.tags[*i].sampling_interval)).min().unwrap_or(publishing);
            let kind = GroupKind::Event { publishing, sampling };
            // Life signs are kept at least a second apart, so nothing goes stale before three of them are missing.
            let stale_after = (3 * publishing.max(shopfloor::time::SECOND)).max(nanos(opcua.silence));
            self.map.groups.push(GroupEntry { source, kind, stale_after });
            for index in chunk {
                let tag = &opcua.tags[*index];
                let place = Place::OpcUa { namespace: tag.namespace.clone(), identifier: tag.identifier.clone() };
                self.map.tags.push(entry(&tag.common, tag.name.clone(), group, place, tag.data_type, origin));
            }
            tasks.push(Task::Subscribe { group, tags: chunk.to_vec() });
        }
        tasks
    }

    fn finish(self) -> Assembly {
        Assembly { map: Arc::new(self.map), tasks: self.tasks, plan_hash: Hash::of(self.plan.as_bytes()) }
    }
}

fn entry(
    common: &Common,
    name: shopfloor::id::TagName,
    group: u16,
    place: Place,
    data_type: shopfloor::register_map::DataType,
    origin: Origin,
) -> TagEntry {
    TagEntry {
        name,
        group,
        section: common.section.clone(),
        place,
        data_type,
        word_order: None,
        scale: common.scale,
        offset: common.offset,
        unit: common.unit.clone(),
        origin,
    }
}

fn index16(index: usize) -> u16 {
    u16::try_from(index).expect("the configuration has fewer than 65536 groups")
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
