//! Keys and signatures: Ed25519 over the DSSE pre-authentication encoding, verified strictly.
//!
//! The rule, in full: a public key must be canonically encoded and lie in the prime-order subgroup (so neither
//! small-order nor mixed-order keys exist here); in a signature `R` must be canonical and not of small order,
//! `S` below the group order, and the cofactorless equation must hold. Nothing is left to the implementation.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::hash::{Hash, hex};

/// Bytes of a key id and a signature at the end of every signed message.
pub const TRAILER_BYTES: usize = 8 + 64;

/// Why a key or a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The text is not `ed25519:` and 43 characters of base64url.
    #[error("{0:?} is not a public key; write ed25519: and 43 characters of base64url without padding")]
    KeyText(String),
    /// The bytes are not a point of the curve, or not its one canonical encoding.
    #[error("public key {0} is not a canonical point of the curve; refused")]
    NonCanonicalKey(String),
    /// The point is of small order or has a part of small order: anyone could sign for it, or signatures are ambiguous.
    #[error("public key {0} is not in the prime-order subgroup; refused")]
    SmallOrderKey(String),
    /// The message names another key than the one it is checked with.
    #[error("message is signed by key {found}, not by the expected key {expected}; refused")]
    OtherKey {
        /// Key id in the message.
        found: KeyId,
        /// Id of the key it was checked with.
        expected: KeyId,
    },
    /// The signature does not hold for these bytes and this key.
    #[error("signature by key {0} does not hold; refused")]
    Forged(KeyId),
}

/// The first 8 bytes of SHA-256 of a public key: finds a key, proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A signing key. Never shown, never logged.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key that grows from 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The 32 bytes it grew from, for a private file of mode 0600.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Key id and signature over the pre-authentication encoding of `body`: the trailer of a signed message.
    pub fn trailer(&self, payload_type: &str, body: &[u8]) -> [u8; TRAILER_BYTES] {
        let mut trailer = [0; TRAILER_BYTES];
        trailer[..8].copy_from_slice(&self.public().key_id().0);
        trailer[8..].copy_from_slice(&self.0.sign(&pae(payload_type, body)).to_bytes());
        trailer
    }

    /// The plain Ed25519 signature of `message`, for formats that sign text as it stands (checkpoints).
    pub fn sign_plain(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

/// A public key that obeys the rule of this module. Shown as `ed25519:` and base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key with these 32 bytes; refuses non-canonical and small-order ones.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignError> {
        let non_canonical = || SignError::NonCanonicalKey(hex(bytes));
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| non_canonical())?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes {
            return Err(non_canonical());
        }
        if key.is_weak() || !point.is_torsion_free() {
            return Err(SignError::SmallOrderKey(hex(bytes)));
        }
        Ok(Self(key))
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The name by which messages cite it.
    pub fn key_id(&self) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&Hash::of(self.0.as_bytes()).0[..8]);
        KeyId(id)
    }

    /// Checks the trailer of a message whose signed part is `body`.
    pub fn verify(&self, payload_type: &str, body: &[u8], trailer: &[u8; TRAILER_BYTES]) -> Result<(), SignError> {
        let (found, expected) = (key_id(trailer), self.key_id());
        if found != expected {
            return Err(SignError::OtherKey { found, expected });
        }
        let mut signature = [0; 64];
        signature.copy_from_slice(&trailer[8..]);
        self.verify_plain(&pae(payload_type, body), &signature)
    }

    /// Checks a plain Ed25519 signature of `message` by the strict rule.
    pub fn verify_plain(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignError> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| SignError::Forged(self.key_id()))
    }
}

/// The key id that a trailer names.
pub fn key_id(trailer: &[u8; TRAILER_BYTES]) -> KeyId {
    let mut id = [0; 8];
    id.copy_from_slice(&trailer[..8]);
    KeyId(id)
}

/// DSSE v1 pre-authentication encoding of `body` under `payload_type`.
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    encoded.extend_from_slice(body);
    encoded
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", base64(self.0.as_bytes(), URL))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = SignError;
    fn from_str(text: &str) -> Result<Self, SignError> {
        let form = || SignError::KeyText(text.to_owned());
        let digits = text.strip_prefix("ed25519:").ok_or_else(form)?;
        let bytes = unbase64(digits, URL).ok_or_else(form)?;
        Self::from_bytes(&bytes.try_into().map_err(|_| form())?)
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The alphabet of base64url.
pub(crate) const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// The alphabet of plain base64.
pub(crate) const PLAIN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` in base 64 without padding.
pub(crate) fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(alphabet[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// The bytes that `text` writes in base 64 without padding; `None` if it is not their only spelling.
pub(crate) fn unbase64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for place in 0..4 {
            let digit = match chunk.get(place) {
                Some(byte) => alphabet.iter().position(|letter| letter == byte)?,
                None => 0,
            };
            word = word << 6 | u32::try_from(digit).ok()?;
        }
        let spelled = word.to_be_bytes();
        bytes.extend_from_slice(&spelled[1..chunk.len()]);
    }
    (base64(&bytes, alphabet) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.plumbline.test";

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    #[test]
    fn the_pre_authentication_encoding_is_that_of_dsse() {
        let encoded = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_key_reads_back_and_never_shows_its_secret() {
        let key = key();
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert!(!format!("{key:?}").contains(&hex(&key.seed())[..8]));
        for text in ["", "ed25519:", "ed25519:AAAA", &format!("{}=", key.public())] {
            assert_eq!(text.parse::<PublicKey>(), Err(SignError::KeyText(text.to_owned())));
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        for length in 0..8_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(89)).collect();
            assert_eq!(unbase64(&base64(&bytes, PLAIN), PLAIN), Some(bytes));
        }
        assert_eq!(base64(b"plumb", PLAIN), "cGx1bWI");
        assert_eq!(unbase64("cGx1bWJ", PLAIN), None);
        assert_eq!(unbase64("c", PLAIN), None);
    }

    /// Bad input 61: a forged signature. Every bit of body, type and signature counts.
    #[test]
    fn bad_input_61_a_changed_bit_breaks_the_signature() {
        let (key, body) = (key(), b"block".as_slice());
        let trailer = key.trailer(TYPE, body);
        assert_eq!(key.public().verify(TYPE, body, &trailer), Ok(()));
        let forged = Err(SignError::Forged(key.public().key_id()));
        assert_eq!(key.public().verify(TYPE, b"clock", &trailer), forged);
        assert_eq!(key.public().verify("application/other", body, &trailer), forged);
        for bit in 64..TRAILER_BYTES * 8 {
            let mut changed = trailer;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.public().verify(TYPE, body, &changed), forged, "bit {bit}");
        }
    }

    /// Bad input 62: signed well, but by a key that is not the expected one.
    #[test]
    fn bad_input_62_another_key_is_refused_by_name() {
        let other = SecretKey::from_seed([8; 32]);
        let answer = key().public().verify(TYPE, b"block", &other.trailer(TYPE, b"block"));
        let (found, expected) = (other.public().key_id(), key().public().key_id());
        assert_eq!(answer, Err(SignError::OtherKey { found, expected }));
    }

    /// Bad input 67: small-order and non-canonical keys.
    #[test]
    fn bad_input_67_weak_and_non_canonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(SignError::SmallOrderKey(hex(&identity))));
        // y = p + 1 is another spelling of the identity.
        let mut spelled = [0xff; 32];
        (spelled[0], spelled[31]) = (0xee, 0x7f);
        assert_eq!(PublicKey::from_bytes(&spelled), Err(SignError::NonCanonicalKey(hex(&spelled))));
    }
}
