use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use modloop_environment::is_loopback;
use url::Url;

use crate::{LabelerError, Prices, Retries};

/// Which field of the request bounds the answer; endpoints differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputLimit {
    /// `max_tokens`: known to almost all.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's reasoning models take nothing else.
    MaxCompletionTokens,
}

/// Which endpoint labels, and how it is treated.
#[derive(Debug, Clone)]
pub struct LabelerSettings {
    pub(crate) url: Url,
    pub(crate) model: String,
    pub(crate) prices: Prices,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) retries: Retries,
    pub(crate) output_tokens: NonZeroU32,
    pub(crate) output_limit: OutputLimit,
    pub(crate) temperature: Option<f64>,
    pub(crate) text_bytes: usize,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_CONCURRENCY: usize = 8;
/// A rationale of 200 characters and the labels take about 80; reasoning models need more.
const DEFAULT_OUTPUT_TOKENS: u32 = 400;
/// About Reddit's longest comment in English.
const DEFAULT_TEXT_BYTES: usize = 10_000;

impl LabelerSettings {
    /// `url` is the base, such as `https://api.openai.com/v1`; requests go to `chat/completions` below it.
    ///
    /// # Errors
    /// Refuses an address over which key and texts would travel in the clear, one with a password in it, and
    /// a model without a name.
    pub fn new(url: Url, model: &str, prices: Prices) -> Result<Self, LabelerError> {
        let refused = |problem: &str| Err(LabelerError::Settings(format!("LABELER_URL {problem}")));
        if !matches!(url.scheme(), "http" | "https") || url.scheme() == "http" && !is_loopback(&url) {
            return refused("is not an https address; only a stand-in on this machine may do without");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused(
                "holds a user name or password; keep the key in the secret of LABELER_SECRET_ARN",
            );
        }
        let model = model.trim().to_owned();
        if model.is_empty() {
            return Err(LabelerError::Settings(
                "labeler.model is empty; set it to a model of the endpoint".into(),
            ));
        }
        Ok(Self {
            url,
            model,
            prices,
            timeout: DEFAULT_TIMEOUT,
            concurrency: NonZeroUsize::new(DEFAULT_CONCURRENCY).unwrap_or(NonZeroUsize::MIN),
            retries: Retries::default(),
            output_tokens: NonZeroU32::new(DEFAULT_OUTPUT_TOKENS).unwrap_or(NonZeroU32::MIN),
            output_limit: OutputLimit::default(),
            temperature: Some(0.0),
            text_bytes: DEFAULT_TEXT_BYTES,
        })
    }

    /// `None` leaves the choice to the model.
    #[must_use]
    pub fn with_temperature(self, temperature: Option<f64>) -> Self {
        Self { temperature, ..self }
    }

    /// Longer texts are cut off.
    #[must_use]
    pub fn with_text_bytes(self, text_bytes: usize) -> Self {
        Self { text_bytes, ..self }
    }

    /// How long one request may take.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How many requests may be under way at once.
    #[must_use]
    pub fn with_concurrency(self, concurrency: NonZeroUsize) -> Self {
        Self { concurrency, ..self }
    }

    /// How often and how slowly failed requests are tried again.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Self {
        Self { retries, ..self }
    }

    /// The most tokens of an answer, and the field that says so.
    #[must_use]
    pub fn with_output(self, output_tokens: NonZeroU32, output_limit: OutputLimit) -> Self {
        Self { output_tokens, output_limit, ..self }
    }

    /// Whether the endpoint is on this machine, where no proxy can reach it.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Where requests go. What follows a question mark in the base stays, as some hosts want an API version there.
    pub(crate) fn completions(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/chat/completions", self.url.path().trim_end_matches('/')));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, model: &str) -> Result<LabelerSettings, LabelerError> {
        LabelerSettings::new(url.parse().expect("a url"), model, Prices::per_million(1.0, 2.0)?)
    }

    #[test]
    fn requests_go_below_the_base() {
        for (base, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
            (
                "https://x.example/openai?api-version=7",
                "https://x.example/openai/chat/completions?api-version=7",
            ),
        ] {
            assert_eq!(settings(base, "m").expect(base).completions().as_str(), expected);
        }
    }

    #[test]
    fn key_and_texts_never_travel_in_the_clear() {
        for (url, expected) in [
            ("http://api.example.org/v1", "https"),
            ("ftp://127.0.0.1/v1", "https"),
            ("https://user:hush@api.example.org/v1", "LABELER_SECRET_ARN"),
        ] {
            let error = settings(url, "m").expect_err(url).to_string();
            assert!(error.contains(expected) && !error.contains("hush"), "{error}");
        }
        let error = settings("https://api.example.org", " ").expect_err("no model").to_string();
        assert!(error.contains("labeler.model"), "{error}");
    }
}
