//! The measurement that settled the layout of a section: bytes per sample and processor time of several codings of
//! the same readings, each compressed as a whole.
//!
//! `cargo run --release -p shopfloor --example layout`. Signals are like the simulators': 100 tags, of which 40 are
//! slow analog values in quantised words, 20 counters, 10 states, 20 set-points and bits, 10 floats. The recordings
//! of `../shared/data` are used where they are present.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a bench looks at the clock and reads files")]
#![allow(clippy::print_stdout, reason = "a bench answers on stdout")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "signals and shares"
)]
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use shopfloor::hash::Hash;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::block::{Limits, open, seal};
use shopfloor::wire::column::{put_varint, zigzag};
use shopfloor::wire::header::{ClockState, FORMAT, Header, Marks};
use shopfloor::wire::section::{self, Group, Raw, ScanColumn, ScanGroup, SectionName};
use shopfloor::wire::sign::SecretKey;

const TAGS: usize = 100;
const START: i64 = 1_795_564_800 * SECOND;
const BLOCKS: u64 = 200;

/// A small generator of our own: the same numbers everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal with deviation 1: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// A tag's values in one block, and how wide its words are.
struct Column {
    width: u32,
    values: Vec<u64>,
}

/// Each tag keeps its own parameters over all blocks, so that blocks follow one another as in a real shift.
fn signals(block: u64, rows: usize) -> Vec<Column> {
    (0..TAGS).map(|tag| signal(tag, block, rows)).collect()
}

fn signal(tag: usize, block: u64, rows: usize) -> Column {
    let mut own = Random(tag as u64);
    let mut noise = Random(tag as u64 + 1000 * (block + 1));
    let (base, phase) = (own.uniform(), own.uniform() * 6.0);
    let seconds = |row: usize| (block * rows as u64 + row as u64) as f64;
    let analog = |amplitude: f64, deviation: f64, row: usize, noise: &mut Random| {
        200.0 + 2800.0 * base + amplitude * (seconds(row) / 300.0 + phase).sin() + deviation * noise.normal()
    };
    let (width, values) = match tag % 10 {
        kind @ 0..=3 => {
            let deviation = [0.3, 3.0, 5.0, 4.0][kind];
            (2, (0..rows).map(|row| analog(200.0, deviation, row, &mut noise) as u64 & 0xffff).collect())
        }
        4 => (4, (0..rows).map(|row| 10_000 + (seconds(row) / (4.0 + 26.0 * base)) as u64).collect()),
        5 => (4, (0..rows).map(|row| 100_000 + (seconds(row) * (0.2 + 2.8 * base)) as u64).collect()),
        6 => {
            let state = Random((seconds(0) / 300.0) as u64 + tag as u64).next() % 5;
            (2, vec![state; rows])
        }
        7 => (2, vec![100 + (3900.0 * base) as u64; rows]),
        8 => (1, vec![u64::from(base > 0.5); rows]),
        _ => {
            let quantised = |value: f64| ((value * 10.0).round() / 10.0) as f32;
            (4, (0..rows).map(|row| quantised(analog(5.0, 0.1, row, &mut noise)).to_bits().into()).collect())
        }
    };
    Column { width, values }
}

fn difference(before: u64, value: u64, width: u32) -> u64 {
    let shift = 64 - 8 * width;
    zigzag((value.wrapping_sub(before) << shift).cast_signed() >> shift)
}

fn differences(column: &Column) -> impl Iterator<Item = u64> + '_ {
    column.values.windows(2).map(|pair| difference(pair[0], pair[1], column.width))
}

fn fixed(bytes: &mut Vec<u8>, value: u64, width: u32) {
    bytes.extend_from_slice(&value.to_be_bytes()[8 - width as usize..]);
}

/// Fixed width, column after column.
fn raw(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        column.values.iter().for_each(|value| fixed(&mut bytes, *value, column.width));
    }
    bytes
}

