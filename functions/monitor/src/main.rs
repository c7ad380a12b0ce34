//! The process: builds its context once, then looks at a window whenever the schedule or a person asks.

use chrono::Utc;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use modloop_cloud::RetrainQueue;
use modloop_monitor::{Context, Event, Summary, handle, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    modloop_telemetry::init();
    let context = match start().await {
        Ok(context) => context,
        Err(error) => {
            tracing::error!(reason = format!("{error:#}"), "monitor cannot start");
            return Err(error.into());
        }
    };
    run(service_fn(|event: LambdaEvent<Event>| answer(&context, event.payload))).await
}

async fn answer(context: &Context<RetrainQueue>, event: Event) -> Result<Summary, Error> {
    let answer = handle(context, event, Utc::now()).await;
    if let Err(error) = &answer {
        tracing::error!(reason = %error, retryable = error.is_retryable(), "the window was not monitored as a whole");
        if error.is_refused_login() {
            // The password was changed since this process read it. A new process reads the new one.
            std::process::exit(1);
        }
    }
    Ok(answer?)
}
