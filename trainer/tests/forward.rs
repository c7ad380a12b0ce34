//! The forward pass against an implementation that shares no code with it: `python3 tests/reference.py`.

use serde_json::json;
use tch::{Device, Kind, Tensor};

use modloop_trainer::bert::{Classifier, Mode};
use modloop_trainer::config::BertConfig;

/// What reference.py prints, in double precision.
const EXPECTED: [f64; 2] = [0.3919523115558011, -0.1941346317269583];
const IDS: [i64; 5] = [2, 7, 11, 19, 3];

fn config() -> BertConfig {
    serde_json::from_value(json!({
        "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 20, "max_position_embeddings": 12, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    }))
    .expect("a config")
}

/// The weights of reference.py.
fn fill(model: &Classifier) {
    let mut variables: Vec<(String, Tensor)> = model.store().variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (k, (name, weight)) in variables.iter().enumerate() {
        let one = f64::from(u8::from(name.ends_with("LayerNorm.weight")));
        let values: Vec<f64> =
            (0..weight.numel()).map(|i| one + 0.3 * (1.7 * k as f64 + 0.37 * i as f64).sin()).collect();
        let values = Tensor::from_slice(&values).to_kind(Kind::Float).view(weight.size().as_slice());
        tch::no_grad(|| weight.shallow_clone().copy_(&values));
    }
}

#[test]
fn logits_equal_the_reference() {
    let model = Classifier::new(&config(), 2, Device::Cpu);
    fill(&model);
    let ids = Tensor::from_slice(&IDS).unsqueeze(0);
    let logits = model.forward(&ids, &ids.ones_like().to_kind(Kind::Bool), Mode::Inference);
    for (at, expected) in EXPECTED.into_iter().enumerate() {
        let found = logits.double_value(&[0, at as i64]);
        assert!((found - expected).abs() < 1e-5, "logit {at} is {found}, the reference has {expected}");
    }
}