/// Fixed width, row after row, as the device sent them.
fn rows(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 0..columns[0].values.len() {
        for column in columns {
            fixed(&mut bytes, column.values[row], column.width);
        }
    }
    bytes
}

/// The first bytes of all values of a column, then the second bytes, and so on.
fn planes(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        for plane in (0..column.width).rev() {
            bytes.extend(column.values.iter().map(|value| (value >> (8 * plane)) as u8));
        }
    }
    bytes
}

/// Byte planes of the zigzag differences.
fn difference_planes(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        fixed(&mut bytes, column.values[0], column.width);
        for plane in (0..column.width).rev() {
            bytes.extend(differences(column).map(|value| (value >> (8 * plane)) as u8));
        }
    }
    bytes
}

/// First value and zigzag differences as varints, column after column.
fn varints(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        put_varint(&mut bytes, column.values[0]);
        differences(column).for_each(|value| put_varint(&mut bytes, value));
    }
    bytes
}

/// The same of second differences.
fn second_differences(columns: &[Column]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for column in columns {
        put_varint(&mut bytes, column.values[0]);
        let mut before = 0;
        for pair in column.values.windows(2) {
            let step = pair[1].wrapping_sub(pair[0]);
            put_varint(&mut bytes, difference(before, step, column.width));
            before = step;
        }
    }
    bytes
}

/// What was chosen: codes of all columns, first values of all columns, differences of those that are not constant.
/// The times, which the other codings do not write here, are cut off.
fn chosen(columns: &[Column]) -> Vec<u8> {
    let encode = |columns: &[Column]| section::encode(&[scan(columns, false)]).expect("the columns fit together");
    let mut without = scan(columns, false);
    if let Group::Scan(scan) = &mut without {
        scan.columns.clear();
    }
    let times = section::encode(&[without]).expect("times alone fit together").len() - 1;
    encode(columns)[times..].to_vec()
}

fn scan(columns: &[Column], jitter: bool) -> Group {
    let rows = columns[0].values.len();
    let mut random = Random(rows as u64);
    let mut late = |most: f64| if jitter { (random.uniform() * most) as i64 * 1000 } else { 0 };
    let request: Vec<i64> = (0..rows as i64).map(|row| START + row * SECOND + late(400.0)).collect();
    let response = request.iter().map(|time| time + late(3000.0)).collect();
    let column = |(tag, column): (usize, &Column)| ScanColumn {
        tag: tag as u16,
        values: column.values.iter().copied().map(Raw::Bits).collect(),
        exceptions: Vec::new(),
    };
    Group::Scan(ScanGroup { group: 0, request, response, columns: columns.iter().enumerate().map(column).collect() })
}

fn deflated(bytes: &[u8], level: u8) -> usize {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, level).len()
}

