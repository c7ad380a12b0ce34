//! The written graphs, run by ONNX Runtime, against a forward pass written out by hand.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use modloop_bundle::testing::{HEADS, HIDDEN, LAYERS};
use modloop_bundle::{
    Activations, Bundle, Checkpoint, Precision, export, export_calibrated, export_observed, files, restore,
    restore_dithered, testing,
};
use ndarray::{Array1, Array2, Axis, s};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use safetensors::SafeTensors;

/// ONNX Runtime allows one environment a process.
static RUNTIME: LazyLock<Environment> = LazyLock::new(|| {
    let library = std::env::var("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    ort::init_from(library).expect("the library loads").build().expect("ONNX Runtime starts")
});

fn logits(graph: &[u8], ids: &[i64]) -> Vec<f32> {
    let mut session = Session::builder(&RUNTIME)
        .and_then(|mut builder| builder.commit_from_memory(graph))
        .expect("ONNX Runtime takes the graph");
    let input = TensorRef::from_array_view(([1, ids.len()], ids)).expect("a tensor");
    let outputs = session.run(ort::inputs!["input_ids" => input]).expect("the graph runs");
    outputs["logits"].try_extract_tensor::<f32>().expect("floats").1.to_vec()
}

/// BERT as the paper has it, one unpadded window, with none of the exporter's code.
struct ByHand {
    bytes: Vec<u8>,
}

impl ByHand {
    fn read(dir: &Path) -> Self {
        Self { bytes: std::fs::read(dir.join(files::WEIGHTS)).expect("weights") }
    }

    fn vector(&self, name: &str) -> Array1<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let data = tensors.tensor(name).expect(name).data().to_vec();
        data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    fn matrix(&self, name: &str, columns: usize) -> Array2<f32> {
        let values = self.vector(name);
        let rows = values.len() / columns;
        values.into_shape_with_order((rows, columns)).expect(name)
    }

    fn linear(&self, name: &str, x: &Array2<f32>) -> Array2<f32> {
        x.dot(&self.matrix(&format!("{name}.weight"), x.ncols()).t()) + self.vector(&format!("{name}.bias"))
    }

    fn norm(&self, name: &str, x: Array2<f32>) -> Array2<f32> {
        let (gamma, beta) = (self.vector(&format!("{name}.weight")), self.vector(&format!("{name}.bias")));
        let mut x = x;
        for mut row in x.rows_mut() {
            let mean = row.mean().expect("not empty");
            let deviation = row.mapv(|v| (v - mean).powi(2)).mean().expect("not empty").sqrt();
            row.mapv_inplace(|v| (v - mean) / deviation);
            row *= &gamma;
            row += &beta;
        }
        x
    }

    fn attention(&self, prefix: &str, x: &Array2<f32>) -> Array2<f32> {
        let [q, k, v] =
            ["query", "key", "value"].map(|p| self.linear(&format!("{prefix}.attention.self.{p}"), x));
        let size = HIDDEN / HEADS;
        let mut context = Array2::zeros(x.raw_dim());
        for head in 0..HEADS {
            let part = s![.., head * size..(head + 1) * size];
            let mut weights = q.slice(part).dot(&k.slice(part).t()) / (size as f32).sqrt();
            for mut row in weights.rows_mut() {
                row.mapv_inplace(f32::exp);
                let sum = row.sum();
                row /= sum;
            }
            context.slice_mut(part).assign(&weights.dot(&v.slice(part)));
        }
        context
    }

    fn logits(&self, ids: &[i64]) -> Vec<f32> {
        let words = self.matrix("embeddings.word_embeddings.weight", HIDDEN);
        let positions = self.matrix("embeddings.position_embeddings.weight", HIDDEN);
        let types = self.matrix("embeddings.token_type_embeddings.weight", HIDDEN);
        let rows: Vec<usize> = ids.iter().map(|id| usize::try_from(*id).expect("an id")).collect();
        let sum = words.select(Axis(0), &rows) + positions.slice(s![..ids.len(), ..]) + types.row(0);
        let mut x = self.norm("embeddings.LayerNorm", sum);
        for layer in (0..LAYERS).map(|layer| format!("encoder.layer.{layer}")) {
            let attended =
                self.linear(&format!("{layer}.attention.output.dense"), &self.attention(&layer, &x));
            x = self.norm(&format!("{layer}.attention.output.LayerNorm"), attended + &x);
            let wide = self.linear(&format!("{layer}.intermediate.dense"), &x).mapv(gelu);
            let narrow = self.linear(&format!("{layer}.output.dense"), &wide);
            x = self.norm(&format!("{layer}.output.LayerNorm"), narrow + &x);
        }
        let pooled = x.mean_axis(Axis(0)).expect("not empty").insert_axis(Axis(0));
        self.linear("classifier", &pooled).into_raw_vec_and_offset().0
    }
}

fn gelu(x: f32) -> f32 {
    let x = f64::from(x);
    (x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2))) as f32
}

