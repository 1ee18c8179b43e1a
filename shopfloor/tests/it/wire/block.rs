//! Blocks: what is sealed opens again, and nothing else does.

use proptest::prelude::*;
use shopfloor::hash::Hash;
use shopfloor::sample::StatusCode;
use shopfloor::wire::block::{BlockError, Limits, PREAMBLE_BYTES, Sealed, open, seal};
use shopfloor::wire::header::{GapKind, GapRecord, Header};
use shopfloor::wire::section::{self, Group, Raw, ScanColumn, ScanGroup, SectionError, SectionName};
use shopfloor::wire::sign::{PublicKey, SecretKey, SignError};

use super::support::{START, counter, groups, header, key};

fn sealed() -> Sealed {
    let sections = [(SectionName::kpi(), vec![counter(START, &[10, 10, 11, 12])])];
    seal(header(1, Hash::ZERO), &sections, &key()).expect("a plain block can be sealed")
}

fn reopened(bytes: &[u8]) -> Result<Header, BlockError> {
    let opened = open(bytes, &Limits::default())?;
    opened.verify(&key().public())?;
    opened.groups()?;
    Ok(opened.header)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again(kpi in groups(), process in groups(), drops in prop::collection::btree_map("[a-z]{1,30}", any::<u64>(), 0..4)) {
        let mut draft = header(7, Hash::of(b"6"));
        draft.drops = drops;
        let sections = [(SectionName::kpi(), kpi.clone()), (SectionName::process(), process.clone())];
        let sealed = seal(draft, &sections, &key()).unwrap();
        let limits = Limits::default();
        let opened = open(&sealed.bytes, &limits).unwrap();
        prop_assert_eq!(opened.verify(&key().public()), Ok(()));
        prop_assert_eq!((&opened.header, opened.hash), (&sealed.header, sealed.hash));
        let all: Vec<Group> = opened.groups().unwrap().into_iter().map(|(_, group)| group).collect();
        prop_assert_eq!(all, [kpi, process].concat());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&bytes, &Limits::default()).is_err());
        prop_assert!(section::inflate(&bytes, 1000).is_err());
        if let Ok(groups) = section::decode(&bytes, 1000) {
            prop_assert!(groups.len() <= bytes.len());
        }
    }

    /// A section that was hashed, compressed and signed well may still hold anything.
    #[test]
    fn a_mangled_section_never_panics_and_never_exceeds_its_bound(groups in groups(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = section::encode(&groups).unwrap();
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(groups) = section::decode(&bytes, 2000) {
            let values = groups.iter().map(|group| match group {
                Group::Scan(scan) => scan.columns.iter().map(|column| column.values.len()).sum::<usize>(),
                Group::Event(event) => event.columns.iter().map(|column| column.rows.len()).sum(),
            });
            prop_assert!(values.sum::<usize>() <= 2000);
        }
    }
}

#[test]
fn every_single_changed_byte_is_refused() {
    let sealed = sealed();
    assert_eq!(reopened(&sealed.bytes), Ok(sealed.header.clone()));
    for place in 0..sealed.bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = sealed.bytes.clone();
            changed[place] ^= flip;
            assert!(reopened(&changed).is_err(), "byte {place} changed by {flip:02x}");
        }
    }
    for length in 0..sealed.bytes.len() {
        assert!(matches!(reopened(&sealed.bytes[..length]), Err(BlockError::Short { .. })), "cut to {length}");
    }
    assert_eq!(reopened(&[&sealed.bytes[..], &[0]].concat()), Err(BlockError::Trailing(1)));
}

/// Bad input 61: a forged signature.
#[test]
fn bad_input_61_a_forged_signature_is_refused() {
    let mut sealed = sealed();
    let last = sealed.bytes.len() - 1;
    sealed.bytes[last] ^= 1;
    let forged = SignError::Forged(key().public().key_id());
    assert_eq!(reopened(&sealed.bytes), Err(BlockError::Signature(forged)));
}

