//! Decoded blocks that were read lately, bounded by bytes: at the bound the one unused for longest goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use shopfloor::hash::Hash;
use shopfloor::id::TagName;
use shopfloor::sample::{Sample, Value};

/// The samples of one block, by tag, each ordered by the instant it speaks for.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    /// By tag.
    pub tags: BTreeMap<TagName, Vec<Sample>>,
    /// Whether the block is marked as simulated or signed with a demo key.
    pub demo: bool,
    /// Whether its register map is not here, so that nothing could be decoded.
    pub unmapped: bool,
}

impl Decoded {
    /// About how many bytes it occupies.
    fn bytes(&self) -> usize {
        let text = |sample: &Sample| match &sample.value {
            Some(Value::Text(text)) => text.len(),
            _ => 0,
        };
        let of_tag = |samples: &Vec<Sample>| {
            128 + samples.capacity() * size_of::<Sample>() + samples.iter().map(text).sum::<usize>()
        };
        256 + self.tags.values().map(of_tag).sum::<usize>()
    }
}

/// The cache; shared by all readers.
#[derive(Debug)]
pub struct Cache {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    blocks: HashMap<Hash, (Arc<Decoded>, u64, usize)>,
    by_use: BTreeMap<u64, Hash>,
    uses: u64,
    bytes: usize,
}

impl Cache {
    /// An empty cache that holds at most about `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::new(Held::default()) }
    }

    /// The decoded block of that hash, if it is held.
    pub fn get(&self, hash: Hash) -> Option<Arc<Decoded>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        let now = held.uses;
        let (found, used, _) = held.blocks.get_mut(&hash)?;
        let (found, before) = (Arc::clone(found), std::mem::replace(used, now));
        held.by_use.remove(&before);
        held.by_use.insert(now, hash);
        Some(found)
    }

    /// Holds a decoded block and lets go of those unused for longest beyond the bound.
    pub fn put(&self, hash: Hash, decoded: Arc<Decoded>) {
        let bytes = decoded.bytes();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.uses += 1;
        let now = held.uses;
        if let Some((_, before, old)) = held.blocks.insert(hash, (decoded, now, bytes)) {
            held.by_use.remove(&before);
            held.bytes -= old;
        }
        held.by_use.insert(now, hash);
        held.bytes += bytes;
        while held.bytes > self.bytes_max {
            let Some((_, oldest)) = held.by_use.pop_first() else { break };
            if let Some((_, _, freed)) = held.blocks.remove(&oldest) {
                held.bytes -= freed;
            }
        }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shopfloor::sample::StatusCode;
    use shopfloor::time::Timestamp;

    fn block(samples: usize) -> Arc<Decoded> {
        let at = Timestamp::from_secs(1);
        let sample = Sample {
            at,
            value: Some(Value::Bool(true)),
            status: StatusCode::GOOD,
            source_time: None,
            observed_time: at,
            request_time: None,
            stale_after: 1,
        };
        let tags = BTreeMap::from([("u/t".parse().unwrap(), vec![sample; samples])]);
        Arc::new(Decoded { tags, ..Decoded::default() })
    }

    #[test]
    fn at_the_bound_the_block_unused_for_longest_goes() {
        let one = block(10).bytes();
        let cache = Cache::new(2 * one);
        let (a, b, c) = (Hash([1; 32]), Hash([2; 32]), Hash([3; 32]));
        cache.put(a, block(10));
        cache.put(b, block(10));
        assert!(cache.get(a).is_some());
        cache.put(c, block(10));
        assert!(cache.get(b).is_none());
        assert!(cache.get(a).is_some() && cache.get(c).is_some());
        assert_eq!(cache.bytes(), 2 * one);
        cache.put(a, block(10));
        assert_eq!(cache.bytes(), 2 * one);
    }

    #[test]
    fn a_block_larger_than_the_bound_is_not_held() {
        let cache = Cache::new(10);
        cache.put(Hash([1; 32]), block(1));
        assert_eq!(cache.bytes(), 0);
    }
}
