//! The losses of a short run against the same run in PyTorch with transformers' BertModel:
//! `tests/learning_curve/make.py` says how the expected values were made.

mod formula;

use serde::Deserialize;
use serde_json::json;
use tch::Device;

use modloop_trainer::batches::Batch;
use modloop_trainer::bert::{Classifier, Mode};
use modloop_trainer::config::BertConfig;
use modloop_trainer::optimizer::{AdamW, Rates};
use modloop_trainer::tokens::Encoded;
use modloop_trainer::train::masked_loss;

#[derive(Deserialize)]
struct Expected {
    first_logits: Vec<Vec<f32>>,
    losses: Vec<f64>,
    last_logits: Vec<Vec<f32>>,
}

const BATCH: usize = 6;
const LINES: usize = 24;
const RATES: Rates = Rates {
    learning_rate: 2e-3,
    head_learning_rate: 5e-3,
    layer_decay: 0.8,
    weight_decay: 0.1,
    warmup: 0.1,
    clip: 1.0,
};

fn config() -> BertConfig {
    serde_json::from_value(json!({
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "vocab_size": 20, "max_position_embeddings": 12, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }))
    .expect("a config")
}

/// As `line` in make.py.
fn line(n: usize) -> Encoded {
    let middle = (0..1 + n % 9).map(|i| 4 + (n * 7 + i * i * 3) as i64 % 16);
    let ids: Vec<i64> = [2].into_iter().chain(middle).chain([3]).collect();
    let first = ids.contains(&6) || ids.contains(&9);
    let second = (!n.is_multiple_of(3)).then_some(n % 2 == 1);
    Encoded { ids, answers: vec![Some(first), second], weight: 1.0, source: String::new() }
}

fn batch(lines: &[Encoded], step: usize) -> Batch {
    let chosen: Vec<usize> = (0..BATCH).map(|i| (step * 5 + i * 7) % LINES).collect();
    Batch::new(lines, &chosen, Device::Cpu).expect("tensors")
}

fn logits(model: &Classifier, batch: &Batch) -> Vec<Vec<f32>> {
    let logits = tch::no_grad(|| model.forward(&batch.input_ids, &batch.mask, Mode::Inference));
    logits.expect("logits").try_into().expect("rows")
}

fn furthest(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f32 {
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_and_losses_equal_those_of_transformers() {
    let expected: Expected =
        serde_json::from_str(include_str!("learning_curve/expected.json")).expect("expected values");
    let lines: Vec<Encoded> = (0..LINES).map(line).collect();
    let model = Classifier::new(&config(), 2, Device::Cpu);
    formula::fill(&model, 0.1);
    let apart = furthest(&logits(&model, &batch(&lines, 0)), &expected.first_logits);
    assert!(apart < 1e-4, "the first logits are {apart} apart");

    let mut optimizer = AdamW::new(model.store(), &RATES).expect("an optimiser");
    for (step, expected_loss) in expected.losses.iter().enumerate() {
        let batch = batch(&lines, step);
        let logits = model.forward(&batch.input_ids, &batch.mask, Mode::Training).expect("logits");
        let loss = masked_loss(&logits, &batch.answers, &batch.weights).expect("a loss");
        let found = loss.double_value(&[]);
        assert!((found - expected_loss).abs() < 1e-4, "loss {found}, expected {expected_loss}, step {step}");
        optimizer.step(&loss, step, expected.losses.len()).expect("a step");
    }
    let apart = furthest(&logits(&model, &batch(&lines, 0)), &expected.last_logits);
    assert!(apart < 1e-3, "the last logits are {apart} apart");
}
