//! The distribution of the one-sample Kolmogorov statistic D_n, on which the p value of large samples rests.
//!
//! Which method serves which n and d follows Simard & L'Ecuyer (2011), Journal of Statistical Software 39(11);
//! absolute errors stay below 5e-7.

use std::f64::consts::PI;

use statrs::function::factorial::ln_factorial;

/// Above this the tail is taken from its closed form, whose error falls with 1 / n.
const LARGE: u64 = 100_000;

/// P(D_n ≥ d).
pub(crate) fn survival(n: u64, d: f64) -> f64 {
    let size = n as f64;
    let (t, n_d2) = (size * d, size * d * d);
    let p = if t <= 0.5 {
        1.0
    } else if d >= 1.0 {
        0.0
    } else if n_d2 >= if n <= 140 { 4.0 } else { 2.2 } {
        2.0 * one_sided(n, d)
    } else if n <= 140 || (n <= LARGE && size * d.powf(1.5) <= 1.4) {
        1.0 - durbin(n, d)
    } else {
        1.0 - pelz_good(size, d)
    };
    p.clamp(0.0, 1.0)
}

/// P(D⁺_n ≥ d) by Smirnov's sum, or its expansion by Maag and Dicaire where the sum would be long.
fn one_sided(n: u64, d: f64) -> f64 {
    let size = n as f64;
    if n > LARGE {
        return (-(6.0 * size * d + 1.0).powi(2) / (18.0 * size)).exp();
    }
    let term = |j: u64| {
        let (low, high) = (d + j as f64 / size, 1.0 - d - j as f64 / size);
        let ways = ln_factorial(n) - ln_factorial(j) - ln_factorial(n - j);
        let rest = (n - j) as f64;
        if high <= 0.0 && rest > 0.0 {
            0.0
        } else {
            (ways + (j as f64 - 1.0) * low.ln() + rest * high.ln()).exp()
        }
    };
    d * (0..=(size * (1.0 - d)).floor() as u64).map(term).sum::<f64>()
}

/// P(D_n < d) exactly, by the n-th power of Durbin's matrix (Marsaglia, Tsang & Wang 2003). For n·d up to
/// about 60: the matrix has 2·n·d rows.
fn durbin(n: u64, d: f64) -> f64 {
    let t = n as f64 * d;
    let k = t.ceil() as usize;
    let size = 2 * k - 1;
    let h = k as f64 - t;
    let inverse_factorial: Vec<f64> = (0..=size).map(|i| (-ln_factorial(i as u64)).exp()).collect();
    let mut matrix = vec![vec![0.0; size]; size];
    for (i, row) in matrix.iter_mut().enumerate() {
        for (j, cell) in row.iter_mut().enumerate().take(i + 2) {
            *cell = inverse_factorial[i + 1 - j];
        }
    }
    for i in 0..size {
        let edge = h.powi(i as i32 + 1) * inverse_factorial[i + 1];
        matrix[i][0] -= edge;
        matrix[size - 1][size - 1 - i] -= edge;
    }
    // The corner lost 2·h^size; what both edges share comes back.
    matrix[size - 1][0] += (2.0 * h - 1.0).max(0.0).powi(size as i32) * inverse_factorial[size];
    let (mantissa, ln_scale) = power(matrix, n, k - 1);
    let size = n as f64;
    (mantissa.ln() + ln_scale + ln_factorial(n) - size * size.ln()).exp()
}

/// Element (at, at) of matrixⁿ as mantissa and logarithm of its scale.
fn power(mut square: Vec<Vec<f64>>, mut n: u64, at: usize) -> (f64, f64) {
    let mut row: Vec<f64> = (0..square.len()).map(|j| if j == at { 1.0 } else { 0.0 }).collect();
    let (mut row_scale, mut square_scale) = (0.0, 0.0);
    loop {
        if n % 2 == 1 {
            row = times(&row, &square);
            row_scale += square_scale + rescale(std::slice::from_mut(&mut row));
        }
        n /= 2;
        if n == 0 {
            return (row[at], row_scale);
        }
        square = square.iter().map(|row| times(row, &square)).collect();
        square_scale = 2.0 * square_scale + rescale(&mut square);
    }
}

