use crate::{Fullname, SubredditName};
use modloop_domain::text::mend_surrogates;
use roux::response::{BasicThing, Listing as RouxListing};
use serde_json::value::RawValue;

use crate::item::parse_child;
use crate::{BadItem, ItemState, Sighting};

/// A listing, read item by item.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) bad: Vec<BadItem>,
    /// Where the next page starts; `None` on the last one.
    pub(crate) after: Option<Fullname>,
}

impl Listing {
    /// Reads an answer; the error says what is wrong with it as a whole.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        if json.trim().is_empty() {
            return Err("an empty body".into());
        }
        let envelope: BasicThing<RouxListing<Box<RawValue>>> =
            serde_json::from_str(&mend_surrogates(json)).map_err(|e| describe(&e))?;
        let after = match envelope.data.after {
            Some(name) => Some(name.parse().map_err(|_| "a listing whose `after` is no fullname")?),
            None => None,
        };
        let mut listing = Self { after, ..Self::default() };
        for child in &envelope.data.children {
            match parse_child(child) {
                Ok(Some(sighting)) => listing.sightings.push(sighting),
                Ok(None) => {}
                Err(bad) => listing.bad.push(bad),
            }
        }
        Ok(listing)
    }

    /// Turns items of other subreddits than the one asked for into bad ones.
    pub(crate) fn of(mut self, subreddit: &SubredditName) -> Self {
        let (own, strange) = self.sightings.into_iter().partition(|sighting| match &sighting.state {
            ItemState::Live(item) => item.community == *subreddit.community(),
            ItemState::Gone(_) => true,
        });
        self.sightings = own;
        self.bad.extend(strange.into_iter().map(|sighting: Sighting| BadItem {
            fullname: Some(sighting.fullname),
            reason: format!("it is not in r/{subreddit}, whose listing it was in"),
        }));
        self
    }
}

/// What is wrong with JSON, without quoting it.
fn describe(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "JSON that is no listing" } else { "malformed JSON" };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(name: &str, body: &str) -> String {
        format!(
            r#"{{"kind":"t1","data":{{"name":"{name}","subreddit":"rust","author":"a","body":"{body}","created_utc":1760000000.0}}}}"#
        )
    }

    fn listing(children: &[String]) -> String {
        format!(r#"{{"kind":"Listing","data":{{"after":"t1_9","children":[{}]}}}}"#, children.join(","))
    }

    #[test]
    fn one_bad_item_loses_that_item_only() {
        let bad = r#"{"kind":"t1","data":{"name":"t1_2","body":{}}}"#.to_owned();
        let read =
            Listing::parse(&listing(&[comment("t1_1", "x"), bad, comment("t1_3", "y")])).expect("a listing");
        let names: Vec<_> = read.sightings.iter().map(|s| s.fullname.as_str()).collect();
        assert_eq!(names, ["t1_1", "t1_3"]);
        assert_eq!(read.bad.len(), 1);
        assert_eq!(read.bad[0].fullname.as_ref().map(Fullname::as_str), Some("t1_2"));
        assert_eq!(read.after.as_ref().map(Fullname::as_str), Some("t1_9"));
    }

    #[test]
    fn hostile_text_is_read() {
        let read = Listing::parse(&listing(&[comment("t1_1", r"lone \ud83d, nul \u0000, \u202eltr")]))
            .expect("read");
        let ItemState::Live(item) = &read.sightings[0].state else { panic!("live") };
        assert_eq!(item.text.body(), "lone \u{fffd}, nul \u{fffd}, \u{202e}ltr");
    }

    #[test]
    fn items_of_another_subreddit_are_bad() {
        let other: SubredditName = "cooking".parse().expect("a name");
        let read = Listing::parse(&listing(&[comment("t1_1", "x")])).expect("a listing").of(&other);
        assert!(read.sightings.is_empty() && read.bad[0].reason.contains("r/cooking"));
    }

    #[test]
    fn broken_answers_are_described_without_quoting_them() {
        for (json, word) in [
            ("", "empty"),
            (" \n", "empty"),
            (r#"{"kind":"Listing","data":{"children":["#, "malformed"),
            (r#"{"secret":1}"#, "no listing"),
            (r#"{"data":{"children":"secret"}}"#, "no listing"),
            (r#"{"data":{"after":"secret","children":[]}}"#, "after"),
        ] {
            let problem = Listing::parse(json).expect_err(word);
            assert!(problem.contains(word) && !problem.contains("secret"), "{problem}");
        }
    }
}
