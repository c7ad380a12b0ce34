use crate::{Fullname, SubredditName};
use chrono::{DateTime, Utc};
use modloop_domain::{Item, ItemContext, ItemKind, ItemText, text::storable};
use roux::response::BasicThing;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// One post or comment as an answer of Reddit shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Reddit's key.
    pub fullname: Fullname,
    /// When it was posted; listings are sorted by this, newest first.
    pub created_at: DateTime<Utc>,
    /// The item, or why there is none any more.
    pub state: ItemState,
}

/// Whether an item can still be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemState {
    /// Anybody can read it.
    Live(Box<Item>),
    /// Its text is gone from Reddit.
    Gone(Gone),
}

/// Who took an item away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Its author.
    Deleted,
    /// A moderator, Reddit, or a spam filter.
    Removed,
}

/// An item that could not be read; the others of the page were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadItem {
    /// Its key, where at least that could be read.
    pub fullname: Option<Fullname>,
    /// What is wrong with it. Never holds text of the item.
    pub reason: String,
}

/// The fields Modloop needs. Each is parsed alone, so that an odd value in any other field, of which
/// Reddit sends a hundred, costs nothing.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    subreddit: Option<&'a RawValue>,
    #[serde(borrow)]
    author: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    selftext: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    created_utc: Option<&'a RawValue>,
    #[serde(borrow)]
    edited: Option<&'a RawValue>,
    /// Missing in old answers, null for items in place.
    #[serde(borrow, default, deserialize_with = "present")]
    removed_by_category: Option<&'a RawValue>,
    #[serde(borrow)]
    link_id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    domain: Option<&'a RawValue>,
    #[serde(borrow)]
    link_flair_text: Option<&'a RawValue>,
    #[serde(borrow)]
    is_self: Option<&'a RawValue>,
    #[serde(borrow)]
    is_submitter: Option<&'a RawValue>,
}

/// Keeps null apart from missing.
fn present<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

/// Reads one child of a listing; `None` for kinds of things that are neither posts nor comments.
pub(crate) fn parse_child(child: &RawValue) -> Result<Option<Sighting>, BadItem> {
    let nameless = |reason: &str| BadItem { fullname: None, reason: reason.into() };
    let thing: BasicThing<&RawValue> =
        serde_json::from_str(child.get()).map_err(|_| nameless("it is not an object with kind and data"))?;
    if !matches!(thing.kind.as_deref(), Some("t1" | "t3")) {
        return Ok(None);
    }
    let fields: Fields = serde_json::from_str(thing.data.get())
        .map_err(|_| nameless("its data is not an object, or names a field twice"))?;
    let name: String = fields.required(fields.name, "name", "a text").map_err(|reason| nameless(&reason))?;
    let fullname: Fullname =
        name.parse().map_err(|_| nameless("its name is not the fullname of a post or comment"))?;
    match fields.sighting(&fullname) {
        Ok(sighting) => Ok(Some(sighting)),
        Err(reason) => Err(BadItem { fullname: Some(fullname), reason }),
    }
}

