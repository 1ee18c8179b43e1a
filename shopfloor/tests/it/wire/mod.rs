//! The wire format seen from outside: blocks, sessions, conformance vectors, our own vectors and their Python reader.

mod block;
mod conformance;
mod control;
mod map;
mod session;
pub mod support;
mod vector_file;
mod vectors;
