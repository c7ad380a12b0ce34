use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use modloop_labeler::{
    ApiKey, Budget, Labeler, LabelerSettings, NoLabel, Outcome, OutputLimit, Prices, Retries, Rubric,
    Unlabeled, Verdict,
};
use modloop_local::labeler::{API_KEY, Handle, Judge, MODEL, Options, StandIn, lexicon};

/// Dollars for a million tokens, as a small model costs.
pub(crate) const INPUT_PRICE: f64 = 0.15;
pub(crate) const OUTPUT_PRICE: f64 = 0.6;

/// Made-up words, so that these tests need no real abuse.
pub(crate) fn judge() -> Judge {
    lexicon([("hate", vec!["blorks"]), ("offensive", vec!["blorks", "dimwit"])])
}

pub(crate) async fn stand_in() -> Handle {
    StandIn::start(Options::new(judge())).await.expect("a stand-in")
}

/// Quick enough for tests, slow enough for a busy machine.
pub(crate) fn settings(stand_in: &Handle) -> LabelerSettings {
    let prices = Prices::per_million(INPUT_PRICE, OUTPUT_PRICE).expect("prices");
    LabelerSettings::new(stand_in.url().clone(), MODEL, prices).expect("settings").with_retries(Retries {
        attempts: NonZeroU32::new(3).expect("three"),
        first_wait: Duration::from_millis(5),
        max_wait: Duration::from_millis(20),
    })
}

pub(crate) fn with_settings(settings: LabelerSettings) -> Labeler {
    Labeler::new(settings, Rubric::v1().expect("a rubric"), &ApiKey::new(API_KEY)).expect("a labeler")
}

pub(crate) fn labeler(stand_in: &Handle) -> Labeler {
    with_settings(settings(stand_in))
}

pub(crate) fn at_once(settings: LabelerSettings, calls: usize) -> LabelerSettings {
    settings.with_concurrency(NonZeroUsize::new(calls).expect("a call"))
}

pub(crate) fn max_output(settings: LabelerSettings, tokens: u32) -> LabelerSettings {
    settings.with_output(NonZeroU32::new(tokens).expect("tokens"), OutputLimit::MaxCompletionTokens)
}

pub(crate) fn item(number: usize, text: &str) -> Unlabeled {
    Unlabeled { id: format!("t1_{number}").parse().expect("a id"), text: text.to_owned() }
}

pub(crate) fn items<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Unlabeled> {
    texts.into_iter().enumerate().map(|(number, text)| item(number, text)).collect()
}

/// All outcomes, in the order of their names.
pub(crate) async fn label<B: Budget>(labeler: &Labeler, texts: Vec<Unlabeled>, budget: &B) -> Vec<Outcome> {
    let order = texts.iter().map(|text| text.id.clone()).collect::<Vec<_>>();
    // Servers want to move such work between threads.
    let labeling: Pin<Box<dyn Stream<Item = Outcome> + Send + '_>> = Box::pin(labeler.label(texts, budget));
    let mut outcomes: Vec<_> = labeling.collect().await;
    outcomes.sort_by_key(|outcome| order.iter().position(|name| *name == outcome.id));
    outcomes
}

/// The outcome of a single text.
pub(crate) async fn label_one<B: Budget>(labeler: &Labeler, text: &str, budget: &B) -> Outcome {
    label(labeler, items([text]), budget).await.pop().expect("an outcome")
}

/// Hate, offensive.
pub(crate) fn answers(verdict: &Verdict) -> (bool, bool) {
    let of = |name: &str| verdict.answers[&name.parse().expect("a label")];
    (of("hate"), of("offensive"))
}

pub(crate) fn why(outcome: &Outcome) -> &NoLabel {
    outcome.result.as_ref().expect_err("no label")
}
