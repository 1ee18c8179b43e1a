//! A Modbus TCP connection that can only read.
//!
//! What can be sent is a [`ReadRequest`], and the only ways to make one are the function codes 1, 2, 3, 4 and
//! 43/14: no value of any type here encodes a write.
//!
//! The framing is ours, over a plain TCP stream; `tokio-modbus` lends its function and exception codes. Its client
//! was not used because it cannot give what is needed here: it clears its read buffer before each request, so a
//! reply that nobody asked for goes unnoticed; it accepts a length field that contradicts the function, a byte
//! count that contradicts the request (checked in debug builds only) and bytes behind a frame; and after one late
//! reply it stays one transaction behind for ever. Here [`Connection::read`] takes the connection by value and
//! gives it back only with an answer that matches transaction, protocol, unit, function, byte count and length and
//! has nothing behind it. After a time-out or any mismatch there is no connection left that could be used.

use std::io;
use std::time::Duration;

use shopfloor::register_map::Area;
use shopfloor::sample::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_modbus::{ExceptionCode, FunctionCode};

use super::plan::{Stretch, is_bits};

/// Transaction id, protocol id, length, unit id.
const HEADER: usize = 7;
/// The longest frame of Modbus TCP.
const FRAME_MAX: usize = 260;

/// Something to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Items(Area, Stretch),
    Identification { object: u8 },
}

impl ReadRequest {
    /// Function code 1, 2, 3 or 4, by the area. `None` unless there are 1 to 125 registers or 1 to 2000 bits that
    /// end within the area.
    pub fn items(area: Area, stretch: Stretch) -> Option<Self> {
        let max = if is_bits(area) { 2000 } else { 125 };
        let end = u32::from(stretch.first) + u32::from(stretch.count);
        ((1..=max).contains(&stretch.count) && end <= 65536).then_some(Self(Kind::Items(area, stretch)))
    }

    /// Function code 43, type 14: basic device identification from `object` on.
    pub fn identification(object: u8) -> Self {
        Self(Kind::Identification { object })
    }

    /// The function code.
    pub fn function(self) -> FunctionCode {
        match self.0 {
            Kind::Items(Area::Coil, _) => FunctionCode::ReadCoils,
            Kind::Items(Area::DiscreteInput, _) => FunctionCode::ReadDiscreteInputs,
            Kind::Items(Area::Holding, _) => FunctionCode::ReadHoldingRegisters,
            Kind::Items(Area::Input, _) => FunctionCode::ReadInputRegisters,
            Kind::Identification { .. } => FunctionCode::EncapsulatedInterfaceTransport,
        }
    }

    /// The whole frame.
    fn encode(self, transaction: u16, unit: u8) -> Vec<u8> {
        let mut pdu = vec![self.function().value()];
        match self.0 {
            Kind::Items(_, stretch) => {
                pdu.extend(stretch.first.to_be_bytes());
                pdu.extend(stretch.count.to_be_bytes());
            }
            Kind::Identification { object } => pdu.extend([14, 1, object]),
        }
        let length = u16::try_from(pdu.len() + 1).expect("a request has at most 6 bytes");
        let mut frame = Vec::with_capacity(HEADER + pdu.len());
        frame.extend(transaction.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(length.to_be_bytes());
        frame.push(unit);
        frame.extend(pdu);
        frame
    }
}

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Registers in order of address.
    Registers(Vec<u16>),
    /// Coils or discrete inputs in order of address.
    Bits(Vec<bool>),
    /// Device identification: the bytes after the type, as sent.
    Identification(Vec<u8>),
    /// The device refused the request and is otherwise well.
    Exception(ExceptionCode),
}

/// Why there is no answer, and no connection any more.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection within the time.
    #[error("connecting took longer than {0:?}")]
    ConnectTimeout(Duration),
    /// No connection.
    #[error("connecting failed")]
    Connect(#[source] io::Error),
    /// No whole answer within the time; the connection was dropped, so a late answer cannot be taken for another.
    #[error("no whole answer within {0:?}; connection dropped")]
    Timeout(Duration),
    /// The connection broke.
    #[error("connection broke while reading")]
    Io(#[source] io::Error),
    /// The device closed the connection.
    #[error("the device closed the connection")]
    Closed,
    /// Something else than the answer to our request; the connection was dropped.
    #[error("answer is not to this request: {0}; connection dropped")]
    Mismatch(String),
}

impl Failure {
    /// The status that samples of the failed scan carry.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Timeout(_) => StatusCode::BAD_TIMEOUT,
            Self::Mismatch(_) => StatusCode::BAD_DECODING_ERROR,
            Self::ConnectTimeout(_) | Self::Connect(_) | Self::Io(_) | Self::Closed => StatusCode::BAD_NO_COMMUNICATION,
        }
    }

    /// A short name for a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectTimeout(_) | Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Io(_) | Self::Closed => "connection",
            Self::Mismatch(_) => "mismatch",
        }
    }
}

