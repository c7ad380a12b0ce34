-- What Modloop stores. Later files only add to this one, and the code of the release before must go on
-- working with what they add. See migrations/README.md.
--
-- Every rule of the code that a row could break is also a constraint here, so that no row that can be
-- stored can stop a function.

-- ---------------------------------------------------------------------------------------------------
-- Installation, communities, policies
-- ---------------------------------------------------------------------------------------------------

-- One row. Content hashes and the hashes of names in the audit log are HMACs under this key, because a
-- plain hash of a short text or a name can be guessed.
create table installation (
    only_row boolean primary key default true check (only_row),
    hash_key bytea not null check (octet_length(hash_key) = 32)
        default decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    made_at  timestamptz not null default now()
);
insert into installation default values;

-- True for {"review": r, "remove": m, "labels": {"LABEL": {"review": r, "remove": m}, …}} with
-- 0 <= r <= m <= 1 everywhere. "labels" may be absent; what it does not name uses the values above.
create function is_threshold_pair(pair jsonb) returns boolean language sql immutable parallel safe return
    coalesce(jsonb_typeof(pair -> 'review') = 'number' and jsonb_typeof(pair -> 'remove') = 'number'
        and (pair ->> 'review')::numeric >= 0 and (pair ->> 'review')::numeric <= (pair ->> 'remove')::numeric
        and (pair ->> 'remove')::numeric <= 1, false);

create function is_thresholds(document jsonb) returns boolean language sql immutable parallel safe return
    coalesce(is_threshold_pair(document)
        and jsonb_typeof(coalesce(document -> 'labels', '{}')) = 'object'
        and not exists (
            select from jsonb_each(coalesce(document -> 'labels', '{}')) as own(label, pair)
            where not is_threshold_pair(pair) or label !~ '^[a-z0-9_.-]{1,40}$'),
        false);

-- From which score on a label is reviewed.
create function review_threshold(thresholds jsonb, label text) returns real
    language sql immutable parallel safe return
    coalesce(thresholds -> 'labels' -> label ->> 'review', thresholds ->> 'review')::real;

-- Whether any label reaches its review threshold.
create function is_flagged(scores real[], labels text[], thresholds jsonb) returns boolean
    language sql immutable parallel safe return
    exists (select from unnest(scores, labels) as s(score, label) where score >= review_threshold(thresholds, label));

-- How scores become a decision. Rows never change, so a decision that names its policy can be replayed.
create table policies (
    id          integer generated always as identity primary key,
    thresholds  jsonb not null check (is_thresholds(thresholds)),
    -- Corrections of a model's probabilities for one community; empty: the model's own.
    calibration jsonb not null default '{}' check (jsonb_typeof(calibration) = 'object'),
    made_at     timestamptz not null default now(),
    unique (thresholds, calibration)
);
insert into policies (thresholds) values ('{"review": 0.5, "remove": 0.95}');

create table communities (
    id              integer generated always as identity primary key,
    source          text not null default 'reddit' check (source ~ '^[a-z][a-z0-9-]{0,31}$'),
    -- Names that differ only in case are one community.
    name            text not null check (name ~ '^[a-z0-9_.-]{1,64}$'),
    enabled         boolean not null default true,
    policy_id       integer not null default 1 references policies,
    -- Set while fetching fails (banned, private, misspelt). It is shown to people and tried again.
    last_error      text,
    last_error_at   timestamptz,
    last_fetched_at timestamptz,
    added_at        timestamptz not null default now(),
    unique (source, name),
    check (source <> 'reddit' or name ~ '^([a-z0-9_]{2,21}|u_[a-z0-9_-]{1,20})$')
);

