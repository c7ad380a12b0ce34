//! What retraining needs beside the cloud: training jobs, and somebody who labels.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use modloop_local::cloud::Cloud;
use modloop_local::deploy::Function;
use modloop_local::endpoint::Endpoint;
use modloop_local::functions::invoke;
use modloop_local::labeler::{self, API_KEY, MODEL, feed_judge};
use modloop_local::sagemaker::{self, Image, Sources, Trainer};
use modloop_local::secrets::put_secret;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::settings::OwnLabeler;

/// Dollars for a million tokens in and out at the stand-in: about those of a small model.
const STAND_IN_PRICES: (f64, f64) = (0.15, 0.6);

/// Of the form that the template asks for; nothing is pulled.
const IMAGE: &str = "000000000000.dkr.ecr.us-east-1.amazonaws.com/modloop-train:this-machine";

/// A small champion learns a new turn of language from some hundred texts in three minutes on two cores.
pub(crate) const HYPERPARAMETERS: [(&str, &str); 7] = [
    ("epochs", "2"),
    ("batch_size", "16"),
    ("learning_rate", "4e-5"),
    ("head_learning_rate", "5e-4"),
    ("dropout", "0"),
    ("max_tokens", "64"),
    ("template_lines", "3000"),
];

/// Who labels.
pub(crate) enum Labelers {
    /// The loopback stand-in, which knows what the synthetic feed means.
    StandIn(labeler::Handle),
    /// An endpoint of the person's own.
    Own(OwnLabeler),
    /// People alone: nobody else can judge what the real Reddit says.
    Nobody,
}

impl Labelers {
    /// The person's own, or the stand-in where the feed is one too.
    pub(crate) async fn start(own: Option<OwnLabeler>, synthetic: bool) -> Result<Self> {
        match own {
            Some(own) => Ok(Self::Own(own)),
            None if synthetic => {
                Ok(Self::StandIn(labeler::StandIn::start(labeler::Options::new(feed_judge())).await?))
            }
            None => Ok(Self::Nobody),
        }
    }

    /// The model that labels, and its prices in dollars for a million tokens in and out.
    pub(crate) fn model(&self) -> Option<(&str, (f64, f64))> {
        match self {
            Self::StandIn(_) => Some((MODEL, STAND_IN_PRICES)),
            Self::Own(own) => Some((&own.model, own.prices)),
            Self::Nobody => None,
        }
    }

    /// Template parameters; the key becomes a secret.
    pub(crate) async fn parameters(&self, cloud: &Cloud) -> Result<Vec<(&'static str, String)>> {
        let (url, key) = match self {
            Self::StandIn(stand_in) => (stand_in.url().to_string(), API_KEY),
            Self::Own(own) => (own.url.clone(), own.key.as_str()),
            Self::Nobody => return Ok(Vec::new()),
        };
        let key = json!({"api_key": key});
        let secret = put_secret(cloud.endpoint(), "modloop/labeler", &key).await;
        Ok(vec![("LabelerUrl", url), ("LabelerSecretArn", secret.context("cannot store the labeler's key")?)])
    }
}

/// Training jobs on this machine, whose changes of state reach the retrain function as EventBridge would
/// bring them. Dropping it stops them; they go on at the next start.
pub(crate) struct TrainingJobs {
    _jobs: sagemaker::StandIn,
    image: watch::Sender<Image>,
    deliveries: JoinHandle<()>,
}

impl Drop for TrainingJobs {
    fn drop(&mut self) {
        self.deliveries.abort();
    }
}

impl TrainingJobs {
    /// Starts taking jobs, which wait until [`TrainingJobs::build_trainer`] is done.
    pub(crate) async fn start(folder: PathBuf, cloud: &Cloud) -> Result<Self> {
        let (image, pulled) = watch::channel(Image::Pulling);
        let (events, received) = mpsc::unbounded_channel();
        let endpoint = cloud.endpoint().clone();
        let s3_endpoint = endpoint.url().to_owned();
        let options = sagemaker::Options { folder, image: pulled, s3_endpoint, events };
        let jobs = sagemaker::StandIn::start(options).await?;
        Ok(Self { _jobs: jobs, image, deliveries: tokio::spawn(deliver(endpoint, received)) })
    }

    /// Compiles the trainer, which stands for the image of the jobs.
    pub(crate) async fn build_trainer(&self, sources: Sources) -> Result<()> {
        build(sources, self.image.clone()).await;
        match &*self.image.borrow() {
            Image::Missing(reason) => bail!("the trainer cannot be built: {reason}"),
            Image::Pulling | Image::Ready(_) => Ok(()),
        }
    }

    /// The same while other things go on.
    pub(crate) fn build_trainer_in_background(&self, sources: Sources) {
        tokio::spawn(build(sources, self.image.clone()));
    }

    /// One line for the status.
    pub(crate) fn line(&self) -> String {
        match &*self.image.borrow() {
            Image::Pulling => "on this machine; the trainer is being compiled".to_owned(),
            Image::Ready(_) => "on this machine".to_owned(),
            Image::Missing(reason) => format!("not possible: {}", reason.replace('\n', " ")),
        }
    }

    /// Template parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("TrainingImage", IMAGE.to_owned())]
    }
}

async fn build(sources: Sources, image: watch::Sender<Image>) {
    let built = Trainer::compile(&sources).await;
    image.send_replace(match built {
        Ok(trainer) => Image::Ready(trainer),
        Err(error) => Image::Missing(format!("{error:#}")),
    });
}

/// A job's change of state may come while the function is being deployed or busy: its clock looks again.
async fn deliver(endpoint: Endpoint, mut events: mpsc::UnboundedReceiver<Value>) {
    while let Some(event) = events.recv().await {
        if let Err(error) = invoke(&endpoint, Function::Retrain.name(), &event).await {
            tracing::debug!(%error, "a change of a training job was not taken");
        }
    }
}
