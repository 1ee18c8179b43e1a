//! Builds `docs/vectors/blocks.json`: blocks, control messages and a register map with everything a reader must find
//! in them, and bad ones with the reason for which it must refuse them. Shared by a test and `examples/vectors.rs`.

use serde_json::{Value, json};
use shopfloor::hash::{Hash, hex};
use shopfloor::register_map::{
    Area, DataType, GroupEntry, GroupKind, Origin, Place, Protocol, RegisterMap, SourceAuth, SourceEntry, TagEntry,
    WordOrder,
};
use shopfloor::sample::StatusCode;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::unit::Rational;
use shopfloor::wire::block::{PAYLOAD_TYPE, PREAMBLE_BYTES, Sealed, seal};
use shopfloor::wire::control::{Ack, Birth, Down, Refused, Status};
use shopfloor::wire::header::{ClockState, FORMAT, GapKind, GapRecord, Header, Marks};
use shopfloor::wire::section::{
    self, EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup, SectionName,
};
use shopfloor::wire::sign::SecretKey;

/// 2026-11-25T00:00:00Z.
const START: i64 = 1_795_564_800 * SECOND;

fn agent_key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn collector_key() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

/// The file as it stands in docs/vectors.
pub fn text() -> String {
    let good = good_blocks();
    let blocks: Vec<Value> = good.iter().map(|(name, sealed, groups)| block_json(name, sealed, groups)).collect();
    file([
        ("keys", vec![keys()]),
        ("register_maps", vec![json!({"hex": hex(&map().encode()), "hash": map().hash(), "tags": tags_json(&map())})]),
        ("blocks", blocks),
        ("bad_blocks", bad_blocks(&good[1].1)),
        ("controls", controls()),
        ("bad_controls", bad_controls()),
    ])
}

fn keys() -> Value {
    json!({
        "agent": {"seed": hex(&agent_key().seed()), "public": agent_key().public().to_string()},
        "collector": {"seed": hex(&collector_key().seed()), "public": collector_key().public().to_string()},
    })
}

