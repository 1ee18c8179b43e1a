//! Tests of the agent as a whole: configuration, devices that misbehave, queue, broker and collector that misbehave.

#![allow(clippy::unwrap_used)] // a helper of tests fails as a test does

mod batcher;
mod broker;
mod config;
mod device;
mod devices;
mod opcua;
mod publish;
mod queue;
mod run;
mod support;
