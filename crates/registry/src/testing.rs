//! Registries of a test's own on a real MLflow server, this crate's and others'.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Login, Registry, RegistrySettings, Retries};

static CREATED: AtomicU32 = AtomicU32::new(0);

/// The server that tests use.
///
/// # Panics
/// Without MLFLOW_TRACKING_URI: a test cannot go on then.
pub fn tracking_uri() -> String {
    let advice = "run `cargo xtask test`, or set MLFLOW_TRACKING_URI";
    modloop_environment::required("MLFLOW_TRACKING_URI", advice).unwrap_or_else(|e| panic!("{e}"))
}

/// Settings with names that nobody else uses, and no retries.
///
/// # Panics
/// When the tracking URI cannot be used.
pub fn settings(tracking_uri: &str, login: Login) -> RegistrySettings {
    // The process and its start make the name unique among tests that run side by side.
    let started = std::time::UNIX_EPOCH.elapsed().map(|t| t.subsec_nanos()).unwrap_or_default();
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let name = format!("test-{}-{started}-{number}", std::process::id());
    let settings = RegistrySettings::new(tracking_uri, login).unwrap_or_else(|e| panic!("{e}"));
    settings.with_names(name.clone(), name).with_retries(Retries::NEVER)
}

/// A registry with an experiment and a model of its own.
///
/// # Panics
/// As [`settings`].
pub fn registry() -> Registry {
    Registry::new(settings(&tracking_uri(), Login::None)).unwrap_or_else(|e| panic!("{e}"))
}
