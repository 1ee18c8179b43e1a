//! The meaning of Plumbline: its words, its wire format and every formula. No I/O, no clock, no async.
//!
//! The story in one page: a device's registers are read by an agent; `register_map` says where each tag's
//! bits lie and turns raw words into a [`sample::Sample`]; `wire` packs raw words into signed blocks and back;
//! `timeline` turns samples into a gap-free account of a work unit's time, in which what is not known is
//! Unknown; `calendar` says what was planned; `time_element`, `counter` and `oee` compute; `indicator`
//! adds work units up, and `acceptance` holds them against what a `project` promised.

pub mod acceptance;
pub mod calendar;
pub mod cluster;
pub mod counter;
pub mod display;
pub mod evaluate;
pub mod evidence;
pub mod file;
pub mod hash;
pub mod id;
pub mod indicator;
pub mod maturity;
pub mod networked;
pub mod oee;
pub mod plant;
pub mod project;
pub mod register_map;
pub mod remark;
pub mod sample;
pub mod state;
pub mod time;
pub mod time_element;
pub mod timeline;
pub mod unit;
pub mod wire;
