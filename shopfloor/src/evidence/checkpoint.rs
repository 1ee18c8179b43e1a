//! A checkpoint: the signed head of the log, as text that can be printed and typed in again.
//!
//! Format: C2SP tlog-checkpoint in a C2SP signed note. Three lines (origin, size, root in base 64), an empty line,
//! and a line for each signature: an em dash, the signer's name (here the origin), and base 64 of 4 bytes of key
//! hash and an Ed25519 signature of the three lines.

use crate::hash::Hash;
use crate::wire::sign::{PLAIN, PublicKey, SecretKey, base64, unbase64};

/// Longest checkpoint that is read, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 16 << 10;

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log; no blanks, no plus sign.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
}

/// Why a text is not a checkpoint of that log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the form of a checkpoint.
    #[error("checkpoint: {0}")]
    Form(&'static str),
    /// Of another log.
    #[error("checkpoint is of log {found:?}, not of {expected:?}")]
    Origin {
        /// As the text says.
        found: String,
        /// As expected.
        expected: String,
    },
    /// No line holds a signature of the log's key that is valid.
    #[error("checkpoint of log {0:?} bears no valid signature of its key")]
    Unsigned(String),
    /// Smaller than one seen before, or the same size with another root: the log shows two faces.
    #[error(
        "split view of log {origin:?}: size {seen_size} with root {seen_root} was seen, now size {size} with root {root}"
    )]
    SplitView {
        /// The log.
        origin: String,
        /// Size seen before.
        seen_size: u64,
        /// Root seen before.
        seen_root: Hash,
        /// Size now.
        size: u64,
        /// Root now.
        root: Hash,
    },
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, padded(&self.root.0))
    }

    /// The signed text.
    pub fn sign(&self, key: &SecretKey) -> String {
        let mut note = self.text();
        let mut line = key_hash(&self.origin, &key.public()).to_vec();
        line.extend_from_slice(&key.sign_plain(note.as_bytes()));
        note.extend(["\n\u{2014} ", &self.origin, " ", &padded(&line), "\n"]);
        note
    }

    /// Reads a signed text of the log `origin` and checks the signature. Lines of other signers are passed over.
    pub fn verify(note: &str, origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        if note.len() > CHECKPOINT_BYTES_MAX {
            return Err(CheckpointError::Form("longer than 16 KiB"));
        }
        let (text, signatures) =
            note.split_once("\n\n").ok_or(CheckpointError::Form("no empty line before signatures"))?;
        let checkpoint = Self::parse(text)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected: origin.to_owned() });
        }
        if !signatures.ends_with('\n') {
            return Err(CheckpointError::Form("last line does not end"));
        }
        let prefix = format!("\u{2014} {origin} ");
        let signed = signatures.lines().filter_map(|line| line.strip_prefix(&prefix)).any(|line| {
            unpadded(line).is_some_and(|bytes| match bytes.split_first_chunk::<4>() {
                Some((hash, signature)) if *hash == key_hash(origin, key) => signature
                    .try_into()
                    .is_ok_and(|signature| key.verify_plain(checkpoint.text().as_bytes(), signature).is_ok()),
                _ => false,
            })
        });
        if signed { Ok(checkpoint) } else { Err(CheckpointError::Unsigned(origin.to_owned())) }
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root] = lines[..] else { return Err(CheckpointError::Form("not three lines")) };
        if origin.is_empty() || origin.contains(char::is_whitespace) || origin.contains('+') {
            return Err(CheckpointError::Form("origin is empty or has blanks"));
        }
        let number: u64 = size.parse().map_err(|_| CheckpointError::Form("size is not a number"))?;
        if number.to_string() != size {
            return Err(CheckpointError::Form("size has leading zeros or a sign"));
        }
        let root = unpadded(root).and_then(|root| Hash::from_slice(&root));
        let root = root.ok_or(CheckpointError::Form("root is not 32 bytes in base 64"))?;
        Ok(Self { origin: origin.to_owned(), size: number, root })
    }

    /// Whether `later` may follow this one as far as sizes and roots can tell; a larger one needs a consistency proof.
    pub fn admits(&self, later: &Self) -> Result<(), CheckpointError> {
        if later.size > self.size || (later.size == self.size && later.root == self.root) {
            return Ok(());
        }
        Err(CheckpointError::SplitView {
            origin: self.origin.clone(),
            seen_size: self.size,
            seen_root: self.root,
            size: later.size,
            root: later.root,
        })
    }
}

/// The first 4 bytes of SHA-256 over name, line end, algorithm 1 and key, as signed notes have it.
fn key_hash(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = Hash::of_parts(&[name.as_bytes(), b"\n\x01", &key.to_bytes()]);
    [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
}

fn padded(bytes: &[u8]) -> String {
    let mut text = base64(bytes, PLAIN);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn unpadded(text: &str) -> Option<Vec<u8>> {
    let bytes = unbase64(text.trim_end_matches('='), PLAIN)?;
    (padded(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "plumbline.example/ningbo";

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: ORIGIN.to_owned(), size: 20_852_163, root: Hash::of(b"root") }
    }

    #[test]
    fn a_checkpoint_reads_back_with_lines_of_other_signers_in_it() {
        let key = SecretKey::from_seed([3; 32]);
        let note = checkpoint().sign(&key);
        assert_eq!(Checkpoint::verify(&note, ORIGIN, &key.public()), Ok(checkpoint()));
        let witnessed = format!("{note}\u{2014} witness.example AAAA\n");
        assert_eq!(Checkpoint::verify(&witnessed, ORIGIN, &key.public()), Ok(checkpoint()));
    }

    #[test]
    fn a_changed_or_foreign_checkpoint_is_refused() {
        let key = SecretKey::from_seed([3; 32]);
        let note = checkpoint().sign(&key);
        let unsigned = Err(CheckpointError::Unsigned(ORIGIN.to_owned()));
        assert_eq!(Checkpoint::verify(&note.replace("20852163", "20852164"), ORIGIN, &key.public()), unsigned);
        assert_eq!(Checkpoint::verify(&note, ORIGIN, &SecretKey::from_seed([4; 32]).public()), unsigned);
        let other = Checkpoint::verify(&note, "other.example/log", &key.public());
        assert!(matches!(other, Err(CheckpointError::Origin { .. })));
        for (from, to) in
            [("20852163", "020852163"), ("\n\n", "\n"), ("20852163", "-1"), ("20852163\n", "20852163\nx\n")]
        {
            let changed = Checkpoint::verify(&note.replacen(from, to, 1), ORIGIN, &key.public());
            assert!(matches!(changed, Err(CheckpointError::Form(_))), "{from:?} -> {to:?}: {changed:?}");
        }
    }

    /// Bad input 68: a smaller size, or the same size with another root.
    #[test]
    fn bad_input_68_a_split_view_is_named() {
        let seen = checkpoint();
        assert_eq!(seen.admits(&seen), Ok(()));
        assert_eq!(seen.admits(&Checkpoint { size: seen.size + 1, root: Hash::ZERO, ..seen.clone() }), Ok(()));
        for later in
            [Checkpoint { size: seen.size - 1, ..seen.clone() }, Checkpoint { root: Hash::ZERO, ..seen.clone() }]
        {
            assert!(matches!(seen.admits(&later), Err(CheckpointError::SplitView { .. })));
        }
    }
}
