use std::collections::HashSet;

use crate::{Fullname, SubredditName};
use roux::util::FeedOption;

use crate::listing::Listing;
use crate::transport::{Request, Transport};
use crate::{BadItem, Deadline, RedditCredentials, RedditError, RedditSettings, Sighting};

/// Reddit's longest page.
const PAGE_SIZE: u32 = 100;

/// The most items that [`RedditClient::info`] can be asked about at once.
pub const INFO_LIMIT: usize = 100;

/// Reads Reddit with an app-only grant. One client keeps one rate budget, so share it.
pub struct RedditClient {
    transport: Transport,
}

/// A page of a subreddit's listing, newest first.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// What could be read, in Reddit's order.
    pub sightings: Vec<Sighting>,
    /// What could not.
    pub bad: Vec<BadItem>,
    /// Ask for what comes after this to go on; `None` at the end of the listing (Reddit shows about the
    /// newest 1000 items).
    pub next: Option<Fullname>,
}

/// What became of items asked about by name.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// What could be read.
    pub sightings: Vec<Sighting>,
    /// What could not.
    pub bad: Vec<BadItem>,
    /// Names that Reddit left out of its answer. Empty when an item of the answer had no readable name:
    /// it may be any of these.
    pub absent: Vec<Fullname>,
}

impl RedditClient {
    /// Checks the settings; asks nothing of Reddit yet.
    pub fn new(settings: RedditSettings, credentials: RedditCredentials) -> Result<Self, RedditError> {
        Ok(Self { transport: Transport::new(settings, credentials)? })
    }

    /// Up to 100 posts of a subreddit, newest first, older than `after`.
    pub async fn new_posts(
        &self,
        subreddit: &SubredditName,
        after: Option<&Fullname>,
        deadline: Deadline,
    ) -> Result<Page, RedditError> {
        self.page(subreddit, "new", after, deadline).await
    }

    /// Up to 100 comments of a subreddit, newest first, older than `after`.
    pub async fn new_comments(
        &self,
        subreddit: &SubredditName,
        after: Option<&Fullname>,
        deadline: Deadline,
    ) -> Result<Page, RedditError> {
        self.page(subreddit, "comments", after, deadline).await
    }

    /// What became of up to [`INFO_LIMIT`] items.
    pub async fn info(&self, names: &[Fullname], deadline: Deadline) -> Result<Info, RedditError> {
        if names.len() > INFO_LIMIT {
            return Err(RedditError::Settings(format!(
                "{} items asked about at once; Reddit takes {INFO_LIMIT}",
                names.len()
            )));
        }
        if names.is_empty() {
            return Ok(Info { sightings: Vec::new(), bad: Vec::new(), absent: Vec::new() });
        }
        let ids: Vec<_> = names.iter().map(Fullname::as_str).collect();
        let query = format!("id={}&raw_json=1", ids.join(","));
        let request = Request { path: "/api/info".into(), query, subreddit: None };
        let listing = self.transport.get(&request, deadline, Listing::parse).await?;
        Ok(Info { absent: absent(names, &listing), sightings: listing.sightings, bad: listing.bad })
    }

    async fn page(
        &self,
        subreddit: &SubredditName,
        listing: &str,
        after: Option<&Fullname>,
        deadline: Deadline,
    ) -> Result<Page, RedditError> {
        let mut options = FeedOption::new().limit(PAGE_SIZE);
        if let Some(after) = after {
            options = options.after(after.as_str());
        }
        let mut query = String::from("raw_json=1");
        options.build_url(&mut query);
        let request =
            Request { path: format!("/r/{subreddit}/{listing}"), query, subreddit: Some(subreddit) };
        let listing = self.transport.get(&request, deadline, Listing::parse).await?.of(subreddit);
        Ok(Page { sightings: listing.sightings, bad: listing.bad, next: listing.after })
    }
}

fn absent(asked: &[Fullname], listing: &Listing) -> Vec<Fullname> {
    if listing.bad.iter().any(|bad| bad.fullname.is_none()) {
        return Vec::new();
    }
    let bad = listing.bad.iter().filter_map(|bad| bad.fullname.as_ref());
    let shown: HashSet<_> = listing.sightings.iter().map(|sighting| &sighting.fullname).chain(bad).collect();
    asked.iter().filter(|name| !shown.contains(name)).cloned().collect()
}
