use std::time::{Duration, SystemTime};

use modloop_reddit::Deadline;

use crate::pass::Pass;
use crate::{Context, Queue, Report};

/// Kept free at the end of an invocation, to store the last page and to answer.
const RESERVE: Duration = Duration::from_secs(10);

/// Runs one pass. Never fails as a whole: what went wrong is in the report, beside what was done.
pub async fn handle<Q: Queue>(context: &Context<Q>, deadline: Deadline) -> Report {
    let mut report = Report::default();
    let pass = Pass { context, deadline };
    if let Err(error) = pass.run(&mut report).await {
        report.fail(error);
    }
    report
}

/// By when a pass must send its last request, if Lambda ends the invocation at `end`.
pub fn deadline(now: SystemTime, end: SystemTime) -> Deadline {
    let left = end.duration_since(now).unwrap_or_default();
    Deadline::after(left.saturating_sub(RESERVE.min(left / 4)))
}
