//! Public vectors, used where they are present (`../shared/data/vectors` beside the project).

use std::path::PathBuf;

use serde_json::Value;
use shopfloor::evidence::merkle::{verify_consistency, verify_inclusion};
use shopfloor::hash::{Hash, unhex};
use shopfloor::wire::sign::PublicKey;

#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test reads a file, and says when it is not there"
)]
fn vectors(name: &str) -> Option<Vec<Value>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/vectors").join(name);
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: no vectors ({name})");
        return None;
    };
    Some(serde_json::from_str(&text).expect("the vectors are a JSON array"))
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().expect("the field is a text")
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().expect("the field is a number")
}

/// C2SP/CCTV, 914 edge cases. Our rule for its flags: each flag refuses the case.
/// `low_order_A`, `low_order_component_A`, `non_canonical_A`: such a key does not exist for us.
/// `low_order_R`, `non_canonical_R`: refused by strict verification. `low_order_component_R`, `low_order_residue`:
/// the cofactorless equation cannot hold with a key of the prime-order subgroup. `reencoded_k`: comes only with
/// non-canonical points. What bears no flag is an ordinary valid signature and is accepted.
#[test]
fn bad_input_67_ed25519_edge_cases_get_the_documented_verdict() {
    let Some(cases) = vectors("ed25519-cctv.json") else { return };
    let mut accepted = 0;
    for case in &cases {
        let key: [u8; 32] = unhex(text(case, "key")).unwrap().try_into().unwrap();
        let signature: [u8; 64] = unhex(text(case, "sig")).unwrap().try_into().unwrap();
        let message = text(case, "msg").as_bytes();
        let valid = PublicKey::from_bytes(&key).and_then(|key| key.verify_plain(message, &signature)).is_ok();
        let flags = case["flags"].as_array().map_or(0, Vec::len);
        assert_eq!(valid, flags == 0, "case {}", case["number"]);
        accepted += u32::from(valid);
    }
    assert_eq!((cases.len(), accepted), (914, 1));
}

fn hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&unbase64(text)?)
}

/// The root of a consistency case; a text that is no hash ("don't care 2") is stood in for by its own hash.
fn any_root(text: &str) -> Option<Hash> {
    hash(text).or_else(|| Some(Hash::of(text.as_bytes())))
}

/// Standard base 64 with padding, enough for test vectors.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bits = 0_u32;
    let mut bytes = Vec::new();
    for (place, letter) in text.trim_end_matches('=').bytes().enumerate() {
        bits = bits << 6 | u32::from(digit(letter)?);
        if place % 4 > 0 {
            bytes.push(u8::try_from(bits >> (6 - 2 * (place % 4)) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn path(case: &Value) -> Vec<Hash> {
    let hashes = case["proof"].as_array().map(Vec::as_slice).unwrap_or_default();
    hashes.iter().map(|text| text.as_str().and_then(hash).unwrap_or(Hash::ZERO)).collect()
}

/// transparency-dev/merkle: 98 inclusion and 98 consistency cases; subtrees are not used here.
#[test]
fn merkle_proofs_get_the_published_verdict() {
    let Some(cases) = vectors("merkle.json") else { return };
    let mut seen = [0; 2];
    for case in &cases {
        let wanted = case["wantErr"] == false;
        let name = text(case, "case");
        let root = |field| hash(text(case, field));
        let any_root = |field| any_root(text(case, field));
        if name.starts_with("inclusion/") {
            seen[0] += 1;
            let (leaf, root) = (root("leafHash"), root("root"));
            let (index, size) = (number(case, "leafIdx"), number(case, "treeSize"));
            let holds = leaf
                .zip(root)
                .is_some_and(|(leaf, root)| verify_inclusion(leaf, index, size, &path(case), root).is_ok());
            assert_eq!(holds, wanted, "{name}");
        } else if name.starts_with("consistency/") {
            seen[1] += 1;
            let (old, new) = (number(case, "size1"), number(case, "size2"));
            let holds = any_root("root1")
                .zip(any_root("root2"))
                .is_some_and(|(a, b)| verify_consistency(old, new, &path(case), a, b).is_ok());
            assert_eq!(holds, wanted, "{name}");
        }
    }
    assert_eq!(seen, [98, 98]);
}
