-- The loop closes: runs that sample, label, train and judge a challenger, and the switches of models.
-- Forward-only: everything here adds, so that the code of the release before goes on working.

-- One attempt to make a better model. The row is where a run is remembered between two invocations: it
-- says what was reached, never what is being tried.
create table training_runs (
    id                 bigint generated always as identity primary key,
    state              text not null default 'requested' check (state in (
        'requested', 'sampling', 'labelling', 'training', 'evaluating', 'registered', 'shadow', 'canary',
        'champion', 'rejected', 'rolled_back', 'failed')),
    requested_by       text not null check (requested_by in ('monitor', 'schedule', 'operator')),
    -- Who or what asked, in words: a drift summary, an operator's name.
    request            text not null,
    -- A request that is delivered twice starts one run.
    episode            bigint unique references drift_episodes,
    -- The drift was found on this model; a run that starts under another champion has no reason any more.
    requested_model    text references models,
    -- Names the challenger and with it the job, the data set and the version: derived from the run once,
    -- so that a repeat finds what is there.
    challenger_version text not null unique check (challenger_version ~ '^[a-z0-9-]{1,50}$'),
    -- What the run compares with, from its start on.
    champion_version   text references models,
    -- The settings the run started with; a change of parameters reaches the next run.
    config             jsonb,
    labelling          jsonb,
    champion_quality   jsonb,
    data_set_uri       text,
    data_set_hash      text,
    data_set           jsonb,
    job_name           text,
    job_artifact       text,
    job_seconds        integer,
    bundle_uri         text,
    gate               jsonb,
    registered_version text,
    trial              jsonb,
    -- Why a run is over, or what it waits for.
    reason             text,
    -- Since when every try of the present step failed for a passing reason.
    failing_since      timestamptz,
    requested_at       timestamptz not null default now(),
    started_at         timestamptz,
    state_since        timestamptz not null default now(),
    finished_at        timestamptz,
    check ((finished_at is not null) = (state in ('champion', 'rejected', 'rolled_back', 'failed'))),
    check (state in ('requested', 'rejected', 'failed') or started_at is not null),
    check (finished_at is null or state = 'champion' or reason is not null)
);

-- One run at a time: only one is past 'requested' and not over. Requests wait their turn.
create unique index training_runs_active on training_runs ((true))
    where finished_at is null and state <> 'requested';
create index training_runs_waiting on training_runs (id) where finished_at is null;

-- The story of a run: every transition, and every side effect with its facts.
create table training_run_events (
    id     bigint generated always as identity primary key,
    run_id bigint not null references training_runs,
    at     timestamptz not null default now(),
    -- The state the run was in, or came into.
    state  text not null,
    what   text not null,
    facts  jsonb not null default '{}'
);

create index training_run_events_story on training_run_events (run_id, id);

-- Which items a run asks labels for. Names and hashes, no text.
create table run_items (
    run_id       bigint not null references training_runs,
    fullname     text not null references items,
    content_hash bytea not null check (octet_length(content_hash) = 32),
    -- Subreddit and band of scores.
    stratum      text not null,
    -- How many items of the stratum it stands for: one over the chance of being chosen.
    weight       real not null check (weight >= 1),
    -- Never trained on.
    gold         boolean not null,
    -- How often the labeller gave no usable answer.
    refusals     smallint not null default 0,
    primary key (run_id, fullname)
);

alter table labels
    add column run_id         bigint references training_runs,
    -- Of an LLM.
    add column model          text,
    add column rubric_version text,
    add column rationale      text,
    -- Of the call that gave all labels of the item: sums belong to budget_spend.
    add column tokens         integer,
    add column cost_micros    bigint,
    -- Of a person's label: where it comes from.
    add column origin         text;

-- Training looks for labelled items of any age.
create index labels_recent on labels (labelled_at);

-- A rationale may quote the text, so it goes with it. A trigger: the release before scrubs items too.
create function forget_rationale() returns trigger language plpgsql as $$
begin
    update labels set rationale = null where fullname = new.fullname and rationale is not null;
    return new;
end $$;

create trigger items_forget_rationale after update of scrubbed_at on items
    for each row when (old.scrubbed_at is null and new.scrubbed_at is not null)
    execute function forget_rationale();

-- What labelling spent and may still be spending, for a run ('run-7') or a month ('month-2026-11').
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
    run_id      bigint not null references training_runs,
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
    from_version text references models,
    to_version   text references models,
    -- The model on trial that the switch concerns.
    challenger   text references models,
    share        real,
    run_id       bigint references training_runs,
    actor        text not null,
    reason       text not null,
    -- When the registry was told; it may lag, inference never asks it.
    mirrored_at  timestamptz,
    unique (run_id, action)
);

create index model_switches_unmirrored on model_switches (id) where mirrored_at is null;

-- How a challenger and its champion did beside each other in a trial. Inference adds to it.
create table trial_health (
    challenger    text not null references models,
    mode          text not null check (mode in ('shadow', 'canary')),
    model_version text not null references models,
    items         bigint not null default 0,
    failed        bigint not null default 0,
    load_failures bigint not null default 0,
    milliseconds  double precision not null default 0,
    primary key (challenger, mode, model_version)
);