fn file(parts: [(&str, Vec<Value>); 6]) -> String {
    let lines = parts.map(|(name, values)| {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        format!("\"{name}\": [\n{}\n]", values.join(",\n"))
    });
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn map() -> RegisterMap {
    let tag = |name: &str, group, section, place, data_type| TagEntry {
        name: name.parse().expect("a tag name"),
        group,
        section,
        place,
        data_type,
        word_order: None,
        scale: Rational::ONE,
        offset: Rational::ZERO,
        unit: String::new(),
        origin: Origin::Device,
    };
    let holding = |address, words, bit| Place::Modbus { unit: 1, area: Area::Holding, address, words, bit };
    let node = |identifier: &str| Place::OpcUa { namespace: "urn:mould".to_owned(), identifier: identifier.to_owned() };
    let source = |id: &str, protocol, endpoint: &str, auth| SourceEntry {
        id: id.parse().expect("an id"),
        protocol,
        endpoint: endpoint.to_owned(),
        auth,
    };
    RegisterMap {
        site: "ningbo-bearing".parse().expect("an id"),
        agent: "line-1".parse().expect("an id"),
        sources: vec![
            source("plc", Protocol::ModbusTcp, "10.0.0.7:502", SourceAuth::Unauthenticated),
            source("mould", Protocol::OpcUa, "opc.tcp://10.0.0.8:4840", SourceAuth::Simulated),
        ],
        groups: vec![
            GroupEntry { source: 0, kind: GroupKind::Scan { interval: SECOND }, stale_after: 3 * SECOND },
            GroupEntry {
                source: 1,
                kind: GroupKind::Event { publishing: SECOND, sampling: SECOND / 4 },
                stale_after: 30 * SECOND,
            },
        ],
        tags: vec![
            tag("grinder-01/state", 0, SectionName::kpi(), holding(0, 1, None), DataType::U16),
            TagEntry {
                word_order: Some(WordOrder::Cdab),
                scale: Rational::new(1, 100).expect("a fraction"),
                unit: "kWh".to_owned(),
                ..tag("grinder-01/energy", 0, SectionName::kpi(), holding(1, 2, None), DataType::U32)
            },
            tag("grinder-01/temperature", 0, SectionName::process(), holding(3, 1, None), DataType::I16),
            tag("grinder-01/door", 0, SectionName::process(), holding(4, 1, Some(3)), DataType::Bool),
            tag("mould-01/mode", 1, SectionName::kpi(), node("s=Mode"), DataType::Text),
            TagEntry {
                origin: Origin::Simulated,
                offset: Rational::new(-1, 3).expect("a fraction"),
                ..tag("mould-01/pressure", 1, SectionName::process(), node("s=Pressure"), DataType::F64)
            },
        ],
    }
}

fn tags_json(map: &RegisterMap) -> Vec<Value> {
    let words = |place: &Place| match place {
        Place::Modbus { words, .. } => json!(words),
        Place::OpcUa { .. } => Value::Null,
    };
    map.tags.iter().map(|tag| json!([tag.name.to_string(), tag.group, words(&tag.place)])).collect()
}

fn draft(sequence: u64, prev_block_hash: Hash) -> Header {
    let start = Timestamp::from_nanos(START + 10 * SECOND * i64::try_from(sequence - 1).expect("a small number"));
    Header {
        format: FORMAT,
        site: map().site,
        agent: map().agent,
        epoch: 1,
        sequence,
        prev_block_hash,
        config_hash: map().hash(),
        plan_hash: None,
        software: "plumbline-agent 0.0.0".to_owned(),
        boot_id: [7; 16],
        window: Interval { start, end: start.plus(10 * SECOND) },
        monotonic: (1_000_000_000 * sequence, 1_000_000_000 * sequence + 10_000_000_000),
        clock: ClockState { synced: None, offset: None, uncertainty: None, stepped: 0 },
        first_sample: 1,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: [].into(),
        gaps: Vec::new(),
        marks: Marks::default(),
        sections: Vec::new(),
    }
}

type Sections = Vec<(SectionName, Vec<Group>)>;

fn good_blocks() -> Vec<(&'static str, Sealed, Sections)> {
    let mut blocks: Vec<(&str, Sealed, Sections)> = Vec::new();
    let mut add = |name, change: &dyn Fn(&mut Header), sections: Sections| {
        let (sequence, prev) =
            blocks.last().map_or((1, Hash::ZERO), |(_, last, _)| (last.header.sequence + 1, last.hash));
        let mut header = draft(sequence, prev);
        if let Some((_, last, _)) = blocks.last() {
            header.first_sample = last.header.first_sample + last.header.sample_count;
        }
        change(&mut header);
        let sealed = seal(header, &sections, &agent_key()).expect("the vectors are in bounds");
        blocks.push((name, sealed, sections));
    };
    add("an empty first block", &|_| (), vec![]);
    add("scans, with exceptions, in two sections", &|_| (), scans());
    add("notifications, with a restatement", &|_| (), notifications());
    add("every optional header field", &every_field, vec![]);
    blocks
}

fn every_field(header: &mut Header) {
    header.plan_hash = Some(Hash::of(b"plan"));
    header.clock = ClockState {
        synced: Some(false),
        offset: Some(-5_000_000),
        uncertainty: Some(250_000_000),
        stepped: -3_600_000_000_000,
    };
    header.drops = [("journal_full".to_owned(), 12), ("queue".to_owned(), 3)].into();
    header.marks = Marks { demo_key: true, insecure_mqtt: true, insecure_opcua: true, simulated: true };
    let interval = Interval { start: Timestamp::from_nanos(START), end: Timestamp::from_nanos(START + SECOND) };
    let gap = |kind, sequences, interval, last_block_hash, detail: &str| GapRecord {
        kind,
        sequences,
        interval,
        last_block_hash,
        detail: detail.to_owned(),
    };
    header.gaps = vec![
        gap(GapKind::Evicted, Some((1, 2)), Some(interval), Some(Hash::of(b"block 2")), ""),
        gap(GapKind::AgentDown, None, Some(interval), None, "power cut"),
        gap(GapKind::Restored, Some((3, 3)), None, None, "log index 7 of plumbline.example/old"),
    ];
}

fn bits(values: &[u64]) -> Vec<Raw> {
    values.iter().copied().map(Raw::Bits).collect()
}

fn scans() -> Sections {
    let request: Vec<i64> = (0..6).map(|row| START + 10 * SECOND + row * SECOND + 1_000_000).collect();
    let response: Vec<i64> = (0..).zip(&request).map(|(row, time)| time + 2_000_000 + row * 7_000).collect();
    let column = |tag, values: &[u64], exceptions: &[(u32, StatusCode)]| ScanColumn {
        tag,
        values: bits(values),
        exceptions: exceptions.to_vec(),
    };
    let group = |columns| {
        let (request, response) = (request.clone(), response.clone());
        Group::Scan(ScanGroup { group: 0, request, response, columns })
    };
    let timeout = [(2, StatusCode::BAD_TIMEOUT), (3, StatusCode::BAD_TIMEOUT)];
    let doubtful = [(1, StatusCode::UNCERTAIN), (5, StatusCode::BAD_DEVICE_FAILURE)];
    let kpi = vec![group(vec![
        column(0, &[3, 3, 0, 0, 3, 3], &timeout),
        column(1, &[0xffff_fffe, 0xffff_ffff, 0, 0, 1, 0x0001_0000], &timeout),
    ])];
    let wide = [u64::MAX, 0, 1 << 63, (1 << 63) - 1, 5, 0];
    let process = vec![
        group(vec![column(2, &[0xffff, 1, 0, 0, 0xfffe, 0], &[timeout[0], timeout[1], (5, StatusCode::BAD)])]),
        group(vec![column(3, &[8, 0, 8, 8, 8, 0], &doubtful), column(300, &wide, &[(5, StatusCode::BAD)])]),
    ];
    vec![(SectionName::kpi(), kpi), (SectionName::process(), process)]
}

fn notifications() -> Sections {
    let start = START + 20 * SECOND;
    let life: Vec<i64> = (0..10).map(|sign| start + sign * SECOND + 300).collect();
    let row = |source: Option<i64>, server: Option<i64>, observed, status, value| EventRow {
        source_time: source.map(|time| start + time),
        server_time: server.map(|time| start + time),
        observed_time: start + observed,
        status,
        value,
    };
    let text = |text: &str| Some(Raw::Text(text.to_owned()));
    let float = |value: f64| Some(Raw::Bits(value.to_bits()));
    let mode = vec![
        row(Some(-7_200 * SECOND), Some(-7_200 * SECOND + 100), -7_200 * SECOND + 400, StatusCode::GOOD, text("自动")),
        row(Some(2 * SECOND), Some(2 * SECOND + 100), 2 * SECOND + 300, StatusCode::GOOD, text("手动")),
        row(None, None, 4 * SECOND + 300, StatusCode::UNCERTAIN, text("自动")),
    ];
    let pressure = vec![
        row(Some(0), Some(100), 300, StatusCode::GOOD, float(12.5)),
        row(Some(SECOND), None, SECOND + 300, StatusCode::GOOD, float(-0.0)),
        row(Some(SECOND), None, SECOND + 301, StatusCode::GOOD, None),
        row(Some(9 * SECOND), Some(9 * SECOND), 9 * SECOND + 300, StatusCode::BAD_SUBSCRIPTION_LOST, None),
    ];
    let group = |life: &Vec<i64>, tag, rows| {
        let columns = vec![EventColumn { tag, rows }, EventColumn { tag: tag + 10, rows: vec![] }];
        Group::Event(EventGroup { group: 1, life: life.clone(), columns })
    };
    vec![(SectionName::kpi(), vec![group(&life, 4, mode)]), (SectionName::process(), vec![group(&life, 5, pressure)])]
}

fn block_json(name: &str, sealed: &Sealed, sections: &Sections) -> Value {
    let groups =
        sections.iter().flat_map(|(section, groups)| groups.iter().map(move |group| group_json(section, group)));
    json!({
        "name": name,
        "hex": hex(&sealed.bytes),
        "hash": sealed.hash,
        "header": header_json(&sealed.header),
        "groups": groups.collect::<Vec<_>>(),
    })
}

fn interval_json(interval: Interval) -> Value {
    json!([interval.start.as_nanos(), interval.end.as_nanos()])
}

fn header_json(header: &Header) -> Value {
    let gap = |gap: &GapRecord| {
        json!({
            "kind": gap.kind.as_str(),
            "sequences": gap.sequences,
            "interval": gap.interval.map(interval_json),
            "last_block_hash": gap.last_block_hash,
            "detail": gap.detail,
        })
    };
    let section = |entry: &shopfloor::wire::header::SectionEntry| json!({"name": entry.name.as_str(), "bytes": entry.bytes, "inflated_bytes": entry.inflated_bytes, "hash": entry.hash});
    let clock = header.clock;
    json!({
        "format": header.format,
        "site": header.site,
        "agent": header.agent,
        "epoch": header.epoch,
        "sequence": header.sequence,
        "prev_block_hash": header.prev_block_hash,
        "config_hash": header.config_hash,
        "plan_hash": header.plan_hash,
        "software": header.software,
        "boot_id": hex(&header.boot_id),
        "window": interval_json(header.window),
        "monotonic": [header.monotonic.0, header.monotonic.1],
        "clock": [clock.synced, clock.offset, clock.uncertainty, clock.stepped],
        "first_sample": header.first_sample,
        "sample_count": header.sample_count,
        "quality_counts": header.quality_counts,
        "drops": header.drops,
        "gaps": header.gaps.iter().map(gap).collect::<Vec<_>>(),
        "marks": header.marks.names(),
        "sections": header.sections.iter().map(section).collect::<Vec<_>>(),
    })
}

fn raw_json(raw: &Raw) -> Value {
    match raw {
        Raw::Bits(bits) => json!(bits),
        Raw::Text(text) => json!(text),
    }
}

fn group_json(section: &SectionName, group: &Group) -> Value {
    match group {
        Group::Scan(scan) => {
            let columns = scan.columns.iter().map(|column| {
                let values: Vec<Value> = column.values.iter().map(raw_json).collect();
                let exceptions: Vec<_> = column.exceptions.iter().map(|(row, status)| (row, status.0)).collect();
                json!({"tag": column.tag, "values": values, "exceptions": exceptions})
            });
            json!({
                "section": section.as_str(), "kind": "scan", "group": scan.group,
                "request": scan.request, "response": scan.response, "columns": columns.collect::<Vec<_>>(),
            })
        }
        Group::Event(event) => {
            let row = |row: &EventRow| {
                let value = row.value.as_ref().map(raw_json);
                json!([row.source_time, row.server_time, row.observed_time, row.status.0, value])
            };
            let columns = event
                .columns
                .iter()
                .map(|column| json!({"tag": column.tag, "rows": column.rows.iter().map(row).collect::<Vec<_>>()}));
            json!({
                "section": section.as_str(), "kind": "event", "group": event.group,
                "life": event.life, "columns": columns.collect::<Vec<_>>(),
            })
        }
    }
}

/// A block of these parts, signed well whatever they are.
fn signed(header: &[u8], bodies: &[u8], key: &SecretKey) -> Vec<u8> {
    let mut bytes = b"PLB1".to_vec();
    bytes.extend_from_slice(&u32::try_from(header.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(header);
    let trailer = key.trailer(PAYLOAD_TYPE, &bytes);
    [&bytes[..], bodies, &trailer].concat()
}

fn bad_blocks(good: &Sealed) -> Vec<Value> {
    let length = good.header.encode().expect("sealed").len();
    let header = &good.bytes[PREAMBLE_BYTES..PREAMBLE_BYTES + length];
    let bodies = &good.bytes[PREAMBLE_BYTES + length..good.bytes.len() - 72];
    let key = agent_key();
    let resigned = |header: &[u8]| signed(header, bodies, &key);
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = good.header.clone();
        change(&mut header);
        resigned(&header.encode().expect("in bounds"))
    };
    let with_section = |plain: &[u8], declared: usize| {
        let body = section::deflate(plain);
        let mut header = good.header.clone();
        header.sections.truncate(1);
        header.sections[0].bytes = u32::try_from(body.len()).expect("short");
        header.sections[0].inflated_bytes = u32::try_from(declared).expect("short");
        header.sections[0].hash = Hash::of(&body);
        signed(&header.encode().expect("in bounds"), &body, &key)
    };
    let flipped = |place: usize| {
        let mut bytes = good.bytes.clone();
        bytes[place] ^= 1;
        bytes
    };
    let last = good.bytes.len() - 1;
    let cases = [
        ("of another format", "magic", flipped(3)),
        ("cut off", "short", good.bytes[..last].to_vec()),
        ("with a byte behind it", "trailing", [&good.bytes[..], &[0]].concat()),
        ("longer than 1 MiB", "too_big", vec![0; (1 << 20) + 1]),
        ("a header of indefinite length", "header", resigned(&[&[0xbf], &header[1..], &[0xff]].concat())),
        ("a number in two bytes that fits one", "header", resigned(&[&header[..2], &[0x18, 1], &header[3..]].concat())),
        ("a tagged number", "header", resigned(&[&header[..2], &[0xc1], &header[2..]].concat())),
        ("a byte behind the header", "header", resigned(&[header, &[0]].concat())),
        ("an unknown version", "header", resigned(&[&header[..2], &[2], &header[3..]].concat())),
        ("a key twice", "header", resigned(&[&[header[0] + 1, 1, 1], &header[1..]].concat())),
        ("a section with a changed byte", "section_hash", flipped(PREAMBLE_BYTES + length + 5)),
        ("a section that declares 4 GiB", "section", changed(&|header| header.sections[0].inflated_bytes = u32::MAX)),
        ("a section that inflates to more than it declares", "section", with_section(&[0; 9], 1)),
        ("a section with a byte behind its last group", "section", with_section(&[0, 0], 2)),
        ("a section of an unknown kind of group", "section", with_section(&[1, 9], 2)),
        (
            "counts that are not those of the sections",
            "counts",
            changed(&|header| {
                header.quality_counts[0] += 1;
                header.sample_count += 1;
            }),
        ),
        ("a forged signature", "signature", flipped(last)),
        ("a stranger's signature", "signature", signed(header, bodies, &collector_key())),
    ];
    let case = |(name, error, bytes): (&str, &str, Vec<u8>)| {
        // A block of zeros is not worth a megabyte of digits.
        if bytes.iter().all(|byte| *byte == 0) {
            return json!({"name": name, "error": error, "zeros": bytes.len()});
        }
        json!({"name": name, "error": error, "hex": hex(&bytes)})
    };
    cases.into_iter().map(case).collect()
}

fn ack() -> Ack {
    Ack {
        site: map().site,
        agent: map().agent,
        epoch: 1,
        contiguous: 41,
        beyond: vec![(43, 43), (50, 60)],
        refused: vec![Refused { sequence: 42, reason: "unknown format".to_owned() }],
        log_index: 977,
        log_origin: "plumbline.example/ningbo".to_owned(),
        sent_at: Timestamp::from_nanos(START),
    }
}

fn controls() -> Vec<Value> {
    let RegisterMap { site, agent, .. } = map();
    let sent_at = Timestamp::from_nanos(START);
    let common = json!({"site": site, "agent": agent, "sent_at": START});
    let case = |kind: &str, by: &str, bytes: Vec<u8>, own: Value| {
        let mut fields = common.clone();
        if let (Value::Object(fields), Value::Object(own)) = (&mut fields, own) {
            fields.extend(own);
        }
        json!({"kind": kind, "by": by, "hex": hex(&bytes), "fields": fields})
    };
    let birth = Birth {
        site: site.clone(),
        agent: agent.clone(),
        epoch: 1,
        register_map: map().encode(),
        software: "plumbline-agent 0.0.0".to_owned(),
        sent_at,
    };
    let status = Status { site: site.clone(), agent: agent.clone(), epoch: 1, online: false, sent_at };
    let request_birth = Down::RequestBirth { site: site.clone(), agent: agent.clone(), sent_at };
    let request_ranges = Down::RequestRanges { site, agent, epoch: 1, ranges: vec![(1, 9), (11, 11)], sent_at };
    let refused: Vec<_> = ack().refused.iter().map(|refused| json!([refused.sequence, refused.reason])).collect();
    let ack_fields = json!({
        "epoch": 1, "contiguous": 41, "beyond": ack().beyond, "refused": refused,
        "log_index": 977, "log_origin": ack().log_origin,
    });
    let (agent_key, collector_key) = (agent_key(), collector_key());
    vec![
        case(
            "birth",
            "agent",
            birth.encode(&agent_key),
            json!({
                "epoch": 1, "software": birth.software, "register_map": hex(&birth.register_map),
            }),
        ),
        case("status", "agent", status.encode(&agent_key), json!({"epoch": 1, "online": false})),
        case("ack", "collector", ack().encode(&collector_key), ack_fields),
        case("down", "collector", request_birth.encode(&collector_key), json!({"request": 1})),
        case(
            "down",
            "collector",
            request_ranges.encode(&collector_key),
            json!({
                "request": 2, "epoch": 1, "ranges": [[1, 9], [11, 11]],
            }),
        ),
    ]
}

fn bad_controls() -> Vec<Value> {
    let good = ack().encode(&collector_key());
    let mut forged = good.clone();
    forged[40] ^= 1;
    let crossed = Ack { beyond: vec![(50, 60), (43, 43)], ..ack() };
    let cases = [
        ("cut off", "form", good[..good.len() - 1].to_vec()),
        ("a changed byte", "signature", forged),
        ("an ack by the agent itself", "signature", ack().encode(&agent_key())),
        ("ranges out of order", "body", crossed.encode(&collector_key())),
    ];
    let case = |(name, error, bytes): (&str, &str, Vec<u8>)| json!({"name": name, "kind": "ack", "by": "collector", "error": error, "hex": hex(&bytes)});
    cases.into_iter().map(case).collect()
}

/// A file of the same form with a chain of blocks of any groups, for the readers to agree on.
#[allow(dead_code, reason = "the example that includes this file does not need it")]
pub fn chain_text(chain: Vec<(Vec<Group>, Vec<Group>)>) -> String {
    let mut prev = Hash::ZERO;
    let mut blocks = Vec::new();
    for (sequence, (kpi, process)) in (1..).zip(chain) {
        let sections = vec![(SectionName::kpi(), kpi), (SectionName::process(), process)];
        let sealed = seal(draft(sequence, prev), &sections, &agent_key()).expect("random groups are in bounds");
        prev = sealed.hash;
        blocks.push(block_json("random", &sealed, &sections));
    }
    let none = Vec::new;
    file([
        ("keys", vec![keys()]),
        ("register_maps", none()),
        ("blocks", blocks),
        ("bad_blocks", none()),
        ("controls", none()),
        ("bad_controls", none()),
    ])
}
