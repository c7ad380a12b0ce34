//! Which lines each epoch holds: all of what is new, and a part of what is old.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::batches::shuffled;
use crate::tokens::Encoded;

/// Lines to learn from. Every epoch holds each new line once, and so many replayed ones, each epoch others, that
/// they make up a fixed share: a small new batch would otherwise wash out what the model knew.
#[derive(Debug)]
pub struct Epochs {
    lines: Vec<Encoded>,
    new: usize,
    /// Numbers of replayed lines, in the order in which epochs take them.
    replay: Vec<usize>,
    /// Replayed lines an epoch.
    drawn: usize,
    seed: u64,
}

impl Epochs {
    /// `share` of each epoch is replayed, less where there are not that many lines. The seed decides all orders.
    pub fn new(new: Vec<Encoded>, replay: Vec<Encoded>, share: f64, seed: u64) -> Self {
        let count = new.len();
        let wanted = (share / (1.0 - share) * count as f64).round() as usize;
        let drawn = wanted.min(replay.len());
        let lines: Vec<Encoded> = new.into_iter().chain(replay).collect();
        let mut replay: Vec<usize> = (count..lines.len()).collect();
        replay.shuffle(&mut StdRng::seed_from_u64(seed));
        Self { lines, new: count, replay, drawn, seed }
    }

    /// New lines alone.
    pub fn without_replay(lines: Vec<Encoded>, seed: u64) -> Self {
        Self::new(lines, Vec::new(), 0.0, seed)
    }

    /// All lines there are; batches hold numbers of these.
    pub fn all(&self) -> &[Encoded] {
        &self.lines
    }

    /// Of all lines: what goes into the model, and how they are weighted.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for line in &self.lines {
            hash.update((line.ids.len() as u64).to_le_bytes());
            line.ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
            line.answers.iter().for_each(|answer| hash.update([answer.map_or(2, u8::from)]));
            hash.update(line.weight.to_le_bytes());
        }
        hex::encode(hash.finalize())
    }

    /// Lines of one epoch.
    pub fn lines_an_epoch(&self) -> usize {
        self.new + self.drawn
    }

    /// Replayed lines of one epoch.
    pub fn replayed(&self) -> usize {
        self.drawn
    }

    /// Steps of one epoch.
    pub fn steps(&self, batch_size: usize) -> usize {
        self.lines_an_epoch().div_ceil(batch_size)
    }

    /// The batches of an epoch, counted from 0: line numbers. The same epoch always has the same ones, so that a
    /// run can go on in the middle of one.
    pub fn batches(&self, epoch: usize, batch_size: usize) -> Vec<Vec<usize>> {
        let lines: Vec<usize> = (0..self.new).chain(self.replayed_in(epoch)).collect();
        let lengths: Vec<usize> = lines.iter().map(|&line| self.lines[line].ids.len()).collect();
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(epoch as u64));
        let batches = shuffled(&lengths, batch_size, &mut rng);
        batches.into_iter().map(|batch| batch.into_iter().map(|at| lines[at]).collect()).collect()
    }

    fn replayed_in(&self, epoch: usize) -> impl Iterator<Item = usize> {
        let from = epoch * self.drawn;
        (from..from + self.drawn).map(|at| self.replay[at % self.replay.len()])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn lines(count: usize) -> Vec<Encoded> {
        let line = |n: usize| Encoded {
            ids: vec![0; 3 + n % 5],
            answers: Vec::new(),
            weight: 1.0,
            source: String::new(),
        };
        (0..count).map(line).collect()
    }

    fn flat(epochs: &Epochs, epoch: usize) -> Vec<usize> {
        let mut all = epochs.batches(epoch, 4).concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn replayed_lines_make_up_their_share_and_change_with_the_epoch() {
        let epochs = Epochs::new(lines(30), lines(100), 0.25, 1);
        assert_eq!((epochs.replayed(), epochs.lines_an_epoch()), (10, 40));
        let replayed = |epoch| flat(&epochs, epoch).split_off(30);
        let seen: BTreeSet<usize> = (0..10).flat_map(replayed).collect();
        assert_eq!(seen.len(), 100, "ten epochs of ten lines see all hundred");
        assert_eq!(replayed(10), replayed(0), "then they come again");
    }

    #[test]
    fn fewer_old_lines_than_wanted_are_taken_once() {
        let epochs = Epochs::new(lines(30), lines(7), 0.5, 1);
        assert_eq!(flat(&epochs, 3), (0..37).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn an_epoch_is_the_same_whenever_it_is_asked_for(
            new in 1usize..40, old in 0usize..40, share in 0.0..0.9, seed: u64, epoch in 0usize..5,
        ) {
            let make = || Epochs::new(lines(new), lines(old), share, seed);
            let batches = make().batches(epoch, 4);
            prop_assert_eq!(&batches, &make().batches(epoch, 4));
            prop_assert_eq!(batches.len(), make().steps(4));
            let all = flat(&make(), epoch);
            prop_assert_eq!(&all[..new], &(0..new).collect::<Vec<_>>()[..]);
            prop_assert!(all.windows(2).all(|w| w[0] < w[1]), "no line twice");
        }
    }
}