impl Fields<'_> {
    fn sighting(&self, fullname: &Fullname) -> Result<Sighting, String> {
        let seconds: f64 = self.required(self.created_utc, "created_utc", "a number")?;
        let created_at = moment(seconds).ok_or("its created_utc is outside the years 2001 to 2286")?;
        let author = optional::<String>(self.author).filter(|name| name != DELETED && !name.is_empty());
        let body = self.text_body(fullname.kind())?;
        let state = match self.gone(fullname.kind(), &body, author.is_some()) {
            Some(gone) => ItemState::Gone(gone),
            None => ItemState::Live(Box::new(self.item(fullname, author, &body, created_at)?)),
        };
        Ok(Sighting { fullname: fullname.clone(), created_at, state })
    }

    fn item(
        &self,
        fullname: &Fullname,
        author: Option<String>,
        body: &str,
        created_at: DateTime<Utc>,
    ) -> Result<Item, String> {
        let subreddit = self.subreddit_name()?;
        Ok(Item {
            id: fullname.id(),
            kind: fullname.kind(),
            community: subreddit.community().clone(),
            text: ItemText::new(self.post_title(fullname.kind())?.as_deref(), body),
            context: self.context(fullname, author, &subreddit),
            created_at,
            // `false`, a time, or `true` for edits from before Reddit noted the time.
            edited_at: optional(self.edited).and_then(moment),
            observed_at: None,
        })
    }

    /// What Reddit sends here is a help, so an odd value counts as none.
    fn context(&self, fullname: &Fullname, author: Option<String>, subreddit: &SubredditName) -> ItemContext {
        let id = |value| optional::<Fullname>(value).map(|name| name.id());
        let text = |value| {
            let text: Option<String> = optional(value);
            text.map(|text| storable(&text).into_owned()).filter(|text| !text.is_empty())
        };
        let is_post = fullname.kind() == ItemKind::Post;
        // A post with text of its own links to itself.
        let links_elsewhere = is_post && optional::<bool>(self.is_self) != Some(true);
        ItemContext {
            author: author.map(|name| storable(&name).into_owned()),
            is_submitter: optional(self.is_submitter).unwrap_or(is_post),
            parent: id(self.parent_id),
            thread: if is_post { Some(fullname.id()) } else { id(self.link_id) },
            permalink: self.permalink(fullname, subreddit),
            link: text(self.url).filter(|_| links_elsewhere),
            domain: text(self.domain).filter(|_| links_elsewhere),
            flair: text(self.link_flair_text),
        }
    }

    /// The marker alone decides for a comment, which has nothing else. The body of a post may be typed
    /// by hand to look like the marker and hide a title, so there Reddit's own field decides.
    fn gone(&self, kind: ItemKind, body: &str, has_author: bool) -> Option<Gone> {
        if let Some(category) = optional::<String>(self.removed_by_category) {
            return Some(if category == "deleted" || category == "author" {
                Gone::Deleted
            } else {
                Gone::Removed
            });
        }
        let marker = match body.trim() {
            DELETED => Some(Gone::Deleted),
            REMOVED | REMOVED_BY_REDDIT => Some(Gone::Removed),
            _ => None,
        };
        let typed_by_hand = kind == ItemKind::Post && has_author && self.removed_by_category.is_some();
        marker.filter(|_| !typed_by_hand)
    }

    fn text_body(&self, kind: ItemKind) -> Result<String, String> {
        match kind {
            ItemKind::Comment => self.required(self.body, "body", "a text"),
            // Links and images have an empty text, and some answers leave it out.
            ItemKind::Post if self.selftext.is_none() => Ok(String::new()),
            ItemKind::Post => self.required(self.selftext, "selftext", "a text"),
        }
    }

    fn post_title(&self, kind: ItemKind) -> Result<Option<String>, String> {
        match kind {
            ItemKind::Post => self.required(self.title, "title", "a text").map(Some),
            ItemKind::Comment => Ok(None),
        }
    }

    fn subreddit_name(&self) -> Result<SubredditName, String> {
        let name: String = self.required(self.subreddit, "subreddit", "a text")?;
        name.parse().map_err(|_| "its subreddit is not the name of a subreddit".into())
    }

    /// Made of keys alone: Reddit's own permalink repeats words of the title, or the author's name, and
    /// would outlive both. Reddit leads from this one to its own.
    fn permalink(&self, fullname: &Fullname, subreddit: &SubredditName) -> String {
        let id = key(fullname);
        match (fullname.kind(), optional::<Fullname>(self.link_id)) {
            (ItemKind::Post, _) => format!("/r/{subreddit}/comments/{id}/"),
            (ItemKind::Comment, Some(post)) => format!("/r/{subreddit}/comments/{}/_/{id}/", key(&post)),
            (ItemKind::Comment, None) => format!("/api/info?id={fullname}"),
        }
    }

    fn required<T: DeserializeOwned>(
        &self,
        value: Option<&RawValue>,
        field: &str,
        expected: &str,
    ) -> Result<T, String> {
        let value = value.ok_or_else(|| format!("its {field} is missing"))?;
        // The parser's own message may quote the value, which can be text of the item.
        serde_json::from_str(value.get()).map_err(|_| format!("its {field} is not {expected}"))
    }
}

const DELETED: &str = "[deleted]";
const REMOVED: &str = "[removed]";
const REMOVED_BY_REDDIT: &str = "[ Removed by Reddit ]";

/// The fullname without its prefix.
fn key(fullname: &Fullname) -> &str {
    fullname.as_str().split_once('_').map_or("", |(_, key)| key)
}

