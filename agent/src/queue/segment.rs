//! The journal's file: readings that are not in a block yet, one record for each commit.
//!
//! The layout is docs/decisions/0006. The file is written once with zeros when it is made and then in laps: records
//! follow one another from the beginning, and when the newest of them is in a block that the database keeps, the next
//! one begins at the beginning again. So a commit is one write into space that the file has already, past the page
//! cache where the file system allows it, and one `fdatasync` that finds nothing else to write. Nothing is ever erased: the database says up to which number records
//! are in blocks, the numbers go on from lap to lap, and what is left of an older lap has lower ones.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use shopfloor::hash::Hash;
use shopfloor::time::Timestamp;

use super::QueueError;

/// Name of the file in the agent's state directory.
pub const FILE: &str = "readings.journal";
/// The form of the file that this program reads and writes.
pub const VERSION: u8 = 1;
/// What the file begins with; the version follows.
const FAMILY: &[u8; 7] = b"PLJRNL\0";
const PREAMBLE: usize = 8;
/// Writes begin and end at multiples of this, as writes past the page cache must.
const ALIGNED: usize = 4096;
/// Bytes that are allocated beforehand; a lap that needs more makes the file longer until the next lap.
const SIZE: usize = 512 << 10;

const RECORD: &[u8; 4] = b"PLJr";
/// Mark, length, number, instant, hash of the register map.
const HEAD: usize = 4 + 4 + 8 + 8 + 32;
const CHECKSUM: usize = 8;
const END: &[u8; 4] = b"PLJe";
const END_MARK: usize = 4 + 8 + CHECKSUM;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its number, one more than that of the record before.
    pub(super) number: i64,
    /// When it was committed.
    pub(super) at: Timestamp,
    /// Register map of the readings.
    pub(super) config_hash: Hash,
    /// Readings in the journal's form.
    pub(super) bytes: Vec<u8>,
}

impl Record {
    /// Appends the record and the mark of the file's end behind it.
    fn encode(number: i64, at: Timestamp, config_hash: Hash, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("more than 4 GiB of readings"))?;
        let start = out.len();
        out.extend(RECORD);
        out.extend(length.to_le_bytes());
        out.extend(number.to_le_bytes());
        out.extend(at.as_nanos().to_le_bytes());
        out.extend(config_hash.0);
        out.extend(bytes);
        seal(start, out);
        end_mark(number, out);
        Ok(())
    }

    /// The record that `bytes` begin with, and its length; `None` if they begin with none that is whole.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        if !head.starts_with(RECORD) {
            return None;
        }
        let length = usize::try_from(u32::from_le_bytes(*head[4..].first_chunk()?)).ok()?;
        let payload = rest.get(..length)?;
        let whole = HEAD.checked_add(length)?;
        if !checked(bytes, whole) {
            return None;
        }
        let number = i64::from_le_bytes(*head[8..].first_chunk()?);
        let at = Timestamp::from_nanos(i64::from_le_bytes(*head[16..].first_chunk()?));
        let config_hash = Hash::from_slice(&head[24..HEAD])?;
        Some((Self { number, at, config_hash, bytes: payload.to_vec() }, whole + CHECKSUM))
    }
}

fn end_mark(number: i64, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(END);
    out.extend(number.to_le_bytes());
    seal(start, out);
}

/// The number in the end mark that `bytes` begin with.
fn decode_end(bytes: &[u8]) -> Option<i64> {
    let head = bytes.get(..END_MARK - CHECKSUM)?;
    let whole = head.starts_with(END) && checked(bytes, head.len());
    whole.then_some(i64::from_le_bytes(*head[4..].first_chunk()?))
}

/// Appends the checksum of what was appended since `start`.
fn seal(start: usize, out: &mut Vec<u8>) {
    let checksum = Hash::of(&out[start..]).0;
    out.extend(&checksum[..CHECKSUM]);
}

/// Whether the first `length` bytes are followed by their checksum.
fn checked(bytes: &[u8], length: usize) -> bool {
    let found = bytes.get(length..length + CHECKSUM);
    found.is_some_and(|found| *found == Hash::of(&bytes[..length]).0[..CHECKSUM])
}

/// What stands in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lap {
    /// Records that are whole and in no block yet, oldest first.
    pub(super) records: Vec<Record>,
    /// Records that are damaged, or were begun when the power went.
    pub(super) damaged: u64,
    /// The highest number of a whole record of this lap, in a block or not.
    last: i64,
    /// Where the next record goes.
    end: usize,
}

