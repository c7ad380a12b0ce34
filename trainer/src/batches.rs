//! Batches of lines of similar length, so that little padding is computed.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tch::kind::Element;
use tch::{Device, TchError, Tensor};

use crate::tokens::Encoded;

/// Lines are shuffled, then sorted by length within pools of this many batches: short enough to mix
/// sources and lengths differently in each epoch, long enough to save most of the padding.
const BATCHES_IN_POOL: usize = 64;

/// Tensors of one step.
#[derive(Debug)]
pub struct Batch {
    /// Token ids `[batch, tokens]`, zero where padded.
    pub input_ids: Tensor,
    /// True `[batch, tokens]` where a token is real.
    pub mask: Tensor,
    /// 0 or 1 `[batch, labels]`; 0 where the set says nothing.
    pub answers: Tensor,
    /// Weight in the loss `[batch, labels]`; 0 where the set says nothing.
    pub weights: Tensor,
}

/// The order of an epoch: line numbers by batch. Each line is in exactly one batch.
pub fn shuffled(lengths: &[usize], batch_size: usize, rng: &mut StdRng) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.shuffle(rng);
    let mut batches: Vec<Vec<usize>> = Vec::with_capacity(order.len().div_ceil(batch_size));
    for pool in order.chunks_mut(BATCHES_IN_POOL * batch_size) {
        pool.sort_by_key(|&line| lengths[line]);
        batches.extend(pool.chunks(batch_size).map(<[usize]>::to_vec));
    }
    batches.shuffle(rng);
    batches
}

/// Line numbers by batch, shortest lines first: for measuring.
pub fn by_length(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&line| lengths[line]);
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

impl Batch {
    /// Pads the chosen lines to the longest of them.
    pub fn new(lines: &[Encoded], chosen: &[usize], device: Device) -> Result<Self, TchError> {
        let tokens = chosen.iter().map(|&l| lines[l].ids.len()).max().unwrap_or(0);
        let labels = chosen.first().map_or(0, |&l| lines[l].answers.len());
        let mut ids = vec![0i64; chosen.len() * tokens];
        let mut mask = vec![false; chosen.len() * tokens];
        let mut answers = Vec::with_capacity(chosen.len() * labels);
        let mut weights = Vec::with_capacity(chosen.len() * labels);
        for (row, line) in chosen.iter().map(|&l| &lines[l]).enumerate() {
            ids[row * tokens..][..line.ids.len()].copy_from_slice(&line.ids);
            mask[row * tokens..][..line.ids.len()].fill(true);
            answers.extend(line.answers.iter().map(|a| f32::from(u8::from(*a == Some(true)))));
            weights.extend(line.answers.iter().map(|a| if a.is_some() { line.weight } else { 0.0 }));
        }
        Ok(Self {
            input_ids: on_device(&ids, chosen.len(), device)?,
            mask: on_device(&mask, chosen.len(), device)?,
            answers: on_device(&answers, chosen.len(), device)?,
            weights: on_device(&weights, chosen.len(), device)?,
        })
    }

    /// Lines in it.
    pub fn lines(&self) -> usize {
        self.input_ids.size().first().map_or(0, |&lines| lines as usize)
    }

    /// Tokens in it, padding included.
    pub fn tokens(&self) -> usize {
        self.input_ids.numel()
    }
}

fn on_device<T: Element>(values: &[T], rows: usize, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(values)?.f_view([rows as i64, -1])?.f_to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        #[test]
        fn each_line_is_in_exactly_one_batch(
            lengths in proptest::collection::vec(1usize..128, 0..600),
            batch_size in 1usize..9,
            seed in any::<u64>(),
        ) {
            for batches in [
                shuffled(&lengths, batch_size, &mut StdRng::seed_from_u64(seed)),
                by_length(&lengths, batch_size),
            ] {
                prop_assert!(batches.iter().all(|b| (1..=batch_size).contains(&b.len())));
                let mut seen: Vec<usize> = batches.concat();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_seed_decides_the_order_and_padding_is_rare() {
        let lengths: Vec<usize> = (0..5000).map(|i| 5 + (i * 7919) % 90).collect();
        let order = |seed| shuffled(&lengths, 16, &mut StdRng::seed_from_u64(seed));
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let longest = |batch: &Vec<usize>| batch.iter().map(|&l| lengths[l]).max().unwrap_or(0);
        let padded: usize = order(1).iter().map(|b| b.len() * longest(b)).sum();
        let real: usize = lengths.iter().sum();
        assert!(padded as f64 <= real as f64 * 1.1, "{padded} tokens for {real}");
    }

    #[test]
    fn what_the_set_does_not_say_has_no_weight() {
        let line = |ids: Vec<i64>, answers: [Option<bool>; 2]| Encoded {
            ids,
            answers: answers.to_vec(),
            weight: 0.5,
            source: String::new(),
        };
        let lines = [line(vec![1, 2, 3], [Some(true), None]), line(vec![4], [None, Some(false)])];
        let batch = Batch::new(&lines, &[0, 1], Device::Cpu).expect("tensors");
        let ids: Vec<Vec<i64>> = batch.input_ids.try_into().expect("ids");
        let mask: Vec<Vec<bool>> = batch.mask.try_into().expect("a mask");
        let weights: Vec<Vec<f32>> = batch.weights.try_into().expect("weights");
        assert_eq!(ids, [[1, 2, 3], [4, 0, 0]]);
        assert_eq!(mask, [[true, true, true], [true, false, false]]);
        assert_eq!(weights, [[0.5, 0.0], [0.0, 0.5]]);
    }
}
