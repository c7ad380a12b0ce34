//! The servers themselves, with the tools that `cargo xtask` prepared.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use modloop_local::cloud::{Cloud, CloudFiles};
use modloop_local::functions::{InvokeError, invoke, kill_processes_of};
use modloop_local::logs::function_log;
use modloop_local::postgres::{Postgres, PostgresFiles};
use modloop_local::queues::Queue;
use modloop_local::secrets::put_secret;
use serde_json::json;

/// A prepared tool, in the folder that `cargo xtask` prepares.
fn tool(path: &str) -> Result<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
    let home = std::env::var_os("MODLOOP_HOME").map_or_else(|| repository.join(".modloop"), PathBuf::from);
    let tool = home.join("tools").join(path);
    ensure!(tool.exists(), "{} is missing: run `cargo xtask test`, which prepares it", tool.display());
    Ok(tool)
}

fn postgres_files(place: &Path) -> Result<PostgresFiles> {
    Ok(PostgresFiles {
        installation: tool("postgres")?,
        folder: place.join("postgres"),
        log: place.join("postgres.log"),
    })
}

fn query(postgres: &Postgres, sql: &str) -> Result<String> {
    let psql = tool("postgres/bin/psql")?;
    let libraries = tool("postgres/lib")?;
    let output = std::process::Command::new(psql)
        .env("LD_LIBRARY_PATH", libraries)
        .args([&postgres.url(), "-qtAc", sql])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn postgres_keeps_its_data_its_port_and_its_password() -> Result<()> {
    let place = tempfile::tempdir()?;
    let files = postgres_files(place.path())?;
    let mut postgres = Postgres::start(files.clone()).await?;
    let second = Postgres::start(files.clone()).await.expect_err("one is running");
    assert!(second.to_string().starts_with("another run uses "), "{second}");
    query(&postgres, "create table seen as select 'ünïcode' as word")?;
    postgres.restart().await?;
    assert_eq!(query(&postgres, "select word from seen")?, "ünïcode");
    let url = postgres.url();
    drop(postgres);

    let postgres = Postgres::start(files).await?.throw_away();
    assert_eq!(postgres.url(), url);
    assert_eq!(query(&postgres, "select word from seen")?, "ünïcode");
    // Elsewhere than asked for when we are root, since Postgres runs under another account then.
    let data = PathBuf::from(query(&postgres, "show data_directory")?);
    assert!(data.exists());
    drop(postgres);
    assert!(!data.exists());
    Ok(())
}

fn cloud_files(place: &Path) -> Result<CloudFiles> {
    Ok(CloudFiles {
        program: tool("cloud/bin/ministack")?,
        folder: place.join("cloud"),
        log: place.join("cloud.log"),
        sagemaker: None,
    })
}

#[tokio::test]
async fn a_secret_changes_its_value_and_keeps_its_address_over_a_restart() -> Result<()> {
    let place = tempfile::tempdir()?;
    let files = cloud_files(place.path())?;
    let cloud = Cloud::start(&files).await?;
    let endpoint = cloud.endpoint().clone();
    let first = put_secret(&endpoint, "modloop/database", &json!({"password": "one"})).await?;
    cloud.stop();

    let cloud = Cloud::start(&files).await?;
    assert_eq!(cloud.endpoint().url(), endpoint.url());
    let second = put_secret(cloud.endpoint(), "modloop/database", &json!({"password": "two"})).await?;
    assert_eq!(first, second);
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_named() -> Result<()> {
    let place = tempfile::tempdir()?;
    let cloud = Cloud::start(&cloud_files(place.path())?).await?;
    let error = invoke(cloud.endpoint(), "modloop-fetch", &json!({})).await.expect_err("not deployed");
    assert!(matches!(&error, InvokeError::Refused { status: 404, .. }), "{error}");
    let error = Queue::find(cloud.endpoint(), "modloop-score").await.expect_err("not deployed");
    assert!(error.to_string().contains("GetQueueUrl"), "{error}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    assert!(function_log(cloud.endpoint(), "modloop-fetch", i64::try_from(now)?).await.is_err());
    assert_eq!(kill_processes_of("modloop-fetch", cloud.process_group())?, 0);
    Ok(())
}
