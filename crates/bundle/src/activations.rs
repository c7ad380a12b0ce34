use std::collections::HashMap;

/// What a model's linear layers are given over a sample of texts: the mean of every feature, and how
/// features move together. Quantising a layer with this in mind costs its outputs less.
#[derive(Debug, Default)]
pub struct Activations {
    values: HashMap<String, Moments>,
}

/// Of one value in the graph.
#[derive(Debug)]
pub(crate) struct Moments {
    count: f64,
    sums: Vec<f64>,
    /// Square, of which the lower triangle is kept: sums of products of two features.
    products: Vec<f32>,
}

/// Rows added in one pass over the products.
const TOGETHER: usize = 4;
/// Added to every variance, as a share of their mean, so that features that never move apart do no harm.
const DAMPING: f64 = 0.01;

impl Activations {
    /// Takes `rows`, tokens of `width` features each, of the value that [`crate::export_observed`] calls
    /// `name`.
    pub fn observe(&mut self, name: &str, width: usize, rows: &[f32]) {
        let moments = self.values.entry(name.to_owned()).or_insert_with(|| Moments::new(width));
        rows.chunks(width * TOGETHER).for_each(|rows| moments.add(rows));
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Moments> {
        self.values.get(name)
    }
}

impl Moments {
    fn new(width: usize) -> Self {
        Self { count: 0.0, sums: vec![0.0; width], products: vec![0.0; width * width] }
    }

    fn width(&self) -> usize {
        self.sums.len()
    }

    /// Adds at most [`TOGETHER`] rows.
    fn add(&mut self, rows: &[f32]) {
        let width = self.width();
        let nothing = vec![0.0; width];
        let mut several = [nothing.as_slice(); TOGETHER];
        several.iter_mut().zip(rows.chunks_exact(width)).for_each(|(place, row)| *place = row);
        self.count += (rows.len() / width) as f64;
        for row in several {
            self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        for (feature, products) in self.products.chunks_exact_mut(width).enumerate() {
            let by = several.map(|row| row[feature]);
            let [a, b, c, d] = several.map(|row| &row[..=feature]);
            for ((((product, a), b), c), d) in products.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *product += by[0] * a + by[1] * b + by[2] * c + by[3] * d;
            }
        }
    }

    /// One a feature.
    pub(crate) fn means(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (sum / self.count) as f32).collect()
    }

    /// The lower triangle T with covariance = Tᵀ·T, each row divided by its last number: row i says how an
    /// error in each feature before i is made good by feature i.
    pub(crate) fn triangle(&self) -> Vec<Vec<f32>> {
        let mut rest = self.covariance();
        let mut triangle: Vec<Vec<f32>> = Vec::with_capacity(rest.len());
        while let Some(row) = rest.pop() {
            let pivot = row[row.len() - 1];
            let shares: Vec<f64> = row[..row.len() - 1]
                .iter()
                .map(|value| if pivot > 0.0 { value / pivot } else { 0.0 })
                .collect();
            for (above, by) in rest.iter_mut().zip(&row) {
                above.iter_mut().zip(&shares).for_each(|(value, share)| *value -= by * share);
            }
            triangle.push(shares.into_iter().map(|share| share as f32).collect());
        }
        triangle.reverse();
        triangle
    }

    /// The rows of its lower triangle, damped.
    fn covariance(&self) -> Vec<Vec<f64>> {
        let means: Vec<f64> = self.sums.iter().map(|sum| sum / self.count).collect();
        let mut rows: Vec<Vec<f64>> = self
            .products
            .chunks_exact(self.width())
            .zip(&means)
            .enumerate()
            .map(|(feature, (products, by))| {
                let products = products[..=feature].iter().zip(&means);
                products.map(|(product, mean)| f64::from(*product) / self.count - by * mean).collect()
            })
            .collect();
        let trace: f64 = rows.iter().filter_map(|row| row.last()).sum();
        let damping = DAMPING * trace / self.width() as f64;
        rows.iter_mut().filter_map(|row| row.last_mut()).for_each(|variance| *variance += damping);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_follows_another_can_make_its_errors_good() {
        let mut activations = Activations::default();
        // The second feature is twice the first and more; the third is on its own.
        let rows =
            [[1.0, 2.5, 3.0], [-1.0, -1.5, 3.0], [2.0, 4.5, -3.0], [-2.0, -3.5, -3.0], [0.0, 0.5, 0.0]];
        activations.observe("layer", 3, rows.as_flattened());
        let moments = activations.of("layer").expect("it was observed");
        assert_eq!(moments.means(), [0.0, 0.5, 0.0]);
        let triangle = moments.triangle();
        assert_eq!(triangle.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 2]);
        assert!((triangle[1][0] - 0.5).abs() < 0.02, "{triangle:?}");
        assert!(triangle[2][0].abs() < 0.3 && triangle[2][1].abs() < 0.3, "{triangle:?}");
    }
}
