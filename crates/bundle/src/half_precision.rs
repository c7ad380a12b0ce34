use half::f16;
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::checkpoint::to_f32;
use crate::{BundleError, Checkpoint};

impl Checkpoint {
    /// Its `model.safetensors` with every floating-point tensor in fp16: half the size, and each weight
    /// within 1/2048 of itself. Tensors of other types stay as they are.
    pub fn in_half_precision(&self) -> Result<Vec<u8>, BundleError> {
        let tensors = self.tensors()?;
        let mut halved = Vec::new();
        for (name, tensor) in tensors.iter() {
            let shape = tensor.shape().to_vec();
            halved.push(match to_f32(tensor.dtype(), tensor.data()) {
                Some(values) => (name, Dtype::F16, shape, self.halve(name, &values)?),
                None => (name, tensor.dtype(), shape, tensor.data().to_vec()),
            });
        }
        let views = halved.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            view.map(|view| (*name, view)).map_err(|e| self.invalid(format!("{name}: {e}")))
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        serialize(views, None).map_err(|e| self.invalid(format!("cannot be written in fp16: {e}")))
    }

    fn halve(&self, name: &str, values: &[f32]) -> Result<Vec<u8>, BundleError> {
        let mut bytes = Vec::with_capacity(values.len() * 2);
        for value in values {
            let half = f16::from_f32(*value);
            if !half.is_finite() {
                return Err(
                    self.invalid(format!("{name} holds {value}, which fp16 cannot; training went astray"))
                );
            }
            bytes.extend(half.to_le_bytes());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::{Checkpoint, files, testing};

    #[test]
    fn halved_weights_are_half_as_large_and_nearly_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        testing::checkpoint(dir.path(), 2, 1);
        let exact = Checkpoint::open(dir.path()).expect("opens");
        let halved = exact.in_half_precision().expect("halves");
        let path = dir.path().join(files::WEIGHTS);
        assert!(halved.len() * 2 < fs::read(&path).expect("weights").len() + 8 * 1024);

        fs::write(&path, halved).expect("written");
        let halved = Checkpoint::open(dir.path()).expect("opens");
        let (name, rows, columns) =
            ("encoder.layer.0.output.dense.weight", testing::HIDDEN, testing::INTERMEDIATE);
        let [a, b] = [&exact, &halved].map(|c| c.matrix(name, rows, columns).expect("there").values);
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= a.abs() / 2048.0 + 1e-7));
        assert_ne!(a, b);
    }

    #[test]
    fn weights_beyond_the_range_of_fp16_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        testing::checkpoint(dir.path(), 2, 1);
        let path = dir.path().join(files::WEIGHTS);
        let mut bytes = fs::read(&path).expect("weights");
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&1e6f32.to_le_bytes());
        fs::write(&path, bytes).expect("written");
        let error = Checkpoint::open(dir.path()).expect("opens").in_half_precision().expect_err("refused");
        assert!(error.to_string().contains("holds 1000000, which fp16 cannot"), "{error}");
    }
}
