//! The client against a real MLflow server, the one of MLFLOW_TRACKING_URI.

mod aliases;
mod artifacts;
mod cut_off;
mod logging;
mod logins;
mod proxy;
mod unreachable;
