//! Secrets, as the functions read them.

use aws_sdk_secretsmanager::primitives::Blob;
use modloop_cloud::{CloudError, secret};
use serde::Deserialize;

use crate::cloud::unique_name;
use crate::made::{Corner, Made};

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Account {
    username: String,
    password: String,
}

fn account(password: &str) -> Account {
    Account { username: "modloop".to_owned(), password: password.to_owned() }
}

#[tokio::test]
async fn a_secret_is_read_and_after_its_rotation_the_new_one() {
    let corner = Corner::open().await;
    let arn = corner.secret(r#"{"username":"modloop","password":"first „ü\""}"#).await;
    let read = async || secret::<Account>(&corner.config, &arn).await.expect("a secret");
    assert_eq!(read().await, account("first „ü\""));
    let put = corner.secrets().put_secret_value().secret_id(&arn);
    put.secret_string(r#"{"username":"modloop","password":"second"}"#).send().await.expect("rotated");
    assert_eq!(read().await, account("second"));
}

#[tokio::test]
async fn a_secret_that_is_missing_or_deleted_is_named_and_not_tried_again() {
    let corner = Corner::open().await;
    let missing = unique_name("no-secret");
    let deleted = corner.secret("{}").await;
    corner.secrets().delete_secret().secret_id(&deleted).send().await.expect("will be deleted");
    for id in [missing, deleted] {
        let error = secret::<Account>(&corner.config, &id).await.expect_err("not to be had");
        assert!(matches!(error, CloudError::Refused { .. }) && !error.is_retryable(), "{error}");
        assert!(error.to_string().contains(&id), "{error}");
    }
}

#[tokio::test]
async fn a_secret_of_another_form_is_refused_and_never_shown() {
    let corner = Corner::open().await;
    for text in ["hunter2", r#"{"password":"hunter2"}"#, r#"{"username":7,"password":"hunter2"}"#] {
        let arn = corner.secret(text).await;
        let error = secret::<Account>(&corner.config, &arn).await.expect_err(text);
        assert!(matches!(error, CloudError::Unexpected { .. }) && !error.is_retryable(), "{error}");
        let told = format!("{error} {error:?}");
        assert!(told.contains(&arn) && !told.contains("hunter2"), "{told}");
    }
    let name = unique_name("binary");
    corner.note(Made::Secret(name.clone()));
    let create = corner.secrets().create_secret().name(&name);
    create.secret_binary(Blob::new(*b"hunter2")).send().await.expect("a secret");
    let error = secret::<Account>(&corner.config, &name).await.expect_err("binary").to_string();
    assert!(error.contains("binary") && !error.contains("hunter2"), "{error}");
}
