//! Sources and their tags: the rules of Modbus addresses and OPC UA nodes. Continues `resolve`.

use std::time::Duration;

use shopfloor::id::{IdError, TagName};
use shopfloor::register_map::{Area, DataType};
use shopfloor::time::{HOUR, SECOND};
use shopfloor::unit::Rational;
use shopfloor::wire::header::SectionName;

use super::file::{Found, Table};
use super::problem::{ProblemKind, Said};
use super::resolve::{MILLI, Pass};
use super::vocabulary::{
    AREAS, MODBUS_TYPES, OPC_UA_TYPES, WORD_ORDERS, address, choices, host_name, id_said, is_identifier, nanos, one_of,
    section_said, words,
};
use super::{Common, Modbus, ModbusTag, OpcUa, OpcUaTag, Source, SourceKind};

impl<'i> Pass<'_, 'i> {
    pub(super) fn source(&mut self, table: &mut Table<'_, 'i>) -> Option<Source> {
        let id = self.reader.text(table, "id", |t| t.parse().map_err(|e: IdError| id_said(&e)));
        self.reader.missing(table, "id", Said::new("a name for this device", "设备标识"));
        if let Some(found) = &id {
            let found: &Found<shopfloor::id::SourceId> = found;
            let at = self.reader.position(found.span.start);
            if let Some(first) = self.sources.get(found.value.as_str()).copied() {
                let kind = ProblemKind::Duplicate { found: found.value.to_string(), first };
                self.reader.problem(found.span.clone(), &table.path("id"), kind);
            } else {
                self.sources.insert(found.value.to_string(), at);
            }
        }
        let simulated = self.reader.flag(table, "simulated");
        let reconnect_max = self.reconnect_max(table);
        let protocols = [("modbus-tcp", true), ("opc-ua", false)];
        let protocol = self.reader.text(table, "protocol", |t| one_of(t, &protocols));
        self.reader.missing(table, "protocol", choices(&protocols));
        let kind = if protocol?.value {
            self.modbus(table).map(SourceKind::Modbus)
        } else {
            self.opc_ua(table).map(SourceKind::OpcUa)
        };
        self.reader.finish(table);
        Some(Source { id: id?.value, simulated, reconnect_max, kind: kind? })
    }

    fn modbus(&mut self, table: &mut Table<'_, 'i>) -> Option<Modbus> {
        let host = self.reader.text(table, "host", host_name);
        self.reader.missing(table, "host", Said::new("a host name or address", "主机名或地址"));
        let port = self.reader.integer(table, "port", 1..=65535);
        let unit = self.reader.integer(table, "unit", 0..=255);
        self.reader.missing(table, "unit", Said::new("the unit id, 0 to 255", "单元号 0 到 255"));
        let base = self.reader.integer(table, "address_base", 0..=1);
        let base_said = "0 (addresses as sent on the wire) or 1 (addresses counted from 1); it is never guessed";
        self.reader.missing(table, "address_base", Said::new(base_said, " 0（按报文地址）或 1（从 1 计数）；不作猜测"));
        let connect_timeout = self.reader.duration(table, "connect_timeout", 10 * MILLI..=60 * SECOND);
        let response_timeout = self.reader.duration(table, "response_timeout", 10 * MILLI..=60 * SECOND);
        let max_registers = self.reader.integer(table, "max_registers", 1..=125);
        let max_bits = self.reader.integer(table, "max_bits", 1..=2000);
        let base_value = base.as_ref().map_or(0, |f| f.value);
        let mut forbidden = Vec::new();
        for mut range in self.reader.tables(table, "forbidden") {
            forbidden.extend(self.forbidden(&mut range, base_value));
        }
        let max_registers = max_registers.and_then(|f| u16::try_from(f.value).ok()).unwrap_or(125);
        let mut tags = Vec::new();
        for mut tag in self.reader.tables(table, "tag") {
            if let Some(read) = self.modbus_tag(&mut tag, base_value, max_registers) {
                self.allowed(&tag, &read, &forbidden);
                tags.push(read);
            }
        }
        base?;
        Some(Modbus {
            host: host?.value,
            port: port.and_then(|f| u16::try_from(f.value).ok()).unwrap_or(502),
            unit: u8::try_from(unit?.value).ok()?,
            connect_timeout: connect_timeout.map_or(Duration::from_secs(3), |f| nanos(f.value)),
            response_timeout: response_timeout.map_or(Duration::from_secs(1), |f| nanos(f.value)),
            max_registers,
            max_bits: max_bits.and_then(|f| u16::try_from(f.value).ok()).unwrap_or(2000),
            forbidden,
            tags,
        })
    }

    /// A tag must not lie in addresses that no request may touch.
    fn allowed(&mut self, table: &Table<'_, 'i>, tag: &ModbusTag, forbidden: &[(Area, u16, u16)]) {
        let (first, end) = (u32::from(tag.address), u32::from(tag.address) + u32::from(words(tag.data_type)));
        let touches = |(area, from, to): &&(Area, u16, u16)| {
            *area == tag.area && u32::from(*from) < end && first <= u32::from(*to)
        };
        if let Some((_, from, to)) = forbidden.iter().find(touches) {
            let allowed = Said::new(
                format!("an address outside the forbidden range {from} to {to} (counted from 0)"),
                format!("禁止范围 {from} 到 {to}（从 0 计数）之外的地址"),
            );
            self.reader.invalid(table.span(), &table.path("address"), &format!("{first} (counted from 0)"), allowed);
        }
    }

    fn forbidden(&mut self, table: &mut Table<'_, 'i>, base: i64) -> Option<(Area, u16, u16)> {
        let area = self.reader.text(table, "area", |t| one_of(t, &AREAS));
        self.reader.missing(table, "area", choices(&AREAS));
        let first = self.reader.integer(table, "first", base..=65535 + base);
        self.reader.missing(table, "first", Said::new("the first address", "起始地址"));
        let last = self.reader.integer(table, "last", first.as_ref().map_or(base, |f| f.value)..=65535 + base);
        self.reader.missing(table, "last", Said::new("the last address", "结束地址"));
        self.reader.finish(table);
        let zero_based = |found: Found<i64>| u16::try_from(found.value - base).ok();
        Some((area?.value, zero_based(first?)?, zero_based(last?)?))
    }

    fn modbus_tag(&mut self, table: &mut Table<'_, 'i>, base: i64, max_registers: u16) -> Option<ModbusTag> {
        let name = self.tag_name(table);
        let area = self.reader.text(table, "area", |t| one_of(t, &AREAS));
        self.reader.missing(table, "area", choices(&AREAS));
        let address = self.reader.integer(table, "address", base..=65535 + base);
        self.reader.missing(table, "address", Said::new("an address", "地址"));
        let data_type = self.reader.text(table, "type", |t| one_of(t, &MODBUS_TYPES));
        self.reader.missing(table, "type", choices(&MODBUS_TYPES));
        let bit = self.reader.integer(table, "bit", 0..=15);
        let word_order = self.reader.text(table, "word_order", |t| one_of(t, &WORD_ORDERS));
        let interval = self.reader.duration(table, "interval", 10 * MILLI..=24 * HOUR);
        self.reader.missing(table, "interval", Said::new("a scan interval such as \"1s\"", "扫描周期，如 \"1s\""));
        let common = self.common(table, data_type.as_ref().map(|f| f.value));
        self.reader.finish(table);
        let (area, data_type) = (area?.value, data_type?.value);
        let words = words(data_type);
        let bits_area = matches!(area, Area::Coil | Area::DiscreteInput);
        if bits_area && data_type != DataType::Bool {
            let allowed =
                Said::new("type = \"bool\" for a coil or discrete input", "线圈与离散输入只能为 type = \"bool\"");
            self.reader.invalid(table.span(), &table.path("type"), "a wider type", allowed);
        }
        if !bits_area && data_type == DataType::Bool && bit.is_none() {
            let allowed = Said::new("bit = 0 to 15 for a bool in a register", "寄存器中的 bool 须写 bit = 0 到 15");
            self.reader.missing(table, "bit", allowed);
        }
        if (bits_area || data_type != DataType::Bool) && bit.is_some() {
            let allowed = Said::new("no bit: only a bool in a register has one", "无 bit：仅寄存器中的 bool 使用");
            self.reader.invalid(table.span(), &table.path("bit"), "a bit", allowed);
        }
        match (&word_order, words > 1) {
            (None, true) => {
                self.reader.missing(table, "word_order", choices(&WORD_ORDERS));
            }
            (Some(found), false) => {
                let allowed = Said::new("no word order for 16 bits or less", "16 位及以下无需字序");
                let written = self.reader.written(found.span.clone());
                self.reader.invalid(found.span.clone(), &table.path("word_order"), &written, allowed);
            }
            _ => {}
        }
        let address = address?;
        let first = address.value - base;
        if first + i64::from(words) > 65536 {
            let allowed = Said::new(
                format!("an address with room for {words} registers before the end of the area"),
                format!("地址之后须能容纳 {words} 个寄存器"),
            );
            let written = self.reader.written(address.span.clone());
            self.reader.invalid(address.span, &table.path("address"), &written, allowed);
        }
        if words > max_registers {
            let allowed = Said::new(
                format!("max_registers of at least {words}: a value is read in one request or not at all"),
                format!("max_registers 至少为 {words}：一个值须在一次请求内读完"),
            );
            self.reader.invalid(table.span(), &table.path("type"), &format!("{words} registers"), allowed);
        }
        Some(ModbusTag {
            name: name?,
            area,
            address: u16::try_from(first).ok()?,
            bit: bit.and_then(|f| u8::try_from(f.value).ok()),
            data_type,
            word_order: word_order.map(|f| f.value),
            interval: interval?.value,
            common: common?,
        })
    }

    fn opc_ua(&mut self, table: &mut Table<'_, 'i>) -> Option<OpcUa> {
        let endpoint = self.reader.text(table, "endpoint", |t| address(t, "opc.tcp", 4840).map(|_| t.to_owned()));
        self.reader.missing(
            table,
            "endpoint",
            Said::new("a URL opc.tcp://host:port/path", "地址 opc.tcp://主机:端口/路径"),
        );
        let insecure = self.reader.flag(table, "insecure");
        if let (Some(endpoint), false) = (&endpoint, insecure) {
            let allowed = Said::new(
                "`insecure = true` beside it: security policy None is the only one so far and must be agreed to",
                "旁边写明 `insecure = true`：目前仅支持安全策略 None，须明确同意",
            );
            let written = self.reader.written(endpoint.span.clone());
            self.reader.invalid(endpoint.span.clone(), &table.path("endpoint"), &written, allowed);
        }
        let publishing = self.reader.duration(table, "publishing_interval", MILLI..=60 * SECOND);
        let sampling = self.reader.duration(table, "sampling_interval", MILLI..=60 * SECOND);
        let connect_timeout = self.reader.duration(table, "connect_timeout", 10 * MILLI..=60 * SECOND);
        let silence = self.reader.duration(table, "silence", 100 * MILLI..=HOUR);
        let publishing = publishing.map_or(Duration::from_millis(500), |f| nanos(f.value));
        let sampling = sampling.map_or(publishing, |f| nanos(f.value));
        let mut tags = Vec::new();
        for mut tag in self.reader.tables(table, "tag") {
            tags.extend(self.opc_ua_tag(&mut tag, publishing, sampling));
        }
        Some(OpcUa {
            endpoint: endpoint?.value,
            publishing_interval: publishing,
            connect_timeout: connect_timeout.map_or(Duration::from_secs(3), |f| nanos(f.value)),
            silence: silence.map_or((publishing * 15).max(Duration::from_secs(10)), |f| nanos(f.value)),
            tags,
        })
    }

    fn opc_ua_tag(
        &mut self,
        table: &mut Table<'_, 'i>,
        publishing: Duration,
        default_sampling: Duration,
    ) -> Option<OpcUaTag> {
        let name = self.tag_name(table);
        let node = self.reader.text(table, "node", |text| {
            let parts = text.strip_prefix("nsu=").and_then(|rest| rest.rsplit_once(';'));
            let parts = parts.filter(|(uri, id)| !uri.is_empty() && is_identifier(id));
            let said = || {
                Said::new(
                    "\"nsu=<namespace URI>;s=<text>\" or \";i=<number>\"",
                    " \"nsu=<命名空间 URI>;s=<文本>\" 或 \";i=<数字>\"",
                )
            };
            parts.map(|(uri, id)| (uri.to_owned(), id.to_owned())).ok_or_else(said)
        });
        let any = |t: &str| if t.is_empty() { Err(Said::new("a text", "文本")) } else { Ok(t.to_owned()) };
        let namespace = self.reader.text(table, "namespace", any);
        let id_said = || Said::new("\"s=<text>\" or \"i=<number>\"", " \"s=<文本>\" 或 \"i=<数字>\"");
        let identifier =
            self.reader.text(table, "identifier", |t| if is_identifier(t) { Ok(t.to_owned()) } else { Err(id_said()) });
        let place = match (node, namespace, identifier) {
            (Some(node), None, None) => Some(node.value),
            (None, Some(namespace), Some(identifier)) => Some((namespace.value, identifier.value)),
            (None, None, None) => {
                self.reader.missing(table, "node", Said::new("a node \"nsu=…;s=…\"", "节点 \"nsu=…;s=…\""));
                None
            }
            _ => {
                let allowed = Said::new(
                    "either `node`, or `namespace` and `identifier`",
                    "写 `node`，或写 `namespace` 与 `identifier`",
                );
                self.reader.invalid(table.span(), &table.path("node"), "a mixture", allowed);
                None
            }
        };
        let data_type = self.reader.text(table, "type", |t| one_of(t, &OPC_UA_TYPES));
        self.reader.missing(table, "type", choices(&OPC_UA_TYPES));
        let sampling = self.reader.duration(table, "sampling_interval", MILLI..=60 * SECOND);
        let sampling = sampling.map_or(default_sampling, |f| nanos(f.value));
        let queue_size = self.reader.integer(table, "queue_size", 1..=10_000);
        let common = self.common(table, data_type.as_ref().map(|f| f.value));
        self.reader.finish(table);
        let (namespace, identifier) = place?;
        let fill = publishing.as_nanos().div_ceil(sampling.as_nanos().max(1)) + 1;
        let fill = u32::try_from(fill).unwrap_or(u32::MAX).min(10_000);
        Some(OpcUaTag {
            name: name?,
            namespace,
            identifier,
            data_type: data_type?.value,
            sampling_interval: sampling,
            queue_size: queue_size.and_then(|f| u32::try_from(f.value).ok()).unwrap_or(fill),
            common: common?,
        })
    }

    fn tag_name(&mut self, table: &mut Table<'_, 'i>) -> Option<TagName> {
        let name = self.reader.text(table, "name", |t| t.parse().map_err(|e: IdError| id_said(&e)));
        self.reader.missing(table, "name", Said::new("a name \"work_unit/tag\"", "名称 \"设备/点位\""));
        let found: Found<TagName> = name?;
        let written = found.value.to_string();
        let at = self.reader.position(found.span.start);
        if let Some(first) = self.tags.get(&written).copied() {
            let kind = ProblemKind::Duplicate { found: written, first };
            self.reader.problem(found.span, &table.path("name"), kind);
        } else {
            self.tags.insert(written, at);
        }
        Some(found.value)
    }

    fn common(&mut self, table: &mut Table<'_, 'i>, data_type: Option<DataType>) -> Option<Common> {
        let number = |text: &str| {
            let said =
                || Said::new("a number in quotes such as \"0.01\" or \"1/3\"", "带引号的数，如 \"0.01\" 或 \"1/3\"");
            Rational::parse(text).ok_or_else(said)
        };
        let scale = self.reader.text(table, "scale", number);
        let negative = self.reader.flag(table, "allow_negative_scale");
        let offset = self.reader.text(table, "offset", number);
        let unit = self.reader.text(table, "unit", |t| Ok(t.to_owned()));
        let section = self.reader.text(table, "section", |t| t.parse::<SectionName>().map_err(|_| section_said()));
        self.reader.missing(table, "section", section_said());
        if let Some(found) = &scale {
            let written = self.reader.written(found.span.clone());
            let key = table.path("scale");
            if found.value == Rational::ZERO {
                let allowed = Said::new("a number other than zero", "非零的数");
                self.reader.invalid(found.span.clone(), &key, &written, allowed);
            } else if found.value < Rational::ZERO && !negative {
                let allowed = Said::new(
                    "a positive number, or `allow_negative_scale = true` beside it",
                    "正数，或在旁边写明 `allow_negative_scale = true`",
                );
                self.reader.invalid(found.span.clone(), &key, &written, allowed);
            }
            if matches!(data_type, Some(DataType::Bool | DataType::Text)) {
                let allowed = Said::new("no scale for a bool or a text", "bool 与 text 不设 scale");
                self.reader.invalid(found.span.clone(), &key, &written, allowed);
            }
        }
        Some(Common {
            scale: scale.map_or(Rational::integer(1), |f| f.value),
            offset: offset.map_or(Rational::ZERO, |f| f.value),
            unit: unit.map(|f| f.value).unwrap_or_default(),
            section: section?.value,
        })
    }
}
