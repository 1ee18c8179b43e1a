//! Tests of the agent as a whole: configuration, devices that misbehave, queue, broker and collector that misbehave.

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
