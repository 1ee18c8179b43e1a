//! The collector through its sockets: a real broker, a real MQTT client in the part of the agent, a real disk.

mod bad_input;
mod delivery;
// mod disk;
mod house;
