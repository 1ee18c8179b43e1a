//! Devices that misbehave: no wrong value, a Bad row with its reason, and recovery over a new connection.

use std::time::Duration;

use shopfloor::sample::StatusCode;

use super::device::{Device, Reply, right, right_many};
use super::support::{blocks, head, map, modbus, parse, rows, start};

const RIGHT: u16 = 0x1111;
const AFTER: u16 = 0x2222;
/// Only misbehaving replies carry it.
const WRONG: u16 = 0xDEAD;

/// The first request is answered well, the second as `bad` says, later ones well again. The row of the second has
/// `status`, every Good row a right value, and the agent came back over a new connection (or kept it).
async fn misbehave(status: StatusCode, new_connection: bool, bad: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) {
    let device = Device::start(move |number, request| match number {
        0 => Reply::Bytes(right(request, RIGHT)),
        1 => bad(request),
        _ => Reply::Bytes(right(request, AFTER)),
    });
    let device = device.await;
    let state = tempfile::tempdir().unwrap();
    let mut source = modbus("device", device.address.port(), "m/value");
    if status != StatusCode::BAD_TIMEOUT {
        source = source.replace("150ms", "10s"); // only a test of time-outs may see one
    }
    let config = parse(&(head(state.path()) + &source));
    let running = start(config.clone()).await;
    let after = Some(shopfloor::sample::Value::Exact(shopfloor::unit::Rational::integer(i128::from(AFTER))));
    running.until("m/value", |live| live.value == after).await;
    running.end().await;
    let rows = rows(&blocks(state.path(), &config), 0);
    let good: Vec<u64> = rows.iter().filter(|r| r.1 == StatusCode::GOOD).map(|r| r.2).collect();
    assert!(good.iter().all(|v| [u64::from(RIGHT), u64::from(AFTER)].contains(v)), "no wrong value: {rows:x?}");
    assert!(rows.iter().any(|r| r.1 == status && r.2 == 0), "a Bad row with its reason: {rows:x?}");
    assert_eq!(device.connections() > 1, new_connection, "{} connections", device.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_02_an_exception_is_bad_and_the_connection_stays() {
    misbehave(StatusCode::BAD_DEVICE_FAILURE, false, |r| {
        Reply::Bytes(vec![r[0], r[1], 0, 0, 0, 3, r[6], r[7] | 0x80, 4])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_03_truncated_header_times_out_and_reconnects() {
    misbehave(StatusCode::BAD_TIMEOUT, true, |r| Reply::Bytes(right(r, WRONG)[..5].to_vec())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_04_length_larger_than_the_bytes_is_a_bounded_wait() {
    misbehave(StatusCode::BAD_TIMEOUT, true, |r| {
        let mut frame = right(r, WRONG);
        frame[5] = 200;
        Reply::Bytes(frame)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_05_impossible_lengths_are_a_protocol_error() {
    for length in [0_u16, 1, 2, 255, 65535] {
        misbehave(StatusCode::BAD_DECODING_ERROR, true, move |r| {
            let mut frame = right(r, WRONG);
            frame[4..6].copy_from_slice(&length.to_be_bytes());
            Reply::Bytes(frame)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_06_another_transaction_id_is_never_used() {
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frame = right(r, WRONG);
        frame[1] = frame[1].wrapping_sub(1);
        Reply::Bytes(frame)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_07_another_protocol_id_is_never_used() {
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frame = right(r, WRONG);
        frame[3] = 1;
        Reply::Bytes(frame)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_08_another_unit_id_is_never_used() {
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frame = right(r, WRONG);
        frame[6] = 2;
        Reply::Bytes(frame)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_09_another_function_is_never_used() {
    for function in [4, 0x84, 0x83 | 0x04] {
        misbehave(StatusCode::BAD_DECODING_ERROR, true, move |r| {
            let mut frame = right(r, WRONG);
            frame[7] = function;
            Reply::Bytes(frame)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_10_byte_count_other_than_twice_the_quantity_is_refused() {
    // The count lies about the bytes; the count is right for another quantity; bytes follow the answer.
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frame = right(r, WRONG);
        frame[8] = 4;
        Reply::Bytes(frame)
    })
    .await;
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        Reply::Bytes(vec![r[0], r[1], 0, 0, 0, 7, r[6], r[7], 4, 0xDE, 0xAD, 0xDE, 0xAD])
    })
    .await;
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frame = right(r, WRONG);
        frame.extend([0, 0]);
        Reply::Bytes(frame)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_11_a_late_reply_of_the_same_shape_is_discarded() {
    misbehave(StatusCode::BAD_TIMEOUT, true, |r| Reply::Late(Duration::from_millis(300), right(r, WRONG))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_11_a_device_that_is_late_for_ever_gives_no_value_at_all() {
    let device = Device::start(|_, request| Reply::Late(Duration::from_millis(220), right(request, WRONG))).await;
    let state = tempfile::tempdir().unwrap();
    let config = parse(&(head(state.path()) + &modbus("device", device.address.port(), "m/value")));
    let running = start(config.clone()).await;
    let mut readings = running.agent.live().readings();
    readings.wait_for(|count| *count >= 10).await.unwrap();
    running.end().await;
    let rows = rows(&blocks(state.path(), &config), 0);
    assert!(rows.len() >= 10 && rows.iter().all(|r| r.1 != StatusCode::GOOD), "{rows:x?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_14_a_dribble_meets_the_total_deadline() {
    misbehave(StatusCode::BAD_TIMEOUT, true, |r| Reply::Dribble(Duration::from_millis(40), right(r, WRONG))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_15_a_silent_device_delays_only_itself() {
    let silent = Device::start(|_, _| Reply::Nothing).await;
    let well = Device::start(|_, request| Reply::Bytes(right(request, RIGHT))).await;
    let state = tempfile::tempdir().unwrap();
    let sources = modbus("silent", silent.address.port(), "s/value") + &modbus("well", well.address.port(), "w/value");
    let config = parse(&(head(state.path()) + &sources));
    let running = start(config.clone()).await;
    running.until("s/value", |live| live.status == StatusCode::BAD_TIMEOUT).await;
    running.until("w/value", |live| live.value.is_some()).await;
    let mut readings = running.agent.live().readings();
    let enough = *readings.borrow() + 40;
    readings.wait_for(|count| *count >= enough).await.unwrap();
    running.end().await;
    let blocks = blocks(state.path(), &config);
    assert!(rows(&blocks, 0).iter().all(|r| r.1 != StatusCode::GOOD));
    // Each time-out of the silent device lasts three scans: the well device would miss most of them.
    let well = rows(&blocks, 1);
    let good = well.iter().filter(|r| r.1 == StatusCode::GOOD).count();
    assert!(well.len() > 10 && good * 2 > well.len(), "{well:x?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_16_a_reset_in_mid_reply_is_a_gap_and_a_reconnect() {
    misbehave(StatusCode::BAD_NO_COMMUNICATION, true, |r| Reply::Reset(right(r, WRONG)[..8].to_vec())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_nobody_asked_for_are_never_taken_for_an_answer() {
    misbehave(StatusCode::BAD_DECODING_ERROR, true, |r| {
        let mut frames = right(r, RIGHT);
        frames.extend(right(r, WRONG));
        Reply::Bytes(frames)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_93_an_unresolvable_host_does_not_keep_the_agent_from_starting() {
    let well = Device::start(|_, request| Reply::Bytes(right(request, RIGHT))).await;
    let state = tempfile::tempdir().unwrap();
    let lost = modbus("lost", 502, "l/value").replace("127.0.0.1", "no-such-host.invalid");
    let text = head(state.path()) + &lost + &modbus("well", well.address.port(), "w/value");
    let config = parse(&text);
    let running = start(config.clone()).await;
    running.until("w/value", |live| live.value.is_some()).await;
    running.until("l/value", |live| live.status == StatusCode::BAD_NO_COMMUNICATION).await;
    running.end().await;
    assert!(!rows(&blocks(state.path(), &config), 0).is_empty(), "its scans are rows too");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_every_area_and_width_are_kept_as_read() {
    let device = Device::start(|_, request| Reply::Bytes(right_many(request, |address| address.wrapping_mul(0x0101))));
    let device = device.await;
    let state = tempfile::tempdir().unwrap();
    let tag = |name: &str, area: &str, address: u16, more: &str| {
        format!(
            "[[source.tag]]\nname = \"m/{name}\"\narea = \"{area}\"\naddress = {address}\ninterval = \"100ms\"\nsection = \"process\"\n{more}\n"
        )
    };
    let source = modbus("device", device.address.port(), "m/first")
        + &tag("wide", "holding", 0x10, "type = \"u64\"\nword_order = \"dcba\"")
        + &tag("float", "input", 0x20, "type = \"f32\"\nword_order = \"cdab\"")
        + &tag("bit", "holding", 0x31, "type = \"bool\"\nbit = 3")
        + &tag("coil", "coil", 7, "type = \"bool\"")
        + &tag("contact", "discrete_input", 8, "type = \"bool\"");
    let config = parse(&(head(state.path()) + &source));
    let running = start(config.clone()).await;
    for name in ["m/wide", "m/float", "m/bit", "m/coil", "m/contact"] {
        running.until(name, |live| live.status == StatusCode::GOOD).await;
    }
    running.end().await;
    let (blocks, map) = (blocks(state.path(), &config), map(&config));
    let bits = |name: &str| rows(&blocks, map.tag_index(&name.parse().unwrap()).unwrap())[0].2;
    assert_eq!(bits("m/wide"), 0x1010_1111_1212_1313);
    assert_eq!(bits("m/float"), 0x2020_2121);
    assert_eq!(bits("m/bit"), 0x3131, "the whole register");
    assert_eq!((bits("m/coil"), bits("m/contact")), (1, 0));
}
