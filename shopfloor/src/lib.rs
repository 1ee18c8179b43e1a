//! The meaning of Plumbline: its words, its wire format and every formula. No I/O, no clock, no async.
//!
//! The story in one page: a device's registers are read by an agent; `register_map` says where each tag's
//! bits lie and turns raw words into a [`sample::Sample`]; `wire` packs raw words into signed blocks and back;
//! `timeline` turns samples into a gap-free account of a work unit's time, in which what is not known is
//! Unknown; `calendar` says what was planned; `time_element`, `counter` and `oee` compute.

pub mod calendar;
pub mod counter;
pub mod evaluate;
pub mod evidence;
pub mod file;
pub mod hash;
pub mod id;
pub mod oee;
pub mod plant;
pub mod register_map;
pub mod remark;
pub mod sample;
pub mod state;
pub mod time;
pub mod time_element;
pub mod timeline;
pub mod unit;
pub mod wire;
