use std::time::Duration;

use modloop_environment::is_loopback;
use url::Url;

use crate::sagemaker::TrackingServer;
use crate::{Login, RegistryError, Retries};

/// Where MLflow is and how to treat it.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// What paths are appended to.
    pub(crate) endpoint: Url,
    /// The server's ARN and region, when AWS runs it.
    pub(crate) sagemaker: Option<TrackingServer>,
    pub(crate) login: Login,
    pub(crate) experiment: String,
    pub(crate) model: String,
    /// How long one call may take, files apart.
    pub(crate) timeout: Duration,
    /// How long one file may take.
    pub(crate) file_timeout: Duration,
    pub(crate) retries: Retries,
}

impl RegistrySettings {
    /// Name of the experiment and of the registered model, unless told otherwise.
    pub const NAME: &str = "modloop";

    /// MLflow at `tracking_uri`: an http(s) address, or `arn:aws:sagemaker:…:mlflow-tracking-server/…`,
    /// which goes with [`Login::Aws`] and with nothing else.
    ///
    /// # Errors
    /// Refuses other addresses, and those over which a secret would travel in the clear.
    pub fn new(tracking_uri: &str, login: Login) -> Result<Self, RegistryError> {
        let tracking_uri = tracking_uri.trim();
        let sagemaker = match Self::is_sagemaker(tracking_uri) {
            true => Some(tracking_uri.parse::<TrackingServer>()?),
            false => None,
        };
        let endpoint = match &sagemaker {
            Some(server) => server.endpoint()?,
            None => plain_address(tracking_uri)?,
        };
        let settings = Self {
            endpoint,
            sagemaker,
            login,
            experiment: Self::NAME.to_owned(),
            model: Self::NAME.to_owned(),
            timeout: Duration::from_secs(20),
            file_timeout: Duration::from_secs(300),
            retries: Retries::default(),
        };
        settings.checked()
    }

    /// Whether this tracking URI is the ARN of a tracking server that AWS runs, so that calls are signed.
    pub fn is_sagemaker(tracking_uri: &str) -> bool {
        tracking_uri.trim_start().starts_with("arn:")
    }

    /// Calls go here instead, with the same signatures: the private endpoint of a network without internet.
    ///
    /// # Errors
    /// As [`RegistrySettings::new`].
    pub fn with_endpoint(self, endpoint: &str) -> Result<Self, RegistryError> {
        Self { endpoint: plain_address(endpoint)?, ..self }.checked()
    }

    /// Other names for the experiment and the registered model, where several systems share a server.
    #[must_use]
    pub fn with_names(self, experiment: impl Into<String>, model: impl Into<String>) -> Self {
        Self { experiment: experiment.into(), model: model.into(), ..self }
    }

    /// How long one call may take, and how long one file.
    #[must_use]
    pub fn with_timeouts(self, call: Duration, file: Duration) -> Self {
        Self { timeout: call, file_timeout: file, ..self }
    }

    /// How often and how slowly failed calls are tried again.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Self {
        Self { retries, ..self }
    }

    /// Whether MLflow runs on this machine, where no proxy can reach it.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.endpoint)
    }

    fn checked(self) -> Result<Self, RegistryError> {
        let problem = match (&self.sagemaker, &self.login) {
            (Some(_), login) if !matches!(login, Login::Aws(_)) => {
                "a SageMaker tracking server takes AWS credentials only; leave MLFLOW_SECRET_ARN empty"
            }
            (None, Login::Aws(_)) => {
                "AWS credentials fit a SageMaker tracking server only; set MLFLOW_TRACKING_URI to its ARN"
            }
            (None, login) if login.sends_a_secret() && !is_private(&self.endpoint) => {
                "MLFLOW_TRACKING_URI is no https address, so the login would travel in the clear; use https"
            }
            _ => return Ok(self),
        };
        Err(RegistryError::Settings(problem.to_owned()))
    }
}

/// The address is not repeated in the error: it may hold a password.
fn plain_address(text: &str) -> Result<Url, RegistryError> {
    let fits = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.password().is_none()
            && url.username().is_empty()
    };
    text.parse::<Url>().ok().filter(fits).ok_or_else(|| {
        RegistryError::Settings(
            "MLFLOW_TRACKING_URI cannot be used: expected http(s)://host:port without a login in it, \
             or arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
                .to_owned(),
        )
    })
}

fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/modloop";

    fn bearer() -> Login {
        Login::Bearer { token: crate::Secret::new("sesame") }
    }

    #[test]
    fn a_secret_is_not_sent_in_the_clear_to_another_machine() {
        assert!(RegistrySettings::new("http://mlflow.internal:5000", Login::None).is_ok());
        assert!(RegistrySettings::new("https://mlflow.internal", bearer()).is_ok());
        assert!(RegistrySettings::new("http://127.0.0.1:5000", bearer()).is_ok());
        let error = RegistrySettings::new("http://mlflow.internal:5000", bearer()).expect_err("in the clear");
        assert!(error.to_string().contains("https"), "{error}");
    }

    #[test]
    fn an_unusable_address_is_refused_and_not_repeated() {
        for bad in ["", "mlflow", "file:///tmp", "http://me:sesame@host", "sqlite:///sesame.db"] {
            let error = RegistrySettings::new(bad, Login::None).expect_err(bad).to_string();
            assert!(error.contains("MLFLOW_TRACKING_URI") && !error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn an_arn_goes_with_aws_credentials_and_with_nothing_else() {
        let error = RegistrySettings::new(ARN, bearer()).expect_err("no signature");
        assert!(error.to_string().contains("MLFLOW_SECRET_ARN"), "{error}");
        assert!(RegistrySettings::new("arn:aws:s3:::bucket", Login::None).is_err());
    }
}
