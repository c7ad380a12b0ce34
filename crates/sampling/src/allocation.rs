/// How many to take of each stratum, `total` together or all there are: in proportion to the square root of
/// its size times its importance, at least one, never more than it has. Between equal shares (small strata
/// are seen) and proportional ones (large ones are measured well).
pub fn allocate(total: usize, strata: &[(usize, f64)]) -> Vec<usize> {
    let mut taken = vec![0; strata.len()];
    let mut open: Vec<usize> = (0..strata.len()).filter(|&i| strata[i].0 > 0).collect();
    let claim = |i: usize| (strata[i].0 as f64).sqrt() * strata[i].1;
    // Small strata first: what they cannot use goes to the larger ones.
    open.sort_by(|&a, &b| {
        let hunger = |i: usize| strata[i].0 as f64 / claim(i);
        hunger(a).total_cmp(&hunger(b)).then(a.cmp(&b))
    });
    let (mut left, mut claims) = (total, open.iter().map(|&i| claim(i)).sum::<f64>());
    for &i in &open {
        let fair = (left as f64 * claim(i) / claims).round() as usize;
        taken[i] = fair.clamp(1, strata[i].0).min(left);
        left -= taken[i];
        claims -= claim(i);
    }
    taken
}
