//! Training jobs by the stand-in, with a real S3 protocol behind it and small scripts in place of the trainer.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use modloop_local::cloud::{Cloud, CloudFiles};
use modloop_local::sagemaker::{Image, Options, StandIn, Trainer};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

const SOON: Duration = Duration::from_secs(60);

/// A cloud with one object of training data, and a stand-in whose container is `script`.
struct Scene {
    place: tempfile::TempDir,
    cloud: Cloud,
    stand_in: Option<StandIn>,
    events: UnboundedReceiver<Value>,
}

impl Scene {
    async fn new(script: &str) -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
        let home =
            std::env::var_os("MODLOOP_HOME").map_or_else(|| repository.join(".modloop"), PathBuf::from);
        let program = home.join("tools/cloud/bin/ministack");
        ensure!(
            program.exists(),
            "{} is missing: run `cargo xtask test`, which prepares it",
            program.display()
        );
        let place = tempfile::tempdir()?;
        let files = CloudFiles {
            program,
            folder: place.path().join("cloud"),
            log: place.path().join("cloud.log"),
            sagemaker: None,
        };
        let cloud = Cloud::start(&files).await?;
        let s3 = s3(cloud.endpoint().url());
        s3.create_bucket().bucket("data").send().await?;
        s3.put_object()
            .bucket("data")
            .key("runs/1/train/part.jsonl")
            .body(b"{}\n".to_vec().into())
            .send()
            .await?;
        let program = place.path().join("trainer");
        std::fs::write(&program, format!("#!/bin/sh\ncd \"$MODLOOP_ML_ROOT\"\n{script}\n"))?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let mut scene = Self { place, cloud, stand_in: None, events: unbounded_channel().1 };
        scene.start().await?;
        Ok(scene)
    }

    async fn start(&mut self) -> Result<()> {
        let trainer = Trainer { program: self.place.path().join("trainer"), environment: Vec::new() };
        self.start_with(watch::channel(Image::Ready(trainer)).1).await
    }

    async fn start_with(&mut self, image: watch::Receiver<Image>) -> Result<()> {
        // First the old one ends.
        self.stand_in = None;
        let (events, receiver) = unbounded_channel();
        self.events = receiver;
        let options = Options {
            folder: self.place.path().join("jobs"),
            image,
            s3_endpoint: self.cloud.endpoint().url().to_owned(),
            events,
        };
        self.stand_in = Some(StandIn::start(options).await?);
        Ok(())
    }

    async fn call(&self, action: &str, input: &Value) -> Result<Value, String> {
        let url = self.stand_in.as_ref().expect("started").url().to_owned();
        let request = reqwest::Client::new()
            .post(url)
            .header("X-Amz-Target", format!("SageMaker.{action}"))
            .body(input.to_string());
        let answer = request.send().await.expect("an answer");
        let ok = answer.status().is_success();
        let body: Value = answer.json().await.expect("JSON");
        if ok { Ok(body) } else { Err(body["__type"].as_str().unwrap_or_default().to_owned()) }
    }

    async fn describe(&self) -> Value {
        self.call("DescribeTrainingJob", &json!({"TrainingJobName": "run-1"})).await.expect("a job")
    }

    /// Waits for the event that tells of this status, primary or secondary.
    async fn until(&mut self, status: &str) -> Result<Value> {
        let wanted = async {
            while let Some(event) = self.events.recv().await {
                let detail = &event["detail"];
                if detail["TrainingJobStatus"] == status || detail["SecondaryStatus"] == status {
                    return Some(event);
                }
            }
            None
        };
        let event = tokio::time::timeout(SOON, wanted).await;
        event.ok().flatten().with_context(|| format!("the job never came to {status}"))
    }
}

fn s3(endpoint: &str) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_s3::Client::from_conf(settings)
}

fn request() -> Value {
    json!({
        "TrainingJobName": "run-1",
        "RoleArn": "arn:aws:iam::000000000000:role/training",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "HyperParameters": {"epochs": "2"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource":
            {"S3DataType": "S3Prefix", "S3Uri": "s3://data/runs/1/train/"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://data/runs/1/output"},
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    })
}

#[tokio::test]
async fn a_job_gets_its_inputs_and_its_bundle_ends_in_s3() -> Result<()> {
    let script = "cat input/data/train/part.jsonl input/config/hyperparameters.json > model/bundle.json; echo $* >> model/bundle.json";
    let mut scene = Scene::new(script).await?;
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    let event = scene.until("Completed").await?;
    assert_eq!(event["detail-type"], "SageMaker Training Job State Change");
    let model = scene.describe().await["ModelArtifacts"]["S3ModelArtifacts"].clone();
    assert_eq!(model, "s3://data/runs/1/output/run-1/output/model.tar.gz");

    let s3 = s3(scene.cloud.endpoint().url());
    let object = s3.get_object().bucket("data").key("runs/1/output/run-1/output/model.tar.gz").send().await?;
    let bytes = object.body.collect().await?.into_bytes();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    let mut found = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.ends_with("bundle.json") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            found = Some(text);
        }
    }
    assert_eq!(found.as_deref(), Some("{}\n{\"epochs\":\"2\"}sagemaker train\n"));
    Ok(())
}

