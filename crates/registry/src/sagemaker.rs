//! SageMaker's managed MLflow: which host a tracking server's ARN means, and how its requests are signed.
//!
//! After AWS's own plugin for Python, sagemaker-mlflow 0.5.0 (`auth.py`, `mlflow_sagemaker_helpers.py`).

use std::str::FromStr;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4;
use reqwest::Request;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use url::Url;

use crate::RegistryError;

const SERVICE: &str = "sagemaker-mlflow";
const ARN_HEADER: HeaderName = HeaderName::from_static("x-mlflow-sm-tracking-server-arn");

/// A tracking server that AWS runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrackingServer {
    arn: String,
    region: String,
}

impl FromStr for TrackingServer {
    type Err = RegistryError;

    fn from_str(arn: &str) -> Result<Self, Self::Err> {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let parts: Vec<&str> = arn.split(':').collect();
        match parts[..] {
            ["arn", "aws" | "aws-us-gov", "sagemaker", region, account, resource]
                if word(region)
                    && word(account)
                    && resource.strip_prefix("mlflow-tracking-server/").is_some_and(word) =>
            {
                Ok(Self { arn: arn.to_owned(), region: region.to_owned() })
            }
            _ => Err(RegistryError::Settings(format!(
                "{arn:?} is no tracking server; \
                 expected arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME"
            ))),
        }
    }
}

impl TrackingServer {
    /// The host that serves every tracking server of the region.
    pub(crate) fn endpoint(&self) -> Result<Url, RegistryError> {
        let url = format!("https://{}.experiments.sagemaker.aws", self.region);
        url.parse().map_err(|_| RegistryError::Settings(format!("{} names no region", self.arn)))
    }

    /// Adds the header that names the server, and the signature. `sha256` is the hash of the body, in hex.
    pub(crate) async fn sign(
        &self,
        request: &mut Request,
        sha256: &str,
        provider: &SharedCredentialsProvider,
    ) -> Result<(), RegistryError> {
        let credentials =
            provider.provide_credentials().await.map_err(|e| RegistryError::Signing(e.to_string()))?;
        self.sign_at(request, sha256, credentials, SystemTime::now())
    }

    fn sign_at(
        &self,
        request: &mut Request,
        sha256: &str,
        credentials: Credentials,
        time: SystemTime,
    ) -> Result<(), RegistryError> {
        let arn = HeaderValue::from_str(&self.arn).map_err(failed)?;
        request.headers_mut().insert(ARN_HEADER, arn);
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(time)
            .settings(settings)
            .build()
            .map_err(failed)?;
        let signed = [ARN_HEADER, CONTENT_TYPE];
        let headers: Vec<(&str, &str)> = signed
            .iter()
            .filter_map(|name| Some((name.as_str(), request.headers().get(name)?.to_str().ok()?)))
            .collect();
        let (method, url) = (request.method().as_str(), request.url().as_str());
        let body = SignableBody::Precomputed(sha256.to_owned());
        let signable = SignableRequest::new(method, url, headers.into_iter(), body).map_err(failed)?;
        let (instructions, _) = sign_request(signable, &parameters.into()).map_err(failed)?.into_parts();
        let (added, _) = instructions.into_parts();
        for header in added {
            let mut value = HeaderValue::from_str(header.value()).map_err(failed)?;
            value.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(header.name()), value);
        }
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> RegistryError {
    RegistryError::Signing(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use reqwest::{Client, Method};
    use sha2::{Digest, Sha256};

    use super::*;

    const ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/modloop";

    /// 2026-11-22T12:00:00Z
    const NOON: Duration = Duration::from_secs(1_795_348_800);

    fn signature(method: Method, path: &str, body: Option<&str>) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server: TrackingServer = ARN.parse().expect("an ARN");
        let url = server.endpoint().expect("a host").join(path).expect("a path");
        let mut request = Client::new().request(method, url);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let mut request = request.build().expect("a request");
        let sha256 = hex::encode(Sha256::digest(body.unwrap_or_default()));
        // The example credentials of AWS's documentation.
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("session-token".into()),
            None,
            "test",
        );
        server.sign_at(&mut request, &sha256, credentials, UNIX_EPOCH + NOON).expect("signed");
        assert_eq!(request.headers()["x-amz-security-token"], "session-token");
        assert_eq!(request.headers()["x-amz-content-sha256"], sha256.as_str());
        assert_eq!(request.headers()[ARN_HEADER], ARN);
        request.headers()["authorization"].to_str().expect("text").to_owned()
    }

    /// The expected values are what sagemaker-mlflow 0.5.0 (`AuthBoto`, botocore 1.43) makes of the same requests.
    #[test]
    fn requests_are_signed_as_the_official_plugin_signs_them() {
        let created =
            signature(Method::POST, "/api/2.0/mlflow/runs/create", Some(r#"{"experiment_id":"1"}"#));
        assert_eq!(
            created,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-west-1/sagemaker-mlflow/aws4_request, \
             SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;\
             x-mlflow-sm-tracking-server-arn, \
             Signature=0437d4dc6dda42c8c8c016f60aae854cba70d093ad71d74411c628f93269edc1"
        );
        let searched = signature(
            Method::GET,
            "/api/2.0/mlflow/model-versions/search?filter=name%3D%27modloop%27%20and%20tags.\
             %60modloop.version%60%3D%27a%2Bb%27&max_results=100",
            None,
        );
        assert!(
            searched.ends_with("Signature=4d6e4842e1c3b3a847e0c291aec352eb3a4dc8153243a03345a085f8790118a4"),
            "{searched}"
        );
    }

    #[test]
    fn what_names_no_tracking_server_is_refused() {
        for bad in [
            "arn:aws:sagemaker:eu-west-1:1:model/x",
            "arn:aws:sagemaker:evil.example/x:1:mlflow-tracking-server/a",
            "arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/",
            "arn:aws:s3:eu-west-1:1:mlflow-tracking-server/a",
            "arn:aws",
        ] {
            let error = bad.parse::<TrackingServer>().expect_err(bad).to_string();
            assert!(error.contains("mlflow-tracking-server/NAME"), "{error}");
        }
    }
}
