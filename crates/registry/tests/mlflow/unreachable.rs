use std::time::{Duration, Instant};

use modloop_registry::testing::{settings, tracking_uri};
use modloop_registry::{Alias, Login, Registry, RegistryError, Retries};

use crate::proxy::{Fault, Proxy};

#[tokio::test]
async fn a_server_that_is_down_is_named_and_a_retry_may_help() {
    // Bound and closed again: nobody listens there.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let registry =
        Registry::new(settings(&format!("http://127.0.0.1:{port}"), Login::None)).expect("settings");
    let error = registry.experiment().await.expect_err("nobody there");
    assert!(matches!(error, RegistryError::Connection { .. }) && error.is_retryable());
    assert!(error.to_string().contains("MLFLOW_TRACKING_URI"), "{error}");
}

#[tokio::test]
async fn a_slow_server_is_not_waited_for() {
    let proxy = Proxy::start(&tracking_uri(), |_| Fault::Slow).await;
    let patience = Duration::from_millis(300);
    let settings = settings(&proxy.url, Login::None).with_timeouts(patience, patience);
    let begun = Instant::now();
    let error = Registry::new(settings).expect("settings").alias(Alias::Champion).await.expect_err("slow");
    assert!(matches!(error, RegistryError::Timeout { .. }) && error.is_retryable(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_fault_is_retried_and_a_refusal_is_not() {
    let proxy = Proxy::start(&tracking_uri(), |_| Fault::Refused).await;
    let three = Retries { attempts: 3, first_wait: Duration::from_millis(1), max_wait: Duration::ZERO };
    let broken = settings(&proxy.url, Login::None).with_retries(three);
    let error = Registry::new(broken).expect("settings").experiment().await.expect_err("503");
    assert!(matches!(error, RegistryError::Refused { status: 503, .. }), "{error}");
    assert_eq!(proxy.seen().len(), 3);

    let proxy = Proxy::start(&tracking_uri(), |_| Fault::None).await;
    let three = settings(&proxy.url, Login::None).with_retries(three);
    let registry = Registry::new(three).expect("settings");
    let error = registry.tag_version(1, "key", "value").await.expect_err("no such model");
    assert!(!error.is_retryable() && error.to_string().contains("RESOURCE_DOES_NOT_EXIST"), "{error}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_web_page_instead_of_mlflow_is_an_error() {
    let page = axum::Router::new().fallback(|| async { "<html>Sign in</html>" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move { axum::serve(listener, page).await.expect("serves") });
    let registry = Registry::new(settings(&url, Login::None)).expect("settings");
    let error = registry.experiment().await.expect_err("a page");
    assert!(matches!(error, RegistryError::Malformed { .. }), "{error}");
    serving.abort();
}
