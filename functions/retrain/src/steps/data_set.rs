use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use modloop_domain::{ItemId, Label, RunState};
use modloop_sampling::NearDuplicates;
use modloop_store::labels::LabeledItem;
use modloop_store::permissions::TrainingPermission;
use modloop_store::runs::RunUpdate;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Step, Work};
use crate::{RetrainError, bundles};

/// What a job trains on and is measured by.
pub(super) struct DataSet<'a> {
    /// New labels.
    pub(super) train: Vec<&'a LabeledItem>,
    /// Older ones, so that what was learnt is not forgotten.
    pub(super) replay: Vec<&'a LabeledItem>,
    /// Gold: never trained on.
    pub(super) gold: Vec<&'a LabeledItem>,
}

/// How many texts say what, for people and for the gate of too few.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Counts {
    texts: usize,
    labels: BTreeMap<Label, Classes>,
    sources: BTreeMap<String, usize>,
    communities: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Classes {
    with: usize,
    without: usize,
}

impl DataSet<'_> {
    fn items(&self) -> impl Iterator<Item = &LabeledItem> {
        [&self.train, &self.replay, &self.gold].into_iter().flatten().copied()
    }
}

impl Work<'_> {
    /// Writes the data set to S3 under the run's name, then moves on to training. Repeated, it overwrites.
    pub(super) async fn build_data_set(
        &self,
        permission: &TrainingPermission,
        progress: RunUpdate,
    ) -> Result<Step, RetrainError> {
        let (run, labels, champion) = (self.run.id, self.labels().await?, self.champion()?);
        let items = self.labeled_items(champion).await?;
        let items: Vec<LabeledItem> =
            items.into_iter().filter(|item| permission.covers(&item.community)).collect();
        let data_set = self.divide(&items)?;
        if let Some(reason) = self.too_little(&data_set, &labels) {
            return self.end(RunState::Rejected, &reason, progress).await;
        }
        if self.context.settings.training.is_none() {
            let reason = "there is no trainer: TRAINING_IMAGE is not set";
            return self.end(RunState::Rejected, reason, progress).await;
        }
        bundles::stored(self.context, champion).await?;
        // Noted first: an item that is deleted meanwhile is then known to be in the data set.
        let ids: Vec<ItemId> = data_set.items().map(|item| item.id.clone()).collect();
        self.context.database.ask(async |store| store.note_data_set(run, &ids).await).await?;
        let uri = self.data_set_uri();
        let (hash, manifest) = self.upload(&data_set, &labels, &uri).await?;
        let facts = json!({"uri": uri, "hash": hash, "train": data_set.train.len(),
            "replay": data_set.replay.len(), "gold": data_set.gold.len()});
        let progress = RunUpdate {
            data_set_uri: Some(uri),
            data_set_hash: Some(hash),
            data_set: Some(manifest),
            job_name: Some(self.job_name()),
            ..progress
        };
        self.move_to(RunState::Training, "the data set is stored", &progress, &facts).await
    }

    /// Gold by name; of the rest, what is nearly a gold text is left out: it would be trained on by heart.
    pub(super) fn divide<'b>(&self, items: &'b [LabeledItem]) -> Result<DataSet<'b>, RetrainError> {
        let share = self.gold()?;
        let (gold, rest): (Vec<_>, Vec<_>) = items.iter().partition(|item| share.holds(&item.id));
        let mut seen = NearDuplicates::default();
        for item in &gold {
            seen.add(&item.text.scored());
        }
        let rest = rest.into_iter().filter(|item| seen.add(&item.text.scored()));
        let (train, mut replay): (Vec<_>, Vec<_>) = rest.partition(|item| item.is_new);
        let share = self.settings.sampling.replay_share;
        replay.truncate((train.len() as f64 * share / (1.0 - share)).round() as usize);
        Ok(DataSet { train, replay, gold })
    }

    fn too_little(&self, data_set: &DataSet<'_>, labels: &[Label]) -> Option<String> {
        let training: Vec<_> = data_set.train.iter().chain(&data_set.replay).copied().collect();
        let sets = [
            ("to train on", counts(&training, labels), self.settings.sampling.min_class),
            ("in the gold set", counts(&data_set.gold, labels), self.settings.sampling.min_gold_class),
        ];
        for (where_, counts, least) in sets {
            for label in labels {
                let Classes { with, without } = counts.labels.get(label).copied().unwrap_or_default();
                if with < least || without < least {
                    return Some(format!(
                        "too few texts {where_} for {label}: {with} with it and {without} without, {least} of each are needed"
                    ));
                }
            }
        }
        None
    }

    async fn upload(
        &self,
        data_set: &DataSet<'_>,
        labels: &[Label],
        uri: &str,
    ) -> Result<(String, Value), RetrainError> {
        let folder = tempfile::tempdir().map_err(RetrainError::file("make a folder for the data set"))?;
        let mut hash = Sha256::new();
        let mut parts = Map::new();
        for (name, items) in self.parts(data_set) {
            let file = folder.path().join(format!("{name}.jsonl.gz"));
            write_lines(&file, items, labels, &mut hash).map_err(RetrainError::file("write the data set"))?;
            if !items.is_empty() {
                self.context.outside.files.upload(&file, &format!("{uri}{name}/{name}.jsonl.gz")).await?;
            }
            parts.insert(name.to_owned(), json!(counts(items, labels)));
        }
        let hash = hex::encode(hash.finalize());
        let manifest = json!({
            "run": self.run.id, "version": self.run.challenger_version, "champion": self.run.champion_version,
            "hash": hash, "code_version": env!("CARGO_PKG_VERSION"), "labels": labels, "parts": parts,
        });
        let file = folder.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string()).map_err(RetrainError::file("write the manifest"))?;
        self.context.outside.files.upload(&file, &format!("{uri}manifest.json")).await?;
        Ok((hash, manifest))
    }

    /// Named like the job's channels.
    fn parts<'b>(&self, data_set: &'b DataSet<'b>) -> [(&'static str, &'b [&'b LabeledItem]); 3] {
        [
            ("train", data_set.train.as_slice()),
            ("replay", data_set.replay.as_slice()),
            ("dev", data_set.gold.as_slice()),
        ]
    }

    fn data_set_uri(&self) -> String {
        let bucket = &self.context.settings.data_bucket;
        format!("s3://{bucket}/runs/{}/", self.run.challenger_version)
    }
}

