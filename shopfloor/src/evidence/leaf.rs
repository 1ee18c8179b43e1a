//! A leaf of the log: the compact, unsigned statement that a block or a document arrived, and when.

use crate::evidence::merkle;
use crate::hash::Hash;
use crate::id::{AgentId, SiteId};
use crate::time::Timestamp;

/// What a leaf is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafSubject {
    /// A block of an agent.
    Block {
        /// Its site.
        site: SiteId,
        /// Its agent.
        agent: AgentId,
        /// The agent's epoch.
        epoch: u64,
        /// The block's sequence.
        sequence: u64,
    },
    /// A document: register map, plant model, opening of a log and so on.
    Document,
}

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What it is about.
    pub subject: LeafSubject,
    /// Block hash, or hash of the document's canonical bytes.
    pub hash: Hash,
    /// When the collector received it, collector's clock.
    pub received_time: Timestamp,
}

/// Why bytes are not a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes are not a leaf: {0}")]
pub struct LeafError(&'static str);

const BLOCK: u8 = 1;
const DOCUMENT: u8 = 2;

impl Leaf {
    /// Kind (1 byte), receive time (i64), hash (32); for a block also epoch, sequence (u64 each), length and text
    /// of site and of agent. All numbers big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.push(if self.subject == LeafSubject::Document { DOCUMENT } else { BLOCK });
        bytes.extend_from_slice(&self.received_time.as_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.hash.0);
        if let LeafSubject::Block { site, agent, epoch, sequence } = &self.subject {
            bytes.extend_from_slice(&epoch.to_be_bytes());
            bytes.extend_from_slice(&sequence.to_be_bytes());
            for id in [site.as_str(), agent.as_str()] {
                // An id is at most 64 characters of ASCII.
                bytes.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
                bytes.extend_from_slice(id.as_bytes());
            }
        }
        bytes
    }

    /// Reads what `encode` writes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut rest = bytes;
        let [kind] = take::<1>(&mut rest)?;
        let received_time = Timestamp::from_nanos(i64::from_be_bytes(take(&mut rest)?));
        let hash = Hash(take(&mut rest)?);
        let subject = match kind {
            DOCUMENT => LeafSubject::Document,
            BLOCK => {
                let epoch = u64::from_be_bytes(take(&mut rest)?);
                let sequence = u64::from_be_bytes(take(&mut rest)?);
                let site = take_id(&mut rest)?.parse().map_err(|_| LeafError("site is not an id"))?;
                let agent = take_id(&mut rest)?.parse().map_err(|_| LeafError("agent is not an id"))?;
                LeafSubject::Block { site, agent, epoch, sequence }
            }
            _ => return Err(LeafError("unknown kind")),
        };
        if rest.is_empty() { Ok(Self { subject, hash, received_time }) } else { Err(LeafError("bytes follow it")) }
    }

    /// The leaf's hash in the tree.
    pub fn tree_hash(&self) -> Hash {
        merkle::leaf_hash(&self.encode())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], LeafError> {
    let (part, left) = rest.split_first_chunk::<N>().ok_or(LeafError("it is cut off"))?;
    *rest = left;
    Ok(*part)
}

fn take_id<'a>(rest: &mut &'a [u8]) -> Result<&'a str, LeafError> {
    let [length] = take::<1>(rest)?;
    let (part, left) = rest.split_at_checked(usize::from(length)).ok_or(LeafError("it is cut off"))?;
    *rest = left;
    std::str::from_utf8(part).map_err(|_| LeafError("an id is not ASCII"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_leaf_reads_back_and_every_other_length_is_refused() {
        let subject = LeafSubject::Block {
            site: "ningbo-bearing".parse().unwrap(),
            agent: "line-1".parse().unwrap(),
            epoch: 1,
            sequence: 777_600,
        };
        for subject in [subject, LeafSubject::Document] {
            let leaf = Leaf { subject, hash: Hash::of(b"x"), received_time: Timestamp::from_secs(1_795_564_800) };
            let bytes = leaf.encode();
            assert!(bytes.len() <= 96);
            assert_eq!(Leaf::decode(&bytes), Ok(leaf));
            for length in 0..bytes.len() {
                assert!(Leaf::decode(&bytes[..length]).is_err(), "{length}");
            }
            assert_eq!(Leaf::decode(&[&bytes[..], &[0]].concat()), Err(LeafError("bytes follow it")));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Ok(leaf) = Leaf::decode(&bytes) {
                prop_assert_eq!(leaf.encode(), bytes);
            }
        }
    }
}
