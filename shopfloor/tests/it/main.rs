//! Tests of the crate as a whole: calculations as scripts, properties, the wire format, the rules of the house.

// A test may fail where it stands, and the tests about files read files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
// Texts of a plant.toml are put together line by line; speed is no matter here.
#![allow(clippy::format_push_string, clippy::format_collect)]

mod ack_model;
mod house;
mod indicator;
mod judging;
mod properties;
mod script;
mod wire;