fn write_lines(
    file: &Path,
    items: &[&LabeledItem],
    labels: &[Label],
    hash: &mut Sha256,
) -> std::io::Result<()> {
    // Without a time in its header the same lines give the same bytes.
    let mut gzip = GzBuilder::new().write(std::fs::File::create(file)?, Compression::default());
    for item in items {
        let line = format!("{}\n", line(item, labels));
        hash.update(&line);
        gzip.write_all(line.as_bytes())?;
    }
    gzip.finish()?.flush()
}

fn line(item: &LabeledItem, labels: &[Label]) -> Value {
    let mut line = Map::new();
    line.insert("id".into(), item.id.to_string().into());
    line.insert("text".into(), item.text.scored().into());
    line.insert("source".into(), item.community.to_string().into());
    for label in labels {
        let value = item.labels.get(label).map(|(value, _source)| u8::from(*value));
        line.insert(label.to_string(), json!(value));
    }
    Value::Object(line)
}

fn counts(items: &[&LabeledItem], labels: &[Label]) -> Counts {
    let mut counts = Counts { texts: items.len(), ..Counts::default() };
    for item in items {
        *counts.communities.entry(item.community.to_string()).or_default() += 1;
        for label in labels {
            let Some((value, source)) = item.labels.get(label) else { continue };
            let classes = counts.labels.entry(label.clone()).or_default();
            *if *value { &mut classes.with } else { &mut classes.without } += 1;
            let source = json!(source).as_str().unwrap_or_default().to_owned();
            *counts.sources.entry(format!("{source} {label}")).or_default() += 1;
        }
    }
    counts
}
