//! A sample: what a tag said, when, and how far it may be trusted.

use crate::time::Timestamp;
use crate::unit::Rational;

/// A decoded value of a tag, in the tag's unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A bit.
    Bool(bool),
    /// An integer or a scaled integer, exact. Counters and energies stay here to the end.
    Exact(Rational),
    /// A floating-point value of the device; always finite (others are Bad).
    Float(f64),
    /// A text.
    Text(String),
}

/// An OPC UA StatusCode, all 32 bits. Modbus faults use the standard codes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(pub u32);

impl StatusCode {
    /// Good.
    pub const GOOD: Self = Self(0);
    /// Value clamped, estimated or otherwise doubtful.
    pub const UNCERTAIN: Self = Self(0x4000_0000);
    /// Bad without a nearer reason.
    pub const BAD: Self = Self(0x8000_0000);
    /// The request was not answered in time.
    pub const BAD_TIMEOUT: Self = Self(0x800A_0000);
    /// No connection to the device.
    pub const BAD_NO_COMMUNICATION: Self = Self(0x8031_0000);
    /// The subscription was lost or went silent.
    pub const BAD_SUBSCRIPTION_LOST: Self = Self(0x8028_0000);
    /// The device answered with an exception.
    pub const BAD_DEVICE_FAILURE: Self = Self(0x808B_0000);
    /// The address does not exist on the device (exception 2 or 3, or an unknown node).
    pub const BAD_NODE_ID_UNKNOWN: Self = Self(0x8034_0000);
    /// The answer broke the protocol.
    pub const BAD_DECODING_ERROR: Self = Self(0x8007_0000);
    /// The value has another type than the register map says.
    pub const BAD_TYPE_MISMATCH: Self = Self(0x8074_0000);
    /// A NaN, an infinity or a value that cannot be represented.
    pub const BAD_OUT_OF_RANGE: Self = Self(0x803C_0000);
    /// Good was reported, but without a value.
    pub const BAD_NO_DATA: Self = Self(0x809B_0000);

    /// Good, Uncertain or Bad: the two severity bits.
    pub const fn quality(self) -> Quality {
        match self.0 >> 30 {
            0 => Quality::Good,
            1 => Quality::Uncertain,
            _ => Quality::Bad,
        }
    }
}

/// How far a value may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// As measured.
    Good,
    /// Measured, with a reservation.
    Uncertain,
    /// No value.
    Bad,
}

/// A decoded sample of one tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The instant the sample speaks for: source time of an OPC UA value, response time of a Modbus read,
    /// time of the life sign for a value that was sampled again by one.
    pub at: Timestamp,
    /// The value; `None` exactly when the quality is Bad.
    pub value: Option<Value>,
    /// Full status code.
    pub status: StatusCode,
    /// Time the device gave, if it gives one.
    pub source_time: Option<Timestamp>,
    /// Time the agent saw it.
    pub observed_time: Timestamp,
    /// Time the request was sent, for polled tags.
    pub request_time: Option<Timestamp>,
    /// Nanoseconds after `at` for which the value may be taken to hold if no later sample comes.
    pub stale_after: i64,
}

impl Sample {
    /// Good, Uncertain or Bad.
    pub const fn quality(&self) -> Quality {
        self.status.quality()
    }
}