/// The Maclaurin series; exact to double precision for the small numbers in this test.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

const WINDOWS: [&[i64]; 3] = [&[2, 3], &[2, 77, 78, 79, 80, 5, 9, 3], &[2, 1, 1, 1, 81, 3]];

#[test]
fn the_fp32_graph_computes_what_bert_is() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::checkpoint(dir.path(), 3, 1);
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    let graph = export(&checkpoint, Precision::Fp32).expect("a graph");
    let by_hand = ByHand::read(dir.path());
    for ids in WINDOWS {
        let difference = largest_difference(&logits(&graph, ids), &by_hand.logits(ids));
        assert!(difference < 1e-4, "logits differ by {difference} on {ids:?}");
    }
}

#[test]
fn the_int8_graph_stays_near_fp32() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::checkpoint(dir.path(), 2, 2);
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    let [fp32, int8] = [Precision::Fp32, Precision::Int8].map(|p| export(&checkpoint, p).expect("a graph"));
    for ids in WINDOWS {
        let difference = largest_difference(&logits(&fp32, ids), &logits(&int8, ids));
        // Random weights of this width give logits of about ±3.
        assert!(difference < 0.15, "logits differ by {difference} on {ids:?}");
    }
}

/// What the linear layers of a checkpoint are given on windows of random tokens.
fn observed(checkpoint: &Checkpoint) -> Activations {
    let graph = export_observed(checkpoint).expect("a graph");
    let mut session = Session::builder(&RUNTIME)
        .and_then(|mut builder| builder.commit_from_memory(&graph))
        .expect("ONNX Runtime takes the graph");
    let mut activations = Activations::default();
    for window in 0..40 {
        let ids: Vec<i64> = (0..12).map(|place| 5 + (window * 31 + place * place * 7) % 75).collect();
        let input = TensorRef::from_array_view(([1, ids.len()], ids.as_slice())).expect("a tensor");
        let outputs = session.run(ort::inputs!["input_ids" => input]).expect("the graph runs");
        for (name, value) in outputs.iter().filter(|(name, _)| *name != "logits") {
            let (shape, rows) = value.try_extract_tensor::<f32>().expect("floats");
            activations.observe(name, usize::try_from(shape[2]).expect("a width"), rows);
        }
    }
    activations
}

/// How far logits are from those of fp32, over many windows.
fn error(checkpoint: &Checkpoint, int8: &[u8]) -> f32 {
    let exact = export(checkpoint, Precision::Fp32).expect("a graph");
    let windows = (0..30).map(|w| (0..9).map(|place| 5 + (w * 17 + place * 29) % 75).collect::<Vec<i64>>());
    windows
        .map(|ids| {
            let (a, b) = (logits(&exact, &ids), logits(int8, &ids));
            a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        })
        .sum()
}

#[test]
fn a_graph_fitted_to_its_activations_is_nearer_to_fp32() {
    let dir = tempfile::tempdir().expect("a folder");
    testing::checkpoint(dir.path(), 2, 2);
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    let fitted = export_calibrated(&checkpoint, &observed(&checkpoint)).expect("a graph");
    let blind = export(&checkpoint, Precision::Int8).expect("a graph");
    assert_eq!(fitted.len(), blind.len());
    let (near, far) = (error(&checkpoint, &fitted), error(&checkpoint, &blind));
    assert!(near < far, "{near} {far}");
}

/// A bundle's weights, restored and exported again.
fn exported_again(bundle: &Bundle, precision: Precision) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    restore(bundle, &dir.path().join(files::WEIGHTS)).expect("the bundle restores");
    std::fs::copy(bundle.path(files::CONFIG), dir.path().join(files::CONFIG)).expect("config.json");
    let checkpoint = Checkpoint::open(dir.path()).expect("a whole checkpoint");
    export(&checkpoint, precision).expect("a graph")
}

#[test]
fn a_restored_bundle_exports_to_nearly_the_same_graph() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    let served = std::fs::read(bundle.path(files::MODEL)).expect("a graph");
    let again = exported_again(&bundle, Precision::Int8);
    let fp32 = exported_again(&bundle, Precision::Fp32);
    for ids in WINDOWS {
        let expected = logits(&served, ids);
        // Scales are found anew, so weights are rounded once more.
        let difference = largest_difference(&expected, &logits(&again, ids));
        assert!(difference < 0.15, "logits differ by {difference} on {ids:?}");
        // The rest of the difference is that of activations.
        let difference = largest_difference(&expected, &logits(&fp32, ids));
        assert!(difference < 0.15, "logits differ by {difference} on {ids:?}");
    }
}