/// The status that samples carry when the device answered with an exception.
pub fn exception_status(code: ExceptionCode) -> StatusCode {
    match code {
        ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue => StatusCode::BAD_NODE_ID_UNKNOWN,
        ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice => StatusCode::BAD_NO_COMMUNICATION,
        _ => StatusCode::BAD_DEVICE_FAILURE,
    }
}

/// An open connection on which every answer so far was the right one.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    transaction: u16,
    buffer: Box<[u8; FRAME_MAX + 1]>,
}

impl Connection {
    /// Connects within `total`, name resolution included. `first_transaction` is best drawn at random, so that two
    /// connections in a row do not count alike.
    pub async fn open(host: &str, port: u16, total: Duration, first_transaction: u16) -> Result<Self, Failure> {
        let connecting = TcpStream::connect((host, port));
        let stream = tokio::time::timeout(total, connecting).await.map_err(|_| Failure::ConnectTimeout(total))?;
        let stream = stream.map_err(Failure::Connect)?;
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        Ok(Self { stream, transaction: first_transaction, buffer: Box::new([0; FRAME_MAX + 1]) })
    }

    /// Sends the request and reads its answer, all within `total`.
    pub async fn read(mut self, unit: u8, request: ReadRequest, total: Duration) -> Result<(Self, Answer), Failure> {
        match tokio::time::timeout(total, self.exchange(unit, request)).await {
            Ok(Ok(answer)) => Ok((self, answer)),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::Timeout(total)),
        }
    }

    async fn exchange(&mut self, unit: u8, request: ReadRequest) -> Result<Answer, Failure> {
        self.expect_silence()?;
        self.transaction = self.transaction.wrapping_add(1);
        self.stream.write_all(&request.encode(self.transaction, unit)).await.map_err(Failure::Io)?;
        let mut have = 0;
        while have < HEADER {
            have += self.receive(have).await?;
        }
        let header = *self.buffer.first_chunk().expect("the buffer is longer than a header");
        let length = check_header(header, self.transaction, unit)?;
        let frame = HEADER - 1 + length;
        while have < frame {
            have += self.receive(have).await?;
        }
        if have > frame {
            return Err(mismatch("bytes follow the answer"));
        }
        check_body(&self.buffer[HEADER..frame], request)
    }

    /// Nothing may have arrived that was not asked for.
    fn expect_silence(&self) -> Result<(), Failure> {
        match self.stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(Failure::Io(error)),
            Ok(0) => Err(Failure::Closed),
            Ok(_) => Err(mismatch("bytes arrived that were not asked for")),
        }
    }

    async fn receive(&mut self, have: usize) -> Result<usize, Failure> {
        match self.stream.read(&mut self.buffer[have..]).await {
            Ok(0) => Err(Failure::Closed),
            Ok(count) => Ok(count),
            Err(error) => Err(Failure::Io(error)),
        }
    }
}

/// The length field, bytes from the unit id to the end, of a header that answers this transaction and unit.
fn check_header(header: [u8; HEADER], transaction: u16, unit: u8) -> Result<usize, Failure> {
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (found, protocol, length) = (word(0), word(2), word(4));
    if found != transaction {
        return Err(mismatch(format!("transaction {found}, expected {transaction}")));
    }
    if protocol != 0 {
        return Err(mismatch(format!("protocol {protocol}, expected 0")));
    }
    if !(3..=254).contains(&length) {
        return Err(mismatch(format!("length field {length}, expected 3 to 254")));
    }
    if header[6] != unit {
        return Err(mismatch(format!("unit {}, expected {unit}", header[6])));
    }
    Ok(usize::from(length))
}

fn mismatch(what: impl Into<String>) -> Failure {
    Failure::Mismatch(what.into())
}

