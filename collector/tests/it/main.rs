//! The collector through its sockets: a real broker, a real MQTT client in the part of the agent, a real disk.

// Helpers of tests are tests too: what cannot be unwrapped is the failure that is looked for.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod api;
mod api_house;
mod api_manners;
mod api_standing;
mod bad_input;
mod brokers;
mod delivery;
mod disk;
mod house;
mod influx_server;
mod mirror;
mod program;
mod project;
mod region;
mod register;
