//! Our own vectors (`docs/vectors/blocks.json`): the code produces them, reads them, and an independent reader agrees.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test reads files and runs a peer")]

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use shopfloor::hash::unhex;
use shopfloor::wire::block::{BlockError, Limits, open};
use shopfloor::wire::control::{Ack, Birth, ControlError, Down, Status};
use shopfloor::wire::sign::PublicKey;

use super::{support, vector_file};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors")
}

fn file() -> Value {
    let text = std::fs::read_to_string(docs().join("blocks.json")).expect("docs/vectors/blocks.json is there");
    serde_json::from_str(&text).expect("it is JSON")
}

fn bytes(case: &Value) -> Vec<u8> {
    let zeros = case["zeros"].as_u64().and_then(|zeros| usize::try_from(zeros).ok());
    zeros.map_or_else(|| unhex(case["hex"].as_str().expect("digits")).expect("digits"), |zeros| vec![0; zeros])
}

fn public(name: &str) -> PublicKey {
    file()["keys"][0][name]["public"].as_str().expect("a key").parse().expect("a key")
}

#[test]
fn the_file_is_exactly_what_the_code_produces() {
    let text = std::fs::read_to_string(docs().join("blocks.json")).unwrap();
    assert!(text == vector_file::text(), "run: cargo run -p shopfloor --example vectors > docs/vectors/blocks.json");
}

/// The name under which a reader of any language reports the error.
fn code(error: &BlockError) -> &'static str {
    match error {
        BlockError::Magic => "magic",
        BlockError::Short { .. } => "short",
        BlockError::Trailing(_) => "trailing",
        BlockError::TooBig { .. } => "too_big",
        BlockError::Header(_) => "header",
        BlockError::SectionHash(_) => "section_hash",
        BlockError::Section { .. } | BlockError::NoSection(_) => "section",
        BlockError::Counts { .. } => "counts",
        BlockError::Signature(_) => "signature",
    }
}

fn read(bytes: &[u8]) -> Result<(), BlockError> {
    let opened = open(bytes, &Limits::default())?;
    opened.verify(&public("agent"))?;
    opened.groups().map(|_| ())
}

#[test]
fn good_blocks_are_read_and_bad_ones_refused_for_the_stated_reason() {
    let file = file();
    let blocks = file["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 4);
    for case in blocks {
        assert_eq!(read(&bytes(case)), Ok(()), "{}", case["name"]);
    }
    let bad = file["bad_blocks"].as_array().unwrap();
    assert_eq!(bad.len(), 18);
    for case in bad {
        let error = read(&bytes(case)).expect_err("a bad block");
        assert_eq!(code(&error), case["error"], "{}: {error}", case["name"]);
    }
}

#[test]
fn good_control_messages_are_read_and_bad_ones_refused() {
    let file = file();
    let decode = |case: &Value| {
        let (bytes, key) = (bytes(case), public(case["by"].as_str().expect("a name")));
        match case["kind"].as_str().expect("a kind") {
            "birth" => Birth::decode(&bytes, &key).map(|_| ()),
            "status" => Status::decode(&bytes, &key).map(|_| ()),
            "ack" => Ack::decode(&bytes, &key).map(|_| ()),
            _ => Down::decode(&bytes, &key).map(|_| ()),
        }
    };
    for case in file["controls"].as_array().unwrap() {
        assert_eq!(decode(case), Ok(()), "{}", case["kind"]);
    }
    for case in file["bad_controls"].as_array().unwrap() {
        let code = match decode(case).expect_err("a bad message") {
            ControlError::Form(_) => "form",
            ControlError::Body(_) => "body",
            ControlError::Signature(_) => "signature",
        };
        assert_eq!(code, case["error"], "{}", case["name"]);
    }
}

/// The second reader shares no line with the first: Python, standard library only.
#[test]
fn the_python_reader_agrees() {
    let stated = "4 blocks, 18 bad blocks, 5 control messages, 4 bad control messages, 1 register map: all as stated";
    python_agrees(&docs().join("blocks.json"), stated);
}

/// A chain of 200 blocks of random groups, the same at every run.
#[test]
fn the_python_reader_agrees_on_random_blocks() {
    let mut runner = TestRunner::deterministic();
    let groups = (support::groups(), support::groups());
    let chain: Vec<_> =
        (0..200).map(|_| groups.new_tree(&mut runner).expect("groups can be drawn").current()).collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("random-blocks.json");
    std::fs::write(&path, vector_file::chain_text(chain)).unwrap();
    let stated = "200 blocks, 0 bad blocks, 0 control messages, 0 bad control messages, 0 register map: all as stated";
    python_agrees(&path, stated);
}

fn python_agrees(path: &Path, stated: &str) {
    let run = Command::new("python3").arg(docs().join("reader.py")).arg("vectors").arg(path).output();
    let Ok(output) = run else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3 is needed where CI=true");
        println!("skipped: no python3");
        return;
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains(stated), "{out}");
}
