//! The process: builds its context once, then takes batches of messages until Lambda ends it.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use modloop_inference::{BundleLoader, Context, handle, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    modloop_telemetry::init();
    let context = match start().await {
        Ok(context) => context,
        Err(error) => {
            tracing::error!(reason = format!("{error:#}"), "inference cannot start");
            return Err(error.into());
        }
    };
    run(service_fn(|event: LambdaEvent<SqsEvent>| answer(&context, event.payload))).await
}

async fn answer(context: &Context<BundleLoader>, event: SqsEvent) -> Result<SqsBatchResponse, Error> {
    let report = handle(context, event).await;
    report.log();
    report.metrics().emit();
    if report.password_refused() {
        // The password was changed since this process read it. A new process reads the new one, and the
        // queue hands the batch out again.
        std::process::exit(1);
    }
    Ok(report.response)
}
