use modloop_bundle::Chunk;
use modloop_domain::Label;

/// What a window is compared with: disjoint chunks, and all of them together.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    chunks: Vec<Chunk>,
    whole: Chunk,
}

impl Reference {
    /// Chunks over the same labels. `None` without any.
    pub fn new(chunks: Vec<Chunk>) -> Option<Self> {
        let whole = together(chunks.iter())?;
        Some(Self { chunks, whole })
    }

    /// All chunks together.
    pub fn whole(&self) -> &Chunk {
        &self.whole
    }

    /// Each chunk with the rest of the reference: samples that share nothing, like a window and its
    /// reference.
    pub(crate) fn each_against_the_rest(&self) -> impl Iterator<Item = (Chunk, &Chunk)> {
        self.chunks.iter().enumerate().filter_map(|(at, chunk)| {
            let others = self.chunks.iter().enumerate().filter(|(other, _)| *other != at);
            Some((together(others.map(|(_, other)| other))?, chunk))
        })
    }
}

fn together<'a>(mut chunks: impl Iterator<Item = &'a Chunk>) -> Option<Chunk> {
    let mut sum = chunks.next()?.clone();
    for chunk in chunks {
        sum.items += chunk.items;
        for (label, counts) in &mut sum.scores {
            add(counts, chunk.scores.get::<Label>(label).map(Vec::as_slice).unwrap_or_default());
        }
        add(&mut sum.top, &chunk.top);
        add(&mut sum.entropy, &chunk.entropy);
        sum.decisions.allow += chunk.decisions.allow;
        sum.decisions.review += chunk.decisions.review;
        sum.decisions.remove += chunk.decisions.remove;
        add(&mut sum.lengths, &chunk.lengths);
        sum.tokens += chunk.tokens;
        sum.unknown_tokens += chunk.unknown_tokens;
    }
    Some(sum)
}

fn add(sum: &mut [u64], counts: &[u64]) {
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}
