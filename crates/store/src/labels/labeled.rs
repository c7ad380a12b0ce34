use std::collections::BTreeMap;
use std::fmt;

use modloop_domain::{Community, CommunityThresholds, ItemId, ItemText, Label, ModelVersion};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use super::LabelKind;
use crate::communities::community;
use crate::row::{column, count, document, parse, parsed};
use crate::{Store, StoreError};

/// A text with what is known about it; people outrank LLMs, label by label.
#[derive(Clone, PartialEq)]
pub struct LabeledItem {
    /// Names it.
    pub id: ItemId,
    /// Where it was posted.
    pub community: Community,
    /// The text that was labeled.
    pub text: ItemText,
    /// Has it, has it not; a label that is not here is not known.
    pub labels: BTreeMap<Label, (bool, LabelKind)>,
    /// Labeled in this run, or by a person since the last run that trained.
    pub is_new: bool,
    /// Chosen by this run.
    pub in_run: bool,
    /// How many items it stands for, where this run chose it.
    pub weight: f32,
    /// Whether its community has an open drift episode, or is what the run was asked for.
    pub drifted: bool,
    /// The community's.
    pub thresholds: CommunityThresholds,
    /// The champion's scores, in the order of its labels, where it scored this text.
    pub champion_scores: Option<Vec<f32>>,
}

impl fmt::Debug for LabeledItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {:?}", self.id, self.community, self.labels)
    }
}

/// How often labeler and people said the same about a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgreementCounts {
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

const LABELED: &str = "
    with truth as (
        select item_id, content_hash, jsonb_object_agg(label, jsonb_build_array(value, kind)) as labels,
            max(at) as labeled_at, max(at) filter (where kind = 'person') as person_at
        from label_truth group by item_id, content_hash
    ), last as (
        select coalesce(max(started_at), '-infinity') as at
        from runs where data_set_uri is not null and id < $1
    )
    select i.id, c.source, c.name, x.title, x.body, t.labels, po.thresholds, p.scores,
        r.item_id is not null as in_run, coalesce(r.weight, 1) as weight,
        r.item_id is not null or coalesce(t.person_at > last.at, false) as is_new,
        exists (select from drift_episodes e where e.community_id = c.id
            and (e.closed_at is null or e.id = (select episode from runs where id = $1))) as drifted
    from truth t cross join last
        join items i on i.id = t.item_id and i.content_hash = t.content_hash
        join item_texts x on x.part = i.part and x.item_id = i.id
        join communities c on c.id = i.community_id join policies po on po.id = c.policy_id
        left join run_items r on r.run_id = $1 and r.item_id = i.id and r.content_hash = i.content_hash
        left join models m on m.version = $2
        left join predictions p on p.part = i.part and p.item_id = i.id and p.content_hash = i.content_hash
            and p.model_id = m.id
    order by t.labeled_at desc, i.id limit $3";

/// Over everything that the LLM and the rubric of this run have in common with people.
const AGREEMENT: &str = "
    with people as (
        select item_id, content_hash, label, value from label_truth where kind = 'person'
    )
    select l.label,
        count(*) filter (where l.value and h.value) as both,
        count(*) filter (where l.value and not h.value) as llm_only,
        count(*) filter (where not l.value and h.value) as human_only,
        count(*) filter (where not l.value and not h.value) as neither
    from labels l join people h using (item_id, content_hash, label)
    where l.kind = 'llm' and exists (
        select from labels mine where mine.run_id = $1 and mine.kind = 'llm'
            and mine.actor = l.actor and mine.rubric = l.rubric)
    group by l.label order by l.label";

const DOING: &str = "reading labeled items";

impl Store {
    /// Texts with labels, the latest labels first. Deleted and edited items are not among them.
    pub async fn labeled_items(
        &self,
        run: i64,
        champion: &ModelVersion,
        limit: u32,
    ) -> Result<Vec<LabeledItem>, StoreError> {
        let parameters = [
            (&run as _, Type::INT8),
            (&champion.as_str() as _, Type::TEXT),
            (&i64::from(limit) as _, Type::INT8),
        ];
        self.rows(DOING, LABELED, &parameters).await?.iter().map(labeled).collect()
    }

    /// Where the labeler of this run and people judged the same texts.
    pub async fn agreement(&self, run: i64) -> Result<Vec<AgreementCounts>, StoreError> {
        let rows = self.rows(DOING, AGREEMENT, &[(&run as _, Type::INT8)]).await?;
        let agreement = |row: &Row| {
            Ok(AgreementCounts {
                label: parsed(row, "label")?,
                both: count(row, "both")?,
                llm_only: count(row, "llm_only")?,
                human_only: count(row, "human_only")?,
                neither: count(row, "neither")?,
            })
        };
        rows.iter().map(agreement).collect()
    }
}

fn labeled(row: &Row) -> Result<LabeledItem, StoreError> {
    let Json(labels): Json<BTreeMap<String, (bool, LabelKind)>> = column(row, "labels")?;
    let labels = labels.into_iter().map(|(label, truth)| Ok((parse(&label, "label")?, truth)));
    Ok(LabeledItem {
        id: parsed(row, "id")?,
        community: community(row)?,
        text: ItemText::new(column(row, "title")?, column(row, "body")?),
        labels: labels.collect::<Result<_, StoreError>>()?,
        is_new: column(row, "is_new")?,
        in_run: column(row, "in_run")?,
        weight: column(row, "weight")?,
        drifted: column(row, "drifted")?,
        thresholds: document(row, "thresholds")?,
        champion_scores: column(row, "scores")?,
    })
}
