use std::path::{Path, PathBuf};
use std::sync::Arc;

use modloop_bundle::testing::bundle;
use modloop_classifier::{Classifier, ClassifierOptions};
use modloop_domain::ItemText;

use crate::fixture::{Fixture, failures, messages};

/// The champion where the repository holds one, else a tiny random model of the same make.
fn real_model(scratch: &Path) -> Classifier {
    let library = std::env::var_os("ORT_DYLIB_PATH")
        .expect("ORT_DYLIB_PATH names no ONNX Runtime library: run `cargo xtask test`, which sets it");
    let champion = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/champion"));
    let dir = if champion.join("bundle.json").is_file() {
        champion
    } else {
        bundle(&scratch.join("bundle"), "v1", 7).dir().to_owned()
    };
    Classifier::load(&dir, &ClassifierOptions::on_all_cores(library.into())).expect("loads")
}

#[tokio::test]
async fn whatever_people_write_gets_a_score() {
    let scratch = tempfile::tempdir().expect("a folder");
    let function = Fixture::with(Arc::new(real_model(scratch.path()))).await;
    let long = "word ".repeat(8_000);
    let texts = [
        ItemText::new(None, "a\0b\u{0}"),
        ItemText::new(None, "\u{202e}\u{200f}\u{2067}abc\u{2069}"),
        ItemText::new(None, &long),
        ItemText::new(None, &"😀".repeat(500)),
        ItemText::new(None, ""),
        ItemText::new(Some("Only an image"), ""),
        ItemText::new(None, "\u{fffd}\u{fffd} '; drop table items; -- [CLS] [SEP]"),
        ItemText::new(None, &"\u{301}".repeat(2_000)),
    ];
    let names: Vec<String> = (0..texts.len()).map(|n| format!("t1_{n}")).collect();
    for (name, text) in names.iter().zip(&texts) {
        function.database.insert_item("rust", name, text).await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = function.handle(messages(&names)).await;
    assert!(failures(&report).is_empty(), "{report:?}");
    assert_eq!(report.recorded().inserted, texts.len() as u64);
}
