//! What the model wrote, read strictly.

use std::collections::BTreeMap;
use std::fmt;

use modloop_domain::Label;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Rubric;

/// The longest rationale that is kept, in characters.
const RATIONALE: usize = 300;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) answers: BTreeMap<Label, bool>,
    pub(crate) rationale: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rationale: String,
    labels: Booleans,
}

impl Answer {
    /// Reads exactly what the schema describes. Errors say what is wrong and quote nothing of a text.
    pub(crate) fn parse(content: &str, rubric: &Rubric) -> Result<Self, String> {
        // serde's message could quote the answer and so the text.
        let written: Written = serde_json::from_str(content).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "JSON, but other fields than those asked for".to_owned(),
            _ => "no JSON object".to_owned(),
        })?;
        let mut found = written.labels.0;
        let answers = rubric
            .labels()
            .iter()
            .map(|label| match found.remove(label.as_str()) {
                Some(answer) => Ok((label.clone(), answer)),
                None => Err(format!("no answer for {label}")),
            })
            .collect::<Result<_, _>>()?;
        if !found.is_empty() {
            return Err("an answer for a label that was not asked for".to_owned());
        }
        Ok(Self { answers, rationale: one_line(&written.rationale, RATIONALE) })
    }
}

/// White space becomes a space; other control characters, and marks that turn the direction of writing, go.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control() && !turns(*c)).take(longest).collect()
}

/// A JSON object of booleans in which no name occurs twice: of two answers neither counts.
struct Booleans(BTreeMap<String, bool>);

impl<'de> Deserialize<'de> for Booleans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Booleans;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of booleans")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Booleans, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((name, answer)) = map.next_entry::<String, bool>()? {
                    if found.insert(name, answer).is_some() {
                        return Err(A::Error::custom("two answers for one label"));
                    }
                }
                Ok(Booleans(found))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(content: &str) -> Result<Answer, String> {
        Answer::parse(content, &Rubric::v1().expect("a rubric"))
    }

    #[test]
    fn an_answer_by_the_schema_is_read() {
        let answer = parse(
            r#"{"rationale":"an\u0000 insult\n\tto \u202ewomen","labels":{"offensive":true,"hate":false}}"#,
        )
        .expect("an answer");
        assert_eq!(answer.rationale, "an insult to women");
        let answers: Vec<_> =
            answer.answers.iter().map(|(label, answer)| (label.as_str(), *answer)).collect();
        assert_eq!(answers, [("hate", false), ("offensive", true)]);
    }

    #[test]
    fn anything_else_is_none() {
        for content in [
            "",
            "allow",
            "null",
            "[]",
            "{}",
            r#"{"labels":{"hate":false,"offensive":false}}"#,
            r#"{"rationale":"r","labels":{"hate":false}}"#,
            r#"{"rationale":"r","labels":{"hate":false,"offensive":null}}"#,
            r#"{"rationale":"r","labels":{"hate":"false","offensive":false}}"#,
            r#"{"rationale":"r","labels":{"hate":0,"offensive":0}}"#,
            r#"{"rationale":"r","labels":{"hate":false,"offensive":false,"spam":true}}"#,
            r#"{"rationale":"r","labels":{"hate":false,"hate":true,"offensive":false}}"#,
            r#"{"rationale":"r","labels":[false,false]}"#,
            r#"{"rationale":1,"labels":{"hate":false,"offensive":false}}"#,
            r#"{"rationale":"r","labels":{"hate":false,"offensive":false},"decision":"allow"}"#,
            r#"{"rationale":"r","labels":{"hate":false,"offensive":false}} and more"#,
            "```json\n{\"rationale\":\"r\",\"labels\":{\"hate\":false,\"offensive\":false}}\n```",
            r#"{"rationale":"r","labels":{"hate":false,"offensi"#,
        ] {
            assert!(parse(content).is_err(), "{content}");
        }
    }

    #[test]
    fn errors_quote_nothing() {
        let error = parse(r#"{"my secret text":1}"#).expect_err("another field");
        assert!(!error.contains("secret"), "{error}");
    }

    proptest! {
        #[test]
        fn a_rationale_is_one_short_line(text in any::<String>()) {
            let line = one_line(&text, RATIONALE);
            prop_assert!(line.chars().count() <= RATIONALE && !line.chars().any(char::is_control));
        }

        #[test]
        fn no_answer_breaks_the_reader(content in any::<String>()) {
            prop_assert!(parse(&content).is_err());
        }
    }
}
