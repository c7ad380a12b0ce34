//! Which lines of which source teach which label: the mix decides more than the number of epochs.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use modloop_domain::Label;

use crate::TrainError;
use crate::data::Example;
use crate::words::{self, Guess};

/// The rules of a mix. Sources that no rule names are taken whole, with weight 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// Weight of a source's lines in the loss; 0 leaves the source out.
    pub weights: BTreeMap<String, f32>,
    /// At most this many lines of a source, drawn by the seed.
    pub limits: BTreeMap<String, usize>,
    /// A label listed here is learnt from these sources alone. A source that has only positives of a
    /// label teaches the model to recognise the source.
    pub only: BTreeMap<Label, BTreeSet<String>>,
    /// Labels for which a line marked weak counts as "no" where its set says nothing.
    pub weak_negatives: BTreeSet<Label>,
    /// A weak line whose source label has one of these words stays out of the line above.
    pub weak_except: BTreeSet<String>,
    /// Labels that [`words`] answer where a line's set answers another label only.
    #[serde(default)]
    pub by_words: BTreeSet<Label>,
    /// How often a source's lines are taken in each pass; once where nothing is said.
    #[serde(default)]
    pub repeats: BTreeMap<String, usize>,
}

impl Mix {
    /// The lines to train on. Lines that are left without any answer are dropped.
    pub fn apply(
        &self,
        examples: Vec<Example>,
        labels: &[Label],
        seed: u64,
    ) -> Result<Vec<Example>, TrainError> {
        self.apply_with_replay(examples, Vec::new(), labels, seed).map(|(new, _)| new)
    }

    /// The lines to train on, and the older ones to replay: no limits hold for these, for each epoch draws from all.
    pub fn apply_with_replay(
        &self,
        examples: Vec<Example>,
        replay: Vec<Example>,
        labels: &[Label],
        seed: u64,
    ) -> Result<(Vec<Example>, Vec<Example>), TrainError> {
        self.check_names(examples.iter().chain(&replay), labels)?;
        let mut examples = self.repeated(self.answered(examples, labels));
        examples.shuffle(&mut StdRng::seed_from_u64(seed));
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        examples.retain(|e| {
            let count = taken.entry(e.source.clone()).or_default();
            *count += 1;
            self.limits.get(&e.source).is_none_or(|&limit| *count <= limit)
        });
        let replay = self.answered(replay, labels);
        two_classes(&[&examples, &replay], labels)?;
        Ok((examples, replay))
    }

    /// Drops the rules for sources that `examples` lack; gives their names.
    pub fn drop_absent_sources<'a>(
        &mut self,
        examples: impl Iterator<Item = &'a Example>,
    ) -> BTreeSet<String> {
        let present: BTreeSet<&str> = examples.map(|e| e.source.as_str()).collect();
        let mut dropped = BTreeSet::new();
        let mut keep = |source: &String| {
            present.contains(source.as_str()) || {
                dropped.insert(source.clone());
                false
            }
        };
        self.weights.retain(|source, _| keep(source));
        self.limits.retain(|source, _| keep(source));
        self.repeats.retain(|source, _| keep(source));
        self.only.values_mut().for_each(|sources| sources.retain(&mut keep));
        dropped
    }

    /// The lines with the answers that count by this mix, without weights and limits: for the dev set.
    pub fn answered(&self, mut examples: Vec<Example>, labels: &[Label]) -> Vec<Example> {
        for example in &mut examples {
            example.weight = self.weights.get(&example.source).copied().unwrap_or(1.0);
            for (at, label) in labels.iter().enumerate() {
                example.answers[at] = self.answer(example, at, label);
            }
        }
        examples.retain(|e| e.weight > 0.0 && e.answers.iter().any(Option::is_some));
        examples
    }

    fn answer(&self, example: &Example, at: usize, label: &Label) -> Option<bool> {
        if self.only.get(label).is_some_and(|sources| !sources.contains(&example.source)) {
            return None;
        }
        let harmless = example.weak
            && self.weak_negatives.contains(label)
            && !example.source_label.split(',').any(|word| self.weak_except.contains(word));
        example.answers[at].or_else(|| {
            match self.by_words.contains(label).then(|| words::guess(&example.text)) {
                None => harmless.then_some(false),
                Some(Guess::Abusive) => Some(true),
                Some(Guess::Unsure) => harmless.then_some(false),
                Some(Guess::Clean) => {
                    let cleared = !example.weak && example.answers.contains(&Some(false));
                    (harmless || cleared).then_some(false)
                }
            }
        })
    }

    fn repeated(&self, examples: Vec<Example>) -> Vec<Example> {
        let times = |e: &Example| self.repeats.get(&e.source).copied().unwrap_or(1);
        examples.into_iter().flat_map(|e| std::iter::repeat_n(e.clone(), times(&e))).collect()
    }

    fn check_names<'a>(
        &self,
        examples: impl Iterator<Item = &'a Example>,
        labels: &[Label],
    ) -> Result<(), TrainError> {
        let sources: BTreeSet<&str> = examples.map(|e| e.source.as_str()).collect();
        let named = self
            .weights
            .keys()
            .chain(self.limits.keys())
            .chain(self.repeats.keys())
            .chain(self.only.values().flatten());
        if let Some(unknown) = named.map(String::as_str).find(|s| !sources.contains(s)) {
            return Err(TrainError::Mix(format!("the data has no source {unknown:?}; it has {sources:?}")));
        }
        match self.only.keys().chain(&self.weak_negatives).chain(&self.by_words).find(|l| !labels.contains(l))
        {
            Some(label) => {
                Err(TrainError::Mix(format!("a rule names the label {label}, which --labels lacks")))
            }
            None => Ok(()),
        }
    }
}

