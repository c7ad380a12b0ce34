//! Sentences of the project's own writing that teach what data sets rarely hold: negated and quoted hate, counter-speech,
//! harmless talk about groups, emoji. They travel inside the program.

use std::collections::{BTreeMap, BTreeSet};

use include_dir::{Dir, include_dir};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Deserialize;

use modloop_domain::Label;

use crate::TrainError;
use crate::data::Example;

/// The `source` of every line made here.
pub const SOURCE: &str = "templates";

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Draws tried for a sentence before its family counts as used up.
const TRIES: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    slots: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    family: Vec<Family>,
}

/// Sentences that share a meaning and its labels; any other field is a label with 0 or 1.
#[derive(Debug, Deserialize)]
struct Family {
    name: String,
    /// The most lines drawn.
    lines: usize,
    sentences: Vec<String>,
    #[serde(flatten)]
    labels: BTreeMap<String, u8>,
}

/// Lines of all families, each line once. The seed decides which words fill the slots.
pub fn lines(labels: &[Label], seed: u64) -> Result<Vec<Example>, TrainError> {
    let mut all = File::default();
    for file in FILES.files() {
        let name = file.path().display();
        let wrong = |problem: String| TrainError::Mix(format!("templates/{name}: {problem}"));
        let text = file.contents_utf8().ok_or_else(|| wrong("is not UTF-8".to_owned()))?;
        let parsed: File = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        all.slots.extend(parsed.slots);
        all.family.extend(parsed.family);
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mut examples = Vec::new();
    for family in &all.family {
        let answers: Vec<_> = labels.iter().map(|l| family.labels.get(l.as_str()).map(|&a| a == 1)).collect();
        examples.extend(family.draw(&all.slots, &mut rng)?.into_iter().map(|text| Example {
            text,
            source: SOURCE.to_owned(),
            source_label: family.name.clone(),
            weak: false,
            answers: answers.clone(),
            weight: 1.0,
        }));
    }
    Ok(examples)
}

impl Family {
    /// Goes round the sentences, so that each is used about equally often.
    fn draw(
        &self,
        slots: &BTreeMap<String, Vec<String>>,
        rng: &mut StdRng,
    ) -> Result<BTreeSet<String>, TrainError> {
        let mut drawn = BTreeSet::new();
        let most = self.lines.saturating_mul(TRIES);
        for sentence in self.sentences.iter().cycle().take(most.max(self.sentences.len())) {
            if drawn.len() == self.lines {
                break;
            }
            let text = fill(sentence, slots, rng).map_err(|slot| {
                TrainError::Mix(format!("templates: {:?} has no slot {slot:?}", self.name))
            })?;
            drawn.insert(text);
        }
        Ok(drawn)
    }
}

/// Puts a word into every `{slot}`; fails with the name of a slot that has none.
fn fill(sentence: &str, slots: &BTreeMap<String, Vec<String>>, rng: &mut StdRng) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after.split_once('}').ok_or(after)?;
        let word = slots.get(slot).and_then(|words| words.choose(rng)).ok_or(slot)?;
        text.push_str(before);
        text.push_str(word);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<Label> {
        ["hate", "offensive"].map(|l| l.parse().expect("a label")).to_vec()
    }

    #[test]
    fn every_line_is_filled_and_has_an_answer() {
        let lines = lines(&labels(), 1).expect("templates");
        for line in &lines {
            assert!(!line.text.contains(['{', '}']), "{line:?}");
            assert!(line.answers.iter().any(Option::is_some), "{line:?}");
        }
        for label in 0..2 {
            for class in [true, false] {
                let lines = lines.iter().filter(|l| l.answers[label] == Some(class)).count();
                assert!(lines > 1000, "label {label} has {lines} lines that say {class}");
            }
        }
    }

    #[test]
    fn the_seed_decides_the_words() {
        let drawn = |seed| lines(&labels(), seed).expect("templates");
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_slot_without_words_is_named() {
        let mut rng = StdRng::seed_from_u64(1);
        let slots = [("group".to_owned(), vec!["cats".to_owned()])].into();
        assert_eq!(fill("{group} and {group}", &slots, &mut rng), Ok("cats and cats".to_owned()));
        assert_eq!(fill("a {dog}", &slots, &mut rng), Err("dog".to_owned()));
    }
}
