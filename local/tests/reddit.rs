//! The Reddit client against the Reddit stand-in: what one says, the other understands.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use modloop_local::labeler::feed_judge;
use modloop_local::reddit::{
    Arrival, CLIENT_ID, CLIENT_SECRET, Faults, FeedItem, Handle, Intent, Language, Options, StandIn,
};
use modloop_reddit::{
    BadItem, Deadline, Gone, ItemState, Page, RedditClient, RedditCredentials, RedditError, RedditSettings,
    Retries, Sighting, SubredditProblem,
};
use modloop_reddit::{Fullname, SubredditName};

const TIMEOUT: Duration = Duration::from_secs(2);

async fn start(options: Options) -> (Handle, RedditClient) {
    let stand_in = StandIn::start(options).await.expect("a stand-in");
    let retries = Retries { first_wait: Duration::from_millis(10), ..Retries::default() };
    let settings = RedditSettings::new(stand_in.url().clone(), stand_in.url().clone(), "test:modloop:0.1")
        .expect("settings");
    let settings = settings.with_timeout(TIMEOUT).with_retries(retries);
    let credentials = RedditCredentials { client_id: CLIENT_ID.into(), client_secret: CLIENT_SECRET.into() };
    (stand_in, RedditClient::new(settings, credentials).expect("a client"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Everything of every listing.
async fn read_all(client: &RedditClient, subreddits: &[SubredditName]) -> (Vec<Sighting>, Vec<BadItem>) {
    let (mut sightings, mut bad) = (Vec::new(), Vec::new());
    for subreddit in subreddits {
        for comments in [false, true] {
            let mut after: Option<Fullname> = None;
            loop {
                let page: Page = match comments {
                    false => client.new_posts(subreddit, after.as_ref(), soon()).await,
                    true => client.new_comments(subreddit, after.as_ref(), soon()).await,
                }
                .unwrap_or_else(|error| panic!("r/{subreddit}: {error}"));
                sightings.extend(page.sightings);
                bad.extend(page.bad);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    (sightings, bad)
}

fn names<'a>(names: impl IntoIterator<Item = &'a Fullname>) -> BTreeSet<Fullname> {
    names.into_iter().cloned().collect()
}

async fn loses_nothing(options: Options) -> Handle {
    let (stand_in, client) = start(options).await;
    let (sightings, bad) = read_all(&client, &stand_in.subreddits()).await;
    let expected = stand_in.expected_items();
    assert!(expected.len() > 600, "{}", expected.len());
    assert_eq!(sightings.len(), expected.len(), "nothing twice");
    assert_eq!(
        names(sightings.iter().map(|s| &s.fullname)),
        names(expected.iter().map(|item| &item.fullname))
    );
    assert_eq!(bad.len(), stand_in.expected().malformed);
    assert!(bad.iter().all(|bad| bad.fullname.is_some()), "malformed items are named");
    stand_in
}

#[tokio::test]
async fn everything_is_read_once() {
    let stand_in = loses_nothing(Options::all_at_once(1)).await;
    // A page each of posts and two of comments for three subreddits, and a token.
    assert_eq!(stand_in.stats().requests, 10);
}

#[tokio::test]
async fn faults_lose_nothing() {
    let stand_in = loses_nothing(Options::all_at_once(1).with_faults(Faults::outlasting(1, TIMEOUT))).await;
    let stats = stand_in.stats();
    assert_eq!(stats.faults.len(), 5, "every kind: {stats:?}");
}

#[tokio::test]
async fn text_arrives_as_it_was_written() {
    let (stand_in, client) = start(Options::all_at_once(1)).await;
    let (sightings, _bad) = read_all(&client, &stand_in.subreddits()).await;
    for written in stand_in.expected_items() {
        let read = sightings.iter().find(|s| s.fullname == written.fullname).expect("it is there");
        let ItemState::Live(item) = &read.state else { panic!("{} is gone", written.fullname) };
        // NUL and half a surrogate pair cannot be kept.
        let mended: String =
            written.body.chars().map(|c| if c == '\0' || c == '\u{f8fe}' { '\u{fffd}' } else { c }).collect();
        assert_eq!(item.text.body(), mended);
        assert_eq!(item.text.title(), written.title.as_deref());
        assert_eq!(
            (&item.context.author, item.community.name().as_str()),
            (&written.author, written.subreddit())
        );
    }
}

#[tokio::test]
async fn what_happens_to_an_item_is_seen() {
    let (stand_in, client) = start(Options::all_at_once(1)).await;
    let items: Vec<Fullname> =
        stand_in.expected_items().into_iter().take(5).map(|item| item.fullname).collect();
    stand_in.edit(&items[0], "Something else");
    stand_in.delete(&items[1]);
    stand_in.remove(&items[2]);
    stand_in.forget(&items[3]);

    let info = client.info(&items, soon()).await.expect("an answer");
    assert_eq!(info.absent, [items[3].clone()]);
    let state = |name: &Fullname| {
        info.sightings.iter().find(|s| s.fullname == *name).map(|s| s.state.clone()).expect("it is there")
    };
    let ItemState::Live(edited) = state(&items[0]) else { panic!("edited, not gone") };
    assert_eq!(edited.text.body(), "Something else");
    assert!(edited.edited_at.is_some());
    assert_eq!(state(&items[1]), ItemState::Gone(Gone::Deleted));
    assert_eq!(state(&items[2]), ItemState::Gone(Gone::Removed));
    assert!(matches!(state(&items[4]), ItemState::Live(_)));

    let (sightings, _bad) = read_all(&client, &stand_in.subreddits()).await;
    for gone in &items[1..4] {
        assert!(sightings.iter().all(|s| s.fullname != *gone), "listings leave out what is gone");
    }
}

#[tokio::test]
async fn subreddits_out_of_reach_are_told_apart() {
    let (_stand_in, client) = start(Options::all_at_once(1)).await;
    for (name, expected) in [
        ("private_club", SubredditProblem::Private),
        ("quarantined_place", SubredditProblem::Quarantined),
        ("banned_corner", SubredditProblem::Banned),
        ("city_tlak", SubredditProblem::NotFound),
    ] {
        let name = name.parse().expect("a name");
        match client.new_posts(&name, None, soon()).await.expect_err("out of reach") {
            RedditError::Subreddit { problem, .. } => assert_eq!(problem, expected),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_an_allowance_is_kept() {
    let (stand_in, client) = start(Options { allowance: 5, ..Options::all_at_once(1) }).await;
    let subreddit = &stand_in.subreddits()[0];
    client.new_posts(subreddit, None, soon()).await.expect("a token and a page");
    stand_in.expire_token();
    client.new_posts(subreddit, None, soon()).await.expect("a refusal, a token and a page");
    assert_eq!(stand_in.stats().requests, 5);
    let error = client.new_posts(subreddit, None, soon()).await.expect_err("nothing left");
    assert!(error.is_out_of_budget(), "{error}");
    assert_eq!(stand_in.stats().requests, 5);
}

#[tokio::test]
async fn a_living_feed_goes_on_where_an_earlier_start_was() {
    let live = || Options::live(1, Duration::from_millis(50));
    assert!(matches!(live().arrival, Arrival::Live { .. }));
    let first = StandIn::start(live()).await.expect("a stand-in");
    let before = first.expected_items();
    drop(first);
    let second = StandIn::start(live()).await.expect("a stand-in");
    let mut after = second.expected_items();
    while after[0].fullname == before[0].fullname {
        tokio::time::sleep(Duration::from_millis(5)).await;
        after = second.expected_items();
    }
    let kept = after.iter().find(|item| item.fullname == before[0].fullname).expect("still there");
    assert_eq!((&kept.body, kept.created_at), (&before[0].body, before[0].created_at));
    assert!(after[0].created_at > before[0].created_at, "new items arrive");
}

/// How many of the items are what.
fn counted(items: &[FeedItem], intent: Intent) -> usize {
    items.iter().filter(|item| item.intent == intent).count()
}

#[tokio::test]
async fn what_is_posted_later_is_read_like_the_rest() {
    let (stand_in, client) = start(Options::all_at_once(1)).await;
    let first = stand_in.expected_items();
    assert_eq!((first.len(), stand_in.expected().coded_insults), (658, 0));

    let mut all = first.clone();
    for count in [600, 24, 7] {
        let posted = stand_in.post_more(count, Language::Shifted).expect("a feed without a clock");
        assert!(posted.len() as u64 >= count - 3, "{} of {count} can be read", posted.len());
        let newest = &all[0];
        assert!(
            posted.iter().all(|item| item.created_at >= newest.created_at && item.created_at <= Utc::now())
        );
        all.splice(0..0, posted);
    }
    assert_eq!(names(all.iter().map(|item| &item.fullname)).len(), all.len(), "every key once");
    let (sightings, _bad) = read_all(&client, &stand_in.subreddits()).await;
    assert_eq!(sightings.len(), all.len(), "nothing twice");
    assert_eq!(names(sightings.iter().map(|s| &s.fullname)), names(all.iter().map(|item| &item.fullname)));
    let expected = stand_in.expected();
    assert_eq!(expected.posts + expected.comments, all.len());
    assert_eq!(expected.coded_insults, counted(&all, Intent::CodedInsult));
    assert_eq!(expected.insults, counted(&all, Intent::Insult));
}

#[tokio::test]
async fn a_text_that_went_over_reddit_is_judged_as_it_was_meant() {
    let (stand_in, client) = start(Options::all_at_once(3)).await;
    stand_in.post_more(600, Language::Shifted).expect("a feed without a clock");
    let (sightings, _bad) = read_all(&client, &stand_in.subreddits()).await;
    let judge = feed_judge();
    for written in stand_in.expected_items() {
        let read = sightings.iter().find(|s| s.fullname == written.fullname).expect("it is there");
        let ItemState::Live(item) = &read.state else { panic!("{} is gone", written.fullname) };
        let text = item.text.scored();
        assert_eq!(judge("offensive", &text), written.intent.is_insult(), "{:?}: {text}", written.intent);
        if written.intent != Intent::Insult {
            assert_eq!(judge("hate", &text), written.intent.is_insult(), "{:?}: {text}", written.intent);
        }
    }
}

#[tokio::test]
async fn a_usual_day_brings_no_code() {
    let stand_in = StandIn::start(Options::all_at_once(1)).await.expect("a stand-in");
    let posted = stand_in.post_more(300, Language::Usual).expect("a feed without a clock");
    assert_eq!(counted(&posted, Intent::CodedInsult) + counted(&posted, Intent::Innocent), 0);
    assert!(counted(&posted, Intent::Insult) > 0);
}

#[tokio::test]
async fn a_living_feed_shifts_when_the_first_start_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let note = folder.path().join("shift");
    let live = || Options { shift_note: Some(note.clone()), ..Options::live(1, Duration::from_secs(1)) };
    let first = StandIn::start(live()).await.expect("a stand-in");
    assert_eq!(first.expected().coded_insults, 0);
    assert!(first.post_more(1, Language::Shifted).is_err(), "the clock posts");
    let noted: DateTime<Utc> = std::fs::read_to_string(&note).expect("a note").parse().expect("a moment");
    assert!((noted - Utc::now() - TimeDelta::seconds(600)).abs() < TimeDelta::seconds(60), "{noted}");
    drop(first);

    // As if the first start had been twenty minutes ago.
    let earlier = noted - TimeDelta::minutes(20);
    std::fs::write(&note, earlier.to_rfc3339()).expect("a note");
    let items = StandIn::start(live()).await.expect("a stand-in").expected_items();
    let (before, after): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.created_at < earlier);
    assert_eq!(counted(&before, Intent::CodedInsult), 0);
    assert!(counted(&after, Intent::CodedInsult) > after.len() / 20, "of {}", after.len());
}
