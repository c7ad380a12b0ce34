//! The process: builds its context once, then moves the active run with every event.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use modloop_retrain::{Answer, Context, Deadline, handle, start};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    modloop_telemetry::init();
    let context = match start().await {
        Ok(context) => context,
        Err(error) => {
            tracing::error!(reason = format!("{error:#}"), "retrain cannot start");
            return Err(error.into());
        }
    };
    run(service_fn(|event: LambdaEvent<Value>| answer(&context, event))).await
}

async fn answer(context: &Context, event: LambdaEvent<Value>) -> Result<Answer, Error> {
    let deadline = Deadline::at(event.context.deadline());
    let answer = handle(context, event.payload, deadline).await;
    if let Err(error) = &answer {
        tracing::error!(reason = %error, retryable = error.is_retryable(), "the event was not handled");
        if error.is_refused_login() {
            // The password was changed since this process read it. A new process reads the new one.
            std::process::exit(1);
        }
    }
    Ok(answer?)
}
