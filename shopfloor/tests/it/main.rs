//! Tests of the crate from outside: scripts, the wire format, the rules of the house.

mod ack_model;
mod wire;