/// Reads a file whose records up to `through` are in blocks.
fn parse(file: &[u8], through: i64) -> Lap {
    let mut lap = Lap { end: PREAMBLE, ..Lap::default() };
    let mut before: Option<i64> = None;
    loop {
        let rest = file.get(lap.end..).unwrap_or_default();
        let next = Record::decode(rest).filter(|(record, _)| before.is_none_or(|number| record.number == number + 1));
        let (record, length) = match next {
            Some(found) => found,
            None if decode_end(rest).is_some_and(|number| before.is_none_or(|before| before == number)) => return lap,
            None => {
                let known = before.unwrap_or(through);
                let Some((skipped, record, length)) = find_after(rest, known) else {
                    // Behind records that are all in blocks there is nothing to lose: the next lap begins in front.
                    lap.damaged += u64::from(before.is_none_or(|number| number > through));
                    return lap;
                };
                let lost = record.number - 1 - known.max(through);
                lap.damaged += u64::try_from(lost).unwrap_or(0);
                lap.end += skipped;
                (record, length)
            }
        };
        lap.end += length;
        before = Some(record.number);
        lap.last = lap.last.max(record.number);
        if record.number > through {
            lap.records.push(record);
        }
    }
}

/// The next whole record with a higher number than `known`: bytes before it, itself, its length.
fn find_after(bytes: &[u8], known: i64) -> Option<(usize, Record, usize)> {
    (0..bytes.len()).filter(|at| bytes[*at..].starts_with(RECORD)).find_map(|at| {
        let (record, length) = Record::decode(&bytes[at..])?;
        (record.number > known).then_some((at, record, length))
    })
}

/// The file.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// `None` after a write that failed: it is opened afresh for the next one.
    file: Option<File>,
    size: usize,
    end: usize,
    last: i64,
    last_at: Option<Timestamp>,
    /// Damage stands in the file that was told once and is to be told no more when the next lap begins.
    damaged: bool,
    /// Register maps of the records of this lap.
    maps: BTreeSet<Hash>,
    /// What stands in front of `end` in the same `ALIGNED` bytes.
    tail: Vec<u8>,
    page: Page,
}

impl Segment {
    /// Opens or makes the file in `directory`; records up to `through` are in blocks.
    /// Errors: a file of another version, which is left as it is; a directory that cannot be written.
    pub(super) fn open(directory: &Path, through: i64) -> Result<(Self, Lap), QueueError> {
        let path = directory.join(FILE);
        if !path.exists() {
            make(directory, &path, through)?;
        }
        let bytes = read(&path)?;
        let lap = parse(&bytes, through);
        let maps = lap.records.iter().map(|record| record.config_hash).collect();
        let last_at = lap.records.last().map(|record| record.at);
        let (end, last, damaged) = (lap.end, lap.last.max(through), lap.damaged > 0 || !bytes.starts_with(FAMILY));
        let mut tail = bytes.get(end / ALIGNED * ALIGNED..).unwrap_or_default().to_vec();
        tail.resize(end % ALIGNED, 0);
        let (file, size, page) = (None, bytes.len(), Page::default());
        let mut segment = Self { path, file, size, end, last, last_at, damaged, maps, tail, page };
        if lap.records.is_empty() && !damaged {
            segment.restart();
        }
        Ok((segment, lap))
    }

    /// Number of the newest record that is known to be on disk.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// The next record has this number, which is higher than any before.
    pub(super) fn skip_to(&mut self, number: i64) {
        self.last = number - 1;
    }

    /// When the newest record that is in no block was committed.
    pub(super) fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// Register maps of readings that are in no block yet.
    pub(super) fn maps(&self) -> impl Iterator<Item = &Hash> {
        self.maps.iter()
    }

    /// What is in no block yet, as it stands in the file.
    pub(super) fn read(&self, through: i64) -> Result<Lap, QueueError> {
        Ok(parse(&read(&self.path)?, through))
    }

