//! The AWS calls Modloop makes: queues, files in S3, secrets, training jobs.
//!
//! Every client honours `AWS_ENDPOINT_URL`, so the same code runs against a local cloud.

mod bundles;
mod error;
mod queue;
mod secret;
mod training;

pub use aws_config::{ConfigLoader, SdkConfig};
pub use bundles::BundleStorage;
pub use error::CloudError;
pub use queue::{RetrainQueue, ScoreQueue, Sent};
pub use secret::secret;
pub use training::{JobStatus, Network, Spot, TrainingJob, TrainingJobs};

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// Reads region, credentials and endpoint from the environment, once per process.
pub async fn sdk_config() -> SdkConfig {
    sdk_settings().load().await
}

/// What every call here keeps to, before the environment is read: how connections are made, how long to
/// wait and how often to try. Whoever talks to a cloud that the environment does not name adds its address.
///
/// TLS comes from rustls with ring: no C build, and no entropy collection in a cold start.
pub fn sdk_settings() -> ConfigLoader {
    let http = Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(20))
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(4))
        .timeout_config(timeouts)
}
