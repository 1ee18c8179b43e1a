//! The words that values of the configuration may be, and what is said when they are not.

use std::path::PathBuf;
use std::time::Duration;

use shopfloor::id::IdError;
use shopfloor::register_map::{Area, DataType, WordOrder};

use super::problem::Said;

pub(super) const AREAS: [(&str, Area); 4] =
    [("coil", Area::Coil), ("discrete_input", Area::DiscreteInput), ("holding", Area::Holding), ("input", Area::Input)];

pub(super) const MODBUS_TYPES: [(&str, DataType); 9] = [
    ("bool", DataType::Bool),
    ("u16", DataType::U16),
    ("i16", DataType::I16),
    ("u32", DataType::U32),
    ("i32", DataType::I32),
    ("u64", DataType::U64),
    ("i64", DataType::I64),
    ("f32", DataType::F32),
    ("f64", DataType::F64),
];

pub(super) const OPC_UA_TYPES: [(&str, DataType); 12] = [
    ("bool", DataType::Bool),
    ("u8", DataType::U8),
    ("i8", DataType::I8),
    ("u16", DataType::U16),
    ("i16", DataType::I16),
    ("u32", DataType::U32),
    ("i32", DataType::I32),
    ("u64", DataType::U64),
    ("i64", DataType::I64),
    ("f32", DataType::F32),
    ("f64", DataType::F64),
    ("text", DataType::Text),
];

pub(super) const WORD_ORDERS: [(&str, WordOrder); 4] =
    [("abcd", WordOrder::Abcd), ("cdab", WordOrder::Cdab), ("badc", WordOrder::Badc), ("dcba", WordOrder::Dcba)];

/// Registers that a value of the type takes.
pub(super) const fn words(data_type: DataType) -> u16 {
    match data_type {
        DataType::U32 | DataType::I32 | DataType::F32 => 2,
        DataType::U64 | DataType::I64 | DataType::F64 => 4,
        _ => 1,
    }
}

pub(super) fn nanos(value: i64) -> Duration {
    Duration::from_nanos(value.unsigned_abs())
}

pub(super) fn one_of<T: Copy>(text: &str, allowed: &[(&str, T)]) -> Result<T, Said> {
    allowed.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| choices(allowed))
}

pub(super) fn choices<T>(allowed: &[(&str, T)]) -> Said {
    let names: Vec<String> = allowed.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    Said::new(format!("one of {}", names.join(", ")), format!("其中之一：{}", names.join("、")))
}

pub(super) fn section_said() -> Said {
    Said::new(
        "\"kpi\" (states, counters, energy) or \"process\" (the rest)",
        " \"kpi\"（状态、计数、能耗）或 \"process\"（其余）",
    )
}

pub(super) fn id_said(error: &IdError) -> Said {
    let zh = match error {
        IdError::TagForm(_) => "\"设备/点位\" 的形式，恰有一个斜杠",
        _ => "1 到 64 个字符，可用 a-z 0-9 . _ -，首字符为字母或数字",
    };
    Said::new(error.to_string(), zh)
}

pub(super) fn path(text: &str) -> Result<PathBuf, Said> {
    if text.is_empty() { Err(Said::new("a path", "路径")) } else { Ok(PathBuf::from(text)) }
}

pub(super) fn host_name(text: &str) -> Result<String, Said> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !text.is_empty() && text.len() <= 253 && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(Said::new("a host name or address, without scheme and port", "主机名或地址，不含协议与端口"))
    }
}

/// Host and port of `scheme://host:port/…`.
pub(super) fn address(text: &str, scheme: &str, default_port: u16) -> Result<(String, u16), Said> {
    let said = || Said::new(format!("a URL {scheme}://host:port"), format!("地址 {scheme}://主机:端口"));
    let rest = text.strip_prefix(scheme).and_then(|t| t.strip_prefix("://")).ok_or_else(said)?;
    let authority = rest.split('/').next().unwrap_or("");
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(said)?)
        }
        _ => (authority, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host_name(host).map(|host| (host, port)).map_err(|_| said())
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn is_identifier(text: &str) -> bool {
    match text.split_once('=') {
        Some(("i", number)) => number.parse::<u32>().is_ok(),
        Some(("s", name)) => !name.is_empty(),
        _ => false,
    }
}
