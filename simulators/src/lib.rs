//! Factories that do not exist, with the truth about them.
//!
//! A [`scenario`] with a seed becomes a [`machine::World`]: for every machine a list of what happens when, computed
//! once, so that the state at any instant is a look-up. The [`truth`] about time, counts and energy comes from that
//! list, without shopfloor's formulas. Shells put the world behind real sockets: [`modbus_server`],
//! [`opcua_server`]; [`fault_proxy`] spoils the line between; [`lockstep`] makes time stand still while they work;
//! [`replay`] puts recordings of real equipment where a world would be.

pub mod calendar;
pub mod commands;
pub mod fault_proxy;
pub mod lockstep;
pub mod machine;
pub mod modbus_server;
pub mod nodes;
pub mod opcua_server;
pub mod paced_clock;
pub mod points;
pub mod registers;
pub mod replay;
pub mod scenario;
pub mod site_files;
pub mod truth;
