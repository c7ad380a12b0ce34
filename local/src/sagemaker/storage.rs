//! Inputs and outputs in the local cloud's S3.

use std::path::Path;

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;

use crate::cloud::CREDENTIAL;
use crate::endpoint::REGION;

/// A client for one local endpoint. The person's own AWS settings are not looked at.
pub(crate) fn client(endpoint: &str) -> Client {
    let settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(CREDENTIAL, CREDENTIAL, None, None, "local"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(settings)
}

/// Copies every object below an `s3://bucket/prefix` into `folder`, under the rest of its key.
pub(crate) async fn download(s3: &Client, uri: &str, folder: &Path) -> Result<()> {
    let (bucket, prefix) = split(uri)?;
    let mut pages = s3.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let mut found = 0;
    while let Some(page) = pages.next().await {
        for object in page.with_context(|| format!("list {uri}"))?.contents() {
            let key = object.key().unwrap_or_default();
            found += 1;
            fetch(s3, bucket, key, &folder.join(below(key, prefix))).await?;
        }
    }
    if found == 0 {
        bail!("No S3 objects found under S3 URL \"{uri}\" given in input data source");
    }
    Ok(())
}

/// The part of a key that becomes a file's path: what follows the prefix, or the last name where it is the key itself.
fn below<'a>(key: &'a str, prefix: &str) -> &'a str {
    let folder = prefix.rfind('/').map_or(0, |slash| slash + 1);
    let rest = if prefix.ends_with('/') || key == prefix { &key[folder..] } else { &key[prefix.len()..] };
    rest.trim_start_matches('/')
}

async fn fetch(s3: &Client, bucket: &str, key: &str, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        tokio::fs::create_dir_all(folder).await.with_context(|| format!("create {}", folder.display()))?;
    }
    let object = s3.get_object().bucket(bucket).key(key).send().await;
    let mut body = object.with_context(|| format!("read s3://{bucket}/{key}"))?.body.into_async_read();
    let mut file = tokio::fs::File::create(to).await.with_context(|| format!("create {}", to.display()))?;
    tokio::io::copy(&mut body, &mut file).await.with_context(|| format!("write {}", to.display()))?;
    Ok(())
}

/// Stores a file as an object.
pub(crate) async fn upload(s3: &Client, file: &Path, uri: &str) -> Result<()> {
    let (bucket, key) = split(uri)?;
    let body = ByteStream::from_path(file).await.with_context(|| format!("read {}", file.display()))?;
    s3.put_object()
        .bucket(bucket)
        .key(key)
        .body(body)
        .send()
        .await
        .with_context(|| format!("write {uri}"))?;
    Ok(())
}

fn split(uri: &str) -> Result<(&str, &str)> {
    uri.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("{uri:?} is no s3://bucket/key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_place_below_the_prefix() {
        assert_eq!(below("runs/7/train/a.jsonl.gz", "runs/7/train/"), "a.jsonl.gz");
        assert_eq!(below("runs/7/train/b/a.jsonl", "runs/7/train"), "b/a.jsonl");
        assert_eq!(below("bundles/1.tar.gz", "bundles/1.tar.gz"), "1.tar.gz");
    }
}
