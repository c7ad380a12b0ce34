//! `modloop forget`: everything that an author wrote, wherever Modloop keeps it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use modloop_cloud::{BundleStorage, sdk_config};
use modloop_operator::Operator;
use modloop_store::Store;
use serde_json::json;

use crate::database::{DatabaseArgs, actor};
use crate::shipped;

/// Forget an author: take away the texts and the name from the database, from data sets, and from the folders of
/// training jobs on this machine.
///
/// Predictions and verdicts stay, as numbers about nobody. It cannot be undone.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  $ modloop forget u/somebody

Data sets of runs that hold the author's texts are deleted whole; they can be made again from the labels that are left.
Backups of the database keep the texts until they expire.")]
pub struct ForgetArgs {
    /// Name of the author, with or without u/; case does not matter.
    name: String,
    /// Bucket that holds data sets.
    #[arg(long, value_name = "BUCKET", env = "DATA_BUCKET")]
    data_bucket: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// Forgets, and says what was found.
pub async fn run(args: ForgetArgs) -> Result<()> {
    let store = args.database.connect().await?;
    let forgotten = Operator::new(&store, actor()?).forget(&args.name).await?;
    let versions = versions(&store, forgotten.runs.iter().copied()).await?;
    let data_sets = match (&args.data_bucket, versions.is_empty()) {
        (_, true) => 0,
        (Some(bucket), false) => delete_data_sets(bucket, &versions).await?,
        (None, false) => bail!(
            "the texts are gone from the database, but data sets of runs {:?} hold some of them: call this again with \
             --data-bucket BUCKET",
            forgotten.runs
        ),
    };
    let folders = delete_job_folders(&versions)?;
    let value = json!({
        "items": forgotten.items, "runs": forgotten.runs, "objects": data_sets, "folders": folders,
    });
    args.database.print(&value, || match forgotten.items.len() {
        0 => "Nothing by that author is stored here. The name is remembered as a keyed hash.".to_owned(),
        items => format!(
            "Forgot {items} items, {data_sets} objects of data sets and {} folders of training jobs.",
            folders.len()
        ),
    })
}

/// The names by which a run's data set and job go.
async fn versions(store: &Store, runs: impl Iterator<Item = i64>) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for run in runs {
        versions.extend(store.run(run).await?.map(|run| run.challenger_version.to_string()));
    }
    Ok(versions)
}

async fn delete_data_sets(bucket: &str, versions: &[String]) -> Result<usize> {
    let storage = BundleStorage::new(&sdk_config().await);
    let mut deleted = 0;
    for version in versions {
        let prefix = format!("s3://{bucket}/runs/{version}/");
        deleted += storage.delete_all(&prefix).await.with_context(|| format!("cannot delete {prefix}"))?;
    }
    Ok(deleted)
}

/// On a laptop jobs run in folders of their own.
fn delete_job_folders(versions: &[String]) -> Result<Vec<PathBuf>> {
    let Some(runs) = shipped::prepared("runs")? else { return Ok(Vec::new()) };
    let mut deleted = Vec::new();
    for folder in job_folders(&runs, versions) {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot delete {}", folder.display()))?;
        deleted.push(folder);
    }
    Ok(deleted)
}

/// Folders below `runs` that are named after the job of one of these versions.
fn job_folders(runs: &Path, versions: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![runs.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if versions.iter().any(|version| name == *version || name == format!("modloop-{version}")) {
                found.push(path);
            } else {
                open.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_these_jobs_are_found_at_any_depth_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["up/sagemaker/modloop-v2", "up/v2", "up/v20", "other"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("made");
        }
        let mut found = job_folders(folder.path(), &["v2".to_owned()]);
        found.sort();
        assert_eq!(found, [folder.path().join("up/sagemaker/modloop-v2"), folder.path().join("up/v2")]);
    }
}
