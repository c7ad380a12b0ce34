//! What came back over HTTP: an answer, or why there is none, and what the call did cost.

use std::time::Duration;

use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::answer::{Answer, one_line};
use crate::pace::retry_after;
use crate::{NoLabel, Rubric};

/// What a call is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The endpoint turned it away.
    Nothing,
    /// What the endpoint says.
    Tokens { input: u64, output: u64 },
    /// Nobody knows: it may have been answered in full.
    Unknown,
}

/// The end of one attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) charge: Charge,
    pub(crate) result: Result<Reply, Failure>,
}

/// An answer by the schema.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// As the endpoint names it; empty where it does not.
    pub(crate) model: String,
}

/// No answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: NoLabel,
    /// What `Retry-After` asked for.
    pub(crate) retry_after: Option<Duration>,
}

/// An answer over HTTP, whatever it is.
pub(crate) struct HttpAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Attempt {
    pub(crate) fn failed(why: NoLabel, charge: Charge) -> Self {
        Self { charge, result: Err(Failure { why, retry_after: None }) }
    }

    pub(crate) fn read(http: &HttpAnswer, rubric: &Rubric) -> Self {
        if http.status != StatusCode::OK {
            return Self::turned_away(http);
        }
        let Ok(completion) = serde_json::from_slice::<Completion>(&http.body) else {
            return Self::failed(
                NoLabel::Unavailable("what it sent is no chat completion".into()),
                Charge::Unknown,
            );
        };
        let charge = completion.usage.as_ref().map_or(Charge::Unknown, |usage| Charge::Tokens {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
        });
        let result = completion.answer(rubric).map_err(|why| Failure { why, retry_after: None });
        let model = one_line(&completion.model, 100);
        Self { charge, result: result.map(|answer| Reply { answer, model }) }
    }

    fn turned_away(http: &HttpAnswer) -> Self {
        let (status, code) = (http.status.as_u16(), error_code(&http.body));
        let why = match (status, code.as_str()) {
            (402, _) | (429, "insufficient_quota") => NoLabel::Credit,
            (401, _) => NoLabel::Key,
            (400 | 413, "context_length_exceeded" | "string_above_max_length") => NoLabel::TooLong,
            (400, "content_filter" | "content_policy_violation") => NoLabel::Refused,
            (408 | 409 | 425 | 429 | 500..=599, _) => NoLabel::Unavailable(format!("status {status}")),
            _ => NoLabel::Request { status, code },
        };
        // Something in between may have lost an answer that was made and billed.
        let charge = match status {
            408 | 500..=502 | 504..=528 | 530..=599 => Charge::Unknown,
            _ => Charge::Nothing,
        };
        Self { charge, result: Err(Failure { why, retry_after: retry_after(&http.headers, Utc::now()) }) }
    }
}

impl Completion {
    fn answer(&self, rubric: &Rubric) -> Result<Answer, NoLabel> {
        let [choice] = self.choices.as_slice() else {
            return Err(NoLabel::OutOfSchema(format!("{} choices instead of one", self.choices.len())));
        };
        if choice.message.refusal.as_ref().is_some_and(|refusal| !refusal.is_empty()) {
            return Err(NoLabel::Refused);
        }
        match choice.finish_reason.as_deref() {
            Some("stop") => {}
            Some("length") => return Err(NoLabel::CutOff),
            Some("content_filter") => return Err(NoLabel::Refused),
            _ => return Err(NoLabel::OutOfSchema("it did not end with finish_reason \"stop\"".into())),
        }
        let content = choice.message.content.as_deref().unwrap_or_default();
        Answer::parse(content, rubric).map_err(NoLabel::OutOfSchema)
    }
}

/// The endpoint's one word for an error. Its sentence is left out: it may quote the key or the text.
fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Problem,
    }
    #[derive(Deserialize)]
    struct Problem {
        code: Option<serde_json::Value>,
        r#type: Option<String>,
    }
    let problem = serde_json::from_slice::<Body>(body).ok().map(|body| body.error);
    let word = problem.and_then(|p| p.code.and_then(|c| c.as_str().map(str::to_owned)).or(p.r#type));
    let fits =
        |w: &String| (1..=40).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    word.filter(fits).unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> (Charge, NoLabel) {
        let status = StatusCode::from_u16(status).expect("a status");
        let http = HttpAnswer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
        let attempt = Attempt::read(&http, &Rubric::v1().expect("a rubric"));
        (attempt.charge, attempt.result.expect_err("no answer").why)
    }

    #[test]
    fn refusals_say_whom_they_concern() {
        let quota =
            r#"{"error":{"message":"You exceeded","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(read(429, quota), (Charge::Nothing, NoLabel::Credit));
        assert_eq!(read(401, ""), (Charge::Nothing, NoLabel::Key));
        let long =
            r#"{"error":{"message":"…","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
        assert_eq!(read(400, long), (Charge::Nothing, NoLabel::TooLong));
        let (_, unknown) = read(404, r#"{"error":{"message":"no gpt-9","code":"model_not_found"}}"#);
        assert!(
            unknown.concerns_everything() && unknown.to_string().contains("model_not_found"),
            "{unknown}"
        );
        let (_, forbidden) = read(403, "<html>blocked</html>");
        assert!(!forbidden.concerns_everything(), "one text must not stop the others");
    }

    #[test]
    fn sentences_of_the_endpoint_are_not_repeated() {
        let body = r#"{"error":{"message":"bad key sk-hush","type":"sk-hush IS BAD","code":400}}"#;
        let (_, why) = read(400, body);
        assert!(!format!("{why:?} {why}").contains("hush"), "{why}");
    }

    #[test]
    fn what_may_have_been_billed_counts() {
        assert_eq!(read(503, "").0, Charge::Nothing);
        assert_eq!(read(502, "").0, Charge::Unknown);
        assert_eq!(read(200, "{\"choices\":[{\"mess").0, Charge::Unknown);
        let refused = r#"{"choices":[{"message":{"content":null,"refusal":"I cannot"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        assert_eq!(read(200, refused), (Charge::Tokens { input: 7, output: 3 }, NoLabel::Refused));
    }
}
