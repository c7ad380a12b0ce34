use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use modloop_registry::testing::{settings, tracking_uri};
use modloop_registry::{Login, Registry, RegistrySettings, RunInfo, Secret, register_bundle};

use crate::cut_off::tiny_bundle;
use crate::proxy::{Fault, Proxy};

const ARN: &str = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/modloop";

/// Registers a bundle and gives the `authorization` header of every call.
async fn headers_of(settings: RegistrySettings, proxy: &Proxy) -> Vec<String> {
    let place = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(&place, "login.1");
    let registry = Registry::new(settings).expect("settings");
    register_bundle(&registry, &bundle, &RunInfo::default()).await.expect("registered");
    let text = |seen: crate::proxy::Seen| {
        seen.headers.get("authorization").map(|h| h.to_str().expect("text").to_owned()).unwrap_or_default()
    };
    proxy.seen().into_iter().map(text).collect()
}

#[tokio::test]
async fn a_password_or_token_goes_with_every_call() {
    let logins = [
        (
            Login::Basic { username: "me".into(), password: Secret::new("pass:word") },
            "Basic bWU6cGFzczp3b3Jk",
        ),
        (Login::Bearer { token: Secret::new("sesame") }, "Bearer sesame"),
        (Login::None, ""),
    ];
    for (login, header) in logins {
        let proxy = Proxy::start(&tracking_uri(), |_| Fault::None).await;
        let sent = headers_of(settings(&proxy.url, login), &proxy).await;
        assert!(sent.len() > 10 && sent.iter().all(|sent| sent == header), "{header}: {sent:?}");
    }
}

#[tokio::test]
async fn every_call_to_a_sagemaker_server_is_signed_files_included() {
    let proxy = Proxy::start(&tracking_uri(), |_| Fault::None).await;
    let credentials = Credentials::new("ANOTREAL", "secret", None, None, "test");
    let login = Login::Aws(SharedCredentialsProvider::new(credentials));
    let named = format!("sagemaker-{}", std::process::id());
    let settings = RegistrySettings::new(ARN, login)
        .and_then(|settings| settings.with_endpoint(&proxy.url))
        .expect("settings")
        .with_names(named.clone(), named);
    let sent = headers_of(settings, &proxy).await;
    assert!(sent.iter().all(|sent| sent.starts_with("AWS4-HMAC-SHA256 Credential=ANOTREAL/")), "{sent:?}");
    for seen in proxy.seen() {
        assert_eq!(seen.headers["x-mlflow-sm-tracking-server-arn"], ARN);
        assert_eq!(seen.headers["x-amz-content-sha256"].len(), 64, "{}", seen.line);
    }
    assert!(proxy.seen().iter().any(|seen| seen.line.starts_with("PUT ")));
}