    /// Writes a record and returns its number once it is on disk.
    ///
    /// Should a record that failed be on disk all the same, the next one has its number and takes its place.
    pub(super) fn append(&mut self, at: Timestamp, config_hash: Hash, bytes: &[u8]) -> Result<i64, QueueError> {
        let number = self.last + 1;
        let mut written = self.tail.clone();
        let result = Record::encode(number, at, config_hash, bytes, &mut written)
            .and_then(|()| self.put(self.end - self.tail.len(), &written));
        if let Err(source) = result {
            self.file = None;
            return Err(QueueError::File { what: "committing to", path: self.path.clone(), source });
        }
        let whole = written.len() - END_MARK;
        self.end = self.end - self.tail.len() + whole;
        self.tail.clear();
        self.tail.extend(&written[whole / ALIGNED * ALIGNED..whole]);
        self.last = number;
        self.last_at = Some(at);
        self.maps.insert(config_hash);
        Ok(number)
    }

    /// Writes `bytes`, and zeros up to a multiple of `ALIGNED`, and waits until they are on disk.
    fn put(&mut self, place: usize, bytes: &[u8]) -> io::Result<()> {
        let page = self.page.of(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_direct(&self.path)?),
        };
        match file.write_all_at(page, place as u64) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // This file system wants the page cache, or other multiples.
                *file = open_cached(&self.path)?;
                file.write_all_at(page, place as u64)?;
            }
            written => written?,
        }
        self.size = self.size.max(place + page.len());
        file.sync_data()
    }

    /// Every record is in a block: the next one begins a new lap.
    pub(super) fn restart(&mut self) {
        self.last_at = None;
        self.maps.clear();
        let beginning = beginning(self.last);
        if self.damaged {
            // Should this fail, the next start tells the damage once more.
            self.damaged = self.put(0, &beginning).is_err();
        }
        self.end = PREAMBLE;
        self.tail = beginning[..PREAMBLE].to_vec();
        if self.size > SIZE
            && let Some(file) = &self.file
            && file.set_len(SIZE as u64).is_ok()
        {
            self.size = SIZE;
        }
    }
}

/// Bytes at an address that is a multiple of `ALIGNED`.
#[derive(Debug, Default)]
struct Page(Vec<u8>);

impl Page {
    /// `bytes` and zeros up to a multiple of `ALIGNED`.
    fn of(&mut self, bytes: &[u8]) -> &[u8] {
        let length = bytes.len().next_multiple_of(ALIGNED);
        if self.0.len() < length + ALIGNED {
            self.0.resize(length + ALIGNED, 0);
        }
        let skipped = self.0.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        let page = &mut self.0[skipped..skipped + length];
        page[..bytes.len()].copy_from_slice(bytes);
        page[bytes.len()..].fill(0);
        page
    }
}

/// Opens the file for writes past the page cache, or through it where the system knows no other.
fn open_direct(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed());
    }
    match options.read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => open_cached(path),
        opened => opened,
    }
}

fn open_cached(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// The first bytes of a file that holds nothing, whose records up to `through` are in blocks.
fn beginning(through: i64) -> Vec<u8> {
    let mut bytes = [FAMILY.as_slice(), &[VERSION]].concat();
    end_mark(through, &mut bytes);
    bytes
}

/// Makes an empty file, all of it on disk before it has its name.
fn make(directory: &Path, path: &Path, through: i64) -> Result<(), QueueError> {
    let new = path.with_extension("new");
    let mut bytes = beginning(through);
    bytes.resize(SIZE, 0);
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| QueueError::File { what: "making", path: path.to_owned(), source })
}

