//! Labels from an LLM: any chat endpoint that speaks like OpenAI's and answers by a JSON schema.
//!
//! [`Labeler::label`] is the way in. It passes texts as data, reads answers strictly, never spends more than
//! its [`Budget`] grants, and says of every text either a [`Verdict`] or why there is [`NoLabel`].

mod agreement;
mod answer;
mod budget;
mod completion;
mod endpoint;
mod error;
mod key;
mod labeler;
mod money;
mod no_label;
mod outcome;
mod pace;
mod request;
mod rubric;
mod settings;
mod stop;

pub use agreement::{Agreement, agreement};
pub use budget::{Budget, BudgetError, BudgetLimit};
pub use error::LabelerError;
pub use key::ApiKey;
pub use labeler::Labeler;
pub use money::{MicroDollars, Prices, Spend};
pub use no_label::NoLabel;
pub use outcome::{Outcome, Unlabeled, Verdict};
pub use pace::Retries;
pub use rubric::Rubric;
pub use settings::{LabelerSettings, OutputLimit};
