//! The crate's shells against clients that others wrote.

mod opcua;
mod recordings;
