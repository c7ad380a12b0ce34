//! What is refused, and with which words.

use std::fs;
use std::path::Path;

use modloop_bundle::{
    Bundle, BundleError, Checkpoint, Precision, export, files, pack, testing, unpack, write,
};
use serde_json::Value;

fn edit_manifest(dir: &Path, edit: impl FnOnce(&mut Value)) {
    let path = dir.join(files::MANIFEST);
    let mut manifest = serde_json::from_slice(&fs::read(&path).expect("a manifest")).expect("JSON");
    edit(&mut manifest);
    fs::write(&path, manifest.to_string()).expect("written");
}

fn refusal(dir: &Path) -> String {
    Bundle::open(dir).expect_err("a broken bundle must not open").to_string()
}

#[test]
fn a_whole_bundle_opens() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&dir.path().join("bundle"), "tiny-1", 1);
    assert_eq!(bundle.version().as_str(), "tiny-1");
    assert_eq!(bundle.labels(), testing::labels());
    let left: Vec<_> = fs::read_dir(dir.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "nothing but the bundle is left: {left:?}");
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("bundle");
    let rebuild = || testing::bundle(&out, "tiny-1", 1);

    rebuild();
    let model = out.join(files::MODEL);
    let graph = fs::read(&model).expect("a graph");
    fs::write(&model, &graph[..graph.len() / 2]).expect("written");
    let error = refusal(&out);
    assert!(error.contains("model.onnx has") && error.contains("download the bundle again"), "{error}");

    let mut flipped = graph;
    *flipped.last_mut().expect("not empty") ^= 1;
    fs::write(&model, flipped).expect("written");
    let error = refusal(&out);
    assert!(error.contains("model.onnx has blake3") && error.contains("where bundle.json says"), "{error}");

    // Older bundles have no blake3.
    edit_manifest(&out, |manifest| {
        let entry = manifest["files"][files::MODEL].as_object_mut().expect("an entry");
        entry.remove("blake3").expect("it was there");
    });
    let error = refusal(&out);
    assert!(error.contains("model.onnx has sha256"), "{error}");

    fs::remove_file(&model).expect("removed");
    assert!(refusal(&out).contains("model.onnx is missing"));

    rebuild();
    fs::write(out.join(files::MANIFEST), "{\"format\":1,").expect("written");
    assert!(refusal(&out).contains("bundle.json: is no bundle manifest"));
    fs::remove_file(out.join(files::MANIFEST)).expect("removed");
    assert!(refusal(&out).contains("bundle.json is missing"));
}

#[test]
fn manifests_that_do_not_fit_are_refused() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 8] = [
        (|m| m["format"] = 2.into(), "has format 2"),
        (
            |m| drop(m["calibration"].as_object_mut().map(|c| c.remove("hate"))),
            "no calibration for label hate",
        ),
        (|m| m["calibration"]["hate"]["slope"] = (-1).into(), "slope positive"),
        (|m| m["labels"] = serde_json::json!(["hate", "hate"]), "labels are empty or repeated"),
        (|m| m["windowing"]["tokens"] = 512.into(), "the model takes at most 160"),
        (|m| m["thresholds"]["review"] = 0.99.into(), "review threshold 0.99 is above"),
        (|m| m["baseline"]["chunks"][0]["items"] = 7.into(), "baseline chunk 0"),
        (|m| m["files"]["../x"] = m["files"]["config.json"].clone(), "is no plain file name"),
    ];
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("bundle");
    for (edit, words) in cases {
        testing::bundle(&out, "tiny-1", 1);
        edit_manifest(&out, edit);
        let error = refusal(&out);
        assert!(error.contains("bundle.json") && error.contains(words), "{words:?} not in {error:?}");
    }
}

#[test]
fn a_graph_with_other_labels_is_refused_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = dir.path().join("checkpoint");
    testing::checkpoint(&made, 3, 1);
    let graph = export(&Checkpoint::open(&made).expect("opens"), Precision::Int8).expect("exports");
    fs::write(made.join(files::MODEL), graph).expect("written");
    let sources = [files::MODEL, files::TOKENIZER, files::CONFIG].map(|name| (name, made.join(name)));
    let out = dir.path().join("bundle");
    let error = write(&out, testing::parts("tiny-1", &testing::labels()), &sources).expect_err("refused");
    assert!(error.to_string().contains("gives 3 logits where bundle.json has 2 labels"), "{error}");
    assert!(!out.exists() && !error.is_retryable());
}

#[test]
fn a_packed_bundle_unpacks_to_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&dir.path().join("bundle"), "tiny-1", 1);
    let archive = dir.path().join("bundle.tar.gz");
    pack(&bundle, &archive).expect("packs");
    let unpacked = unpack(&archive, &dir.path().join("again")).expect("unpacks");
    assert_eq!(unpacked.manifest(), bundle.manifest());

    let bytes = fs::read(&archive).expect("an archive");
    fs::write(&archive, &bytes[..bytes.len() / 3]).expect("written");
    let error = unpack(&archive, &dir.path().join("half")).expect_err("half an archive").to_string();
    assert!(error.contains("is no whole tar.gz") && error.contains("bundle.tar.gz"), "{error}");
    assert!(!dir.path().join("half").exists(), "half a bundle was left behind");
}

#[test]
fn archives_that_lead_elsewhere_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let archive = dir.path().join("evil.tar.gz");
    let victim = dir.path().join("victim");
    fs::write(&victim, "unharmed").expect("written");
    let link = |header: &mut tar::Header| {
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_link_name(&victim).expect("fits");
    };
    for (name, change) in
        [("../victim", None), ("sub/file", None), ("model.onnx", Some(&link as &dyn Fn(&mut tar::Header)))]
    {
        let gzip =
            flate2::write::GzEncoder::new(fs::File::create(&archive).expect("a file"), Default::default());
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(0);
        header.set_mode(0o644);
        change.inspect(|change| change(&mut header));
        header.set_cksum();
        tar.append(&header, std::io::empty()).expect("appended");
        tar.into_inner().and_then(|gzip| gzip.finish()).expect("finished");
        let error = unpack(&archive, &dir.path().join("out")).expect_err(name).to_string();
        assert!(error.contains("which is no plain file; refused"), "{name}: {error}");
        assert_eq!(fs::read_to_string(&victim).expect("still there"), "unharmed");
    }
}

#[test]
fn checkpoints_that_are_no_bert_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let fresh = || testing::checkpoint(dir.path(), 2, 1);
    let refusal =
        || Checkpoint::open(dir.path()).and_then(|c| export(&c, Precision::Int8)).expect_err("refused");
    let edit = |from: &str, to: &str| {
        let path = dir.path().join(files::CONFIG);
        fs::write(&path, fs::read_to_string(&path).expect("config").replace(from, to)).expect("written");
    };

    fresh();
    edit("\"bert\"", "\"roberta\"");
    assert!(refusal().to_string().contains("model_type is \"roberta\""));
    fresh();
    edit("\"hidden_size\":32", "\"hidden_size\":64");
    let error: BundleError = refusal();
    assert!(error.to_string().contains("32], config.json asks for"), "{error}");
    fresh();
    fs::write(dir.path().join(files::WEIGHTS), b"nonsense").expect("written");
    assert!(refusal().to_string().contains("is no whole safetensors file"));
}
