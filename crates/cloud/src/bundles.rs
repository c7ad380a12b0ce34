use std::path::Path;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use tokio::io::AsyncWriteExt;

use crate::CloudError;

/// Model bundles and data sets in S3.
#[derive(Debug, Clone)]
pub struct BundleStorage {
    client: Client,
}

impl BundleStorage {
    /// Path-style addresses are used with a local endpoint, which has no name per bucket.
    pub fn new(config: &SdkConfig) -> Self {
        let local = config.endpoint_url().is_some();
        let settings = aws_sdk_s3::config::Builder::from(config).force_path_style(local).build();
        Self { client: Client::from_conf(settings) }
    }

    /// Writes the object at `s3://bucket/key` to `destination`, piece by piece. What was written
    /// before an error stays there and must not be trusted.
    pub async fn download(&self, uri: &str, destination: &Path) -> Result<(), CloudError> {
        let (bucket, key) = split(uri)?;
        let write_error = |source| CloudError::Write { path: destination.display().to_string(), source };
        let mut answer = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .map_err(|e| CloudError::from_sdk(uri.to_owned(), e))?;
        let mut file = tokio::fs::File::create(destination).await.map_err(write_error)?;
        while let Some(piece) = answer
            .body
            .try_next()
            .await
            .map_err(|e| CloudError::Unavailable { what: uri.to_owned(), reason: e.to_string() })?
        {
            file.write_all(&piece).await.map_err(write_error)?;
        }
        file.flush().await.map_err(write_error)
    }

    /// Stores a file at `s3://bucket/key`, in the place of what is there.
    pub async fn upload(&self, file: &Path, uri: &str) -> Result<(), CloudError> {
        let (bucket, key) = split(uri)?;
        let unreadable = |reason: String| CloudError::Unexpected { what: file.display().to_string(), reason };
        let body = ByteStream::from_path(file).await.map_err(|e| unreadable(e.to_string()))?;
        let stored = self.client.put_object().bucket(bucket).key(key).body(body).send().await;
        stored.map(|_stored| ()).map_err(|e| CloudError::from_sdk(uri.to_owned(), e))
    }

    /// Deletes every object whose address begins with `prefix`; returns how many. May be repeated.
    pub async fn delete_all(&self, prefix: &str) -> Result<usize, CloudError> {
        let (bucket, start) = split(prefix)?;
        let failed = |e: aws_sdk_s3::error::BoxError| CloudError::Unexpected {
            what: prefix.to_owned(),
            reason: e.to_string(),
        };
        let mut deleted = 0;
        loop {
            let listed = self.client.list_objects_v2().bucket(bucket).prefix(start).send().await;
            let listed = listed.map_err(|e| CloudError::from_sdk(prefix.to_owned(), e))?;
            let keys: Vec<ObjectIdentifier> = listed
                .contents()
                .iter()
                .filter_map(|object| object.key())
                .map(|key| ObjectIdentifier::builder().key(key).build().map_err(|e| failed(e.into())))
                .collect::<Result<_, _>>()?;
            if keys.is_empty() {
                return Ok(deleted);
            }
            deleted += keys.len();
            let list = Delete::builder().set_objects(Some(keys)).build().map_err(|e| failed(e.into()))?;
            let answer = self.client.delete_objects().bucket(bucket).delete(list).send().await;
            let answer = answer.map_err(|e| CloudError::from_sdk(prefix.to_owned(), e))?;
            if let Some(error) = answer.errors().first() {
                let reason = error.message().unwrap_or("an object could not be deleted").to_owned();
                return Err(CloudError::Unexpected { what: prefix.to_owned(), reason });
            }
        }
    }

    /// Whether there is an object at `s3://bucket/key`.
    pub async fn exists(&self, uri: &str) -> Result<bool, CloudError> {
        let (bucket, key) = split(uri)?;
        match self.client.head_object().bucket(bucket).key(key).send().await {
            Ok(_found) => Ok(true),
            Err(error) if matches!(error.code(), Some("NotFound" | "NoSuchKey")) => Ok(false),
            Err(error) => Err(CloudError::from_sdk(uri.to_owned(), error)),
        }
    }
}

fn split(uri: &str) -> Result<(&str, &str), CloudError> {
    uri.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| CloudError::Unexpected {
            what: format!("bundle address {uri:?}"),
            reason: "expected s3://bucket/key".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_or_refused() {
        assert_eq!(split("s3://b/k/x.tar.gz").expect("an address"), ("b", "k/x.tar.gz"));
        for bad in ["", "s3://", "s3://b", "s3://b/", "https://b/k"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
