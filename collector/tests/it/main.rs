//! The collector through its sockets: a real broker, a real MQTT client in the part of the agent, a real disk.

mod api;
mod api_house;
mod api_manners;
mod api_perf_tmp;
mod bad_input;
mod delivery;
mod disk;
mod program;
mod house;
