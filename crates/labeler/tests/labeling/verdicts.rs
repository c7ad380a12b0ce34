use modloop_labeler::{ApiKey, Labeler};
use modloop_labeler::{MicroDollars, NoLabel, Prices, Rubric, Spend};
use modloop_local::labeler::API_KEY;

use crate::ledger::Ledger;
use crate::rig::{
    INPUT_PRICE, OUTPUT_PRICE, answers, item, items, label, label_one, labeler, max_output, settings,
    stand_in, why, with_settings,
};

#[tokio::test]
async fn every_text_gets_labels_with_where_they_come_from() {
    let (stand_in, budget) = (stand_in().await, Ledger::plenty());
    let texts = items(["all blorks must leave", "you dimwit", "a fine day"]);
    let outcomes = label(&labeler(&stand_in), texts, &budget).await;
    let verdicts: Vec<_> = outcomes.iter().map(|o| o.result.as_ref().expect("a label")).collect();
    let found: Vec<_> = verdicts.iter().map(|verdict| answers(verdict)).collect();
    assert_eq!(found, [(true, true), (false, true), (false, false)]);
    for verdict in verdicts {
        assert_eq!((verdict.model.as_str(), verdict.rubric_version.as_str()), ("stand-in-2026-11-01", "v1"));
        assert!(!verdict.rationale.is_empty());
    }
}

#[tokio::test]
async fn tokens_and_cost_are_what_the_endpoint_bills() {
    let (stand_in, budget) = (stand_in().await, Ledger::plenty());
    let outcomes = label(&labeler(&stand_in), items(["one", "two", "three"]), &budget).await;
    let stats = stand_in.stats();
    let total = outcomes.iter().fold(Spend::NONE, |sum, outcome| sum + outcome.spent);
    assert_eq!((total.input_tokens, total.output_tokens), (stats.prompt_tokens, stats.completion_tokens));
    let prices = Prices::per_million(INPUT_PRICE, OUTPUT_PRICE).expect("prices");
    let MicroDollars(exact) = prices.of(total.input_tokens, total.output_tokens).cost;
    // Each call is rounded up to a millionth of a dollar.
    assert!((exact..=exact + 3).contains(&total.cost.0), "{total:?}");
    assert_eq!(budget.seen().spent, total);
}

#[tokio::test]
async fn only_the_labels_that_a_model_has_are_asked_for() {
    let stand_in = stand_in().await;
    let hate = "hate".parse().expect("a label");
    let rubric = Rubric::v1().and_then(|rubric| rubric.asking_for(&[hate])).expect("a rubric");
    let labeler = Labeler::new(settings(&stand_in), rubric, &ApiKey::new(API_KEY)).expect("a labeler");
    let outcome = label_one(&labeler, "blorks and dimwit", &Ledger::plenty()).await;
    let verdict = outcome.result.expect("a label");
    assert_eq!(
        verdict.answers.into_iter().map(|(l, a)| (l.to_string(), a)).collect::<Vec<_>>(),
        [("hate".into(), true)]
    );
}

#[tokio::test]
async fn a_text_without_content_or_end_costs_nothing() {
    let (stand_in, budget) = (stand_in().await, Ledger::plenty());
    let texts = vec![item(1, " \n\t"), item(2, &"blorks ".repeat(6000))];
    let outcomes = label(&labeler(&stand_in), texts, &budget).await;
    assert_eq!((why(&outcomes[0]), why(&outcomes[1])), (&NoLabel::Empty, &NoLabel::TooLong));
    assert_eq!((stand_in.stats().requests, budget.seen().reservations), (0, 0));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_no_label() {
    let stand_in = stand_in().await;
    let outcome =
        label_one(&with_settings(max_output(settings(&stand_in), 5)), "a fine day", &Ledger::plenty()).await;
    assert_eq!(why(&outcome), &NoLabel::CutOff);
    assert_eq!(outcome.spent.output_tokens, 5, "what was written is paid for");
}

#[tokio::test]
async fn a_labeler_that_is_told_to_be_wrong_is_wrong() {
    let stand_in = stand_in().await;
    stand_in.answer_wrongly(true);
    let outcome = label_one(&labeler(&stand_in), "all blorks must leave", &Ledger::plenty()).await;
    assert_eq!(answers(&outcome.result.expect("a label")), (false, false));
}
