use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Words in a shingle.
const SHINGLE: usize = 3;
/// Bands of [`ROWS`] hashes: two texts are compared where at least one band agrees. With a Jaccard
/// similarity of 0.8 that is missed in one case of 5,000, with 0.3 it happens in one of 8.
const BANDS: usize = 16;
const ROWS: usize = 4;
/// From this estimated Jaccard similarity on, two texts are the same in other words.
const SAME: f64 = 0.75;

type Signature = [u64; BANDS * ROWS];

/// Texts seen so far; tells whether another is nearly one of them (MinHash, Broder 1997).
#[derive(Default)]
pub struct NearDuplicates {
    signatures: Vec<Signature>,
    bands: HashMap<(usize, u64), Vec<usize>>,
}

impl NearDuplicates {
    /// Whether the text is nearly one that was added. Case, punctuation and spaces make no difference.
    pub fn holds(&self, text: &str) -> bool {
        self.holds_signature(&signature(text))
    }

    /// Adds the text unless it is nearly one that is there; `false` says that it was.
    pub fn add(&mut self, text: &str) -> bool {
        let signature = signature(text);
        if self.holds_signature(&signature) {
            return false;
        }
        for key in keys(&signature) {
            self.bands.entry(key).or_default().push(self.signatures.len());
        }
        self.signatures.push(signature);
        true
    }

    fn holds_signature(&self, signature: &Signature) -> bool {
        keys(signature)
            .filter_map(|key| self.bands.get(&key))
            .flatten()
            .any(|&index| similarity(&self.signatures[index], signature) >= SAME)
    }
}

fn keys(signature: &Signature) -> impl Iterator<Item = (usize, u64)> {
    signature.chunks(ROWS).map(hashed).enumerate()
}

fn similarity(a: &Signature, b: &Signature) -> f64 {
    let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
    equal as f64 / a.len() as f64
}

fn signature(text: &str) -> Signature {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut least = [u64::MAX; BANDS * ROWS];
    if words.is_empty() {
        // Emoji and signs alone: the text itself is the only shingle.
        include(&mut least, hashed(text.trim()));
    }
    for shingle in words.windows(SHINGLE.min(words.len()).max(1)) {
        include(&mut least, hashed(shingle));
    }
    least
}

fn include(least: &mut Signature, shingle: u64) {
    for (index, least) in least.iter_mut().enumerate() {
        *least = (*least).min(mixed(shingle ^ (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): one hash function for each seed mixed in.
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn hashed(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_with_small_changes_are_found_and_other_texts_are_not() {
        let mut seen = NearDuplicates::default();
        let text = "I moved to this city in the spring and nobody told me how loud the trams are at night, \
                    so now I sleep with the window shut and the radio on";
        assert!(seen.add(text));
        assert!(!seen.add(&text.to_uppercase().replace(',', " –")));
        assert!(!seen.add(&format!("{text}!! edit: thanks")));
        assert!(seen.add("The trams at night are loud, but that is how I know that I am home in this city"));
    }

    #[test]
    fn short_texts_are_compared_too() {
        let mut seen = NearDuplicates::default();
        assert!(seen.add("thanks") && !seen.add("Thanks!") && seen.add("no thanks"));
        assert!(seen.add("🎉") && !seen.add(" 🎉 ") && seen.add("") && !seen.add("  "));
    }
}
