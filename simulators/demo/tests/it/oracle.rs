//! The kill test's oracle: what stood on the agent's disk, read from copies of its files, never by the agent's queue.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::queue::journal;
use agent::source::Reading;
use sha2::{Digest as _, Sha256};
use shopfloor::register_map::RegisterMap;
use shopfloor::wire::block;
use shopfloor::wire::section::{Group, Raw};

/// (tag, instant of the scan): one reading.
pub type Scan = (String, i64);

/// What was seen.
#[derive(Default)]
pub struct Oracle {
    pub seen: BTreeMap<Scan, u64>,
    /// Readings that stood there with two values.
    pub contradictions: u64,
    pub copies: u64,
    /// Journal rows in all copies.
    pub journal_rows: u64,
    pub phases: BTreeMap<&'static str, u64>,
}

/// What a copy of the agent's files holds, beside readings.
pub struct Look {
    /// Rows of the journal that are in no block yet.
    pub journal_rows: u64,
    pub next_sequence: u64,
    pub acknowledged: u64,
    pub queued: BTreeSet<u64>,
}

impl Oracle {
    fn add(&mut self, tag: &str, at: i64, words: u64) {
        if let Some(before) = self.seen.insert((tag.to_owned(), at), words)
            && before != words
        {
            self.contradictions += 1;
        }
    }

    /// Reads a copy of the agent's database with the library, and a copy of its journal as decision 0006 describes it.
    pub fn read(&mut self, copy: &Path, journal: &[u8]) -> Look {
        self.copies += 1;
        let db = rusqlite::Connection::open(copy).unwrap();
        let mut maps: BTreeMap<Vec<u8>, RegisterMap> = BTreeMap::new();
        let mut statement = db.prepare("SELECT hash, bytes FROM register_map").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let bytes: Vec<u8> = row.get(1).unwrap();
            maps.insert(row.get(0).unwrap(), RegisterMap::decode(&bytes).unwrap());
        }
        let through: i64 = db.query_row("SELECT journaled_through FROM state", [], |row| row.get(0)).unwrap();
        let mut journal_rows = 0;
        for (number, hash, bytes) in records(journal) {
            // Rows that are in blocks are readings too, which must come out just the same.
            journal_rows += u64::from(number > through);
            self.journal_rows += 1;
            self.journal(&maps[hash], bytes);
        }
        let mut queued = BTreeSet::new();
        let mut statement = db.prepare("SELECT sequence, config_hash, bytes FROM block").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (sequence, hash, bytes): (i64, Vec<u8>, Vec<u8>) =
                (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
            queued.insert(sequence.cast_unsigned());
            self.block(&maps[&hash], &bytes);
        }
        let (next, acknowledged): (i64, i64) = db
            .query_row("SELECT next_sequence, acknowledged FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let (next_sequence, acknowledged) = (next.cast_unsigned(), acknowledged.cast_unsigned());
        Look { journal_rows, next_sequence, acknowledged, queued }
    }

    fn journal(&mut self, map: &RegisterMap, bytes: &[u8]) {
        for reading in journal::decode(bytes).expect("a committed journal row is whole") {
            if let Reading::Scan { group, response, words, .. } = reading {
                let tags = map.tags.iter().filter(|tag| tag.group == group);
                for (tag, words) in tags.zip(words) {
                    self.add(&tag.name.to_string(), response, words);
                }
            }
        }
    }

    fn block(&mut self, map: &RegisterMap, bytes: &[u8]) {
        let opened = block::open(bytes, &block::Limits::default()).expect("a queued block is whole");
        for (_, group) in opened.groups().expect("its sections are whole") {
            let Group::Scan(scan) = group else { continue };
            for column in &scan.columns {
                let bad: BTreeSet<u32> = column.exceptions.iter().map(|(row, _)| *row).collect();
                let name = map.tags[usize::from(column.tag)].name.to_string();
                for (row, (at, raw)) in scan.response.iter().zip(&column.values).enumerate() {
                    if let Raw::Bits(words) = raw
                        && !bad.contains(&(row as u32))
                    {
                        self.add(&name, *at, *words);
                    }
                }
            }
        }
    }
}

/// Number, hash of the register map and readings of every whole record from the beginning of a journal.
///
/// A copy of a running agent's file may end in the middle of a record: what stands before it is read.
fn records(file: &[u8]) -> Vec<(i64, &[u8], &[u8])> {
    assert_eq!(file.get(..8), Some(b"PLJRNL\0\x01".as_slice()), "a journal of version 1");
    let mut rest = &file[8..];
    let mut found: Vec<(i64, &[u8], &[u8])> = Vec::new();
    while rest.starts_with(b"PLJr") {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let number = i64::from_le_bytes(rest[8..16].try_into().unwrap());
        let (Some(body), Some(checksum)) = (rest.get(..56 + length), rest.get(56 + length..64 + length)) else { break };
        let follows = found.last().is_none_or(|before| before.0 + 1 == number);
        if !follows || Sha256::digest(body)[..8] != *checksum {
            break;
        }
        found.push((number, &body[24..56], &body[56..]));
        rest = &rest[64 + length..];
    }
    found
}