/// `body` is function code and data, as long as the length field said.
fn check_body(body: &[u8], request: ReadRequest) -> Result<Answer, Failure> {
    let expected = request.function().value();
    let (function, data) = body.split_first().ok_or_else(|| mismatch("no function code"))?;
    if *function == expected | 0x80 {
        return match data {
            [code] => Ok(Answer::Exception(ExceptionCode::new(*code))),
            _ => Err(mismatch(format!("an exception of {} bytes, expected 1", data.len()))),
        };
    }
    if *function != expected {
        return Err(mismatch(format!("function {function}, expected {expected}")));
    }
    match request.0 {
        Kind::Items(area, stretch) => items(data, area, usize::from(stretch.count)),
        Kind::Identification { .. } => match data {
            [14, rest @ ..] => Ok(Answer::Identification(rest.to_vec())),
            _ => Err(mismatch("not a device identification")),
        },
    }
}

fn items(data: &[u8], area: Area, count: usize) -> Result<Answer, Failure> {
    let expected = if is_bits(area) { count.div_ceil(8) } else { 2 * count };
    let (announced, values) = data.split_first().ok_or_else(|| mismatch("no byte count"))?;
    if usize::from(*announced) != expected || values.len() != expected {
        let found = values.len();
        return Err(mismatch(format!(
            "byte count {announced} and {found} bytes, expected {expected} for {count} items"
        )));
    }
    if is_bits(area) {
        return Ok(Answer::Bits((0..count).map(|i| values[i / 8] >> (i % 8) & 1 == 1).collect()));
    }
    Ok(Answer::Registers(values.chunks_exact(2).map(|w| u16::from_be_bytes([w[0], w[1]])).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: ReadRequest, frame: &[u8]) -> Result<Answer, Failure> {
        let header = *frame.first_chunk().ok_or(Failure::Closed)?;
        let length = check_header(header, 0x0102, 3)?;
        if frame.len() != HEADER - 1 + length {
            return Err(Failure::Closed);
        }
        check_body(&frame[HEADER..], request)
    }

    proptest::proptest! {
        /// One changed byte outside the values never passes for the answer; within them it is a value as sent.
        #[test]
        fn a_changed_frame_is_no_answer(count in 1_u16..20, at in 0_usize..9, change in 1_u8..=255) {
            let request = ReadRequest::items(Area::Input, Stretch { first: 7, count }).unwrap();
            let mut frame = vec![1, 2, 0, 0, 0, u8::try_from(3 + 2 * count).unwrap(), 3, 4, u8::try_from(2 * count).unwrap()];
            frame.extend((0..count).flat_map(u16::to_be_bytes));
            let right = Answer::Registers((0..count).collect());
            proptest::prop_assert_eq!(answer(request, &frame).unwrap(), right);
            frame[at] ^= change;
            let changed = answer(request, &frame);
            let exception = frame[7] == 0x84 && matches!(changed, Ok(Answer::Exception(_)));
            proptest::prop_assert!(changed.is_err() || exception, "byte {}: {:?}", at, changed);
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let request = ReadRequest::items(Area::Coil, Stretch { first: 7, count: 9 }).unwrap();
            drop(answer(request, &bytes));
        }
    }

    #[test]
    fn only_five_function_codes_can_be_sent() {
        let stretch = Stretch { first: 1, count: 1 };
        let areas = [Area::Coil, Area::DiscreteInput, Area::Holding, Area::Input];
        let codes: Vec<u8> =
            areas.iter().map(|a| ReadRequest::items(*a, stretch).unwrap().encode(1, 1)[HEADER]).collect();
        assert_eq!(codes, [1, 2, 3, 4]);
        assert_eq!(ReadRequest::identification(0).encode(1, 1)[HEADER..], [43, 14, 1, 0]);
    }

    #[test]
    fn requests_outside_the_limits_cannot_be_made() {
        let make = |area, first, count| ReadRequest::items(area, Stretch { first, count });
        assert!(make(Area::Holding, 0, 0).is_none());
        assert!(make(Area::Holding, 0, 126).is_none());
        assert!(make(Area::Coil, 0, 2001).is_none());
        assert!(make(Area::Holding, 65535, 2).is_none());
        assert!(make(Area::Holding, 65535, 1).is_some());
    }

    #[test]
    fn a_frame_has_the_bytes_of_the_specification() {
        let request = ReadRequest::items(Area::Holding, Stretch { first: 0x006B, count: 3 }).unwrap();
        assert_eq!(request.encode(0x1234, 0x11), [0x12, 0x34, 0, 0, 0, 6, 0x11, 3, 0, 0x6B, 0, 3]);
    }
}