/// The output channels of a layer, fp32.
fn channels(weights: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(weights).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let layer = tensors.tensor("encoder.layer.0.output.dense.weight").expect("a layer");
    let (values, _) = layer.data().as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    values.chunks(layer.shape()[1]).map(<[f32]>::to_vec).collect()
}

#[test]
fn weights_for_further_training_lie_anywhere_in_their_steps_and_always_at_the_same_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    let [plain, dithered, again] = ["plain", "dithered", "again"].map(|name| dir.path().join(name));
    restore(&bundle, &plain).expect("restores");
    restore_dithered(&bundle, &dithered).expect("restores");
    restore_dithered(&bundle, &again).expect("restores");
    let (plain, dithered, again) = (channels(&plain), channels(&dithered), channels(&again));
    assert_eq!(dithered, again);
    for (steps, moved) in plain.iter().zip(&dithered) {
        // The distance of the two nearest values is the step, where a channel has neighbours.
        let mut sorted = steps.clone();
        sorted.sort_by(f32::total_cmp);
        let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 1e-7);
        let step = gaps.fold(f32::INFINITY, f32::min);
        let moves: Vec<f32> = steps.iter().zip(moved).map(|(a, b)| (b - a) / step).collect();
        assert!(moves.iter().all(|by| by.abs() <= 0.51), "{moves:?}");
        assert!(moves.iter().any(|by| *by > 0.1) && moves.iter().any(|by| *by < -0.1), "{moves:?}");
    }
}

#[test]
fn what_cannot_be_restored_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&dir.path().join("bundle"), "tiny-1", 5);
    let config = bundle.path(files::CONFIG);
    let deeper = std::fs::read_to_string(&config).expect("config.json").replace(
        &format!("\"num_hidden_layers\":{LAYERS}"),
        &format!("\"num_hidden_layers\":{}", LAYERS + 1),
    );
    std::fs::write(&config, deeper).expect("written");
    let error =
        restore(&bundle, &dir.path().join(files::WEIGHTS)).expect_err("a block is missing").to_string();
    assert!(error.contains("model.onnx: has no constant encoder.layer.2.attention.self.weight"), "{error}");
    assert!(!dir.path().join(files::WEIGHTS).exists());
}

/// The base model with a made-up head, where `MODLOOP_BASE_MODEL` names its folder.
#[test]
fn the_int8_graph_of_the_base_model_stays_near_fp32() {
    let Some(base) = std::env::var_os("MODLOOP_BASE_MODEL").map(PathBuf::from) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    with_head(&base, dir.path());
    let checkpoint = Checkpoint::open(dir.path()).expect("a checkpoint");
    let [fp32, int8] = [Precision::Fp32, Precision::Int8].map(|p| export(&checkpoint, p).expect("a graph"));
    assert!(int8.len() * 7 < fp32.len() * 2, "int8 takes {} of {} bytes", int8.len(), fp32.len());
    // "this is a test", and a longer one.
    for ids in
        [&[101, 2023, 2003, 1037, 3231, 102][..], &[101, 1045, 5223, 2017, 2035, 1010, 2175, 2188, 102]]
    {
        let difference = largest_difference(&logits(&fp32, ids), &logits(&int8, ids));
        // Through this head the base model's logits span about ±3.
        assert!(difference < 0.25, "logits differ by {difference} on {ids:?}");
    }
}

/// Copies a checkpoint and adds a head of two labels that look at single features.
fn with_head(base: &Path, dir: &Path) {
    std::fs::copy(base.join(files::CONFIG), dir.join(files::CONFIG)).expect("config.json");
    let bytes = std::fs::read(base.join(files::WEIGHTS)).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let hidden = Checkpoint::open(base).expect("the base model").config().hidden_size;
    let weight: Vec<u8> = (0..2 * hidden).flat_map(|i| ((i % 7) as f32 / 10.0 - 0.3).to_le_bytes()).collect();
    let bias = vec![0; 8];
    let head = |shape, bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes);
    let mut all = tensors.tensors();
    all.push(("classifier.weight".into(), head(vec![2, hidden], &weight).expect("a tensor")));
    all.push(("classifier.bias".into(), head(vec![2], &bias).expect("a tensor")));
    std::fs::write(dir.join(files::WEIGHTS), safetensors::serialize(all, None).expect("serialises"))
        .expect("weights are written");
}