-- How far each listing was read. A watermark moves only after everything down to the old one is stored.
create table feeds (
    community_id  integer not null references communities on delete cascade,
    kind          text not null check (kind in ('post', 'comment')),
    -- Newest item that was stored with everything before it.
    watermark     text check (watermark ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    watermark_at  timestamptz,
    -- A pass that stopped early (page limit, rate budget) left a gap: everything from the item after
    -- gap_cursor down to the watermark is still to be read; gap_top becomes the watermark once it is.
    gap_cursor    text check (gap_cursor ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    gap_top       text check (gap_top ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    gap_top_at    timestamptz,
    primary key (community_id, kind),
    check ((watermark is null) = (watermark_at is null)),
    check (num_nonnulls(gap_cursor, gap_top, gap_top_at) in (0, 3))
);

-- ---------------------------------------------------------------------------------------------------
-- Items, texts, predictions, decisions. The last three are partitioned by `part`.
-- ---------------------------------------------------------------------------------------------------

-- The Monday (UTC) of a moment's week. An item's `part` is the week it was first seen, and never another
-- one, so that a message that is delivered twice finds the same partition. Items that were flagged or
-- labeled have the part 9999-12-31: they are kept for longer.
create function item_week(moment timestamptz) returns date language sql immutable parallel safe return
    date_trunc('week', moment at time zone 'utc')::date;

-- Heads without text.
create table items (
    id             text primary key check (id ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    part           date not null default item_week(now())
                   check (extract(isodow from part) = 1 or part = '9999-12-31'),
    community_id   integer not null references communities,
    kind           text not null check (kind in ('post', 'comment')),
    -- False for imported and re-scored items: they never enter drift, thresholds, counters, the audit of
    -- allowed items or people's queue.
    live           boolean not null default true,
    created_at     timestamptz not null,
    -- The source's time of the snapshot. An older snapshot never overwrites a newer one.
    observed_at    timestamptz not null default now(),
    first_seen_at  timestamptz not null default now(),
    -- 'present'; 'deleted' by its author; 'removed' by a moderator; 'absent': the source does not know it;
    -- 'forgotten' because somebody asked for it. 'deleted' and 'forgotten' are final.
    state          text not null default 'present'
                   check (state in ('present', 'deleted', 'removed', 'absent', 'forgotten')),
    state_at       timestamptz not null default now(),
    -- HMAC of the text that is scored, see `installation`. Null once the text is gone.
    content_hash   bytea check (octet_length(content_hash) = 16),
    -- Which rules turned the source's text into the text that is scored.
    text_version   smallint not null default 1 check (text_version > 0),
    -- Set from the moment the present content is stored until it is scored, or until the text is gone.
    pending_since  timestamptz,
    -- When the item was last put into the queue, and how often for the present content.
    queued_at      timestamptz,
    queue_attempts integer not null default 0 check (queue_attempts >= 0),
    unique (id, part),
    check (pending_since is null or content_hash is not null),
    check (state = 'present' or pending_since is null),
    check (state not in ('deleted', 'forgotten') or content_hash is null)
);

-- Items that wait for scores: found and queued again. Also the age of the oldest one.
create index items_pending on items (pending_since) where pending_since is not null;
create index items_by_community on items (community_id, created_at);
create index items_by_part on items (part);

-- What people, rules and labelers need to judge an item. The row goes when the text must go.
create table item_texts (
    part          date not null,
    item_id       text not null,
    author        text,
    title         text,
    body          text not null default '',
    -- Ids of the item that this one answers, and of the post that it belongs to.
    parent        text check (parent ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    thread        text check (thread ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    -- Address of the item itself, for people who want to look.
    permalink     text not null default '',
    -- Where a link post points to, and that address's host.
    link          text,
    domain        text,
    flair         text,
    -- The author of a comment is the author of the post.
    is_submitter  boolean not null default false,
    -- BCP 47; null until it is detected.
    language      text check (language ~ '^[A-Za-z0-9-]{1,35}$'),
    edited_at     timestamptz,
    primary key (part, item_id),
    foreign key (item_id, part) references items (id, part) on update cascade on delete cascade
) partition by list (part);

-- Names that differ only in case are one author.
create index item_texts_author on item_texts (lower(author));

-- When each item is looked up at its source again. Narrow, so that checking rewrites no item.
create table checks (
    item_id text primary key references items on delete cascade,
    due_at  timestamptz not null default now()
) with (fillfactor = 70);
create index checks_due on checks (due_at);

create table models (
    id            smallint generated always as identity primary key,
    version       text not null unique check (version ~ '^[a-z0-9_.-]{1,60}$'),
    labels        text[] not null check (cardinality(labels) between 1 and 32),
    -- What the monitor compares with until a community has a reference of its own.
    baseline      jsonb not null,
    metrics       jsonb not null default '{}',
    -- 's3://…' of the bundle; null for the one that ships inside the function.
    bundle_uri    text,
    -- Of the archive at bundle_uri. A bundle with another hash is refused.
    bundle_sha256 text check (bundle_sha256 ~ '^[0-9a-f]{64}$'),
    -- The version of the text rules that the model was calibrated with.
    text_version  smallint not null default 1 check (text_version > 0),
    registered_at timestamptz not null default now()
);

-- Which model is in service. Inference reads this with every batch, so a switch takes seconds.
-- No row for 'champion' means the bundle that ships inside the function.
create table model_aliases (
    alias      text primary key check (alias in ('champion', 'challenger')),
    model_id   smallint not null references models,
    -- 'shadow' scores without deciding, 'canary' decides for a share of items that is chosen by hash.
    mode       text not null check (mode in ('champion', 'shadow', 'canary')),
    share      real not null default 1 check (0 <= share and share <= 1),
    updated_at timestamptz not null default now(),
    check ((alias = 'champion') = (mode = 'champion'))
);

-- What a model said about one content of an item. Redelivered messages write one row.
create table predictions (
    part           date not null,
    scored_at      timestamptz not null default now(),
    community_id   integer not null,
    tokens         integer not null check (tokens >= 0),
    unknown_tokens integer not null check (unknown_tokens between 0 and tokens),
    -- Distance to the nearest centroid of the community's reference, where there is one.
    novelty        real check (novelty >= 0),
    model_id       smallint not null references models,
    windows        smallint not null check (windows >= 0),
    live           boolean not null,
    -- False for a model that scores in the shadow of another one.
    decides        boolean not null,
    -- False: the text was longer than the limit of windows.
    read_whole     boolean not null,
    item_id        text not null,
    content_hash   bytea not null check (octet_length(content_hash) = 16),
    -- Calibrated probabilities in the order of models.labels.
    scores         real[] not null check (0 <= all (scores) and 1 >= all (scores)),
    primary key (part, item_id, content_hash, model_id),
    foreign key (item_id, part) references items (id, part) on update cascade on delete cascade
) partition by list (part);

create index predictions_scored_at on predictions (scored_at);

-- What came of it, and why. `no` is 0 for the automatic decision and counts people's decisions from 1.
-- Rows are added and never changed. A decision is replayed from its scores, its policy and the recorded
-- facts of its rule, without the text.
create table decisions (
    part         date not null,
    at           timestamptz not null default now(),
    community_id integer not null,
    policy_id    integer not null references policies,
    model_id     smallint references models,
    no           smallint not null default 0 check (no >= 0),
    live         boolean not null,
    text_version smallint not null default 1 check (text_version > 0),
    outcome      text not null check (outcome in ('allow', 'review', 'remove')),
    -- 'threshold': scores against thresholds; 'rule'; 'person'; 'unread': the text was not judged whole.
    decided_by   text not null check (decided_by in ('threshold', 'rule', 'person', 'unread')),
    item_id      text not null,
    content_hash bytea not null check (octet_length(content_hash) = 16),
    scores       real[] check (0 <= all (scores) and 1 >= all (scores)),
    -- The label whose threshold decided.
    label        text check (label ~ '^[a-z0-9_.-]{1,40}$'),
    rule_version integer,
    rule_facts   jsonb,
    -- Who decided, where a person did.
    actor        text check (length(actor) between 1 and 200),
    -- A person's reason: the name of a rule or a removal reason, no quotation.
    reason       text check (length(reason) <= 500),
    -- Offsets of the words that carried the score: start, end, weight in thousandths, and so on.
    spans        integer[],
    primary key (part, item_id, content_hash, no),
    foreign key (item_id, part) references items (id, part) on update cascade on delete cascade,
    check ((no = 0) = (actor is null)),
    check ((no > 0) = (decided_by = 'person')),
    check (decided_by <> 'threshold' or (model_id is not null and scores is not null)),
    check (decided_by <> 'rule' or (rule_version is not null and rule_facts is not null))
) partition by list (part);

-- What was flagged automatically, by time: few among many.
create index decisions_flagged on decisions (at) where no = 0 and outcome <> 'allow';

-- Open items that people should look at. A row goes with the text, with a verdict, and when an edit makes
-- the item harmless.
create table queue (
    item_id      text primary key,
    part         date not null,
    community_id integer not null references communities,
    -- Expected harm: higher comes first.
    priority     real not null check (priority >= 0),
    outcome      text not null check (outcome in ('review', 'remove')),
    labels       text[] not null default '{}',
    rules        text[] not null default '{}',
    model_id     smallint references models,
    language     text,
    author       text,
    -- Items with the same key are near-duplicates.
    near_key     bytea,
    created_at   timestamptz not null,
    queued_at    timestamptz not null default now(),
    opened_by    text,
    opened_until timestamptz,
    foreign key (item_id, part) references items (id, part) on update cascade on delete cascade,
    check ((opened_by is null) = (opened_until is null))
);
create index queue_by_community on queue (community_id, priority desc, item_id);
create index queue_by_priority on queue (priority desc, item_id);
create index queue_near on queue (near_key) where near_key is not null;

-- ---------------------------------------------------------------------------------------------------
-- Labels
-- ---------------------------------------------------------------------------------------------------

-- What people and LLMs said. Only added to: nobody overwrites anybody, and a person's latest row counts.
-- A failed labeling writes no row.
create table labels (
    id           bigint generated always as identity primary key,
    item_id      text not null references items on delete cascade,
    content_hash bytea not null check (octet_length(content_hash) = 16),
    label        text not null check (label ~ '^[a-z0-9_.-]{1,40}$'),
    value        boolean not null,
    -- How sure whoever said it was, 0 to 1; null where nobody asked.
    sure         real check (0 <= sure and sure <= 1),
    kind         text not null check (kind in ('person', 'llm')),
    -- A person's actor, or the name of an LLM.
    actor        text not null check (length(actor) between 1 and 200),
    -- The version of the instructions that an LLM was given, or where a person's label comes from.
    rubric       text not null default '' check (length(rubric) <= 200),
    -- An LLM may be asked several times.
    vote         smallint not null default 0 check (vote >= 0),
    -- Whoever said it had seen neither scores nor other labels.
    blind        boolean not null default false,
    -- The known chance with which the item was drawn; null where nobody drew it by chance.
    chance       real check (0 < chance and chance <= 1),
    run_id       bigint,
    -- Of the call that gave all labels of the item: sums belong to budget_spend.
    tokens       integer check (tokens >= 0),
    cost_micros  bigint check (cost_micros >= 0),
    at           timestamptz not null default now()
);
create index labels_by_item on labels (item_id, content_hash);
create index labels_recent on labels (at);
create unique index labels_llm_once on labels (item_id, content_hash, label, actor, rubric, vote)
    where kind = 'llm';

-- What is taken for true: the majority of people by the latest row of each, else the majority of LLM votes.
-- Where they are divided equally nothing is known.
create view label_truth as
    select item_id, content_hash, label, yes > no as value, kind, at
    from (
        select distinct on (item_id, content_hash, label) item_id, content_hash, label, kind, at,
            yes, no
        from (
            select item_id, content_hash, label, kind, max(at) as at,
                count(*) filter (where value) as yes, count(*) filter (where not value) as no
            from (
                select distinct on (item_id, content_hash, label, kind, actor, rubric, vote)
                    item_id, content_hash, label, kind, value, at
                from (
                    select item_id, content_hash, label, kind, actor, value, at, id,
                        case when kind = 'llm' then rubric else '' end as rubric,
                        case when kind = 'llm' then vote else 0 end as vote
                    from labels) said
                order by item_id, content_hash, label, kind, actor, rubric, vote, id desc) latest
            group by item_id, content_hash, label, kind) counted
        order by item_id, content_hash, label, kind = 'person' desc) best
    where yes <> no;

-- An LLM's reason may quote the text, so it goes with the text.
create table rationales (
    item_id      text not null references items on delete cascade,
    content_hash bytea not null check (octet_length(content_hash) = 16),
    run_id       bigint not null,
    rationale    text not null,
    primary key (item_id, content_hash, run_id)
);

-- ---------------------------------------------------------------------------------------------------
-- Drift
-- ---------------------------------------------------------------------------------------------------

-- An hour of predictions that decided about live items, condensed. Written once, after the hour is over;
-- outlives the predictions. n[i] items of kind kinds[i] fell into cell cells[i]. Kinds: 0 length bucket,
-- 1 highest score, 2 entropy, 3 and up the model's labels in their order.
create table score_buckets (
    community_id   integer not null references communities on delete cascade,
    model_id       smallint not null references models,
    start          timestamptz not null,
    items          integer not null check (items > 0),
    flagged        integer not null check (flagged between 0 and items),
    tokens         bigint not null check (tokens >= 0),
    unknown_tokens bigint not null check (unknown_tokens >= 0),
    kinds          smallint[] not null,
    cells          smallint[] not null,
    n              integer[] not null,
    primary key (community_id, model_id, start),
    check (cardinality(kinds) = cardinality(cells) and cardinality(cells) = cardinality(n))
);
create index score_buckets_by_start on score_buckets (start);

-- One row: every bucket that ends at or before this moment is closed.
create table bucket_progress (
    only_row     boolean primary key default true check (only_row),
    closed_until timestamptz not null default '-infinity'
);
insert into bucket_progress default values;

-- What a community's windows are compared with, stored once.
create table drift_references (
    community_id integer not null references communities on delete cascade,
    model_id     smallint not null references models,
    chunks       jsonb not null,
    centroids    bytea,
    made_at      timestamptz not null default now(),
    primary key (community_id, model_id)
);

create table drift_reports (
    id           bigint generated always as identity primary key,
    community_id integer not null references communities on delete cascade,
    model_id     smallint not null references models,
    window_start timestamptz not null,
    window_end   timestamptz not null check (window_end > window_start),
    items        bigint not null check (items >= 0),
    verdict      text not null check (verdict in ('insufficient', 'stable', 'warning', 'drift')),
    -- Windows in a row with a breach, this one included.
    breaches     integer not null default 0 check (breaches >= 0),
    -- One sentence: which statistic moved and by how much.
    summary      text not null,
    statistics   jsonb not null,
    created_at   timestamptz not null default now(),
    -- A monitor that runs twice for one window counts it once.
    unique (community_id, model_id, window_end)
);
create index drift_reports_latest on drift_reports (community_id, window_end);

-- From the first drift verdict until the community is stable again. Each sends one retrain request.
create table drift_episodes (
    id           bigint generated always as identity primary key,
    community_id integer not null references communities on delete cascade,
    model_id     smallint not null references models,
    opened_at    timestamptz not null default now(),
    requested_at timestamptz,
    closed_at    timestamptz
);
create unique index drift_episodes_open on drift_episodes (community_id, model_id) where closed_at is null;

-- Counts of items. Each statement that changes a state adds its row here (no row is shared, so nothing
-- waits), and the monitor folds them into the totals.
create table count_deltas (
    id           bigint generated always as identity primary key,
    community_id integer not null references communities on delete cascade,
    stored       integer not null default 0,
    scored       integer not null default 0,
    flagged      integer not null default 0,
    scrubbed     integer not null default 0,
    restored     integer not null default 0
);
create table community_totals (
    community_id integer primary key references communities on delete cascade,
    stored       bigint not null default 0,
    scored       bigint not null default 0,
    flagged      bigint not null default 0,
    scrubbed     bigint not null default 0,
    restored     bigint not null default 0
);

-- ---------------------------------------------------------------------------------------------------
-- Runs
-- ---------------------------------------------------------------------------------------------------

-- One attempt to make a better model. The row is where a run is remembered between two invocations: it
-- says what was reached, never what is being tried.
create table runs (
    id                 bigint generated always as identity primary key,
    state              text not null default 'requested' check (state in (
        'requested', 'sampling', 'labeling', 'training', 'evaluating', 'registered', 'shadow', 'canary',
        'champion', 'rejected', 'rolled_back', 'failed', 'stopped')),
    requested_by       text not null check (requested_by in ('monitor', 'schedule', 'operator')),
    -- Who or what asked, in words: a drift summary, an operator's name.
    request            text not null,
    -- A request that is delivered twice starts one run.
    episode            bigint unique references drift_episodes,
    -- The drift was found on this model; a run that starts under another champion has no reason any more.
    requested_model    text references models (version),
    -- Names the challenger and with it the job, the data set and the version. It is derived from the run
    -- once, so that a repeated step finds what is there.
    challenger_version text not null unique check (challenger_version ~ '^[a-z0-9-]{1,50}$'),
    -- What the run compares with, from its start on.
    champion_version   text references models (version),
    -- The settings the run started with; a change of settings reaches the next run.
    config             jsonb,
    labeling           jsonb,
    champion_quality   jsonb,
    data_set_uri       text,
    data_set_hash      text,
    data_set           jsonb,
    job_name           text,
    job_artifact       text,
    job_seconds        integer check (job_seconds >= 0),
    bundle_uri         text,
    gate               jsonb,
    registered_version text,
    trial              jsonb,
    -- Why a run is over, or what it waits for.
    reason             text,
    -- Since when every try of the present step failed for a passing reason.
    failing_since      timestamptz,
    -- An operator asked to stop the run: the next step does it, and stops the job too.
    stop_requested_at  timestamptz,
    stop_requested_by  text,
    requested_at       timestamptz not null default now(),
    started_at         timestamptz,
    state_since        timestamptz not null default now(),
    finished_at        timestamptz,
    check ((finished_at is not null) = (state in ('champion', 'rejected', 'rolled_back', 'failed', 'stopped'))),
    check (state in ('requested', 'rejected', 'failed', 'stopped') or started_at is not null),
    check (finished_at is null or state = 'champion' or reason is not null),
    check ((stop_requested_at is null) = (stop_requested_by is null))
);

-- One run at a time: only one is past 'requested' and not over. Requests wait their turn.
create unique index runs_active on runs ((true)) where finished_at is null and state <> 'requested';
create index runs_waiting on runs (id) where finished_at is null;

-- The story of a run: every transition, and every side effect with its facts.
create table run_events (
    id     bigint generated always as identity primary key,
    run_id bigint not null references runs,
    at     timestamptz not null default now(),
    -- The state the run was in, or came into.
    state  text not null,
    what   text not null,
    facts  jsonb not null default '{}'
);
create index run_events_story on run_events (run_id, id);

-- Which items a run asks labels for. Ids and hashes, no text.
create table run_items (
    run_id       bigint not null references runs,
    item_id      text not null references items on delete cascade,
    content_hash bytea not null check (octet_length(content_hash) = 16),
    -- Community and band of scores.
    stratum      text not null,
    -- How many items of the stratum it stands for: one over the chance of being chosen.
    weight       real not null check (weight >= 1),
    -- Never trained on.
    gold         boolean not null,
    -- How often the labeler gave no usable answer.
    refusals     smallint not null default 0 check (refusals >= 0),
    primary key (run_id, item_id)
);
create index run_items_by_item on run_items (item_id);

-- Where an item went, so that its deletion finds it there.
create table data_set_items (
    run_id  bigint not null references runs,
    item_id text not null references items on delete cascade,
    primary key (run_id, item_id)
);
create index data_set_items_by_item on data_set_items (item_id);

alter table labels add foreign key (run_id) references runs;
alter table rationales add foreign key (run_id) references runs;

-- What labeling spent and may still be spending, for a run ('run-7') or a month ('month-2026-11').
-- Money in millionths of a dollar.
create table budget_spend (
    period          text primary key,
    reserved_tokens bigint not null default 0 check (reserved_tokens >= 0),
    reserved_micros bigint not null default 0 check (reserved_micros >= 0),
    spent_tokens    bigint not null default 0 check (spent_tokens >= 0),
    spent_micros    bigint not null default 0 check (spent_micros >= 0)
);

-- Reserved before a call, settled after it. One that a killed process left behind counts as spent.
create table budget_reservations (
    id          bigint generated always as identity primary key,
    run_id      bigint not null references runs,
    periods     text[] not null,
    tokens      bigint not null check (tokens >= 0),
    cost_micros bigint not null check (cost_micros >= 0),
    reserved_at timestamptz not null default now(),
    settled_at  timestamptz
);
create index budget_reservations_open on budget_reservations (run_id) where settled_at is null;

-- Every change of an alias, by a run or by a person.
create table model_switches (
    id           bigint generated always as identity primary key,
    at           timestamptz not null default now(),
    action       text not null check (action in ('shadow', 'canary', 'promote', 'rollback', 'withdraw')),
    -- The champion before and after; null is the bundle that ships inside the function.
    from_version text references models (version),
    to_version   text references models (version),
    -- The model on trial that the switch concerns.
    challenger   text references models (version),
    share        real check (0 <= share and share <= 1),
    run_id       bigint references runs,
    actor        text not null check (length(actor) between 1 and 200),
    reason       text not null,
    -- When the registry was told. It may lag behind; inference never asks it.
    mirrored_at  timestamptz,
    unique (run_id, action)
);
create index model_switches_unmirrored on model_switches (id) where mirrored_at is null;

-- How a challenger and its champion did beside each other in a trial. A batch adds its rows in the
-- statement that writes its predictions, so a batch that is repeated adds nothing.
create table trial_health (
    id            bigint generated always as identity primary key,
    challenger_id smallint not null references models,
    mode          text not null check (mode in ('shadow', 'canary')),
    model_id      smallint not null references models,
    items         bigint not null default 0 check (items >= 0),
    failed        bigint not null default 0 check (failed >= 0),
    load_failures bigint not null default 0 check (load_failures >= 0),
    milliseconds  double precision not null default 0 check (milliseconds >= 0),
    at            timestamptz not null default now()
);
create index trial_health_by_trial on trial_health (challenger_id, mode, model_id);

-- ---------------------------------------------------------------------------------------------------
-- Settings, permission, leases, rate budget, audit
-- ---------------------------------------------------------------------------------------------------

-- What operators change. Rows are only added: the highest version of a name counts, the others are its
-- history. A document that is absent has the defaults of the code.
create table settings (
    name       text not null check (name ~ '^[a-z][a-z0-9-]{0,31}$'),
    version    integer not null check (version > 0),
    document   jsonb not null check (jsonb_typeof(document) = 'object'),
    changed_at timestamptz not null default now(),
    changed_by text not null check (length(changed_by) between 1 and 200),
    primary key (name, version)
);

-- An operator's statement that texts may be trained on.
create table training_permissions (
    id           bigint generated always as identity primary key,
    granted_at   timestamptz not null default now(),
    granted_by   text not null check (length(granted_by) between 1 and 200),
    -- What for, in the operator's words.
    statement    text not null check (length(statement) between 1 and 2000),
    -- Null: all communities.
    communities  integer[] check (cardinality(communities) > 0),
    withdrawn_at timestamptz,
    withdrawn_by text,
    check ((withdrawn_at is null) = (withdrawn_by is null))
);

-- The right to do something alone, until a moment by the database's clock.
create table leases (
    name   text primary key check (name ~ '^[a-z][a-z0-9:_.-]{0,63}$'),
    holder text not null check (length(holder) between 1 and 200),
    until  timestamptz not null
);

-- Requests that were sent with a client id, by class of work and minute.
create table rate_budget (
    client_id text not null,
    class     text not null check (class in ('acting', 'reading', 'rechecking')),
    minute    timestamptz not null,
    used      integer not null default 0 check (used >= 0),
    primary key (client_id, class, minute)
);

-- Names that must not come back, as HMACs under the installation's key.
create table forgotten (
    name_key bytea primary key check (octet_length(name_key) = 16),
    at       timestamptz not null default now()
);

-- Who changed what: people, operators, switches. Holds ids, states and keyed hashes; never texts, secrets
-- or authors' names.
create table audit (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text not null check (length(actor) between 1 and 200),
    action  text not null check (action ~ '^[a-z_]+\.[a-z_]+$'),
    subject text not null check (length(subject) between 1 and 200),
    before  jsonb,
    after   jsonb
);
create index audit_by_subject on audit (subject, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log only grows: % is refused', lower(tg_op) using errcode = 'restrict_violation';
end $$;
create trigger audit_only_grows before update or delete or truncate on audit
    for each statement execute function refuse_change();

-- ---------------------------------------------------------------------------------------------------
-- Partitions
-- ---------------------------------------------------------------------------------------------------

-- Makes the partitions of the week before this one, of this week, of `weeks_ahead` more, and of kept
-- items. Returns how many were missing. It runs as its owner, because only the owner of a table can add
-- partitions to it.
create function make_partitions(weeks_ahead integer) returns integer
    language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s' as $$
declare
    made integer := 0;
    parent text;
    week date;
    partition text;
begin
    if weeks_ahead not between 0 and 52 then
        raise exception 'weeks_ahead is %, expected 0 to 52', weeks_ahead;
    end if;
    for week in
        select item_week(now()) + 7 * n from generate_series(-1, weeks_ahead) as n
        union all select date '9999-12-31'
    loop
        foreach parent in array array['item_texts', 'predictions', 'decisions'] loop
            partition := parent || '_'
                || case when week = '9999-12-31' then 'kept' else to_char(week, 'YYYY_MM_DD') end;
            if to_regclass(partition) is null then
                execute format('create table %I partition of %I for values in (%L)', partition, parent, week);
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end $$;

-- The weeks that have partitions, oldest first.
create function partition_weeks() returns setof date
    language sql stable set search_path = public, pg_temp as $$
    select to_date(substr(c.relname, length('item_texts_') + 1), 'YYYY_MM_DD')
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'item_texts'::regclass and c.relname <> 'item_texts_kept'
    order by 1
$$;

-- Drops the texts, predictions and decisions of one past week. The heads of its items stay until the
-- caller deletes them.
create function drop_week(week date) returns void
    language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '300ms' as $$
declare
    parent text;
begin
    -- Giving up before deadlock_timeout, one second by default, makes sure that no writer is the victim of a
    -- deadlock. It takes six locks, so nobody waits for two seconds.
    if extract(isodow from week) <> 1 or week >= item_week(now()) - 7 then
        raise exception '% is not a Monday more than a week ago', week;
    end if;
    foreach parent in array array['predictions', 'decisions', 'item_texts'] loop
        execute format('drop table if exists %I', parent || '_' || to_char(week, 'YYYY_MM_DD'));
    end loop;
end $$;

revoke execute on function make_partitions(integer), drop_week(date) from public;
select make_partitions(8);
