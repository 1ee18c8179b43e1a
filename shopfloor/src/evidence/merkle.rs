//! The Merkle tree of the log: hashes, an append-only frontier, proofs. Source: RFC 6962, section 2.1 (RFC 9162, 2.1).
//!
//! Storage is the caller's: it keeps the nodes that [`Frontier::push`] completes, by level and index (level 0 are
//! leaf hashes; node `i` of level `l` covers the leaves `i·2^l` to `(i+1)·2^l - 1`), and hands them out by a function.

use crate::hash::Hash;

/// Hash of a leaf: SHA-256 of a zero byte and its bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Hash::of_parts(&[&[0], leaf])
}

/// Hash of an inner node: SHA-256 of a one byte and its children's hashes.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[1], &left.0, &right.0])
}

/// A node of the tree that is complete and will never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Place in its level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The right edge of the tree: all that is needed to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees that make up the tree, largest first: one for each set bit of `size`.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frontier of a tree of `size` leaves, from its stored nodes; `None` if one is missing.
    pub fn restore(size: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Option<Self> {
        let peaks = peaks(0, size).into_iter().map(|(level, index)| node(level, index)).collect::<Option<_>>()?;
        Some(Self { size, peaks })
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash. Answers the nodes that are complete now, the leaf first: store them.
    pub fn push(&mut self, leaf: Hash) -> Vec<Node> {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        let mut complete = vec![node];
        while node.index % 2 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Node { level: node.level + 1, index: node.index / 2, hash: node_hash(&left, &node.hash) };
            complete.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        complete
    }

    /// The root of the tree; SHA-256 of nothing for the tree without leaves.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Hash::of(b"") };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The complete subtrees, as level and index, that make up the leaves `start..end`, from left to right.
fn peaks(start: u64, end: u64) -> Vec<(u8, u64)> {
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        let aligned = if at == 0 { 63 } else { at.trailing_zeros() };
        let fits = (end - at).ilog2();
        let level = aligned.min(fits);
        parts.push((u8::try_from(level).unwrap_or(63), at >> level));
        at += 1 << level;
    }
    parts
}

/// Root of the leaves `start..end`, where `start` is a place at which the tree of `end` leaves splits.
fn subtree(start: u64, end: u64, node: &impl Fn(u8, u64) -> Option<Hash>) -> Option<Hash> {
    let mut parts = peaks(start, end).into_iter().rev();
    let (level, index) = parts.next()?;
    parts.try_fold(node(level, index)?, |right, (level, index)| Some(node_hash(&node(level, index)?, &right)))
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The hashes that lead from leaf `index` to the root of the tree of the first `size` leaves.
/// `None` if the leaf is not in it or a node is missing.
pub fn inclusion_proof(index: u64, size: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(subtree(middle, end, &node)?);
            end = middle;
        } else {
            path.push(subtree(start, middle, &node)?);
            start = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// The hashes that prove that the tree of `new` leaves begins with the tree of `old` leaves.
/// `None` unless `0 < old <= new` and all nodes are there.
pub fn consistency_proof(old: u64, new: u64, node: impl Fn(u8, u64) -> Option<Hash>) -> Option<Vec<Hash>> {
    if old == 0 || old > new {
        return None;
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    while end > old {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(subtree(middle, end, &node)?);
            end = middle;
        } else {
            path.push(subtree(start, middle, &node)?);
            start = middle;
        }
    }
    // The part that both have in common is named only if it is not the whole old tree.
    if start > 0 {
        path.push(subtree(start, end, &node)?);
    }
    path.reverse();
    Some(path)
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Index and sizes do not fit together.
    #[error("proof is for an impossible place: index {index} of {size} leaves")]
    Place {
        /// Index, or size of the older tree.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The path has another length than its place demands.
    #[error("proof has {found} hashes, its place demands {expected}")]
    Length {
        /// Hashes there are.
        found: usize,
        /// Hashes there must be.
        expected: usize,
    },
    /// The path leads to another root.
    #[error("proof leads to the root {computed}, not to {expected}")]
    Root {
        /// Where it leads.
        computed: Hash,
        /// The root it was checked against.
        expected: Hash,
    },
}

/// How many of the hashes of a path lie inside the smallest subtree that has `index` at its right edge, and how many beyond.
const fn path_lengths(index: u64, size: u64) -> (usize, usize) {
    let inner = (u64::BITS - (index ^ (size - 1)).leading_zeros()) as usize;
    let border = if inner >= 64 { 0 } else { (index >> inner).count_ones() as usize };
    (inner, border)
}

/// Follows the path inside a subtree upwards: the bits of `index` say on which side the other hash stands.
fn climb(mut hash: Hash, path: &[Hash], index: u64) -> Hash {
    for (level, other) in path.iter().enumerate() {
        hash = if index >> level & 1 == 0 { node_hash(&hash, other) } else { node_hash(other, &hash) };
    }
    hash
}

fn climb_border(hash: Hash, path: &[Hash]) -> Hash {
    path.iter().fold(hash, |right, left| node_hash(left, &right))
}

fn same(computed: Hash, expected: Hash) -> Result<(), ProofError> {
    if computed == expected { Ok(()) } else { Err(ProofError::Root { computed, expected }) }
}

/// Checks that the leaf with this hash stands at `index` in the tree of `size` leaves with this root.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Place { index, size });
    }
    let (inner, border) = path_lengths(index, size);
    if path.len() != inner + border {
        return Err(ProofError::Length { found: path.len(), expected: inner + border });
    }
    same(climb_border(climb(leaf, &path[..inner], index), &path[inner..]), root)
}

/// Checks that the tree of `new` leaves with root `new_root` begins with the tree of `old` leaves with root `old_root`.
pub fn verify_consistency(old: u64, new: u64, path: &[Hash], old_root: Hash, new_root: Hash) -> Result<(), ProofError> {
    if old > new || old == 0 {
        return Err(ProofError::Place { index: old, size: new });
    }
    if old == new {
        return if path.is_empty() {
            same(old_root, new_root)
        } else {
            Err(ProofError::Length { found: path.len(), expected: 0 })
        };
    }
    let (inner, border) = path_lengths(old - 1, new);
    let shift = old.trailing_zeros() as usize;
    let inner = inner - shift;
    // Where the old tree is one complete subtree, its root is not repeated in the path.
    let named = usize::from(!old.is_power_of_two());
    if path.len() != named + inner + border {
        return Err(ProofError::Length { found: path.len(), expected: named + inner + border });
    }
    let seed = if named == 1 { path[0] } else { old_root };
    let path = &path[named..];
    let index = (old - 1) >> shift;
    let left_only: Vec<Hash> =
        path[..inner].iter().enumerate().filter(|(level, _)| index >> level & 1 == 1).map(|(_, hash)| *hash).collect();
    same(climb_border(climb_border(seed, &left_only), &path[inner..]), old_root)?;
    same(climb_border(climb(seed, &path[..inner], index), &path[inner..]), new_root)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A tree of `size` leaves with all its nodes, and its root at every size.
    fn grown(size: u64) -> (BTreeMap<(u8, u64), Hash>, Vec<Hash>) {
        let (mut nodes, mut frontier) = (BTreeMap::new(), Frontier::new());
        let mut roots = vec![frontier.root()];
        for leaf in 0..size {
            let complete = frontier.push(leaf_hash(&leaf.to_be_bytes()));
            nodes.extend(complete.into_iter().map(|node| ((node.level, node.index), node.hash)));
            roots.push(frontier.root());
        }
        (nodes, roots)
    }

    /// The definition in RFC 6962, section 2.1, taken literally.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(usize::try_from(split(leaves.len() as u64)).unwrap());
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_and_is_restored_from_nodes() {
        let (nodes, roots) = grown(70);
        let leaves: Vec<Hash> = (0..70_u64).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
        for size in 0..=70 {
            assert_eq!(roots[size], root_by_definition(&leaves[..size]), "{size}");
            let restored = Frontier::restore(size as u64, |level, index| nodes.get(&(level, index)).copied()).unwrap();
            assert_eq!(restored.root(), roots[size], "{size}");
        }
    }

    #[test]
    fn every_proof_holds_for_its_own_place_only() {
        let (nodes, roots) = grown(40);
        let node = |level, index| nodes.get(&(level, index)).copied();
        for size in 1..=40_u64 {
            let root = roots[usize::try_from(size).unwrap()];
            for index in 0..size {
                let path = inclusion_proof(index, size, node).unwrap();
                let leaf = leaf_hash(&index.to_be_bytes());
                assert_eq!(verify_inclusion(leaf, index, size, &path, root), Ok(()));
                assert!(verify_inclusion(leaf, (index + 1) % size, size, &path, root).is_err() || size == 1);
                assert!(verify_inclusion(leaf, index, size, &[&path[..], &[root]].concat(), root).is_err());
                for place in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[place].0[0] ^= 1;
                    assert!(matches!(verify_inclusion(leaf, index, size, &wrong, root), Err(ProofError::Root { .. })));
                }
            }
            for old in 1..=size {
                let path = consistency_proof(old, size, node).unwrap();
                let old_root = roots[usize::try_from(old).unwrap()];
                assert_eq!(verify_consistency(old, size, &path, old_root, root), Ok(()), "{old} {size}");
                if old < size {
                    assert!(verify_consistency(old, size, &path, root, old_root).is_err());
                    assert!(verify_consistency(old, size, &path, Hash::ZERO, root).is_err());
                }
            }
        }
        assert_eq!(inclusion_proof(3, 3, node), None);
        assert_eq!(consistency_proof(0, 3, node), None);
    }
}