#[tokio::test]
async fn a_failed_job_tells_the_reason_that_the_program_wrote() -> Result<()> {
    let mut scene = Scene::new("printf 'the loss became NaN' > output/failure; exit 1").await?;
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    let event = scene.until("Failed").await?;
    assert_eq!(event["detail"]["FailureReason"], "AlgorithmError: the loss became NaN");
    assert_eq!(scene.describe().await["TrainingJobStatus"], "Failed");
    Ok(())
}

#[tokio::test]
async fn missing_data_is_the_callers_error() -> Result<()> {
    let mut scene = Scene::new("exit 0").await?;
    let mut request = request();
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = json!("s3://data/nothing/");
    scene.call("CreateTrainingJob", &request).await.expect("created");
    let event = scene.until("Failed").await?;
    let reason = event["detail"]["FailureReason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("ClientError: Data download failed: No S3 objects found"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn what_sagemaker_refuses_is_refused() -> Result<()> {
    let mut scene = Scene::new("exit 0").await?;
    let unknown = scene.call("DescribeTrainingJob", &json!({"TrainingJobName": "nobody"})).await;
    assert_eq!(unknown.expect_err("no such job"), "ValidationException");
    let broken = [
        ("/TrainingJobName", json!("run 1")),
        ("/RoleArn", Value::Null),
        ("/HyperParameters", json!({"epochs": 2})),
        ("/EnableManagedSpotTraining", json!(true)),
    ];
    for (member, value) in broken {
        let mut request = request();
        request[&member[1..]] = value;
        let refused = scene.call("CreateTrainingJob", &request).await;
        assert_eq!(refused.expect_err(member), "ValidationException");
    }
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    let twice = scene.call("CreateTrainingJob", &request()).await;
    assert_eq!(twice.expect_err("the name is taken"), "ResourceInUse");
    scene.until("Completed").await?;
    let stopped = scene.call("StopTrainingJob", &json!({"TrainingJobName": "run-1"})).await;
    assert_eq!(stopped.expect_err("over"), "ValidationException");
    Ok(())
}

#[tokio::test]
async fn a_stopped_job_may_save_first() -> Result<()> {
    let script = "trap 'echo saved > checkpoints/step; exit 0' TERM; echo up > output/up; while true; do sleep 0.05; done";
    let mut scene = Scene::new(script).await?;
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    scene.until("Training").await?;
    let ml = scene.place.path().join("jobs/run-1/ml");
    while !ml.join("output/up").exists() {
        tokio::task::yield_now().await;
    }
    scene.call("StopTrainingJob", &json!({"TrainingJobName": "run-1"})).await.expect("stopping");
    scene.until("Stopped").await?;
    assert_eq!(std::fs::read_to_string(ml.join("checkpoints/step"))?, "saved\n");
    Ok(())
}

#[tokio::test]
async fn a_job_that_was_cut_off_goes_on_from_its_checkpoints() -> Result<()> {
    let script = "if [ -e checkpoints/half ]; then echo whole > model/bundle.json; exit 0; fi\n\
                  echo half > checkpoints/half; while true; do sleep 0.05; done";
    let mut scene = Scene::new(script).await?;
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    scene.until("Training").await?;
    let checkpoint = scene.place.path().join("jobs/run-1/ml/checkpoints/half");
    while !checkpoint.exists() {
        tokio::task::yield_now().await;
    }
    scene.start().await?;
    scene.until("Completed").await?;
    assert_eq!(scene.stand_in.as_ref().map(StandIn::jobs), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_job_waits_for_its_image() -> Result<()> {
    let mut scene = Scene::new("echo whole > model/bundle.json").await?;
    let (registry, image) = watch::channel(Image::Pulling);
    scene.start_with(image).await?;
    scene.call("CreateTrainingJob", &request()).await.expect("created");
    assert_eq!(scene.describe().await["SecondaryStatus"], "Starting");
    let program = scene.place.path().join("trainer");
    registry.send_replace(Image::Ready(Trainer { program, environment: Vec::new() }));
    scene.until("Completed").await?;

    let (_registry, image) = watch::channel(Image::Missing("it does not compile".to_owned()));
    scene.start_with(image).await?;
    let mut request = request();
    request["TrainingJobName"] = json!("run-2");
    scene.call("CreateTrainingJob", &request).await.expect("created");
    let event = scene.until("Failed").await?;
    assert_eq!(event["detail"]["FailureReason"], "ClientError: the image: it does not compile");
    Ok(())
}
