//! The forward pass against an implementation that shares no code with it: `python3 tests/reference.py`.

mod formula;

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

#[test]
fn logits_equal_the_reference() {
    let model = Classifier::new(&config(), 2, Device::Cpu);
    formula::fill(&model, 0.3);
    let ids = Tensor::from_slice(&IDS).unsqueeze(0);
    let logits = model.forward(&ids, &ids.ones_like().to_kind(Kind::Bool), Mode::Inference).expect("logits");
    for (at, expected) in EXPECTED.into_iter().enumerate() {
        let found = logits.double_value(&[0, at as i64]);
        assert!((found - expected).abs() < 1e-5, "logit {at} is {found}, the reference has {expected}");
    }
}

#[test]
fn products_in_bf16_stay_close() {
    let model = Classifier::new(&config(), 2, Device::Cpu).with_products(Kind::BFloat16);
    formula::fill(&model, 0.3);
    let ids = Tensor::from_slice(&IDS).unsqueeze(0);
    let logits = model.forward(&ids, &ids.ones_like().to_kind(Kind::Bool), Mode::Inference).expect("logits");
    assert_eq!(logits.kind(), Kind::Float);
    for (at, expected) in EXPECTED.into_iter().enumerate() {
        let found = logits.double_value(&[0, at as i64]);
        assert!((found - expected).abs() < 0.02, "logit {at} is {found}, the reference has {expected}");
    }
    logits.sum(Kind::Float).backward();
    // The weights and what moves them stay 32 bits wide.
    for (name, weight) in model.store().variables() {
        assert_eq!((weight.kind(), weight.grad().kind()), (Kind::Float, Kind::Float), "{name}");
    }
}
