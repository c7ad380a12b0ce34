use std::collections::BTreeMap;
use std::fmt;

use modloop_domain::{Fullname, ItemText, Label, ModelVersion, SubredditName};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::{column, count, named, parsed};
use crate::{Store, StoreError};

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TruthSource {
    /// A person.
    Human,
    /// An LLM.
    Llm,
}

/// A text with what is known about it; a person outranks an LLM, label by label.
#[derive(Clone, PartialEq)]
pub struct LabelledItem {
    /// Reddit's key.
    pub fullname: Fullname,
    /// Where it was posted.
    pub subreddit: SubredditName,
    /// The text that was labelled.
    pub text: ItemText,
    /// Has it, has it not; a label that is not here is not known.
    pub labels: BTreeMap<Label, (bool, TruthSource)>,
    /// Labelled in this run, or by a person since the last run that trained.
    pub is_new: bool,
    /// Chosen by this run.
    pub in_run: bool,
    /// How many items it stands for, where this run chose it.
    pub weight: f32,
    /// Whether its subreddit has an open drift episode, or is what the run was asked for.
    pub drifted: bool,
    /// The subreddit's own.
    pub review_threshold: f32,
    /// The champion's scores, in the order of its labels, where it scored this text.
    pub champion_scores: Option<Vec<f32>>,
}

impl fmt::Debug for LabelledItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in r/{}: {:?}", self.fullname, self.subreddit, self.labels)
    }
}

/// How often labeller and people said the same about a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreed {
    /// Which label.
    pub label: Label,
    /// Both say yes.
    pub both: u64,
    /// Only the LLM does.
    pub llm_only: u64,
    /// Only people do.
    pub human_only: u64,
    /// Nobody does.
    pub neither: u64,
}

const LABELLED: &str = "
    with truth as (
        select fullname, content_hash, jsonb_object_agg(label, jsonb_build_array(value, source)) as labels,
            max(labelled_at) as labelled_at,
            max(labelled_at) filter (where source = 'human') as human_at
        from (
            select distinct on (fullname, content_hash, label)
                fullname, content_hash, label, value, source, labelled_at
            from labels order by fullname, content_hash, label, (source = 'human') desc) best
        group by fullname, content_hash
    ), last as (
        select coalesce(max(started_at), '-infinity') as at
        from training_runs where data_set_uri is not null and id < $1
    )
    select i.fullname, s.name as subreddit, i.title, coalesce(i.body, '') as body, t.labels,
        s.review_threshold, p.scores, r.fullname is not null as in_run, coalesce(r.weight, 1) as weight,
        r.fullname is not null or coalesce(t.human_at > last.at, false) as is_new,
        exists (select from drift_episodes e where e.subreddit_id = s.id
            and (e.closed_at is null or e.id = (select episode from training_runs where id = $1))) as drifted
    from truth t cross join last
        join items i on i.fullname = t.fullname and i.content_hash = t.content_hash
        join subreddits s on s.id = i.subreddit_id
        left join run_items r on r.run_id = $1 and r.fullname = i.fullname and r.content_hash = i.content_hash
        left join predictions p on p.fullname = i.fullname and p.content_hash = i.content_hash
            and p.model_version = $2
    order by t.labelled_at desc, i.fullname limit $3";

/// Over everything that the LLM and the rubric of this run have in common with people.
const AGREEMENT: &str = "
    select l.label,
        count(*) filter (where l.value and h.value) as both,
        count(*) filter (where l.value and not h.value) as llm_only,
        count(*) filter (where not l.value and h.value) as human_only,
        count(*) filter (where not l.value and not h.value) as neither
    from labels l
        join labels h on h.fullname = l.fullname and h.content_hash = l.content_hash and h.label = l.label
            and h.source = 'human'
    where l.source = 'llm' and exists (
        select from labels mine where mine.run_id = $1 and mine.source = 'llm'
            and mine.model is not distinct from l.model
            and mine.rubric_version is not distinct from l.rubric_version)
    group by l.label order by l.label";

const DOING: &str = "reading labelled items";

impl Store {
    /// Texts with labels, the latest labels first. Scrubbed and edited items are not among them.
    pub async fn labelled_items(
        &self,
        run: i64,
        champion: &ModelVersion,
        limit: u32,
    ) -> Result<Vec<LabelledItem>, StoreError> {
        let rows = self.client.query(LABELLED, &[&run, &champion.as_str(), &i64::from(limit)]).await;
        rows.map_err(StoreError::query(DOING))?.iter().map(labelled).collect()
    }

    /// Where the labeller of this run and people judged the same texts.
    pub async fn agreement(&self, run: i64) -> Result<Vec<Agreed>, StoreError> {
        let rows = self.client.query(AGREEMENT, &[&run]).await.map_err(StoreError::query(DOING))?;
        rows.iter()
            .map(|row| {
                Ok(Agreed {
                    label: named(row, "label")?,
                    both: count(row, "both")?,
                    llm_only: count(row, "llm_only")?,
                    human_only: count(row, "human_only")?,
                    neither: count(row, "neither")?,
                })
            })
            .collect()
    }
}

fn labelled(row: &Row) -> Result<LabelledItem, StoreError> {
    let Json(labels): Json<BTreeMap<String, (bool, TruthSource)>> = column(row, "labels")?;
    let labels = labels.into_iter().map(|(label, truth)| Ok((parsed(&label, "label")?, truth)));
    Ok(LabelledItem {
        fullname: named(row, "fullname")?,
        subreddit: named(row, "subreddit")?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
        labels: labels.collect::<Result<_, StoreError>>()?,
        is_new: column(row, "is_new")?,
        in_run: column(row, "in_run")?,
        weight: column(row, "weight")?,
        drifted: column(row, "drifted")?,
        review_threshold: column(row, "review_threshold")?,
        champion_scores: column(row, "scores")?,
    })
}
