use std::time::Duration;

use crate::{BudgetError, BudgetLimit};

/// Why a text has no label. Holds no text, no key and nothing that the endpoint wrote in full sentences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLabel {
    /// There is nothing to label.
    #[error("the text is empty")]
    Empty,
    /// The text is longer than what is sent, or than what the model takes.
    #[error("the text is too long; labeler.text_bytes are sent at most, and the model may take less")]
    TooLong,
    /// The model would not answer, or a filter kept its answer back.
    #[error("the model refused to answer")]
    Refused,
    /// The model answered, but not what the schema asks for.
    #[error("the answer is outside the schema: {0}")]
    OutOfSchema(String),
    /// The answer was cut off at the most tokens that an answer may have.
    #[error("the answer was cut off; raise labeler.output_tokens")]
    CutOff,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The endpoint is busy, broken or out of reach.
    #[error("the endpoint gave no answer: {0}")]
    Unavailable(String),
    /// The key is not accepted.
    #[error("the endpoint refuses the key; check the secret of LABELER_SECRET_ARN")]
    Key,
    /// The account behind the key has no credit left.
    #[error("the account behind the key has no credit left at the endpoint")]
    Credit,
    /// The endpoint does not accept what is asked: a model it does not know, no JSON schemas.
    #[error(
        "the endpoint refuses the request (status {status}, {code}); check LABELER_URL, LABELER_MODEL and that it takes a JSON schema"
    )]
    Request {
        /// The HTTP status.
        status: u16,
        /// The endpoint's own word for it.
        code: String,
    },
    /// The endpoint billed more for a call than what was reserved as its most: nothing bounds the next one either.
    #[error("the endpoint bills more tokens than an answer may have; check labeler.output_limit")]
    Overbilled,
    /// The call could pass a limit of the budget.
    #[error("the labeling budget of {0} is used up")]
    Budget(BudgetLimit),
    /// The budget cannot be asked, and without it nothing is spent.
    #[error("the budget cannot be kept: {0}")]
    BudgetUnavailable(String),
}

impl NoLabel {
    /// One word for the reason, for metrics and the database.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::OutOfSchema(_) => "out_of_schema",
            Self::CutOff => "cut_off",
            Self::Timeout(_) => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Key => "key",
            Self::Credit => "credit",
            Self::Request { .. } => "request",
            Self::Overbilled => "overbilled",
            Self::Budget(_) => "budget",
            Self::BudgetUnavailable(_) => "budget_unavailable",
        }
    }

    /// Whether the same text may well get a label a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable(_) | Self::BudgetUnavailable(_))
    }

    /// Whether it would happen to every other text too. A request that is refused as malformed, too large or
    /// forbidden may be so for its text alone: a firewall in front of the endpoint reads it too.
    pub fn concerns_everything(&self) -> bool {
        match self {
            Self::Key | Self::Credit | Self::Overbilled | Self::Budget(_) | Self::BudgetUnavailable(_) => {
                true
            }
            Self::Request { status, .. } => !matches!(status, 400 | 403 | 413 | 422),
            _ => false,
        }
    }
}

impl From<BudgetError> for NoLabel {
    fn from(error: BudgetError) -> Self {
        match error {
            BudgetError::Exhausted(limit) => Self::Budget(limit),
            BudgetError::Unavailable(problem) => Self::BudgetUnavailable(problem),
        }
    }
}
