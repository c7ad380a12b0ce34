use crate::activations::Moments;
use crate::checkpoint::Matrix;

/// A matrix in eight bits: value ≈ scale of its row · integer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuantisedRows {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Row-major, from -127 to 127.
    pub(crate) values: Vec<i8>,
    /// One a row.
    pub(crate) scales: Vec<f32>,
}

/// The zero point of [`QuantisedRows::transposed_unsigned`].
pub(crate) const ZERO_POINT: u8 = 128;

/// The largest step.
const MAX_WEIGHT: f32 = 127.0;
/// The largest sum of a pair of neighbouring steps of one sign. Processors without VNNI multiply such a pair
/// with activations and add in sixteen bits: up to 128 · 255 fits, so activations may use all eight bits.
const MAX_PAIR: f32 = 128.0;

/// Quantises each row on its own, symmetrically, so that one row of large values costs the others no
/// precision.
pub(crate) fn quantise_rows(matrix: &Matrix) -> QuantisedRows {
    let mut values = Vec::with_capacity(matrix.values.len());
    let mut scales = Vec::with_capacity(matrix.rows);
    for row in 0..matrix.rows {
        let row = matrix.row(row);
        let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
        // A row of zeros has any scale.
        let scale = if largest > 0.0 { largest / MAX_WEIGHT } else { 1.0 };
        values.extend(row.iter().map(|value| (value / scale).round_ties_even() as i8));
        scales.push(scale);
    }
    QuantisedRows { rows: matrix.rows, columns: matrix.columns, values, scales }
}

/// Quantises a linear layer's weight, whose rows are its output channels. With `inputs` known, what one
/// weight loses by rounding is made good by those after it, as far as their inputs move together, which
/// keeps the error of the outputs small rather than that of the weights: GPTQ (Frantar et al. 2022,
/// <https://arxiv.org/abs/2210.17323>), in the form of Babai's nearest plane.
pub(crate) fn quantise_linear(weight: &Matrix, inputs: Option<&Moments>) -> QuantisedRows {
    let triangle = inputs.map(Moments::triangle);
    let mut values = Vec::with_capacity(weight.values.len());
    let mut scales = Vec::with_capacity(weight.rows);
    for row in 0..weight.rows {
        let row = weight.row(row);
        let scale = scale_for_pairs(row);
        values.extend(steps(row, scale, triangle.as_deref()));
        scales.push(scale);
    }
    QuantisedRows { rows: weight.rows, columns: weight.columns, values, scales }
}

/// The finest scale at which no weight passes [`MAX_WEIGHT`] and no pair [`MAX_PAIR`].
fn scale_for_pairs(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
    let pairs = row.as_chunks::<2>().0.iter();
    let pairs = pairs.map(|[a, b]| (a.max(0.0) + b.max(0.0)).max(-(a.min(0.0) + b.min(0.0))));
    let scale = (largest / MAX_WEIGHT).max(pairs.fold(0f32, f32::max) / MAX_PAIR);
    // A row of zeros has any scale.
    if scale > 0.0 { scale } else { 1.0 }
}

fn steps(row: &[f32], scale: f32, triangle: Option<&[Vec<f32>]>) -> Vec<i8> {
    let mut lost = Vec::with_capacity(row.len());
    let mut steps: Vec<i8> = Vec::with_capacity(row.len());
    for (column, value) in row.iter().enumerate() {
        let owed = triangle.map_or(0.0, |triangle| dot(&triangle[column], &lost));
        let before = if column % 2 == 1 { f32::from(steps[column - 1]) } else { 0.0 };
        let (low, high) =
            ((-MAX_PAIR - before.min(0.0)).max(-MAX_WEIGHT), (MAX_PAIR - before.max(0.0)).min(MAX_WEIGHT));
        let step = ((value + owed) / scale).round_ties_even().clamp(low, high);
        lost.push(value - step * scale);
        steps.push(step as i8);
    }
    steps
}

/// Eight sums side by side, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

impl QuantisedRows {
    /// What a row stands for, times `vector`.
    pub(crate) fn times(&self, row: usize, vector: &[f32]) -> f32 {
        let steps = self.values[row * self.columns..][..self.columns].iter().zip(vector);
        steps.map(|(step, value)| f32::from(*step) * value).sum::<f32>() * self.scales[row]
    }

