use crate::SubredditName;
use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;

use crate::budget::retry_after;
use crate::{RedditError, SubredditProblem};

/// What came back, whatever it is.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    reason: Option<String>,
}

impl Answer {
    /// The error an answer other than 200 stands for.
    pub(crate) fn error(&self, request: &str, subreddit: Option<&SubredditName>) -> RedditError {
        if self.status == StatusCode::FORBIDDEN && self.is_web_page() {
            return RedditError::Blocked;
        }
        match (subreddit, self.subreddit_problem()) {
            (Some(name), Some(problem)) => RedditError::Subreddit { name: name.clone(), problem },
            _ => RedditError::Status {
                request: request.into(),
                status: self.status.as_u16(),
                retry_after: retry_after(&self.headers, Utc::now()),
            },
        }
    }

    fn subreddit_problem(&self) -> Option<SubredditProblem> {
        let reason = self.reason();
        match (self.status.as_u16(), reason.as_deref()) {
            (403, Some("private")) => Some(SubredditProblem::Private),
            (403, Some("quarantined")) => Some(SubredditProblem::Quarantined),
            (403, _) => Some(SubredditProblem::Forbidden(reason.unwrap_or_else(|| "no reason given".into()))),
            (404, Some("banned")) => Some(SubredditProblem::Banned),
            // Reddit sends a misspelt subreddit to its search page.
            (404 | 300..=399, _) => Some(SubredditProblem::NotFound),
            _ => None,
        }
    }

    /// The one word Reddit gives as a reason; anything longer is cut off.
    fn reason(&self) -> Option<String> {
        let body: ErrorBody = serde_json::from_str(&self.body).ok()?;
        Some(body.reason?.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect())
    }

    fn is_web_page(&self) -> bool {
        self.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
    }
}