/// Bad input 62: a valid signature by a key that is not enrolled.
#[test]
fn bad_input_62_a_block_of_an_unknown_key_is_refused() {
    let stranger = SecretKey::from_seed([1; 32]);
    let block = seal(header(1, Hash::ZERO), &[], &stranger).unwrap();
    let opened = open(&block.bytes, &Limits::default()).unwrap();
    assert_eq!(opened.key_id, stranger.public().key_id());
    let (found, expected) = (stranger.public().key_id(), key().public().key_id());
    let refused = BlockError::Signature(SignError::OtherKey { found, expected });
    assert_eq!(opened.verify(&key().public()), Err(refused));
}

/// Bad input 59, in place: a header that says the same in other bytes.
#[test]
fn bad_input_59_a_header_spelled_otherwise_is_refused() {
    let sealed = sealed();
    let end = PREAMBLE_BYTES + usize::from(u16::from_be_bytes([sealed.bytes[6], sealed.bytes[7]]));
    let spelled = |header: &[u8]| {
        let mut bytes = b"PLB1".to_vec();
        bytes.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(header);
        let trailer = key().trailer(shopfloor::wire::block::PAYLOAD_TYPE, &bytes);
        [&bytes[..], &sealed.bytes[end..sealed.bytes.len() - 72], &trailer].concat()
    };
    let header = &sealed.bytes[PREAMBLE_BYTES..end];
    assert_eq!(reopened(&spelled(header)), Ok(sealed.header.clone()));
    // Key 1 with its value 1, the value written in two bytes.
    let longer = [&header[..2], &[0x18, 0x01], &header[3..]].concat();
    let trailing = [header, &[0]].concat();
    let indefinite = [&[0xbf], &header[1..], &[0xff]].concat();
    let tagged = [&header[..2], &[0xc1], &header[2..]].concat();
    for bytes in [longer, trailing, indefinite, tagged] {
        assert!(matches!(reopened(&spelled(&bytes)), Err(BlockError::Header(_))), "{bytes:02x?}");
    }
}

/// Bad input 60: a compression bomb, by size and by ratio, is refused before anything is inflated.
#[test]
fn bad_input_60_a_compression_bomb_is_refused_by_its_declared_size() {
    let mut sealed = sealed();
    let bomb = section::deflate(&vec![0; 1 << 20]);
    sealed.header.sections[0].bytes = u32::try_from(bomb.len()).unwrap();
    sealed.header.sections[0].hash = Hash::of(&bomb);
    for (declared, limits) in [
        (1 << 20, Limits::default()),
        (u32::MAX, Limits::default()),
        (9 << 20, Limits { ratio_max: u32::MAX, ..Limits::default() }),
    ] {
        sealed.header.sections[0].inflated_bytes = declared;
        let bytes = rebuilt(&sealed.header, &bomb);
        let answer = open(&bytes, &limits).map(|_| ());
        assert!(matches!(answer, Err(BlockError::Section { source: SectionError::Bomb { .. }, .. })), "{answer:?}");
    }
    // Declared small, the actual size is found out.
    sealed.header.sections[0].inflated_bytes = 1000;
    let bytes = rebuilt(&sealed.header, &bomb);
    let opened = open(&bytes, &Limits::default()).unwrap();
    let source = SectionError::Length { declared: 1000 };
    let name = SectionName::kpi();
    assert_eq!(opened.section(&name), Err(BlockError::Section { name: name.clone(), source }));
}

/// Bad input 60, second stage: few bytes that would become many values.
#[test]
fn bad_input_60_a_bomb_of_constant_columns_is_refused() {
    let rows = 1000;
    let columns =
        (0..1000).map(|tag| ScanColumn { tag, values: vec![Raw::Bits(1); rows], exceptions: vec![] }).collect();
    let scan = ScanGroup { group: 0, request: vec![START; rows], response: vec![START; rows], columns };
    let bytes = section::encode(&[Group::Scan(scan)]).unwrap();
    assert!(bytes.len() < 8000);
    assert!(matches!(section::decode(&bytes, 100_000), Err(SectionError::Column(_))));
    assert!(section::decode(&bytes, 1_002_000).is_ok());
}

