//! The wire format: what travels between agent and collector, byte for byte (`docs/wire-format.md`).
//!
//! A [`block`] is a signed batch of raw readings: a [`header`] in deterministic [`cbor`], compressed
//! [`section`]s, and a [`sign`]ature. [`session`] is the collector's memory of one agent's chain of blocks;
//! [`control`] holds the small signed messages beside it (birth, ack, status, down); [`topic`] their addresses.

pub mod block;
pub mod cbor;
pub mod column;
pub mod control;
pub mod header;
pub mod section;
pub mod session;
pub mod sign;
pub mod topic;
