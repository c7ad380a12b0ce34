/// Numbers with how often each occurs: raw numbers (count 1) and counts that SQL made are the same thing.
///
/// Never empty, every number finite, values ascending and distinct.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    points: Vec<(f64, u64)>,
    items: u64,
}

/// Why numbers are no [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// Nothing can be said about no numbers.
    #[error("there are no numbers to compare; at least one is needed")]
    Empty,
    /// Infinite or not a number.
    #[error("{0} cannot be compared; only finite numbers can")]
    NotFinite(f64),
}

impl Sample {
    /// Values with their counts, in any order; a count of 0 says nothing.
    pub fn weighted(points: impl IntoIterator<Item = (f64, u64)>) -> Result<Self, SampleError> {
        let mut points: Vec<(f64, u64)> = points.into_iter().filter(|(_, count)| *count > 0).collect();
        if let Some((value, _)) = points.iter().find(|(value, _)| !value.is_finite()) {
            return Err(SampleError::NotFinite(*value));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let items = points.iter().map(|(_, count)| count).sum();
        if items == 0 { Err(SampleError::Empty) } else { Ok(Self { points, items }) }
    }

    /// Raw numbers, each counting once.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Result<Self, SampleError> {
        Self::weighted(values.into_iter().map(|value| (value, 1)))
    }

    /// A histogram over 0 to 1: cell i of n + 1 holds how often i / n occurs.
    pub fn from_histogram(cells: &[u64]) -> Result<Self, SampleError> {
        let last = cells.len().saturating_sub(1).max(1) as f64;
        Self::weighted(cells.iter().enumerate().map(|(cell, count)| (cell as f64 / last, *count)))
    }

    /// Values, ascending, with their counts.
    pub fn points(&self) -> &[(f64, u64)] {
        &self.points
    }

    /// Numbers, repetitions counted.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Different values.
    pub fn distinct(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn min(&self) -> f64 {
        self.points.first().map_or(f64::NAN, |(value, _)| *value)
    }

    pub(crate) fn max(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(value, _)| *value)
    }

    /// Weighted mean.
    pub fn mean(&self) -> f64 {
        self.points.iter().map(|(value, count)| value * *count as f64).sum::<f64>() / self.items as f64
    }

    /// Population standard deviation (divided by n, as `numpy.std`).
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.points.iter().map(|(v, count)| (v - mean).powi(2) * *count as f64).sum();
        (squares / self.items as f64).sqrt()
    }
}

/// Every value of either sample, ascending, with its count in the reference and in the current one.
pub(crate) fn aligned(reference: &Sample, current: &Sample) -> Vec<(f64, u64, u64)> {
    let mut rows: Vec<(f64, u64, u64)> = reference.points.iter().map(|(v, count)| (*v, *count, 0)).collect();
    rows.extend(current.points.iter().map(|(v, count)| (*v, 0, *count)));
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
            kept.2 += next.2;
        }
        same
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_counts_are_the_same_sample() {
        let raw = Sample::of([2.0, 1.0, 2.0, 2.0]);
        assert_eq!(raw, Sample::weighted([(2.0, 3), (1.0, 1), (7.0, 0)]));
        assert_eq!(raw.map(|s| (s.items(), s.distinct(), s.mean())), Ok((4, 2, 1.75)));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(Sample::of([]), Err(SampleError::Empty));
        assert_eq!(Sample::weighted([(1.0, 0)]), Err(SampleError::Empty));
        assert!(matches!(Sample::of([1.0, f64::NAN]), Err(SampleError::NotFinite(_))));
        assert_eq!(Sample::of([f64::INFINITY]), Err(SampleError::NotFinite(f64::INFINITY)));
    }

    #[test]
    fn histogram_cells_are_shares_of_one() {
        let sample = Sample::from_histogram(&[1, 0, 3]).expect("counts");
        assert_eq!(sample.points(), [(0.0, 1), (1.0, 3)]);
        assert_eq!(Sample::from_histogram(&[0; 201]), Err(SampleError::Empty));
    }
}