fn two_classes(examples: &[&[Example]], labels: &[Label]) -> Result<(), TrainError> {
    for (at, label) in labels.iter().enumerate() {
        if !examples.iter().copied().flatten().any(|e| e.answers[at].is_some()) {
            let problem =
                format!("no line of the data says anything about {label}; is it spelt as in the data?");
            return Err(TrainError::Mix(problem));
        }
        for (class, word) in [(true, "1"), (false, "0")] {
            if !examples.iter().copied().flatten().any(|e| e.answers[at] == Some(class)) {
                let problem = format!("no line of the data has {label} = {word}; both classes are needed");
                return Err(TrainError::Mix(problem));
            }
        }
    }
    Ok(())
}

/// Lines of each source.
pub fn lines_by_source(examples: &[Example]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for example in examples {
        *counts.entry(example.source.clone()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<Label> {
        ["hate", "offensive"].map(|l| l.parse().expect("a label")).to_vec()
    }

    fn example(source: &str, answers: [Option<bool>; 2]) -> Example {
        Example {
            text: "t".to_owned(),
            source: source.to_owned(),
            source_label: "joy,neutral".to_owned(),
            weak: source == "weak",
            answers: answers.to_vec(),
            weight: 1.0,
        }
    }

    fn examples() -> Vec<Example> {
        let mut all =
            vec![example("full", [Some(true), Some(true)]), example("full", [Some(false), Some(false)])];
        all.extend((0..10).map(|_| example("one-sided", [Some(true), Some(true)])));
        all.extend((0..10).map(|_| example("weak", [Some(false), None])));
        all
    }

    #[test]
    fn limits_and_weights_are_kept() {
        let mix = Mix {
            weights: [("one-sided".to_owned(), 0.0), ("full".to_owned(), 2.0)].into(),
            limits: [("weak".to_owned(), 3)].into(),
            ..Mix::default()
        };
        let mixed = mix.apply(examples(), &labels(), 1).expect("a mix");
        assert_eq!(lines_by_source(&mixed), [("full".to_owned(), 2), ("weak".to_owned(), 3)].into());
        assert!(mixed.iter().filter(|e| e.source == "full").all(|e| e.weight == 2.0));
    }

    #[test]
    fn labels_can_be_kept_to_sources_and_weak_lines_can_say_no() {
        let [_, offensive] = <[Label; 2]>::try_from(labels()).expect("two labels");
        let mut mix = Mix {
            only: [(offensive.clone(), ["full".to_owned(), "weak".to_owned()].into())].into(),
            weak_negatives: [offensive].into(),
            ..Mix::default()
        };
        let mixed = mix.apply(examples(), &labels(), 1).expect("a mix");
        assert!(mixed.iter().filter(|e| e.source == "one-sided").all(|e| e.answers[1].is_none()));
        assert!(mixed.iter().filter(|e| e.source == "weak").all(|e| e.answers[1] == Some(false)));
        mix.weak_except = ["joy".to_owned()].into();
        let mixed = mix.apply(examples(), &labels(), 1).expect("a mix");
        assert!(mixed.iter().filter(|e| e.source == "weak").all(|e| e.answers[1].is_none()));
    }

    #[test]
    fn words_answer_what_the_set_leaves_open() {
        let [_, offensive] = <[Label; 2]>::try_from(labels()).expect("two labels");
        let mix = Mix { by_words: [offensive].into(), ..Mix::default() };
        let answered = |text: &str, weak: bool, hate| {
            let mut line = example(if weak { "weak" } else { "full" }, [hate, None]);
            line.text = text.to_owned();
            mix.answered(vec![line], &labels())[0].answers[1]
        };
        assert_eq!(answered("you idiot", false, Some(false)), Some(true));
        assert_eq!(answered("this fucking printer", false, Some(false)), None);
        assert_eq!(answered("a fine day", false, Some(false)), Some(false));
        assert_eq!(answered("a fine day", false, Some(true)), None, "hate may be politely put");
        assert_eq!(answered("a fine day", true, Some(false)), None, "weak lines were not annotated");
        assert_eq!(answered("this fucking printer", true, Some(false)), None, "nor is swearing at things");
    }

    #[test]
    fn swearing_in_a_harmless_weak_line_is_no_offence() {
        let [_, offensive] = <[Label; 2]>::try_from(labels()).expect("two labels");
        let mix = Mix {
            by_words: [offensive.clone()].into(),
            weak_negatives: [offensive].into(),
            ..Mix::default()
        };
        let answered = |text: &str| {
            let line = Example { text: text.to_owned(), ..example("weak", [Some(false), None]) };
            mix.answered(vec![line], &labels())[0].answers[1]
        };
        assert_eq!(answered("this is fucking great"), Some(false));
        assert_eq!(answered("you idiot"), Some(true));
    }

    #[test]
    fn a_source_can_be_taken_several_times() {
        let mix = Mix { repeats: [("full".to_owned(), 3)].into(), ..Mix::default() };
        let mixed = mix.apply(examples(), &labels(), 1).expect("a mix");
        assert_eq!(lines_by_source(&mixed)["full"], 6);
    }

    #[test]
    fn what_cannot_teach_is_refused_by_name() {
        let misspelt = Mix { limits: [("ful".to_owned(), 1)].into(), ..Mix::default() };
        let error = misspelt.apply(examples(), &labels(), 1).expect_err("unknown source").to_string();
        assert!(error.contains("\"ful\"") && error.contains("\"full\""), "{error}");
        let mut forgiving =
            Mix { only: [(labels()[0].clone(), ["ful".to_owned()].into())].into(), ..misspelt };
        let dropped = forgiving.drop_absent_sources(examples().iter());
        assert_eq!((dropped, forgiving.limits.len()), (["ful".to_owned()].into(), 0));
        let one_class = vec![example("full", [Some(true), Some(true)])];
        let error = Mix::default().apply(one_class.clone(), &labels(), 1).expect_err("one class").to_string();
        assert!(error.contains("hate = 0"), "{error}");
        let silent = vec![example("full", [Some(true), None]), example("full", [Some(false), None])];
        let error = Mix::default().apply(silent, &labels(), 1).expect_err("a label is missing").to_string();
        assert!(error.contains("says anything about offensive"), "{error}");
        let replay = vec![example("old", [Some(false), Some(false)])];
        let (new, replay) = Mix { limits: [("old".to_owned(), 0)].into(), ..Mix::default() }
            .apply_with_replay(one_class, replay, &labels(), 1)
            .expect("the older lines have the other class");
        assert_eq!((new.len(), replay.len()), (1, 1));
    }
}
