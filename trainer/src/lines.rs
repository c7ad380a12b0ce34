//! The lines of a run: read, mixed, changed and tokenised.

use std::collections::BTreeMap;

use modloop_domain::Label;
use modloop_trainer::epochs::Epochs;
use modloop_trainer::mix::Mix;
use modloop_trainer::record::DataSource;
use modloop_trainer::start::Lineage;
use modloop_trainer::tokens::{Encoded, TextTokenizer};
use modloop_trainer::{TrainError, augment, data, mix, templates};

use crate::options::TrainOptions;

/// What to learn from and what to measure on.
pub(crate) struct Lines {
    pub(crate) epochs: Epochs,
    pub(crate) dev: Vec<Encoded>,
    /// By which they were mixed.
    pub(crate) rules: Mix,
    new_by_source: BTreeMap<String, usize>,
    replay_by_source: BTreeMap<String, usize>,
}

impl Lines {
    /// Reads everything before anything is trained, so that a mistake shows at once.
    pub(crate) fn load(options: &TrainOptions, tokenizer: &TextTokenizer) -> Result<Self, TrainError> {
        let (labels, seed, mut rules) = (&options.labels, options.seed, options.mix());
        check_distinct(labels)?;
        let mut new = data::read(&options.data, labels)?;
        if options.templates {
            new.extend(templates::lines(labels, seed)?);
        }
        let replay = match &options.replay {
            Some(path) => data::read(path, labels)?,
            None => Vec::new(),
        };
        if options.skip_absent_sources {
            let absent = rules.drop_absent_sources(new.iter().chain(&replay));
            absent
                .iter()
                .for_each(|source| eprintln!("the data has no source {source}: its rules are passed over"));
        }
        let (mut new, mut replay) = rules.apply_with_replay(new, replay, labels, seed)?;
        augment::apply(&mut new, options.augmentation(), seed);
        augment::apply(&mut replay, options.augmentation(), seed.wrapping_add(1));
        let dev = rules.answered(data::read(&options.dev, labels)?, labels);
        let lines = Self {
            epochs: Epochs::new(
                tokenizer.encode(&new)?,
                tokenizer.encode(&replay)?,
                options.replay_share,
                seed,
            ),
            dev: tokenizer.encode(&dev)?,
            new_by_source: mix::lines_by_source(&new),
            replay_by_source: mix::lines_by_source(&replay),
            rules,
        };
        lines.announce();
        Ok(lines)
    }

    fn announce(&self) {
        let Self { epochs, dev, new_by_source, replay_by_source, .. } = self;
        let new = epochs.lines_an_epoch() - epochs.replayed();
        eprintln!("train on {new} lines {new_by_source:?}, measure on {} lines", dev.len());
        if epochs.replayed() > 0 {
            let share = epochs.replayed() as f64 / epochs.lines_an_epoch() as f64;
            eprintln!(
                "replay {} lines an epoch, {:.0} % of it, from {replay_by_source:?}",
                epochs.replayed(),
                share * 100.0
            );
        }
    }

    /// What the model has learnt from when it is done: what it came with, and the lines of this run.
    pub(crate) fn sources(&self, options: &TrainOptions, before: Option<&Lineage>) -> Vec<DataSource> {
        let mut licences: BTreeMap<String, String> = BTreeMap::new();
        let mut lines = self.replay_by_source.clone();
        for known in before.iter().flat_map(|lineage| &lineage.data_sources) {
            licences.insert(known.name.clone(), known.licence.clone());
            // What it came with holds what is replayed now.
            lines.insert(known.name.clone(), known.lines);
        }
        for (name, count) in &self.new_by_source {
            *lines.entry(name.clone()).or_default() += count;
        }
        let licence = |name: &str| options.licence_of(name).or_else(|| licences.get(name).cloned());
        let source = |(name, lines): (String, usize)| DataSource {
            licence: licence(&name).unwrap_or_else(|| "not stated".to_owned()),
            name,
            lines,
        };
        lines.into_iter().map(source).collect()
    }
}

fn check_distinct(labels: &[Label]) -> Result<(), TrainError> {
    let mut numbered = labels.iter().enumerate();
    match numbered.find(|(at, label)| labels[..*at].contains(label)) {
        Some((_, twice)) => Err(TrainError::Mix(format!("--labels names {twice} twice"))),
        None => Ok(()),
    }
}
