//! Our paths through S3, SQS, Secrets Manager and EventBridge, against any cloud on one address.
//!
//! MODLOOP_TEST_ENDPOINT, such as `http://127.0.0.1:4566` for LocalStack, names the cloud; region and
//! credentials come from the usual AWS variables, and have values that local clouds take. Without it the
//! tests start the local cloud that `cargo xtask` prepared.
//!
//! Everything that a test makes has a name of its own and is deleted when the test ends, failed or not.

mod bundles;
mod cloud;
mod environment;
mod made;
mod queues;
mod rules;
mod secrets;
mod trouble;
