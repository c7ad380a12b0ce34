//! The process: runs the migrations once for each invocation, whatever the event says.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use modloop_migrate::handle;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    modloop_telemetry::init();
    run(service_fn(|_event: LambdaEvent<Value>| async { handle().await.map_err(Error::from) })).await
}
