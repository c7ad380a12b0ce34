//! Laws of every document, and what a person is told about a mistake.

use modloop_settings::{Monitor, SettingsError, all, complete, read};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn the_defaults_of_every_document_pass_its_own_checks() {
    for document in all() {
        assert_eq!(complete(document.name, &json!({})).as_ref(), Ok(&document.defaults), "{}", document.name);
        assert_eq!(complete(document.name, &document.defaults).as_ref(), Ok(&document.defaults));
        assert!(!document.about.is_empty());
    }
}

fn refusal(name: &str, document: Value) -> String {
    complete(name, &document).expect_err("refused").to_string()
}

#[test]
fn a_mistake_names_the_setting_and_its_range() {
    let expectations = [
        (
            "monitor",
            json!({"window_hours": 0}),
            "monitor.window_hours is 0; expected a number from 0.02 to 8784",
        ),
        ("monitor", json!({"breaches": "two"}), "monitor.breaches cannot be used: invalid type: string"),
        ("monitor", json!({"breeches": 2}), "unknown field `breeches`"),
        ("retention", json!({"kept_days": 30}), "retention.kept_days is 30; expected a whole number from 90"),
        ("trials", json!({"canary": {"items": 0}}), "trials.canary.items is 0"),
        ("trials", json!({"canary": {"items": "x"}}), "trials.canary.items cannot be used"),
        ("gate", json!({"confidence": 1}), "gate.confidence is 1; expected a number from 0.5"),
        ("budgets", json!({"run_dollars": -1}), "budgets.run_dollars is -1"),
        ("labeler", json!({"attempts": 0}), "labeler.attempts is 0"),
        ("gates", json!({}), "there are no settings named \"gates\"; there are monitor, retention"),
        ("monitor", json!([]), "monitor cannot be used"),
    ];
    for (name, document, words) in expectations {
        let refusal = refusal(name, document);
        assert!(refusal.contains(words), "{refusal}");
    }
}

proptest! {
    #[test]
    fn a_document_that_is_written_and_read_back_is_the_same(
        hundredths in 2u32..878_400, items in 1u32..1_000_000, breaches in 1u32..100,
    ) {
        let window_hours = f64::from(hundredths) / 100.0;
        let monitor = Monitor { window_hours, min_items: items, breaches, ..Monitor::default() };
        let text = json!(monitor).to_string();
        let back: Result<Monitor, SettingsError> = read(&serde_json::from_str(&text).expect("JSON"));
        prop_assert_eq!(back, Ok(monitor));
    }
}
