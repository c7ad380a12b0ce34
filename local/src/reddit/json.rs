//! Items and listings as Reddit writes them.

use serde_json::{Value, json};

use super::oddities::{LONE_SURROGATE, Oddity};
use super::world::{Fate, Shown};

/// A listing of things, already the text of an answer.
pub(crate) fn listing(things: Vec<Value>, after: Option<&str>) -> String {
    let listing = json!({
        "kind": "Listing",
        "data": {
            "after": after, "before": null, "dist": things.len(), "geo_filter": "", "modhash": null,
            "children": things,
        },
    });
    // Only here can half a surrogate pair be written.
    listing.to_string().replace(LONE_SURROGATE, r"\ud83d")
}

/// A post or comment in its present state.
pub(crate) fn thing(shown: &Shown) -> Value {
    let kind = &shown.item.fullname.as_str()[..2];
    if shown.item.oddity == Some(Oddity::Malformed) {
        // It has a name, and nothing else is of the type it should be.
        return json!({"kind": kind, "data": {"name": shown.item.fullname, "author": 7, "body": ["?"], "created_utc": null}});
    }
    let data = if kind == "t3" { post(shown) } else { comment(shown) };
    json!({"kind": kind, "data": data})
}

fn post(shown: &Shown) -> Value {
    let item = &shown.item;
    let (author, body) = author_and_body(shown);
    let (id, name) = (key(item.fullname.as_str()), item.subreddit());
    let category = match shown.fate {
        Fate::Deleted => Some("deleted"),
        Fate::Removed => Some("moderator"),
        _ => None,
    };
    json!({
        "subreddit": name, "selftext": body, "author_fullname": null, "saved": false,
        "title": item.title,
        "subreddit_name_prefixed": format!("r/{name}"),
        "ups": 3, "upvote_ratio": 0.8, "score": 3,
        "name": item.fullname, "id": id, "quarantine": false, "is_self": !body.is_empty(),
        "removed_by_category": category, "user_reports": [],
        "edited": edited(shown), "author_flair_text": null, "thumbnail": "self",
        "created": item.created_at.timestamp() as f64, "created_utc": item.created_at.timestamp() as f64,
        "likes": null, "over_18": false, "spoiler": false, "locked": false, "stickied": false,
        "subreddit_id": item.community.id, "author": author, "num_comments": 3, "num_crossposts": 0,
        "permalink": format!("/r/{name}/comments/{id}/_/"), "url": format!("https://i.redd.it/{id}.png"),
        "is_video": false,
    })
}

fn comment(shown: &Shown) -> Value {
    let item = &shown.item;
    let (author, body) = author_and_body(shown);
    let (id, name) = (key(item.fullname.as_str()), item.subreddit());
    json!({
        "subreddit_id": item.community.id,
        "edited": edited(shown), "banned_by": null, "ups": 1,
        "num_reports": null, "total_awards_received": 0, "subreddit": name,
        "likes": null, "replies": "", "user_reports": [], "saved": false, "id": id, "gilded": 0,
        "archived": false, "stickied": false, "author": author, "num_comments": 3, "send_replies": true,
        "parent_id": item.thread, "score": 1, "over_18": false, "controversiality": 0,
        "body": body, "link_title": "", "removal_reason": null, "name": item.fullname,
        "permalink": format!("/r/{name}/comments/{}/_/{id}/", key(item.thread.as_str())),
        "subreddit_type": "public", "locked": false, "created": item.created_at.timestamp() as f64,
        "created_utc": item.created_at.timestamp() as f64, "link_id": item.thread,
        "subreddit_name_prefixed": format!("r/{name}"), "collapsed": false, "score_hidden": false,
    })
}

/// Reddit keeps the author of a removed post, and nobody's otherwise.
fn author_and_body(shown: &Shown) -> (&str, &str) {
    let item = &shown.item;
    let author = item.author.as_deref().unwrap_or("[deleted]");
    match &shown.fate {
        Fate::Untouched | Fate::Absent => (author, &item.body),
        Fate::Edited { body, .. } => (author, body),
        Fate::Deleted => ("[deleted]", "[deleted]"),
        Fate::Removed if item.title.is_some() => (author, "[removed]"),
        Fate::Removed => ("[deleted]", "[removed]"),
    }
}

/// `false`, or the time as a float.
fn edited(shown: &Shown) -> Value {
    match &shown.fate {
        Fate::Edited { at, .. } => json!(at.timestamp() as f64),
        _ => json!(false),
    }
}

fn key(fullname: &str) -> &str {
    fullname.split_once('_').map_or("", |(_, key)| key)
}