fn rebuilt(header: &Header, body: &[u8]) -> Vec<u8> {
    let encoded = header.encode().expect("the header is in bounds");
    let mut bytes = b"PLB1".to_vec();
    bytes.extend_from_slice(&u32::try_from(encoded.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(&encoded);
    let trailer = key().trailer(shopfloor::wire::block::PAYLOAD_TYPE, &bytes);
    [&bytes[..], body, &trailer].concat()
}

/// Bad input 67: whatever signs with a small-order key never gets as far as a block.
#[test]
fn bad_input_67_the_eight_small_order_keys_are_refused() {
    let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let order_4 = "0000000000000000000000000000000000000000000000000000000000000080";
    for text in [order_8, order_4] {
        let bytes: [u8; 32] = shopfloor::hash::unhex(text).unwrap().try_into().unwrap();
        assert!(matches!(PublicKey::from_bytes(&bytes), Err(SignError::SmallOrderKey(_))), "{text}");
    }
}

#[test]
fn headers_that_contradict_themselves_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Header), name: &str| {
        let mut draft = header(5, Hash::of(b"4"));
        change(&mut draft);
        let error = seal(draft, &[], &key()).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    };
    let gap = |first, last| GapRecord {
        kind: GapKind::Evicted,
        sequences: Some((first, last)),
        interval: None,
        last_block_hash: None,
        detail: String::new(),
    };
    refused(&|draft| draft.format = 2, "format");
    refused(&|draft| draft.epoch = 0, "epoch");
    refused(&|draft| draft.sequence = 0, "sequence");
    refused(&|draft| draft.prev_block_hash = Hash::ZERO, "prev_block_hash");
    refused(&|draft| draft.window.end = draft.window.start.plus(-1), "window");
    refused(&|draft| draft.monotonic = (2, 1), "monotonic");
    refused(&|draft| draft.software = "x".repeat(257), "software");
    refused(&|draft| draft.gaps = vec![gap(1, 5)], "gap record");
    refused(&|draft| draft.gaps = vec![gap(3, 2)], "gap record");
    refused(&|draft| draft.gaps = vec![gap(0, 2)], "gap record");
    refused(&|draft| draft.gaps = vec![gap(1, 2); 257], "gaps");
}

#[test]
fn an_exception_is_counted_and_a_bad_row_has_no_value() {
    let values = [5, 6, 7, 8].map(Raw::Bits).to_vec();
    let exceptions = vec![(1, StatusCode::BAD_TIMEOUT), (2, StatusCode::UNCERTAIN)];
    let times: Vec<i64> = (0..4).map(|row| START + row).collect();
    let columns = vec![ScanColumn { tag: 3, values, exceptions: exceptions.clone() }];
    let scan = ScanGroup { group: 1, request: times.clone(), response: times, columns };
    let block = seal(header(1, Hash::ZERO), &[(SectionName::process(), vec![Group::Scan(scan)])], &key()).unwrap();
    assert_eq!((block.header.sample_count, block.header.quality_counts), (4, [2, 1, 1]));
    let opened = open(&block.bytes, &Limits::default()).unwrap();
    let groups = opened.section(&SectionName::process()).unwrap();
    let Group::Scan(scan) = &groups[0] else { panic!("a scan group was sealed") };
    assert_eq!(scan.columns[0].values, [5, 0, 7, 8].map(Raw::Bits));
    assert_eq!(scan.columns[0].exceptions, exceptions);
    assert_eq!(opened.section(&SectionName::kpi()), Err(BlockError::NoSection(SectionName::kpi())));
}

#[test]
fn what_no_reader_would_take_is_not_sealed() {
    let rows = 1000;
    let column = |tag| ScanColumn { tag, values: vec![Raw::Bits(1); rows], exceptions: vec![] };
    let block = |tags| {
        let columns = (0..tags).map(column).collect();
        let scan = ScanGroup { group: 0, request: vec![START; rows], response: vec![START; rows], columns };
        seal(header(1, Hash::ZERO), &[(SectionName::kpi(), vec![Group::Scan(scan)])], &key())
    };
    assert!(block(1000).is_ok());
    assert!(matches!(block(1047), Err(BlockError::Section { .. })));
}

#[test]
fn an_empty_block_is_small() {
    let block = seal(header(1, Hash::ZERO), &[(SectionName::kpi(), vec![])], &key()).unwrap();
    assert_eq!(block.header.sections, []);
    assert!(block.bytes.len() < 320, "{} bytes", block.bytes.len());
}
