//! Emoji and fancy letters as words: BERT's vocabulary knows neither, and turns a word that touches one into `[UNK]`.
//!
//! The mapping becomes a part of tokenizer.json (a normalizer of type `Precompiled`), so whoever loads the bundle reads
//! text in the same way: the served function, another program, the next training. The form is SentencePiece's: the
//! length of a double-array trie, the trie, then the replacements, each ended by a zero byte; the trie leads from a
//! character's UTF-8 bytes to the place of its replacement.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;
use yada::builder::DoubleArrayBuilder;

use crate::TrainError;

/// The type of the normalizer in tokenizer.json.
const PRECOMPILED: &str = "Precompiled";
/// Mathematical letters, full-width forms, letters in circles: NFKC turns them into plain ones.
const FANCY: [std::ops::RangeInclusive<u32>; 3] = [0x1D400..=0x1D7FF, 0xFF01..=0xFF5E, 0x24B6..=0x24E9];
/// Letters in squares, which Unicode does not relate to plain ones, each range from A on.
const SQUARED: [u32; 3] = [0x1F130, 0x1F150, 0x1F170];
/// Two of these make a flag: they become the letters of the country's code.
const REGIONAL_A: u32 = 0x1F1E6;
/// Tones of skin say who is meant, so they must not get lost.
const TONES: [(char, &str); 5] = [
    ('\u{1F3FB}', " light skin "),
    ('\u{1F3FC}', " light skin "),
    ('\u{1F3FD}', " medium skin "),
    ('\u{1F3FE}', " dark skin "),
    ('\u{1F3FF}', " dark skin "),
];
/// Joins emoji into one picture, and asks for the coloured form of a sign.
const JOINERS: [(char, &str); 2] = [('\u{200D}', " "), ('\u{FE0F}', "")];

/// Puts the mapping in front of the normalizer of a tokenizer.json, unless it has one.
pub fn read_as_words(tokenizer: &mut Value) -> Result<(), TrainError> {
    let own = tokenizer.get("normalizer").cloned().unwrap_or(Value::Null);
    if own.to_string().contains(PRECOMPILED) {
        return Ok(());
    }
    let words = json!({"type": PRECOMPILED, "precompiled_charsmap": STANDARD.encode(charsmap(&words())?)});
    let normalizers = if own.is_null() { vec![words] } else { vec![words, own] };
    tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": normalizers});
    Ok(())
}

/// What each character is read as.
fn words() -> BTreeMap<char, String> {
    let mut words = BTreeMap::new();
    for emoji in emojis::iter() {
        let mut characters = emoji.as_str().chars().filter(|&c| c != '\u{FE0F}');
        if let (Some(character), None) = (characters.next(), characters.next()) {
            words.insert(character, format!(" {} ", plain(emoji.name())));
        }
    }
    for character in FANCY.into_iter().flatten().filter_map(char::from_u32) {
        let folded: String = character.nfkc().collect();
        if folded.is_ascii() {
            words.insert(character, folded);
        }
    }
    for (letter, offset) in ('a'..='z').zip(0..) {
        words.extend(SQUARED.iter().filter_map(|a| Some((char::from_u32(a + offset)?, letter.to_string()))));
        words.extend(char::from_u32(REGIONAL_A + offset).map(|c| (c, letter.to_string())));
    }
    words.extend(TONES.into_iter().chain(JOINERS).map(|(c, word)| (c, word.to_owned())));
    words.retain(|character, _| !character.is_ascii());
    words
}

/// A name without what would become tokens of its own.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != ' ', "")
}

fn charsmap(words: &BTreeMap<char, String>) -> Result<Vec<u8>, TrainError> {
    let mut replacements = Vec::new();
    let mut keys = Vec::with_capacity(words.len());
    for (character, word) in words {
        keys.push((character.to_string(), replacements.len() as u32));
        replacements.extend(word.bytes().chain([0]));
    }
    let trie = DoubleArrayBuilder::build(&keys)
        .map_err(|e| TrainError::Mix(format!("the mapping of emoji to words cannot be built: {e:?}")))?;
    let mut bytes = (trie.len() as u32).to_le_bytes().to_vec();
    bytes.extend(trie);
    bytes.extend(replacements);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

    /// Reads texts as a tokenizer does that has the mapping in front of BERT's own normalizer.
    fn reader() -> impl Fn(&str) -> String {
        let bert = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true});
        let mut tokenizer = json!({"normalizer": bert});
        read_as_words(&mut tokenizer).expect("a mapping");
        let normalizer: NormalizerWrapper =
            serde_json::from_value(tokenizer["normalizer"].clone()).expect("a normalizer");
        move |text| {
            let mut normalized = NormalizedString::from(text);
            normalizer.normalize(&mut normalized).expect("normalises");
            normalized.get().split_whitespace().collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn the_mapping_is_added_once() {
        let mut tokenizer = json!({"normalizer": null});
        read_as_words(&mut tokenizer).expect("a mapping");
        let once = tokenizer.clone();
        read_as_words(&mut tokenizer).expect("a mapping");
        assert_eq!(tokenizer, once);
    }

    #[test]
    fn emoji_become_their_names() {
        let read = reader();
        assert_eq!(read("you🐀!"), "you rat !");
        assert_eq!(read("❤️ and ☺️"), "red heart and smiling face");
        assert_eq!(read("👩🏿‍🚀 🇮🇱"), "woman dark skin rocket il");
        assert_eq!(read("😂😂"), "face with tears of joy face with tears of joy");
    }

    #[test]
    fn fancy_letters_become_plain_ones() {
        let read = reader();
        assert_eq!(read("𝓱𝓪𝓽𝓮 ｈａｔｅ ⓗⓐⓣⓔ 🅷🅰🆃🅴"), "hate hate hate hate");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let read = reader();
        assert_eq!(read("Déjà vu, #1 * don't (c) 50%"), "deja vu, #1 * don't (c) 50%");
    }

    #[test]
    fn every_character_finds_its_own_word() {
        let read = reader();
        for (character, word) in words() {
            let word = word.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            assert_eq!(read(&character.to_string()), read(&word), "{character:?}");
        }
    }
}