fn optional<T: DeserializeOwned>(value: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// Seconds since 1970 as a time that both Postgres and people can make sense of.
fn moment(seconds: f64) -> Option<DateTime<Utc>> {
    if !(1e9..1e10).contains(&seconds) {
        return None;
    }
    DateTime::from_timestamp_millis((seconds * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(thing: &Value) -> Result<Option<Sighting>, BadItem> {
        let raw = RawValue::from_string(thing.to_string()).expect("valid JSON");
        parse_child(&raw)
    }

    fn post(changes: Value) -> Value {
        let mut data = json!({
            "name": "t3_abc", "subreddit": "Rust", "author": "ada", "title": "T", "selftext": "b",
            "permalink": "/r/Rust/comments/abc/words_of_the_title/", "created_utc": 1_760_000_000.0, "edited": false,
            "removed_by_category": null,
        });
        let object = data.as_object_mut().expect("an object");
        for (key, value) in changes.as_object().expect("an object") {
            object.insert(key.clone(), value.clone());
        }
        json!({"kind": "t3", "data": data})
    }

    fn comment(body: Value, author: Value) -> Value {
        json!({"kind": "t1", "data": {
            "name": "t1_xyz", "subreddit": "Rust", "author": author, "body": body,
            "link_id": "t3_abc", "created_utc": 1_760_000_000, "edited": 1_760_000_500.0,
        }})
    }

    fn state(thing: &Value) -> ItemState {
        parse(thing).expect("readable").expect("a post or comment").state
    }

    fn live(thing: &Value) -> Item {
        match state(thing) {
            ItemState::Live(item) => *item,
            ItemState::Gone(gone) => panic!("{gone:?}"),
        }
    }

    #[test]
    fn a_post_and_a_comment_are_read() {
        let item = live(&post(json!({})));
        assert_eq!((item.text.scored().as_str(), item.community.name().as_str()), ("T\n\nb", "rust"));
        assert_eq!((item.context.author.as_deref(), item.edited_at), (Some("ada"), None));
        assert_eq!(item.context.permalink, "/r/rust/comments/abc/");
        let item = live(&comment(json!("hello"), json!("ada")));
        assert_eq!(item.text.scored(), "hello");
        assert_eq!(item.context.permalink, "/r/rust/comments/abc/_/xyz/");
        assert_eq!(item.edited_at.map(|t| t.timestamp()), Some(1_760_000_500));
    }

    #[test]
    fn text_of_a_deleted_account_stays() {
        for author in [json!("[deleted]"), json!(null)] {
            assert_eq!(live(&comment(json!("hello"), author)).context.author, None);
        }
    }

    #[test]
    fn what_is_gone_is_told_by_whom() {
        let gone = |thing| match state(&thing) {
            ItemState::Gone(gone) => gone,
            ItemState::Live(_) => panic!("still live"),
        };
        assert_eq!(gone(comment(json!("[deleted]"), json!("[deleted]"))), Gone::Deleted);
        assert_eq!(gone(comment(json!("[removed]"), json!("[deleted]"))), Gone::Removed);
        assert_eq!(gone(comment(json!("[ Removed by Reddit ]"), json!("[deleted]"))), Gone::Removed);
        for (category, expected) in
            [("deleted", Gone::Deleted), ("moderator", Gone::Removed), ("automod_filtered", Gone::Removed)]
        {
            assert_eq!(gone(post(json!({"removed_by_category": category}))), expected, "{category}");
        }
        assert_eq!(gone(post(json!({"selftext": "[deleted]", "author": "[deleted]"}))), Gone::Deleted);
    }

    #[test]
    fn a_marker_typed_by_hand_does_not_hide_a_title() {
        assert_eq!(live(&post(json!({"selftext": "[removed]"}))).text.title(), Some("T"));
    }

    #[test]
    fn odd_values_elsewhere_cost_nothing() {
        let thing = post(json!({"score": "many", "all_awardings": 7, "selftext": null, "permalink": 1}));
        assert_eq!(live(&thing).text.scored(), "T");
    }

    #[test]
    fn bad_items_are_named_without_their_text() {
        for (changes, word) in [
            (json!({"title": null}), "title is missing"),
            (json!({"title": ["secret"]}), "title is not a text"),
            (json!({"selftext": {"secret": 1}}), "selftext is not a text"),
            (json!({"created_utc": "secret"}), "created_utc is not a number"),
            (json!({"created_utc": 1e300}), "created_utc is outside"),
            (json!({"subreddit": "secret place!"}), "subreddit is not the name of a subreddit"),
        ] {
            let bad = parse(&post(changes)).expect_err(word);
            assert_eq!(bad.fullname.as_ref().map(Fullname::as_str), Some("t3_abc"));
            assert!(bad.reason.contains(word) && !bad.reason.contains("secret"), "{}", bad.reason);
        }
        for nameless in
            [json!(7), json!({"kind": "t3"}), json!({"kind": "t3", "data": {}}), post(json!({"name": 1}))]
        {
            assert_eq!(parse(&nameless).expect_err("nameless").fullname, None);
        }
    }

    #[test]
    fn other_kinds_are_skipped() {
        assert_eq!(parse(&json!({"kind": "t5", "data": {"name": "t5_2qh1i"}})), Ok(None));
        assert_eq!(parse(&json!({"kind": "more", "data": {}})), Ok(None));
    }
}
