-- What Modloop remembers. Forward-only: a later file may add to this, and the code of the release
-- before must go on working with what it adds.

create table subreddits (
    id               integer generated always as identity primary key,
    -- Reddit treats names that differ in case as one.
    name             text not null unique check (name = lower(name)),
    enabled          boolean not null default true,
    review_threshold real not null default 0.5,
    remove_threshold real not null default 0.95,
    -- Set while fetching fails (banned, private, misspelt): shown to people, retried every time.
    last_error       text,
    last_error_at    timestamptz,
    last_fetched_at  timestamptz,
    added_at         timestamptz not null default now(),
    check (0 <= review_threshold and review_threshold <= remove_threshold and remove_threshold <= 1)
);

-- How far each listing was read. A watermark moves only after everything down to the old one is stored.
create table feeds (
    subreddit_id  integer not null references subreddits on delete cascade,
    kind          text not null check (kind in ('post', 'comment')),
    -- Newest item that was stored with everything before it.
    watermark     text,
    watermark_at  timestamptz,
    -- A pass that stopped early (page limit, rate budget) left a gap: everything from the item after
    -- gap_cursor down to the watermark is still to be read; gap_top becomes the watermark once it is.
    gap_cursor    text,
    gap_top       text,
    gap_top_at    timestamptz,
    primary key (subreddit_id, kind),
    check (num_nonnulls(gap_cursor, gap_top, gap_top_at) in (0, 3))
);

create table items (
    fullname       text primary key check (fullname ~ '^t[13]_[0-9a-z]{1,13}$'),
    subreddit_id   integer not null references subreddits,
    -- Author, title and body are null once the item is scrubbed.
    author         text,
    title          text,
    body           text,
    content_hash   bytea check (octet_length(content_hash) = 32),
    permalink      text not null,
    created_at     timestamptz not null,
    edited_at      timestamptz,
    first_seen_at  timestamptz not null default now(),
    -- When Reddit last showed that the item still exists.
    checked_at     timestamptz not null default now(),
    -- Set from the moment the present content is stored until it is scored (or scrubbed).
    pending_since  timestamptz default now(),
    -- When the item was last put into the queue, and how often for the present content.
    queued_at      timestamptz,
    queue_attempts integer not null default 0,
    -- Why the text is gone: 'deleted' by its author, 'removed' by a moderator, 'absent' from Reddit.
    scrub_reason   text check (scrub_reason in ('deleted', 'removed', 'absent')),
    scrubbed_at    timestamptz,
    check ((scrubbed_at is null) = (scrub_reason is null)),
    check (scrubbed_at is null or num_nonnulls(author, title, body, content_hash, pending_since) = 0)
);

-- Found and queued again; also the age of the oldest unscored item.
create index items_pending on items (pending_since) where pending_since is not null;
-- Oldest check first.
create index items_recheck on items (checked_at) where scrubbed_at is null;
create index items_by_subreddit on items (subreddit_id, created_at);
-- Counted for the status.
create index items_scrubbed on items (subreddit_id) where scrubbed_at is not null;

create table models (
    version       text primary key,
    labels        text[] not null check (cardinality(labels) > 0),
    -- What the monitor compares with: see crates/bundle, `Baseline`.
    baseline      jsonb not null,
    metrics       jsonb not null default '{}',
    -- 's3://…' of the bundle; null for the one that ships inside the function.
    bundle_uri    text,
    registered_at timestamptz not null default now()
);

-- Which model is in service. Inference reads this with every batch, so a switch takes seconds.
-- No row for 'champion' means the bundle that ships inside the function.
create table model_aliases (
    alias         text primary key check (alias in ('champion', 'challenger')),
    model_version text not null references models,
    -- 'shadow' scores without deciding, 'canary' decides for a hash-chosen share of items.
    mode          text not null check (mode in ('champion', 'shadow', 'canary')),
    share         real not null default 1 check (0 <= share and share <= 1),
    updated_at    timestamptz not null default now(),
    check ((alias = 'champion') = (mode = 'champion'))
);

create table predictions (
    fullname       text not null references items,
    content_hash   bytea not null check (octet_length(content_hash) = 32),
    model_version  text not null references models,
    subreddit_id   integer not null references subreddits,
    -- Calibrated probabilities in the order of models.labels.
    scores         real[] not null,
    top_score      real not null,
    -- Mean over labels of the binary entropy of each score, in bits: 0 certain, 1 undecided.
    entropy        real not null,
    decision       text not null check (decision in ('allow', 'review', 'remove')),
    -- False for a model that only scores in the shadow of the champion.
    decides        boolean not null,
    tokens         integer not null,
    unknown_tokens integer not null,
    windows        smallint not null,
    -- The text was longer than the stated limit of windows.
    truncated      boolean not null default false,
    scored_at      timestamptz not null default now(),
    -- At least once, counted once.
    primary key (fullname, content_hash, model_version)
);

create index predictions_window on predictions (subreddit_id, model_version, scored_at);
-- What moderators should look at: few among many.
create index predictions_flagged on predictions (subreddit_id, scored_at) where decides and decision <> 'allow';

-- Ground truth. A person outranks an LLM; a failed labelling writes no row.
create table labels (
    fullname     text not null references items,
    content_hash bytea not null check (octet_length(content_hash) = 32),
    label        text not null,
    value        boolean not null,
    source       text not null check (source in ('human', 'llm')),
    labelled_at  timestamptz not null default now(),
    primary key (fullname, content_hash, label, source)
);

create table drift_reports (
    id            bigint generated always as identity primary key,
    subreddit_id  integer not null references subreddits,
    model_version text not null references models,
    window_start  timestamptz not null,
    window_end    timestamptz not null,
    items         bigint not null,
    verdict       text not null check (verdict in ('insufficient', 'stable', 'warning', 'drift')),
    -- Windows in a row with a breach, this one included.
    breaches      integer not null default 0,
    -- One sentence: which statistic moved and by how much.
    summary       text not null,
    statistics    jsonb not null,
    created_at    timestamptz not null default now(),
    -- A monitor that runs twice for one window counts it once.
    unique (subreddit_id, model_version, window_end)
);

-- The last verdict on a subreddit.
create index drift_reports_latest on drift_reports (subreddit_id, window_end);

-- From the first drift verdict until the subreddit is stable again: one retrain request each.
create table drift_episodes (
    id            bigint generated always as identity primary key,
    subreddit_id  integer not null references subreddits,
    model_version text not null references models,
    opened_at     timestamptz not null default now(),
    requested_at  timestamptz,
    closed_at     timestamptz
);

create unique index drift_episodes_open on drift_episodes (subreddit_id, model_version) where closed_at is null;
