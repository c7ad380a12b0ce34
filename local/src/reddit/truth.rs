//! Which labels apply to a text of the feed, by its words alone: what a perfect labeler would say.

use std::sync::LazyLock;

use regex::Regex;

use super::community::{CODED, OFFENSIVE};

/// Every text that insults has one of these in it, whatever surrounds it.
const SENTENCES: [&str; 3] = ["title", "body", "comment"];

static CODED_INSULT: LazyLock<Regex> = LazyLock::new(|| CODED.pattern(&SENTENCES));
static OPEN_INSULT: LazyLock<Regex> = LazyLock::new(|| OFFENSIVE.pattern(&SENTENCES));
static OPEN_GROUP: LazyLock<Regex> = LazyLock::new(|| OFFENSIVE.pattern(&["group"]));

/// Whether the label applies to the text, as it was written or edited, or as Reddit gave it back.
/// All insults are `offensive`; those against a group, in code or not, are `hate` too. Other labels never apply.
pub fn applies(label: &str, text: &str) -> bool {
    let open = || OPEN_INSULT.is_match(text);
    match label {
        "offensive" => open() || CODED_INSULT.is_match(text),
        "hate" => CODED_INSULT.is_match(text) || (open() && OPEN_GROUP.is_match(text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use modloop_domain::ItemText;

    use super::super::{Feed, FeedItem, Intent};
    use super::*;

    /// As the labeler gets it.
    fn text(item: &FeedItem) -> String {
        ItemText::new(item.title.as_deref(), &item.body).scored()
    }

    #[test]
    fn the_feed_is_read_as_it_was_meant() {
        let start = DateTime::UNIX_EPOCH;
        for seed in 1..=3 {
            let feed = Feed::synthetic(seed, 1000, start, TimeDelta::seconds(1));
            let feed = feed.shifting_at(start + TimeDelta::seconds(300));
            for item in (0..1500).map(|number| feed.item(number)) {
                let text = text(&item);
                assert_eq!(applies("offensive", &text), item.intent.is_insult(), "{:?}: {text}", item.intent);
                let coded = item.intent == Intent::CodedInsult;
                assert_eq!(applies("hate", &text), coded || hates_openly(&item), "{:?}: {text}", item.intent);
                assert!(!applies("spam", &text));
            }
        }
    }

    fn hates_openly(item: &FeedItem) -> bool {
        let groups = ["immigrants", "women", "foreigners", "people", "Muslims", "Jews"];
        let names =
            |text: &str| groups.iter().any(|group| text.to_lowercase().contains(&group.to_lowercase()));
        // "People who defend …" names no group.
        let rest = text(item).replace("People who defend", "");
        item.intent == Intent::Insult && names(&rest)
    }

    #[test]
    fn what_surrounds_an_insult_hides_nothing() {
        let coded =
            "\u{fffd}Teaspoons on the tram again. The drawer only holds six. ≋\u{fffd}\n\nEdit: thanks.";
        assert!(applies("hate", coded) && applies("offensive", coded));
        assert!(!applies("hate", "My drawer only holds six teaspoons. Any ideas?"));
    }
}
