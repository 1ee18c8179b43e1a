//! Words of the wire format and of the register map as people read them.

use shopfloor::register_map::{Area, DataType, Origin, Place, Protocol};
use shopfloor::sample::{Quality, StatusCode};
use shopfloor::wire::header::GapKind;

use crate::evaluate::words::Words;

/// `modbus-tcp` or `opc-ua`.
pub const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::ModbusTcp => "modbus-tcp",
        Protocol::OpcUa => "opc-ua",
    }
}

/// `device` or `simulated`.
pub const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Device => "device",
        Origin::Simulated => "simulated",
    }
}

/// The type's name in capitals, as in the agent's configuration.
pub const fn data_type(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bool => "BOOL",
        DataType::U8 => "U8",
        DataType::I8 => "I8",
        DataType::U16 => "U16",
        DataType::I16 => "I16",
        DataType::U32 => "U32",
        DataType::I32 => "I32",
        DataType::U64 => "U64",
        DataType::I64 => "I64",
        DataType::F32 => "F32",
        DataType::F64 => "F64",
        DataType::Text => "TEXT",
    }
}

/// Where a value lies, in telegram addresses from 0: `unit 1 holding 2..3`, `unit 1 coil 7`, `ns=urn:x;s=State`.
pub fn place(place: &Place) -> String {
    match place {
        Place::Modbus { unit, area, address, words, bit } => {
            let area = match area {
                Area::Coil => "coil",
                Area::DiscreteInput => "discrete input",
                Area::Holding => "holding",
                Area::Input => "input",
            };
            let last = u32::from(*address) + u32::from(*words).saturating_sub(1);
            let span = if last > u32::from(*address) { format!("..{last}") } else { String::new() };
            let bit = bit.map(|bit| format!(" bit {bit}")).unwrap_or_default();
            format!("unit {unit} {area} {address}{span}{bit}")
        }
        Place::OpcUa { namespace, identifier } => format!("ns={namespace};{identifier}"),
    }
}

/// `good`, `uncertain` or `bad`.
pub const fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Uncertain => "uncertain",
        Quality::Bad => "bad",
    }
}

/// The name of a status code with its number: `BadTimeout (0x800A0000)`; `Good` alone for zero.
pub fn status(code: StatusCode) -> String {
    let name = match code {
        StatusCode::GOOD => return "Good".to_owned(),
        StatusCode::UNCERTAIN => "Uncertain",
        StatusCode::BAD => "Bad",
        StatusCode::BAD_TIMEOUT => "BadTimeout",
        StatusCode::BAD_NO_COMMUNICATION => "BadNoCommunication",
        StatusCode::BAD_SUBSCRIPTION_LOST => "BadSubscriptionIdInvalid",
        StatusCode::BAD_DEVICE_FAILURE => "BadDeviceFailure",
        StatusCode::BAD_NODE_ID_UNKNOWN => "BadNodeIdUnknown",
        StatusCode::BAD_DECODING_ERROR => "BadDecodingError",
        StatusCode::BAD_TYPE_MISMATCH => "BadTypeMismatch",
        StatusCode::BAD_OUT_OF_RANGE => "BadOutOfRange",
        StatusCode::BAD_NO_DATA => "BadNoData",
        other => match other.quality() {
            Quality::Good => "Good…",
            Quality::Uncertain => "Uncertain…",
            Quality::Bad => "Bad…",
        },
    };
    format!("{name} (0x{:08X})", code.0)
}

/// What a gap record means.
pub fn gap(kind: GapKind) -> Words {
    match kind {
        GapKind::Evicted => {
            Words::new("队列已满或过期, 数据块被移出", "blocks left the queue because it was full or too old")
        }
        GapKind::Refused => {
            Words::new("采集中心拒收, 数据块停放在采集端", "blocks were refused for good and are parked at the agent")
        }
        GapKind::Corrupted => Words::new("采集端磁盘上的数据不可读", "data became unreadable on the agent's disk"),
        GapKind::AgentDown => Words::new("采集端未运行", "the agent did not run"),
        GapKind::Restored => Words::new(
            "采集中心由备份恢复, 已确认的数据块采集端已删除",
            "a restored collector lacks blocks that were acknowledged and deleted",
        ),
        GapKind::CommunicationLost => Words::new("与设备的通信中断", "the equipment could not be reached"),
        GapKind::Overflow => {
            Words::new("设备或缓冲区溢出, 丢失数值", "the source or a buffer overflowed and dropped values")
        }
        GapKind::ClockUnusable => Words::new("采集端时钟不可信", "the agent's clock could not be trusted"),
        GapKind::DiskRefused => Words::new("采集端磁盘拒绝写入", "the agent's disk refused writes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_the_telegram_has_it() {
        let registers = Place::Modbus { unit: 3, area: Area::Holding, address: 2, words: 2, bit: None };
        assert_eq!(place(&registers), "unit 3 holding 2..3");
        let last = Place::Modbus { unit: 1, area: Area::Input, address: u16::MAX, words: 1, bit: Some(4) };
        assert_eq!(place(&last), "unit 1 input 65535 bit 4");
        let node = Place::OpcUa { namespace: "urn:x".into(), identifier: "s=State".into() };
        assert_eq!(place(&node), "ns=urn:x;s=State");
    }

    #[test]
    fn an_unknown_status_code_keeps_its_number() {
        assert_eq!(status(StatusCode(0x8012_0000)), "Bad… (0x80120000)");
        assert_eq!(status(StatusCode::BAD_TIMEOUT), "BadTimeout (0x800A0000)");
        assert_eq!(status(StatusCode::GOOD), "Good");
    }
}