fn times(row: &[f64], matrix: &[Vec<f64>]) -> Vec<f64> {
    let mut product = vec![0.0; row.len()];
    for (factor, other) in row.iter().zip(matrix) {
        product.iter_mut().zip(other).for_each(|(cell, value)| *cell += factor * value);
    }
    product
}

/// Divides by the largest element and returns its logarithm.
fn rescale(rows: &mut [Vec<f64>]) -> f64 {
    let largest = rows.iter().flatten().copied().fold(0.0, f64::max);
    rows.iter_mut().flatten().for_each(|cell| *cell /= largest);
    largest.ln()
}

/// P(D_n < d) by the expansion of Pelz and Good (1976), in the form for small √n·d.
fn pelz_good(n: f64, d: f64) -> f64 {
    let z = n.sqrt() * d;
    let (z2, z4, z6) = (z.powi(2), z.powi(4), z.powi(6));
    let (pi2, pi4, pi6) = (PI.powi(2), PI.powi(4), PI.powi(6));
    let mut sums = [0.0; 4];
    for k in 0..=(16.0 * z / PI).ceil() as i32 {
        let m = f64::from(2 * k + 1);
        let (m2, m4, m6) = (m.powi(2), m.powi(4), m.powi(6));
        let weight = (-pi2 * m2 / (8.0 * z2)).exp();
        sums[0] += weight;
        sums[1] += weight * (pi2 * m2 / 4.0 - z2);
        sums[2] += weight
            * (6.0 * z6
                + 2.0 * z4
                + pi2 * (2.0 * z4 - 5.0 * z2) * m2 / 4.0
                + pi4 * (1.0 - 2.0 * z2) * m4 / 16.0);
        sums[3] += weight
            * (-30.0 * z6 - 90.0 * z.powi(8)
                + pi2 * (135.0 * z4 - 96.0 * z6) * m2 / 4.0
                + pi4 * (212.0 * z4 - 60.0 * z2) * m4 / 16.0
                + pi6 * (5.0 - 30.0 * z2) * m6 / 64.0);
        let j2 = f64::from(k + 1).powi(2);
        let weight = j2 * (-pi2 * j2 / (2.0 * z2)).exp();
        // These two sums have denominators of their own; what follows divides by 72·z⁷ and 6480·z¹⁰.
        sums[2] -= weight * pi2 / (36.0 * z.powi(3)) * 72.0 * z.powi(7);
        sums[3] += weight * pi2 * (3.0 * z2 - pi2 * j2) / (216.0 * z6) * 6480.0 * z.powi(10);
    }
    let denominators = [z, 6.0 * z4, 72.0 * z.powi(7), 6480.0 * z.powi(10)];
    let terms = sums.iter().zip(denominators).enumerate();
    (2.0 * PI).sqrt() * terms.map(|(i, (sum, by))| sum / by / n.powf(i as f64 / 2.0)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Expected {
        kolmogorov: Vec<(u64, f64, f64)>,
    }

    #[test]
    fn every_branch_agrees_with_scipy() {
        let file = include_str!("../tests/evidently/expected.json");
        let expected: Expected = serde_json::from_str(file).expect("the fixture is JSON");
        for (n, d, p) in expected.kolmogorov {
            let found = survival(n, d);
            assert!((found - p).abs() <= 5e-7, "n {n}, d {d}: {found} instead of {p}");
        }
    }

    #[test]
    fn impossible_and_certain_distances() {
        assert_eq!((survival(10, 0.0), survival(10, 0.04), survival(10, 1.0)), (1.0, 1.0, 0.0));
    }
}
