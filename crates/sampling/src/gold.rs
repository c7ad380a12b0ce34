use std::str::FromStr;

use modloop_domain::ItemId;
use sha2::{Digest, Sha256};

/// The share of all items that is set aside to measure with and never trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoldShare(f64);

/// Why a number is no [`GoldShare`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a gold share of {0} cannot be used: expected more than 0 and less than 1, such as 0.3")]
pub struct GoldShareError(f64);

impl GoldShare {
    /// More than nothing, and not everything.
    pub fn new(share: f64) -> Result<Self, GoldShareError> {
        if share > 0.0 && share < 1.0 { Ok(Self(share)) } else { Err(GoldShareError(share)) }
    }

    /// Whether this item is gold. Depends on its name alone: with a larger share gold items stay gold.
    pub fn holds(self, item: &ItemId) -> bool {
        unit("gold", item.as_str()) < self.0
    }
}

impl FromStr for GoldShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
        Self::new(share).map_err(|error| error.to_string())
    }
}

/// A number from 0 up to 1 that depends on both texts and on nothing else.
pub(crate) fn unit(purpose: &str, text: &str) -> f64 {
    let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(text).finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    // 53 bits are what a double holds.
    (u64::from_be_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}
