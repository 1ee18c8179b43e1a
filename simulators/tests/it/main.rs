//! The crate's shells against clients that others wrote.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests: what cannot go on stops the test

mod formulas;
mod opcua;
mod opcua_client;
mod projects;
mod recordings;
