//! The five MQTT topics of one agent: `plumbline/v1/<shard>/<site>/<agent>/<channel>`.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;
use crate::id::{AgentId, IdError, SiteId};
use crate::wire::header::Header;

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Up, retained: the register map and versions.
    Birth,
    /// Up, QoS 1, not retained: blocks.
    Block,
    /// Up, retained, last will: online or offline.
    Status,
    /// Down, QoS 1, retained: the collector's acknowledgement.
    Ack,
    /// Down, QoS 1: request for a birth or for ranges of blocks.
    Down,
}

impl Channel {
    /// The last level of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Block => "block",
            Self::Status => "status",
            Self::Ack => "ack",
            Self::Down => "down",
        }
    }
}

/// One topic of one agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// What it carries.
    pub channel: Channel,
}

/// Why a text is not a topic of ours, or a message does not belong on the topic it came by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Not six levels beginning with `plumbline/v1`, or an unknown channel.
    #[error("topic {0:?} is not plumbline/v1/<shard>/<site>/<agent>/<birth|block|status|ack|down>")]
    Form(String),
    /// Site or agent is not an id.
    #[error("topic {topic:?}: {source}")]
    Id {
        /// The topic as received.
        topic: String,
        /// What is wrong with the id.
        source: IdError,
    },
    /// The shard is not the first byte of SHA-256(site).
    #[error("topic {topic:?} names shard {found:?}, but the site's shard is {expected:02x}")]
    Shard {
        /// The topic as received.
        topic: String,
        /// The shard as written.
        found: String,
        /// The shard of the site.
        expected: u8,
    },
    /// The signed content names another site or agent than the topic.
    #[error("message on the topic of {topic_site}/{topic_agent} is signed for {signed_site}/{signed_agent}; refused")]
    Foreign {
        /// Site of the topic.
        topic_site: SiteId,
        /// Agent of the topic.
        topic_agent: AgentId,
        /// Site of the signed content.
        signed_site: SiteId,
        /// Agent of the signed content.
        signed_agent: AgentId,
    },
}

/// The virtual shard of a site, 0 to 255: first byte of SHA-256 of the site id.
pub fn shard(site: &SiteId) -> u8 {
    Hash::of(site.as_str().as_bytes()).0[0]
}

impl Topic {
    /// The topic of `channel` of an agent.
    pub const fn new(site: SiteId, agent: AgentId, channel: Channel) -> Self {
        Self { site, agent, channel }
    }

    /// Filter for one channel of every agent of the sites in `shard`; `None` for all shards.
    pub fn filter(shard: Option<u8>, channel: Channel) -> String {
        let shard = shard.map_or_else(|| "+".to_owned(), |shard| format!("{shard:02x}"));
        format!("plumbline/v1/{shard}/+/+/{}", channel.as_str())
    }

    /// Checks that signed content for `site` and `agent` may come by this topic.
    pub fn admits(&self, site: &SiteId, agent: &AgentId) -> Result<(), TopicError> {
        if self.site == *site && self.agent == *agent {
            return Ok(());
        }
        Err(TopicError::Foreign {
            topic_site: self.site.clone(),
            topic_agent: self.agent.clone(),
            signed_site: site.clone(),
            signed_agent: agent.clone(),
        })
    }

    /// Checks that a block with this header may come by this topic.
    pub fn admits_header(&self, header: &Header) -> Result<(), TopicError> {
        self.admits(&header.site, &header.agent)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shard = shard(&self.site);
        write!(f, "plumbline/v1/{shard:02x}/{}/{}/{}", self.site, self.agent, self.channel.as_str())
    }
}

impl FromStr for Topic {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        let form = || TopicError::Form(text.chars().take(200).collect());
        let levels: Vec<&str> = text.split('/').take(7).collect();
        let ["plumbline", "v1", shard_text, site, agent, channel] = levels[..] else { return Err(form()) };
        let channel = match channel {
            "birth" => Channel::Birth,
            "block" => Channel::Block,
            "status" => Channel::Status,
            "ack" => Channel::Ack,
            "down" => Channel::Down,
            _ => return Err(form()),
        };
        let id = |source| TopicError::Id { topic: text.chars().take(200).collect(), source };
        let site: SiteId = site.parse().map_err(id)?;
        let agent: AgentId = agent.parse().map_err(id)?;
        let expected = shard(&site);
        if shard_text != format!("{expected:02x}") {
            return Err(TopicError::Shard { topic: text.to_owned(), found: shard_text.to_owned(), expected });
        }
        Ok(Self { site, agent, channel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic::new("ningbo-bearing".parse().unwrap(), "line-1".parse().unwrap(), Channel::Block)
    }

    #[test]
    fn a_topic_reads_back_as_written() {
        let text = topic().to_string();
        assert_eq!(text.parse(), Ok(topic()));
        assert_eq!(text.split('/').nth(2).unwrap(), &Hash::of(b"ningbo-bearing").to_string()[..2]);
    }

    #[test]
    fn a_foreign_or_wild_topic_is_refused_by_name() {
        for text in ["", "spBv1.0/g/NDATA/e", "plumbline/v1/00/a/b", "plumbline/v1/+/a/b/block/x"] {
            assert_eq!(text.parse::<Topic>(), Err(TopicError::Form(text.to_owned())));
        }
        assert!(matches!("plumbline/v1/00/#/b/block".parse::<Topic>(), Err(TopicError::Id { .. })));
        let wrong = topic().to_string().replacen("/v1/", "/v1/f", 1);
        assert!(matches!(wrong.parse::<Topic>(), Err(TopicError::Shard { .. })));
    }

    /// Bad input 52: the topic's site or agent differs from the signed content.
    #[test]
    fn bad_input_52_content_signed_for_another_agent_is_refused() {
        let topic = topic();
        assert_eq!(topic.admits(&topic.site, &topic.agent), Ok(()));
        let other: AgentId = "line-2".parse().unwrap();
        assert!(matches!(topic.admits(&topic.site, &other), Err(TopicError::Foreign { .. })));
        let other: SiteId = "huzhou-loom".parse().unwrap();
        assert!(matches!(topic.admits(&other, &topic.agent), Err(TopicError::Foreign { .. })));
    }
}