    /// The transpose `[in, out]` that a matrix product takes, shifted to unsigned with [`ZERO_POINT`].
    ///
    /// Unsigned, because ONNX Runtime multiplies unsigned activations with signed weights through an
    /// instruction that saturates at 16 bits on processors without VNNI. With unsigned weights the sums
    /// are exact everywhere, so a score does not depend on the machine that computed it.
    pub(crate) fn transposed_unsigned(&self) -> Vec<u8> {
        let mut transposed = vec![0; self.values.len()];
        for row in 0..self.rows {
            for column in 0..self.columns {
                let value = self.values[row * self.columns + column];
                transposed[column * self.rows + row] =
                    value.wrapping_add_unsigned(ZERO_POINT).cast_unsigned();
            }
        }
        transposed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_transpose_is_shifted_by_the_zero_point() {
        let matrix = Matrix { rows: 2, columns: 2, values: vec![-127.0, 0.0, 127.0, 12.7] };
        let quantised = quantise_rows(&matrix);
        assert_eq!(quantised.values, [-127, 0, 127, 13]);
        assert_eq!(quantised.transposed_unsigned(), [1, 255, 128, 141]);
    }

    #[test]
    fn zeros_stay_zeros() {
        let quantised = quantise_rows(&Matrix { rows: 1, columns: 3, values: vec![0.0; 3] });
        assert_eq!((quantised.values, quantised.scales), (vec![0; 3], vec![1.0]));
    }

    #[test]
    fn outputs_are_nearer_when_inputs_are_known() {
        // Numbers without a pattern, from -0.5 to 0.5.
        let scattered = |seed: usize| ((seed * 7919 + seed * seed * 104_729) % 9973) as f32 / 9973.0 - 0.5;
        let values: Vec<f32> = (0..32 * 16).map(scattered).collect();
        let matrix = Matrix { rows: 32, columns: 16, values };
        // Sixteen inputs that three numbers decide, nearly.
        let inputs = (0..400).map(|token| {
            let three: [f32; 3] = std::array::from_fn(|i| scattered(token * 3 + i));
            let noise = |i: usize| scattered(token * 16 + i + 7) * 0.02;
            std::array::from_fn(|i| three[i % 3] + three[(i + 1) % 3] * 0.5 + noise(i))
        });
        let inputs: Vec<[f32; 16]> = inputs.collect();
        let mut activations = crate::Activations::default();
        activations.observe("inputs", 16, inputs.as_flattened());
        let error = |quantised: QuantisedRows| -> f32 {
            let off = |row: usize, x: &[f32; 16]| quantised.times(row, x) - dot(matrix.row(row), x);
            inputs.iter().map(|x| (0..32).map(|row| off(row, x).powi(2)).sum::<f32>()).sum()
        };
        let known = error(quantise_linear(&matrix, activations.of("inputs")));
        let blind = error(quantise_linear(&matrix, None));
        assert!(known * 2.0 < blind, "{known} {blind}");
    }

    proptest! {
        #[test]
        fn pairs_of_a_layer_fit_sixteen_bits_and_move_little(values in proptest::collection::vec(-9f32..9.0, 24)) {
            let matrix = Matrix { rows: 3, columns: 8, values };
            let quantised = quantise_linear(&matrix, None);
            for pair in quantised.values.as_chunks::<2>().0 {
                let [a, b] = pair.map(i32::from);
                prop_assert!((a.max(0) + b.max(0)) * 255 <= 32767 && (a.min(0) + b.min(0)) * 255 >= -32768);
            }
            for (i, value) in matrix.values.iter().enumerate() {
                let scale = quantised.scales[i / 8];
                // Two that are rounded up may be one too many together.
                prop_assert!((f32::from(quantised.values[i]) * scale - value).abs() <= scale * 1.51);
            }
        }

        #[test]
        fn no_value_moves_by_more_than_half_a_step(values in proptest::collection::vec(-9f32..9.0, 12)) {
            let matrix = Matrix { rows: 3, columns: 4, values };
            let quantised = quantise_rows(&matrix);
            for (i, value) in matrix.values.iter().enumerate() {
                let scale = quantised.scales[i / 4];
                prop_assert!((f32::from(quantised.values[i]) * scale - value).abs() <= scale * 0.5001);
            }
        }
    }
}
