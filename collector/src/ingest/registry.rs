//! What is known of each enrolled agent right now: for the API, for `doctor` and for people.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::header::Marks;

/// Disputed windows that are listed per agent; the newest are kept, `doctor` finds all.
const DISPUTED_MAX: usize = 256;

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What kind, such as `equivocation`.
    pub code: &'static str,
    /// How often since the collector started.
    pub count: u64,
    /// When it happened last.
    pub last: Timestamp,
    /// The last occurrence in words.
    pub detail: String,
}

/// One enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The enrolled epoch.
    pub epoch: u64,
    /// Whether its last signed status says that it is online.
    pub online: bool,
    /// When that status was signed, agent's clock; `None` if none came since the collector started.
    pub status_time: Option<Timestamp>,
    /// Everything up to this sequence is stored or accounted for.
    pub contiguous: u64,
    /// Ranges stored beyond it.
    pub beyond: Vec<(u64, u64)>,
    /// Ranges that are missing below the highest sequence.
    pub missing: Vec<(u64, u64)>,
    /// Blocks in the log.
    pub blocks: u64,
    /// Blocks that came again, since the collector started.
    pub duplicates: u64,
    /// Place in the log of its newest leaf.
    pub newest_index: Option<u64>,
    /// The latest end of a block's window, agent's clock.
    pub newest_block_time: Option<Timestamp>,
    /// When a block was stored last, collector's clock.
    pub newest_received: Option<Timestamp>,
    /// What its newest block warns of.
    pub marks: Marks,
    /// What a person should look at.
    pub alarms: Vec<Alarm>,
    /// Windows that are disputed by an equivocation or a broken chain.
    pub disputed: Vec<Interval>,
}

impl AgentView {
    pub(crate) fn new(site: SiteId, agent: AgentId, epoch: u64) -> Self {
        Self {
            site,
            agent,
            epoch,
            online: false,
            status_time: None,
            contiguous: 0,
            beyond: Vec::new(),
            missing: Vec::new(),
            blocks: 0,
            duplicates: 0,
            newest_index: None,
            newest_block_time: None,
            newest_received: None,
            marks: Marks::default(),
            alarms: Vec::new(),
            disputed: Vec::new(),
        }
    }

    pub(crate) fn alarm(&mut self, code: &'static str, now: Timestamp, detail: String) {
        match self.alarms.iter_mut().find(|alarm| alarm.code == code) {
            Some(alarm) => *alarm = Alarm { code, count: alarm.count + 1, last: now, detail },
            None => self.alarms.push(Alarm { code, count: 1, last: now, detail }),
        }
    }

    pub(crate) fn dispute(&mut self, window: Interval) {
        if !self.disputed.contains(&window) {
            self.disputed.push(window);
            let excess = self.disputed.len().saturating_sub(DISPUTED_MAX);
            self.disputed.drain(..excess);
        }
    }
}

/// The agents that may send, as ingest last saw them.
#[derive(Debug, Default)]
pub struct Registry {
    views: RwLock<BTreeMap<(SiteId, AgentId), AgentView>>,
}

impl Registry {
    /// All agents, by site and id.
    pub fn agents(&self) -> Vec<AgentView> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One agent; `None` if it is not enrolled.
    pub fn agent(&self, site: &SiteId, agent: &AgentId) -> Option<AgentView> {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        views.get(&(site.clone(), agent.clone())).cloned()
    }

    pub(crate) fn insert(&self, view: AgentView) {
        let key = (view.site.clone(), view.agent.clone());
        self.views.write().unwrap_or_else(PoisonError::into_inner).insert(key, view);
    }

    pub(crate) fn change(&self, key: &(SiteId, AgentId), change: impl FnOnce(&mut AgentView)) {
        if let Some(view) = self.views.write().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            change(view);
        }
    }
}
