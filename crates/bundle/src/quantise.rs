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

/// Quantises each row on its own, symmetrically. Rows of a linear layer's weight are its output
/// channels, so one channel with large weights costs the others no precision.
pub(crate) fn quantise_rows(matrix: &Matrix) -> QuantisedRows {
    let mut values = Vec::with_capacity(matrix.values.len());
    let mut scales = Vec::with_capacity(matrix.rows);
    for row in 0..matrix.rows {
        let row = matrix.row(row);
        let largest = row.iter().fold(0f32, |most, value| most.max(value.abs()));
        // A row of zeros has any scale.
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        values.extend(row.iter().map(|value| (value / scale).round_ties_even() as i8));
        scales.push(scale);
    }
    QuantisedRows { rows: matrix.rows, columns: matrix.columns, values, scales }
}

impl QuantisedRows {
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

    proptest! {
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
