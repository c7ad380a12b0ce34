use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The installation's key for hashes of texts and names. It is kept in the database.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

/// HMAC-SHA-256 of the scored text of an item under the installation's key, cut to 16 bytes. A plain hash of
/// a short text could be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; Self::LENGTH]);

/// The same of an author's name: what is kept where the name must not be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey([u8; ContentHash::LENGTH]);

impl HashKey {
    /// Takes the key as stored; `None` unless it is 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Of a scored text.
    pub fn content(&self, scored_text: &str) -> ContentHash {
        ContentHash(self.mac("content", scored_text))
    }

    /// Of an author's name. Case does not matter.
    pub fn name(&self, author: &str) -> NameKey {
        NameKey(self.mac("name", &author.to_lowercase()))
    }

    /// The purpose is part of what is hashed, so that a name and a text never share a hash.
    fn mac(&self, purpose: &str, text: &str) -> [u8; ContentHash::LENGTH] {
        // HMAC pads a key that is shorter than a block with zeros.
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut hmac = Hmac::<Sha256>::new(&block.into());
        hmac.update(purpose.as_bytes());
        hmac.update(&[0]);
        hmac.update(text.as_bytes());
        let whole = hmac.finalize().into_bytes();
        std::array::from_fn(|i| whole[i])
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(hidden)")
    }
}

impl ContentHash {
    /// Bytes of a hash.
    pub const LENGTH: usize = 16;

    /// The bytes, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes back what was stored; `None` unless it is 16 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({})", hex::encode(&self.0[..6]))
    }
}

impl NameKey {
    /// The bytes, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In hex, as the audit log shows it.
impl fmt::Display for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameKey({})", hex::encode(&self.0[..6]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_purpose_and_text() {
        let key = |byte| HashKey::from_bytes(&[byte; 32]).expect("32 bytes");
        assert_eq!(key(1).content("a"), key(1).content("a"));
        assert_ne!(key(1).content("a"), key(1).content("b"));
        assert_ne!(key(1).content("a"), key(2).content("a"));
        assert_ne!(key(1).content("a").as_bytes(), key(1).name("a").as_bytes());
        assert_eq!(key(1).name("Alice"), key(1).name("alice"));
        assert!(HashKey::from_bytes(b"short").is_none() && ContentHash::from_bytes(b"short").is_none());
    }

    #[test]
    fn debug_output_hides_the_key() {
        let key = HashKey::from_bytes(&[7; 32]).expect("32 bytes");
        assert_eq!(format!("{key:?}"), "HashKey(hidden)");
    }
}
