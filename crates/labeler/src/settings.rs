use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use modloop_environment::{EnvironmentError, is_loopback, parsed, required};
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

impl FromStr for OutputLimit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "max_tokens" => Ok(Self::MaxTokens),
            "max_completion_tokens" => Ok(Self::MaxCompletionTokens),
            _ => Err(()),
        }
    }
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
            return refused("is no https address; only a stand-in on this machine may do without");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused(
                "holds a user name or password; keep the key in the secret of LABELER_SECRET_ARN",
            );
        }
        let model = model.trim().to_owned();
        if model.is_empty() {
            return Err(LabelerError::Settings(
                "LABELER_MODEL is empty; set it to a model of the endpoint".into(),
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

    /// Reads `LABELER_URL`, `LABELER_MODEL`, `LABELER_INPUT_PRICE` and `LABELER_OUTPUT_PRICE` (dollars for a million
    /// tokens), and where set `LABELER_TIMEOUT_SECONDS`, `LABELER_CONCURRENCY`, `LABELER_ATTEMPTS`,
    /// `LABELER_OUTPUT_TOKENS`, `LABELER_OUTPUT_LIMIT` (`max_tokens`, `max_completion_tokens`), `LABELER_TEMPERATURE` (a
    /// number, or `default` for the model's own) and `LABELER_TEXT_BYTES`.
    pub fn from_environment() -> Result<Self, LabelerError> {
        let url: Url = parsed(
            "LABELER_URL",
            None,
            "the base address of a chat endpoint, such as https://api.openai.com/v1",
        )?;
        let model = required("LABELER_MODEL", "set it to a model of the endpoint that takes a JSON schema")?;
        let price = |name| parsed::<f64>(name, None, "dollars for a million tokens");
        let prices = Prices::per_million(price("LABELER_INPUT_PRICE")?, price("LABELER_OUTPUT_PRICE")?)?;
        Self::new(url, &model, prices)?.with_environment()
    }

    fn with_environment(self) -> Result<Self, LabelerError> {
        let attempts = parsed("LABELER_ATTEMPTS", Some(self.retries.attempts), "a number of tries from 1")?;
        let seconds = parsed("LABELER_TIMEOUT_SECONDS", Some(Seconds(self.timeout)), "seconds, more than 0")?;
        Ok(Self {
            timeout: seconds.0,
            concurrency: parsed("LABELER_CONCURRENCY", Some(self.concurrency), "a number of calls from 1")?,
            retries: Retries { attempts, ..self.retries },
            output_tokens: parsed(
                "LABELER_OUTPUT_TOKENS",
                Some(self.output_tokens),
                "a number of tokens from 1",
            )?,
            output_limit: parsed(
                "LABELER_OUTPUT_LIMIT",
                Some(self.output_limit),
                "max_tokens or max_completion_tokens",
            )?,
            temperature: temperature(self.temperature)?,
            text_bytes: parsed("LABELER_TEXT_BYTES", Some(self.text_bytes), "a number of bytes")?,
            ..self
        })
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

struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let seconds = text.parse::<f64>().map_err(|_| ())?;
        (seconds > 0.0 && seconds <= 900.0).then(|| Self(Duration::from_secs_f64(seconds))).ok_or(())
    }
}

/// `default` leaves the field out.
struct Temperature(Option<f64>);

impl FromStr for Temperature {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match (text, text.parse::<f64>()) {
            ("default", _) => Ok(Self(None)),
            (_, Ok(number)) if (0.0..=2.0).contains(&number) => Ok(Self(Some(number))),
            _ => Err(()),
        }
    }
}

fn temperature(default: Option<f64>) -> Result<Option<f64>, EnvironmentError> {
    let expects = "a number from 0 to 2, or \"default\"";
    parsed("LABELER_TEMPERATURE", Some(Temperature(default)), expects).map(|found| found.0)
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
        assert!(error.contains("LABELER_MODEL"), "{error}");
    }

    #[test]
    fn what_people_write_is_checked() {
        assert!("0".parse::<Seconds>().is_err() && "NaN".parse::<Seconds>().is_err());
        assert_eq!("default".parse::<Temperature>().map(|t| t.0), Ok(None));
        assert_eq!("0.5".parse::<Temperature>().map(|t| t.0), Ok(Some(0.5)));
        assert!("hot".parse::<Temperature>().is_err());
        assert_eq!("max_completion_tokens".parse(), Ok(OutputLimit::MaxCompletionTokens));
    }
}