type Coding = (&'static str, fn(&[Column]) -> Vec<u8>);
const CODINGS: [Coding; 7] = [
    ("fixed width, rows", rows),
    ("fixed width, columns", raw),
    ("byte planes", planes),
    ("byte planes of differences", difference_planes),
    ("varints of differences", varints),
    ("varints of second differences", second_differences),
    ("chosen (docs/wire-format.md)", chosen),
];

fn compare(title: &str, blocks: &[Vec<Column>]) {
    let samples: usize = blocks.iter().flatten().map(|column| column.values.len()).sum();
    println!("\n{title}: bytes per sample");
    println!("  {:<32} {:>8} {:>9} {:>9} {:>9}", "coding", "plain", "deflate 1", "deflate 6", "deflate 9");
    for (name, coding) in CODINGS {
        let coded: Vec<Vec<u8>> = blocks.iter().map(|block| coding(block)).collect();
        let share = |size: &dyn Fn(&Vec<u8>) -> usize| coded.iter().map(size).sum::<usize>() as f64 / samples as f64;
        let plain = share(&Vec::len);
        let [one, six, nine] = [1, 6, 9].map(|level| share(&|bytes| deflated(bytes, level)));
        println!("  {name:<32} {plain:>8.3} {one:>9.3} {six:>9.3} {nine:>9.3}");
    }
}

/// Columns of times with the jitter of a real poll, in µs: what each coding costs per scan.
fn compare_times() {
    let count = 10_000_i64;
    let mut random = Random(9);
    let times: Vec<i64> =
        (0..count).map(|row| START / 1000 + row * 1_000_000 + (random.normal() * 300.0) as i64).collect();
    let first = zigzag(times[0]);
    let step: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let codings: [(&str, Vec<u64>); 3] = [
        ("differences", step.iter().map(|step| zigzag(*step)).collect()),
        ("differences of differences", step.windows(2).map(|pair| zigzag(pair[1] - pair[0])).collect()),
        (
            "distance from a regular grid",
            (0..).zip(&times).map(|(row, time)| zigzag(time - times[0] - row * 1_000_000)).collect(),
        ),
    ];
    println!("\ntimes of a 1 s poll with a jitter of 0.3 ms, blocks of 10 scans: bytes per scan");
    for (name, numbers) in codings {
        let size = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, first);
            for number in numbers {
                put_varint(&mut bytes, *number);
            }
            deflated(&bytes, 6)
        };
        let total: usize = numbers.chunks(10).map(size).sum();
        println!("  {name:<32} {:>8.3}", total as f64 / count as f64);
    }
}

fn draft() -> Header {
    Header {
        format: FORMAT,
        site: "ningbo-bearing".parse().expect("an id"),
        agent: "line-1".parse().expect("an id"),
        epoch: 1,
        sequence: 777_600,
        prev_block_hash: Hash::of(b"the block before"),
        config_hash: Hash::of(b"register map"),
        plan_hash: None,
        software: "plumbline-agent 0.0.0".to_owned(),
        boot_id: [7; 16],
        window: Interval { start: Timestamp::from_nanos(START), end: Timestamp::from_nanos(START + 10 * SECOND) },
        monotonic: (7_776_000_123_456_789, 7_776_010_123_456_789),
        clock: ClockState { synced: Some(true), offset: Some(-123_456), uncertainty: Some(5_000_000), stepped: 0 },
        first_sample: 777_600_000,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: BTreeMap::new(),
        gaps: Vec::new(),
        marks: Marks { demo_key: true, simulated: true, ..Marks::default() },
        sections: Vec::new(),
    }
}

/// Whole blocks: eight read requests, two sections, header, signature, times with jitter.
fn sections(columns: &[Column]) -> Vec<(SectionName, Vec<Group>)> {
    let groups = |columns: &[Column]| columns.chunks(13).map(|part| scan(part, true)).collect();
    let (kpi, process) = columns.split_at(columns.len() * 4 / 10);
    vec![(SectionName::kpi(), groups(kpi)), (SectionName::process(), groups(process))]
}

fn whole_blocks(rows: usize) {
    let key = SecretKey::from_seed([1; 32]);
    let drafts: Vec<_> = (0..BLOCKS).map(|block| sections(&signals(block, rows))).collect();
    let start = Instant::now();
    let blocks: Vec<_> = drafts.iter().map(|draft_of| seal(draft(), draft_of, &key).expect("in bounds")).collect();
    let sealing = start.elapsed();
    let (mut opening, mut decoding) = (0.0, 0.0);
    for block in &blocks {
        let start = Instant::now();
        let opened = open(&block.bytes, &Limits::default()).expect("sealed a moment ago");
        opened.verify(&key.public()).expect("sealed a moment ago");
        opening += start.elapsed().as_secs_f64();
        let start = Instant::now();
        assert_eq!(opened.groups().expect("sealed a moment ago").len(), 9);
        decoding += start.elapsed().as_secs_f64();
    }
    let samples = (blocks.len() * rows * TAGS) as f64;
    let size: usize = blocks.iter().map(|block| block.bytes.len()).sum();
    let bodies: u32 = blocks.iter().flat_map(|block| &block.header.sections).map(|section| section.bytes).sum();
    let frame = (size - bodies as usize) / blocks.len();
    println!("\nwhole blocks of {rows} s, 100 tags at 1 Hz in 8 requests:");
    println!(
        "  {:.3} B/sample in all; header and trailer {frame} B of {} B",
        size as f64 / samples,
        size / blocks.len()
    );
    let per_million = |seconds: f64| seconds / samples * 1e6;
    println!("  seal {:.3} CPU-s/M", per_million(sealing.as_secs_f64()));
    println!("  open and verify {:.3}, decode {:.3} CPU-s/M", per_million(opening), per_million(decoding));
}

