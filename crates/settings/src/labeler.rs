use serde::{Deserialize, Serialize};

use crate::range::{number, whole};
use crate::{Document, Problem};

/// Which field of the request bounds the answer; endpoints differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`: known to almost all.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's reasoning models take nothing else.
    MaxCompletionTokens,
}

/// Which LLM labels, what it costs, and how it is asked. Its address and its key belong to the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labeler {
    /// A model of the endpoint that takes a JSON schema; empty: nothing is labeled by an LLM.
    pub model: String,
    /// Dollars for a million tokens of prompts.
    pub input_price: f64,
    /// Dollars for a million tokens of answers.
    pub output_price: f64,
    /// How long one request may take.
    pub timeout_seconds: f64,
    /// Requests under way at once.
    pub concurrency: u16,
    /// Tries for one text.
    pub attempts: u16,
    /// Tokens of an answer.
    pub output_tokens: u32,
    /// Which field says so.
    pub output_limit: OutputLimit,
    /// `null`: the model's own.
    pub temperature: Option<f64>,
    /// Longer texts are cut off.
    pub text_bytes: u32,
}

impl Default for Labeler {
    fn default() -> Self {
        Self {
            model: String::new(),
            input_price: 0.0,
            output_price: 0.0,
            timeout_seconds: 60.0,
            concurrency: 8,
            attempts: 4,
            // A rationale of 200 characters and the labels take about 80; reasoning models need more.
            output_tokens: 400,
            output_limit: OutputLimit::default(),
            temperature: Some(0.0),
            // About Reddit's longest comment in English.
            text_bytes: 10_000,
        }
    }
}

impl Document for Labeler {
    const NAME: &'static str = "labeler";
    const ABOUT: &'static str = "Which LLM labels, what it costs, and how it is asked";

    fn check(&self) -> Result<(), Problem> {
        whole("model", self.model.chars().count() as u64, 0..=200)
            .map_err(|_| Problem::new("model", "too long", "a name of up to 200 characters"))?;
        number("input_price", self.input_price, 0.0..=10_000.0)?;
        number("output_price", self.output_price, 0.0..=10_000.0)?;
        number("timeout_seconds", self.timeout_seconds, 0.1..=900.0)?;
        whole("concurrency", self.concurrency.into(), 1..=256)?;
        whole("attempts", self.attempts.into(), 1..=20)?;
        whole("output_tokens", self.output_tokens.into(), 1..=100_000)?;
        if let Some(temperature) = self.temperature {
            number("temperature", temperature, 0.0..=2.0)?;
        }
        whole("text_bytes", self.text_bytes.into(), 100..=1_000_000)
    }
}
