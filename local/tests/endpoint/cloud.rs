//! The cloud under test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::UNIX_EPOCH;

use aws_sdk_sqs::config::{Credentials, Region};
use modloop_cloud::{SdkConfig, sdk_settings};
use modloop_local::cloud::{Cloud, CloudFiles};
use modloop_local::endpoint::REGION;
use tempfile::TempDir;
use tokio::sync::Mutex;

const VARIABLE: &str = "MODLOOP_TEST_ENDPOINT";

/// Local clouds check no signature. Twelve digits would name an account.
pub(crate) const CREDENTIAL: &str = "test";

/// A cloud on one address.
#[derive(Clone)]
pub(crate) enum TestCloud {
    /// Somebody else started it.
    Given(String),
    /// Ours, shared by the tests that run side by side. It stops with the last of them.
    Own(Arc<OwnCloud>),
}

/// The local cloud with the folder it lives in.
pub(crate) struct OwnCloud {
    // Stopped before its folder goes.
    cloud: Cloud,
    _folder: TempDir,
}

impl TestCloud {
    /// The one of MODLOOP_TEST_ENDPOINT, or the local cloud, started when no test has it running.
    pub(crate) async fn find() -> Self {
        match std::env::var(VARIABLE) {
            Ok(url) if !url.is_empty() => {
                assert!(url.starts_with("http://"), "{VARIABLE} is {url:?}: expected http://HOST:PORT");
                Self::Given(url.trim_end_matches('/').to_owned())
            }
            _ => Self::Own(OwnCloud::shared().await),
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Own(own) => own.cloud.endpoint().url(),
        }
    }

    /// How the functions talk to AWS, but to this cloud.
    pub(crate) async fn config(&self) -> SdkConfig {
        self.config_at(self.url()).await
    }

    /// The same by way of another address.
    pub(crate) async fn config_at(&self, url: &str) -> SdkConfig {
        let settings = sdk_settings().endpoint_url(url).region(Region::new(self.region()));
        if self.has_credentials_in_environment() {
            return settings.load().await;
        }
        let local = Credentials::new(CREDENTIAL, CREDENTIAL, None, None, "tests");
        settings.credentials_provider(local).load().await
    }

    /// The person's own settings are for a cloud that they name, and never for ours.
    pub(crate) fn has_credentials_in_environment(&self) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some();
        matches!(self, Self::Given(_)) && (set("AWS_ACCESS_KEY_ID") || set("AWS_PROFILE"))
    }

    pub(crate) fn region(&self) -> String {
        let named =
            ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| std::env::var(name).ok());
        named.filter(|_| matches!(self, Self::Given(_))).unwrap_or_else(|| REGION.to_owned())
    }
}

impl OwnCloud {
    async fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<OwnCloud>> = Mutex::const_new(Weak::new());
        let mut running = RUNNING.lock().await;
        if let Some(own) = running.upgrade() {
            return own;
        }
        let folder = tempfile::tempdir().expect("a folder for the local cloud");
        let files = CloudFiles {
            program: program(),
            folder: folder.path().join("cloud"),
            log: folder.path().join("cloud.log"),
            sagemaker: None,
        };
        let cloud = Cloud::start(&files).await.expect("the local cloud starts");
        let own = Arc::new(Self { cloud, _folder: folder });
        *running = Arc::downgrade(&own);
        own
    }
}

/// In the folder that `cargo xtask` prepares.
fn program() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let home = std::env::var_os("MODLOOP_HOME").map_or_else(|| repository.join(".modloop"), PathBuf::from);
    let program = home.join("tools/cloud/bin/ministack");
    assert!(
        program.exists(),
        "{} is missing: run `cargo xtask test`, which prepares it, or set {VARIABLE}",
        program.display()
    );
    program
}

/// A name that nothing else in the cloud has: of this process, its start and a number.
pub(crate) fn unique_name(purpose: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let now = UNIX_EPOCH.elapsed().map(|time| time.as_nanos() % 1_000_000_000_000).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("modloop-test-{purpose}-{}-{now}-{number}", std::process::id())
}