fn levels() {
    let coded: Vec<Vec<u8>> = (0..BLOCKS).map(|block| chosen(&signals(block, 10))).collect();
    let samples = (coded.len() * 10 * TAGS) as f64;
    println!("\ndeflate level on the chosen coding, 10 s blocks:");
    for level in 1..=9 {
        let start = Instant::now();
        let size: usize = coded.iter().map(|bytes| deflated(bytes, level)).sum();
        let seconds = start.elapsed().as_secs_f64();
        println!("  level {level}: {:.3} B/sample, {:.3} CPU-s/M", size as f64 / samples, seconds / samples * 1e6);
    }
}

fn recording(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("\nskipped: no recordings ({name})");
    }
    text
}

/// A column of readings as words: the least decimal scale that makes all of them whole.
fn quantised(texts: &[&str]) -> Option<Column> {
    let decimals = texts.iter().map(|text| text.split_once('.').map_or(0, |(_, part)| part.len())).max()?;
    let scale = 10_f64.powi(decimals.min(4) as i32);
    let values = texts.iter().map(|text| text.parse::<f64>().ok().map(|value| (value * scale).round() as i64));
    let values: Vec<i64> = values.collect::<Option<_>>()?;
    let values = values.into_iter().map(|value| value.cast_unsigned() & 0xffff_ffff).collect();
    Some(Column { width: 4, values })
}

fn steel(rows: usize) {
    let Some(text) = recording("steel-industry-energy.csv") else { return };
    let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let columns = |chunk: &[Vec<&str>]| {
        let column = |field| quantised(&chunk.iter().map(|line| line[field]).collect::<Vec<_>>());
        (1..7).filter_map(column).collect()
    };
    let blocks: Vec<Vec<Column>> = lines.chunks_exact(rows).map(columns).collect();
    compare(&format!("steel works, 6 quantities, blocks of {rows} readings"), &blocks);
}

fn okuma(rows: usize) {
    let Some(text) = recording("okuma-multus-2022-08-08.shdr.txt") else { return };
    let mut readings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').skip(1).collect();
        for pair in fields.chunks_exact(2).filter(|pair| pair[1].parse::<f64>().is_ok()) {
            readings.entry(pair[0]).or_default().push(pair[1]);
        }
    }
    let most = readings.values().map(Vec::len).max().unwrap_or(0) / rows;
    let blocks: Vec<Vec<Column>> = (0..most)
        .map(|block| {
            let chunk = |texts: &Vec<&str>| quantised(texts.get(block * rows..(block + 1) * rows)?);
            readings.values().filter_map(chunk).collect::<Vec<_>>()
        })
        .take_while(|columns| !columns.is_empty())
        .collect();
    compare(&format!("Okuma MULTUS, numbers as they changed, blocks of {rows}"), &blocks);
}

fn main() {
    for rows in [5, 10, 60] {
        let blocks: Vec<Vec<Column>> = (0..BLOCKS).map(|block| signals(block, rows)).collect();
        compare(&format!("100 tags at 1 Hz, blocks of {rows} s"), &blocks);
    }
    steel(10);
    steel(60);
    okuma(10);
    okuma(60);
    compare_times();
    levels();
    [5, 10, 60].into_iter().for_each(whole_blocks);
}