/// The bytes of a file of this version. A beginning that is damaged is read like any other damage.
fn read(path: &Path) -> Result<Vec<u8>, QueueError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|source| QueueError::File {
        what: "reading",
        path: path.to_owned(),
        source,
    })?;
    match bytes.get(..PREAMBLE) {
        Some([family @ .., found]) if family == FAMILY && *found != VERSION => {
            Err(QueueError::OtherJournal { path: path.to_owned(), found: *found })
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// A file with records 1 to 5 of 40 bytes each, of which the first `through` are in blocks, and where each begins.
    fn five(directory: &Path) -> (Vec<u8>, Vec<usize>) {
        let (mut segment, _) = Segment::open(directory, 0).unwrap();
        let mut starts = Vec::new();
        for number in 1..=5_u8 {
            starts.push(segment.end);
            segment.append(at(1), Hash::of(b"map"), &[number; 40]).unwrap();
        }
        starts.push(segment.end);
        (std::fs::read(directory.join(FILE)).unwrap(), starts)
    }

    fn numbers(lap: &Lap) -> Vec<i64> {
        lap.records.iter().map(|record| record.number).collect()
    }

    #[test]
    fn a_damaged_record_is_told_and_its_neighbours_are_kept_whichever_byte_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, starts) = five(directory.path());
        assert_eq!(numbers(&parse(&bytes, 0)), [1, 2, 3, 4, 5]);
        for place in starts[0]..starts[5] + END_MARK {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            let lap = parse(&damaged, 0);
            let hit = i64::try_from(starts.iter().filter(|start| **start <= place).count()).unwrap();
            let expected: Vec<i64> = (1..=5).filter(|number| *number != hit).collect();
            assert_eq!((numbers(&lap), lap.damaged), (expected, 1), "byte {place}");
            assert!(lap.records.iter().all(|record| record.bytes == [u8::try_from(record.number).unwrap(); 40]));
        }
    }

    #[test]
    fn a_file_that_is_cut_anywhere_keeps_what_stands_before_the_cut() {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, starts) = five(directory.path());
        for length in 0..starts[5] + END_MARK {
            let lap = parse(&bytes[..length], 0);
            let whole = starts[1..].iter().filter(|end| **end <= length).count();
            assert_eq!((numbers(&lap).len(), lap.damaged), (whole, 1), "cut at {length}");
        }
    }

    #[test]
    fn what_is_left_of_an_older_lap_is_never_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segment, _) = Segment::open(directory.path(), 0).unwrap();
        for number in 1..=5_u8 {
            segment.append(at(1), Hash::of(b"map"), &[number; 40]).unwrap();
        }
        segment.restart();
        segment.append(at(2), Hash::of(b"map"), &[6; 39]).unwrap();
        let whole = std::fs::read(directory.path().join(FILE)).unwrap();
        let lap = parse(&whole, 5);
        assert_eq!((numbers(&lap), lap.damaged, lap.last), (vec![6], 0, 6));
        // Torn or rotten at its one record: damage is told, the old lap stays what it was.
        let mut torn = whole;
        torn[PREAMBLE + HEAD] ^= 1;
        let lap = parse(&torn, 5);
        assert_eq!((numbers(&lap), lap.damaged), (Vec::new(), 1));
        std::fs::write(directory.path().join(FILE), torn).unwrap();
        let (mut segment, _) = Segment::open(directory.path(), 5).unwrap();
        assert_eq!(segment.append(at(3), Hash::of(b"map"), &[7; 40]).unwrap(), 6, "its place is taken");
        assert_eq!(numbers(&segment.read(5).unwrap()), [6]);
    }

    #[test]
    fn a_record_that_was_not_whole_when_the_power_went_gives_its_place_to_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (mut bytes, starts) = five(directory.path());
        bytes[starts[4] + 20..].fill(0);
        std::fs::write(directory.path().join(FILE), &bytes).unwrap();
        let (mut segment, lap) = Segment::open(directory.path(), 0).unwrap();
        assert_eq!((numbers(&lap), lap.damaged), (vec![1, 2, 3, 4], 1));
        assert_eq!(segment.append(at(9), Hash::of(b"map"), b"again").unwrap(), 5);
        let lap = segment.read(0).unwrap();
        assert_eq!((numbers(&lap), lap.damaged), (vec![1, 2, 3, 4, 5], 0));
    }

    #[test]
    fn a_file_of_another_version_is_refused_by_name_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (mut bytes, _) = five(directory.path());
        bytes[PREAMBLE - 1] = 2;
        std::fs::write(directory.path().join(FILE), &bytes).unwrap();
        let refused = Segment::open(directory.path(), 0).map(|_| ()).expect_err("version 2 is not known");
        assert!(matches!(refused, QueueError::OtherJournal { found: 2, .. }), "{refused}");
        assert_eq!(std::fs::read(directory.path().join(FILE)).unwrap(), bytes);
    }

    #[test]
    fn a_lap_that_outgrows_the_file_is_read_back_and_the_next_one_is_short_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut segment, _) = Segment::open(directory.path(), 0).unwrap();
        for _ in 0..3 {
            segment.append(at(1), Hash::of(b"map"), &vec![7; SIZE / 2]).unwrap();
        }
        assert_eq!(numbers(&segment.read(0).unwrap()), [1, 2, 3]);
        segment.restart();
        assert_eq!(std::fs::metadata(directory.path().join(FILE)).unwrap().len(), SIZE as u64);
        assert_eq!(segment.append(at(1), Hash::of(b"map"), b"4").unwrap(), 4);
        let lap = segment.read(3).unwrap();
        assert_eq!((numbers(&lap), lap.damaged), (vec![4], 0));
    }
}
