//! Tests of the crate as a whole: calculations as scripts, properties, the wire format, the rules of the house.

mod ack_model;
mod house;
mod properties;
mod script;
mod wire;
