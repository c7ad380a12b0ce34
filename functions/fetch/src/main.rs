//! The process: builds its context once, then runs a pass each time the clock asks for one.

use std::time::SystemTime;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use modloop_cloud::ScoreQueue;
use modloop_fetch::{Context, Report, deadline, handle, start};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    modloop_telemetry::init();
    let context = match start().await {
        Ok(context) => context,
        Err(error) => {
            tracing::error!(reason = format!("{error:#}"), "fetch cannot start");
            return Err(error.into());
        }
    };
    // What asked for the pass does not matter: the clock's event, or `{}` by hand.
    run(service_fn(|event: LambdaEvent<IgnoredAny>| answer(&context, event.context.deadline()))).await
}

async fn answer(context: &Context<ScoreQueue>, end: SystemTime) -> Result<Report, Error> {
    let mut report = handle(context, deadline(SystemTime::now(), end)).await;
    report.log();
    report.metrics().emit();
    match report.failure.take() {
        None => Ok(report),
        // The secret was changed since this process read it. A new process reads the new one.
        Some(error) if error.is_about_credentials() => std::process::exit(1),
        Some(error) => Err(error.into()),
    }
}
