//! Whole runs against a real Postgres and real bundles. S3, SageMaker, the labeler and MLflow are stand-ins in
//! this process that can be away, and that can kill a run before and after each call takes effect.

mod ending;
mod killing;
mod outages;
mod whole;
mod world;
