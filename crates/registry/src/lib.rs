//! MLflow: runs, artifacts, registered versions and aliases, over its REST interface.
//!
//! ```no_run
//! # async fn example(bundle: &modloop_bundle::Bundle) -> Result<(), modloop_registry::RegistryError> {
//! use modloop_registry::{Alias, Login, Registry, RegistrySettings, RunInfo, register_bundle};
//! let registry = Registry::new(RegistrySettings::new("http://127.0.0.1:5000", Login::None)?)?;
//! let registered = register_bundle(&registry, bundle, &RunInfo::default()).await?;
//! registry.set_alias(Alias::Champion, registered.registry_version).await?;
//! # Ok(())
//! # }
//! ```

mod artifacts;
mod bundle;
mod entries;
mod error;
mod login;
mod models;
mod registry;
mod retry;
mod runs;
mod sagemaker;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;

pub use artifacts::Artifact;
pub use bundle::{RegisteredVersion, RunInfo, register_bundle};
pub use entries::{Entries, Key};
pub use error::RegistryError;
pub use login::{Login, Secret};
pub use models::{Alias, AliasTarget, VersionParts};
pub use registry::Registry;
pub use retry::Retries;
pub use runs::{ExperimentId, Run, RunKey, RunKeyError, RunStatus};
pub use settings::RegistrySettings;
