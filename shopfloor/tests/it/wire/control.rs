//! Control messages: each reads back under its own key and kind, and under nothing else.

use proptest::prelude::*;
use shopfloor::time::Timestamp;
use shopfloor::wire::control::{Ack, Birth, ControlError, Down, Refused, Status, peek};
use shopfloor::wire::sign::SecretKey;

use super::support::key;

fn ack() -> Ack {
    Ack {
        site: "ningbo-bearing".parse().expect("an id"),
        agent: "line-1".parse().expect("an id"),
        epoch: 1,
        contiguous: 41,
        beyond: vec![(43, 43), (50, 60)],
        refused: vec![Refused { sequence: 42, reason: "unknown format".to_owned() }],
        log_index: 977,
        log_origin: "plumbline.example/ningbo".to_owned(),
        sent_at: Timestamp::from_secs(1_795_564_800),
    }
}

#[test]
fn every_message_reads_back() {
    let (key, public) = (key(), key().public());
    let Ack { site, agent, sent_at, .. } = ack();
    assert_eq!(Ack::decode(&ack().encode(&key), &public), Ok(ack()));
    let birth = Birth {
        site: site.clone(),
        agent: agent.clone(),
        epoch: 3,
        register_map: vec![1, 2, 3],
        software: "plumbline-agent 0.0.0".to_owned(),
        sent_at,
    };
    assert_eq!(Birth::decode(&birth.encode(&key), &public), Ok(birth));
    let status = Status { site: site.clone(), agent: agent.clone(), epoch: 3, online: false, sent_at };
    assert_eq!(Status::decode(&status.encode(&key), &public), Ok(status));
    let request = Down::RequestBirth { site: site.clone(), agent: agent.clone(), sent_at };
    assert_eq!(Down::decode(&request.encode(&key), &public), Ok(request));
    let request = Down::RequestRanges { site, agent, epoch: 3, ranges: vec![(1, 9), (11, 11)], sent_at };
    assert_eq!(Down::decode(&request.encode(&key), &public), Ok(request));
}

#[test]
fn a_message_of_another_kind_or_key_is_refused() {
    let (key, public) = (key(), key().public());
    let bytes = ack().encode(&key);
    assert!(matches!(Status::decode(&bytes, &public), Err(ControlError::Signature(_))));
    let other = SecretKey::from_seed([1; 32]).public();
    assert!(matches!(Ack::decode(&bytes, &other), Err(ControlError::Signature(_))));
    let who = peek(&bytes).unwrap();
    assert_eq!((who.site, who.agent, who.key_id), (ack().site, ack().agent, public.key_id()));
}

/// A forged ack would delete data: no changed byte gets through.
#[test]
fn every_single_changed_byte_of_an_ack_is_refused() {
    let bytes = ack().encode(&key());
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        assert!(Ack::decode(&changed, &key().public()).is_err(), "byte {place}");
        assert!(Ack::decode(&bytes[..place], &key().public()).is_err(), "cut to {place}");
    }
}

#[test]
fn what_is_beyond_the_bounds_is_left_for_the_next_ack() {
    let mut many = ack();
    many.beyond = (0..300).map(|range| (100 + 2 * range, 100 + 2 * range)).collect();
    many.refused = vec![Refused { sequence: 1, reason: "准".repeat(200) }; 300];
    let read = Ack::decode(&many.encode(&key()), &key().public()).unwrap();
    assert_eq!((read.beyond.len(), read.refused.len()), (256, 256));
    assert_eq!(read.refused[0].reason, "准".repeat(85));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(peek(&bytes).is_err());
        prop_assert!(Ack::decode(&bytes, &key().public()).is_err());
    }
}
