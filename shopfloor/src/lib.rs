//! The meaning of Plumbline: its words, its wire format and every formula. No I/O, no clock, no async.
//!
//! The story in one page: a device's registers are read by an agent; `register_map` says where each tag's
//! bits lie and turns raw words into a [`sample::Sample`]; `wire` packs raw words into signed blocks and back;
//! `timeline` turns samples into a gap-free account of a work unit's time, in which what is not known is
//! Unknown; `calendar` says what was planned; `time_element`, `counter` and `oee` compute.

pub mod id;
pub mod sample;
pub mod time;
pub mod unit;
