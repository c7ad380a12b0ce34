use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use modloop_bundle::Windowing;

use crate::runtime::{self, Loaded, WindowModel, joined};
use crate::tokens::{TokenisedText, WindowedTokenizer};
use crate::{Backend, ClassifierOptions, LoadError, ScoreError};

/// Tokens that are computed together: the kernels read every weight once for all of them.
const GROUP: usize = 330;

/// A graph and its tokenizer: texts to logits, before calibration.
pub struct LogitModel {
    tokenizer: WindowedTokenizer,
    /// One a thread: it computes for one caller at a time.
    models: Vec<Mutex<WindowModel>>,
    backend: Backend,
}

/// What the model says about one text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextLogits {
    /// Per label the highest of all windows.
    pub logits: Vec<f32>,
    /// Tokens of the whole text, special ones not counted.
    pub tokens: u32,
    /// How many of them the vocabulary does not know.
    pub unknown_tokens: u32,
    /// Windows computed.
    pub windows: u32,
    /// Whether text behind the last window was left out.
    pub truncated: bool,
}

impl LogitModel {
    /// Loads an ONNX graph and a tokenizer that were checked before.
    pub fn load(
        graph: &Path,
        tokenizer: &Path,
        windowing: Windowing,
        options: &ClassifierOptions,
    ) -> Result<Self, LoadError> {
        thread::scope(|scope| {
            let models = scope.spawn(|| runtime::load(graph, options));
            let tokenizer = WindowedTokenizer::load(tokenizer, windowing)?;
            let Loaded { models, backend } = joined(models)?;
            Ok(Self { tokenizer, models: models.into_iter().map(Mutex::new).collect(), backend })
        })
    }

    /// What computes the graph.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Computes each text's logits, in order. Texts that occur more than once are computed once.
    pub fn logits(&self, texts: &[&str]) -> Vec<Result<TextLogits, ScoreError>> {
        let mut first_seen = HashMap::new();
        let mut distinct = Vec::new();
        let places: Vec<usize> = texts
            .iter()
            .map(|text| {
                *first_seen.entry(*text).or_insert_with(|| {
                    distinct.push(*text);
                    distinct.len() - 1
                })
            })
            .collect();
        let results = self.distinct_logits(&distinct);
        places.into_iter().map(|place| results[place].clone()).collect()
    }

    fn distinct_logits(&self, texts: &[&str]) -> Vec<Result<TextLogits, ScoreError>> {
        let texts: Vec<_> = texts.iter().map(|text| self.tokenizer.split(text)).collect();
        let windows: Vec<&[i64]> =
            texts.iter().flatten().flat_map(|text| text.windows.iter().map(Vec::as_slice)).collect();
        let mut windows = self.compute(&windows).into_iter();
        texts.into_iter().map(|text| text.and_then(|text| highest(&text, &mut windows))).collect()
    }

    /// Computes every window, in order, in groups on whichever thread is free.
    fn compute(&self, windows: &[&[i64]]) -> Vec<Result<Vec<f32>, ScoreError>> {
        let tokens: usize = windows.iter().map(|window| window.len()).sum();
        let groups = groups(windows, GROUP.min(tokens.div_ceil(self.models.len())));
        let next = AtomicUsize::new(0);
        let work = |model: &Mutex<WindowModel>| {
            let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
            let mut done = Vec::new();
            while let Some((index, group)) = take(&next, &groups) {
                done.push((index, model.logits(group)));
            }
            done
        };
        let mut done = match self.models.as_slice() {
            // A single window, as most calls of one text have, is not worth a thread.
            [model, ..] if self.models.len() == 1 || groups.len() <= 1 => work(model),
            models => thread::scope(|scope| {
                let threads: Vec<_> = models.iter().map(|model| scope.spawn(|| work(model))).collect();
                threads.into_iter().flat_map(joined).collect()
            }),
        };
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().flat_map(|(_, logits)| logits).collect()
    }
}

/// Cuts windows into groups of about `tokens` tokens; a longer window is a group of its own.
fn groups<'a, 'b>(windows: &'a [&'b [i64]], tokens: usize) -> Vec<&'a [&'b [i64]]> {
    let mut rest = windows;
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let mut sum = 0;
        let fits = rest.iter().take_while(|window| {
            sum += window.len();
            sum <= tokens
        });
        let (group, others) = rest.split_at(fits.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

fn take<'a, 'b>(next: &AtomicUsize, groups: &[&'a [&'b [i64]]]) -> Option<(usize, &'a [&'b [i64]])> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    groups.get(index).map(|group| (index, *group))
}

/// Takes a text's windows off the computed ones.
fn highest(
    text: &TokenisedText,
    computed: &mut impl Iterator<Item = Result<Vec<f32>, ScoreError>>,
) -> Result<TextLogits, ScoreError> {
    // All of them are taken even when one failed: the rest belongs to other texts.
    let windows: Vec<_> = computed.take(text.windows.len()).collect();
    let mut windows = windows.into_iter();
    let mut logits = windows.next().unwrap_or(Err(ScoreError::NotANumber))?;
    for window in windows {
        logits.iter_mut().zip(window?).for_each(|(most, logit)| *most = most.max(logit));
    }
    Ok(TextLogits {
        logits,
        tokens: text.tokens,
        unknown_tokens: text.unknown_tokens,
        windows: u32::try_from(text.windows.len()).unwrap_or(u32::MAX),
        truncated: text.truncated,
    })
}
