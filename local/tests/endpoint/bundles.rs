//! Model bundles in S3: up, down and checked, by the code that functions use.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use modloop_bundle::{Bundle, BundleError, pack, testing, unpack};
use modloop_cloud::{BundleStorage, CloudError};
use tempfile::TempDir;

use crate::made::Corner;
use crate::trouble::{Fate, before};

struct Packed {
    folder: TempDir,
    archive: PathBuf,
}

impl Packed {
    fn new(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = testing::bundle(&folder.path().join("source"), version, 1);
        let archive = folder.path().join("source.tar.gz");
        pack(&bundle, &archive).expect("packs");
        Self { folder, archive }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

async fn bucket(corner: &Corner) -> (BundleStorage, String) {
    let bucket = corner.bucket().await;
    (BundleStorage::new(&corner.config), format!("s3://{bucket}/bundles/v1.tar.gz"))
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("reads")
}

#[tokio::test]
async fn a_bundle_comes_back_as_it_went_and_can_be_replaced() {
    let corner = Corner::open().await;
    let (storage, uri) = bucket(&corner).await;
    assert!(!storage.exists(&uri).await.expect("an answer"));
    for version in ["v1", "v2"] {
        let packed = Packed::new(version);
        storage.upload(&packed.archive, &uri).await.expect("uploads");
        assert!(storage.exists(&uri).await.expect("an answer"));
        let back = packed.place("back.tar.gz");
        storage.download(&uri, &back).await.expect("downloads");
        assert_eq!(bytes(&back), bytes(&packed.archive));
        let bundle = unpack(&back, &packed.place("back")).expect("whole and right");
        assert_eq!(bundle.version().as_str(), version);
    }
}

#[tokio::test]
async fn the_shipped_champion_survives_the_way() {
    let corner = Corner::open().await;
    let (storage, uri) = bucket(&corner).await;
    let champion = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/champion");
    let champion = Bundle::open(&champion).expect("it ships");
    let folder = tempfile::tempdir().expect("a folder");
    let (archive, back) = (folder.path().join("up.tar.gz"), folder.path().join("down.tar.gz"));
    pack(&champion, &archive).expect("packs");
    storage.upload(&archive, &uri).await.expect("uploads");
    storage.download(&uri, &back).await.expect("downloads");
    let found = unpack(&back, &folder.path().join("down")).expect("every hash and shape is right");
    assert_eq!(found.manifest().files, champion.manifest().files);
}

#[tokio::test]
async fn what_is_missing_is_named_and_not_tried_again() {
    let corner = Corner::open().await;
    let (storage, uri) = bucket(&corner).await;
    let packed = Packed::new("v1");
    let nowhere = "s3://modloop-test-no-such-bucket/bundles/v1.tar.gz";
    for (what, answer) in [
        (uri.as_str(), storage.download(&uri, &packed.place("down")).await),
        (nowhere, storage.download(nowhere, &packed.place("down")).await),
        (nowhere, storage.upload(&packed.archive, nowhere).await),
    ] {
        let error = answer.expect_err("not there");
        assert!(matches!(error, CloudError::Refused { .. }) && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(!packed.place("down").exists(), "nothing came, so nothing is written");
}

#[tokio::test]
async fn half_an_object_is_no_bundle() {
    let corner = Corner::open().await;
    let (storage, uri) = bucket(&corner).await;
    let packed = Packed::new("v1");
    let whole = bytes(&packed.archive);
    std::fs::write(packed.place("half"), &whole[..whole.len() / 2]).expect("written");
    storage.upload(&packed.place("half"), &uri).await.expect("S3 takes anything");
    storage.download(&uri, &packed.place("down")).await.expect("and gives it back");
    let error = unpack(&packed.place("down"), &packed.place("out")).expect_err("half an archive");
    assert!(matches!(error, BundleError::Invalid { .. }) && !error.is_retryable(), "{error}");
    assert!(!packed.place("out").exists(), "half a bundle stands in nobody's way");
}

#[tokio::test]
async fn a_file_that_is_not_the_one_of_the_manifest_is_refused_by_name() {
    let corner = Corner::open().await;
    let (storage, uri) = bucket(&corner).await;
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = testing::bundle(&folder.path().join("source"), "v1", 1);
    // As long as before, and after the check that opening a bundle is.
    let tokenizer = bundle.path("tokenizer.json");
    let changed = String::from_utf8(bytes(&tokenizer)).expect("JSON").replacen("WordPiece", "WordPiXce", 1);
    std::fs::write(&tokenizer, changed).expect("written");
    let (archive, back) = (folder.path().join("up"), folder.path().join("down"));
    pack(&bundle, &archive).expect("packs");
    storage.upload(&archive, &uri).await.expect("uploads");
    storage.download(&uri, &back).await.expect("downloads");
    let error = unpack(&back, &folder.path().join("out")).expect_err("another tokenizer");
    assert!(matches!(error, BundleError::WrongHash { .. }) && !error.is_retryable(), "{error}");
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}

#[tokio::test]
async fn a_transfer_that_breaks_off_may_be_tried_again() {
    let corner = Corner::open().await;
    let (_, uri) = bucket(&corner).await;
    let packed = Packed::new("v1");
    BundleStorage::new(&corner.config).upload(&packed.archive, &uri).await.expect("uploads");
    let lossy = before(corner.cloud.url(), |call| if call == 0 { Fate::BrokenOff } else { Fate::Pass }).await;
    let storage = BundleStorage::new(&corner.cloud.config_at(&lossy).await);
    let back = packed.place("down");
    let error = storage.download(&uri, &back).await.expect_err("half of it came");
    assert!(matches!(error, CloudError::Unavailable { .. }) && error.is_retryable(), "{error}");
    assert!(unpack(&back, &packed.place("out")).is_err(), "what came is not taken for a bundle");
    storage.download(&uri, &back).await.expect("the next try, over what was left");
    assert_eq!(bytes(&back), bytes(&packed.archive));
}

#[tokio::test]
async fn a_busy_store_is_asked_again_and_a_closed_one_is_not() {
    let corner = Corner::open().await;
    let (_, uri) = bucket(&corner).await;
    let packed = Packed::new("v1");
    let busy = Fate::Refused(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    let twice = before(corner.cloud.url(), move |call| if call < 2 { busy } else { Fate::Pass }).await;
    let patient = BundleStorage::new(&corner.cloud.config_at(&twice).await);
    patient.upload(&packed.archive, &uri).await.expect("the third try");
    let always = before(corner.cloud.url(), move |_| busy).await;
    let error = BundleStorage::new(&corner.cloud.config_at(&always).await);
    let error = error.upload(&packed.archive, &uri).await.expect_err("busy for good");
    assert!(error.is_retryable(), "{error}");
    let closed = before(corner.cloud.url(), |_| Fate::Refused(StatusCode::FORBIDDEN, "AccessDenied")).await;
    let closed = BundleStorage::new(&corner.cloud.config_at(&closed).await);
    let error = closed.download(&uri, &packed.place("down")).await.expect_err("closed");
    assert!(matches!(error, CloudError::Refused { .. }) && !error.is_retryable(), "{error}");
}
