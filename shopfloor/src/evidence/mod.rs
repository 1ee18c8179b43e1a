//! Evidence: what makes the log a record that cannot be changed unseen.
//!
//! A [`leaf`] names one block or document; [`merkle`] hashes leaves into a tree and proves places in it;
//! a [`checkpoint`] is the signed head of the tree.

pub mod checkpoint;
pub mod leaf;
pub mod merkle;
