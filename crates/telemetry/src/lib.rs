//! What a function says about itself: JSON log lines and CloudWatch metrics, both on standard output.

mod metrics;

use tracing_subscriber::EnvFilter;

pub use metrics::Metrics;

/// Sends `tracing` events to standard output, one JSON object a line, with the fields of the enclosing
/// spans (the Lambda runtime's span carries `requestId`). `MODLOOP_LOG` filters, `info` by default.
/// `MODLOOP_STACK` names the deployment that metrics belong to.
///
/// Later calls in the same process change nothing.
pub fn init() {
    if let Ok(stack) = std::env::var("MODLOOP_STACK") {
        metrics::STACK.get_or_init(|| stack);
    }
    let filter = EnvFilter::try_from_env("MODLOOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_env_filter(filter)
        .with_writer(std::io::stdout);
    // An error means that a subscriber is there already, as in tests.
    let _already_there = subscriber.try_init();
}
