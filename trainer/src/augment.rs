//! Changes to training texts that leave their meaning: what people do to get past filters, and what would otherwise
//! give away which data set a text comes from.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::data::Example;

/// Shares of lines that are changed, 0 to 1 each. A line may get several changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Words are disguised: leetspeak, gaps, swapped, dropped or doubled letters.
    pub disguised: f64,
    /// Punctuation is taken out, as some sets come without any.
    pub unpunctuated: f64,
    /// An emoji without a message is added.
    pub decorated: f64,
}

/// Emoji that say nothing about anybody.
const DECORATIONS: [&str; 16] =
    ["😂", "😅", "🙂", "😭", "🤔", "😴", "👀", "✨", "🔥", "🎉", "☕", "🌧️", "📱", "🍕", "⚽", "🎶"];
/// Words too common for anybody to disguise.
const COMMON: [&str; 40] = [
    "about", "after", "again", "also", "because", "been", "before", "could", "does", "down", "even", "every",
    "from", "have", "here", "into", "just", "know", "like", "more", "much", "only", "other", "over",
    "really", "should", "some", "than", "that", "their", "them", "then", "there", "they", "this", "what",
    "when", "will", "with", "would",
];
/// Whole texts are run together or spaced out only up to this many words.
const SHORT: usize = 7;

/// Changes the chosen shares of lines, and mends what only data sets have. The seed decides.
pub fn apply(examples: &mut [Example], augmentation: Augmentation, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x00A6_6E47);
    for example in examples {
        let mut text = mended(&example.text);
        if rng.random_bool(augmentation.unpunctuated) {
            text = text.replace(|c: char| c.is_ascii_punctuation() && c != '\'', " ");
        }
        if rng.random_bool(augmentation.disguised) {
            text = disguised(&text, &mut rng);
        }
        if rng.random_bool(augmentation.decorated)
            && let Some(emoji) = DECORATIONS.choose(&mut rng)
        {
            text = if rng.random_bool(0.8) { format!("{text} {emoji}") } else { format!("{emoji} {text}") };
        }
        example.text = text;
    }
}

/// HTML entities and place-holders, which no user writes.
fn mended(text: &str) -> String {
    let text = html_escape::decode_html_entities(text);
    text.replace("[USER]", "@user").replace("[URL]", "URL")
}

/// Hides one to three words, or a short text as a whole.
fn disguised(text: &str, rng: &mut StdRng) -> String {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.len() <= SHORT && rng.random_bool(0.15) {
        return if rng.random_bool(0.5) { words.concat() } else { spaced(&words.join(" ")) };
    }
    let worth: Vec<usize> = (0..words.len()).filter(|&at| worth_hiding(&words[at])).collect();
    let count = rng.random_range(1..=3);
    for &at in worth.sample(rng, count).collect::<Vec<_>>() {
        words[at] = hidden(&words[at], rng);
    }
    words.join(" ")
}

fn worth_hiding(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    letters >= 4 && !word.starts_with(['@', '#']) && !COMMON.contains(&word.to_lowercase().as_str())
}

/// One word as somebody would write it who wants it read by people alone.
fn hidden(word: &str, rng: &mut StdRng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let inner = 1..letters.len() - 1;
    match rng.random_range(0..7) {
        0 => letters.iter().map(|&c| if rng.random_bool(0.7) { leet(c) } else { c }).collect(),
        1 => {
            let at = rng.random_range(inner);
            letters.swap(at, at + 1);
            letters.into_iter().collect()
        }
        2 => {
            letters.remove(rng.random_range(inner));
            letters.into_iter().collect()
        }
        3 => {
            letters[rng.random_range(inner)] = '*';
            letters.into_iter().collect()
        }
        4 => {
            let at = rng.random_range(inner);
            let again = vec![letters[at]; rng.random_range(1..4)];
            letters.splice(at..at, again);
            letters.into_iter().collect()
        }
        5 => spaced(word),
        _ => {
            let mark = *['.', '-', '_', ' '].choose(rng).unwrap_or(&'.');
            letters.insert(rng.random_range(inner), mark);
            letters.into_iter().collect()
        }
    }
}

fn spaced(text: &str) -> String {
    let letters = text.chars().filter(|c| !c.is_whitespace());
    letters.map(String::from).collect::<Vec<_>>().join(" ")
}

fn leet(letter: char) -> char {
    match letter.to_ascii_lowercase() {
        'a' => '4',
        'e' => '3',
        'i' => '1',
        'o' => '0',
        's' => '5',
        't' => '7',
        'b' => '8',
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(text: &str) -> Example {
        Example {
            text: text.to_owned(),
            source: "s".to_owned(),
            source_label: String::new(),
            weak: false,
            answers: vec![Some(true)],
            weight: 1.0,
        }
    }

    fn changed(text: &str, augmentation: Augmentation, seed: u64) -> String {
        let mut examples = [example(text)];
        apply(&mut examples, augmentation, seed);
        let [Example { text, answers, .. }] = examples;
        assert_eq!(answers, [Some(true)]);
        text
    }

    #[test]
    fn nothing_is_changed_unless_asked_for() {
        let text = "plain text, with a comma!";
        assert_eq!(changed(text, Augmentation::default(), 1), text);
        assert_eq!(changed("&#128553; [USER] &amp; [URL]", Augmentation::default(), 1), "😩 @user & URL");
    }

    #[test]
    fn a_share_of_lines_is_disguised() {
        let mut examples = vec![example("somebody wrote a rather ordinary sentence here"); 1000];
        apply(&mut examples, Augmentation { disguised: 0.2, ..Augmentation::default() }, 3);
        let changed = examples.iter().filter(|e| e.text != example_text()).count();
        assert!((150..=250).contains(&changed), "{changed}");
    }

    fn example_text() -> &'static str {
        "somebody wrote a rather ordinary sentence here"
    }

    #[test]
    fn punctuation_goes_and_words_stay() {
        let all = Augmentation { unpunctuated: 1.0, ..Augmentation::default() };
        assert_eq!(changed("No, don't!", all, 1).split_whitespace().collect::<Vec<_>>(), ["No", "don't"]);
    }

    proptest! {
        #[test]
        fn any_text_survives_every_change(text in "\\PC{0,60}", seed in any::<u64>()) {
            let all = Augmentation { disguised: 1.0, unpunctuated: 1.0, decorated: 1.0 };
            let once = changed(&text, all, seed);
            prop_assert_eq!(&once, &changed(&text, all, seed));
            prop_assert!(DECORATIONS.iter().any(|d| once.contains(d)));
        }

        #[test]
        fn a_hidden_word_keeps_its_ends(word in "[a-z]{4,12}", seed in any::<u64>()) {
            let hidden = hidden(&word, &mut StdRng::seed_from_u64(seed));
            prop_assert!(!hidden.is_empty());
            let first = word.chars().next().expect("a letter");
            prop_assert!(hidden.starts_with([first, leet(first)]), "{} for {}", hidden, word);
        }
    }
}
