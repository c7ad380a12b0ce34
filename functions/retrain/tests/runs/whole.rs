//! From the request to the new champion.

use modloop_domain::RunState;
use modloop_store::labels::LabelKind;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_run_goes_from_the_request_to_a_new_champion() {
    let world = World::new().await;
    let run = world.until(RunState::Shadow).await;
    let challenger = run.challenger_version.to_string();
    assert_eq!(*world.outer.aliases.lock().expect("no panic"), ("v1".to_owned(), Some(challenger.clone())));

    world.serve(false).await;
    assert_eq!(world.tick().await.state, Some(RunState::Canary));
    world.serve(false).await;
    assert_eq!(world.tick().await.state, Some(RunState::Champion));
    assert_eq!(
        world.switches().await,
        [
            modloop_store::models::SwitchAction::Shadow,
            modloop_store::models::SwitchAction::Canary,
            modloop_store::models::SwitchAction::Promote
        ]
    );
    assert_eq!(*world.outer.aliases.lock().expect("no panic"), (challenger.clone(), None));
    assert_eq!(*world.outer.versions.lock().expect("no panic"), ["v1".to_owned(), challenger.clone()]);

    let run = world.run().await;
    let story = world.store().await.story(run.id).await.expect("reads");
    let mut states: Vec<String> = story.iter().map(|event| event.state.clone()).collect();
    states.dedup();
    let expected = [
        "requested",
        "sampling",
        "labeling",
        "training",
        "evaluating",
        "registered",
        "shadow",
        "canary",
        "champion",
    ];
    assert_eq!(states, expected);
    assert!(run.gate.is_some_and(|gate| gate["decision"] == "promote" && gate["checks"].is_array()));
    assert!(run.labeling.is_some_and(|labeling| labeling["tokens"] == 10_000));
    assert_eq!(run.job_seconds, Some(60));
}

#[tokio::test]
async fn the_data_set_holds_no_gold_and_says_what_it_holds() {
    let world = World::new().await;
    let run = world.until(RunState::Shadow).await;
    let files = world.outer.files.lock().expect("no panic").clone();
    let base = format!("s3://models/runs/{}/", run.challenger_version);
    let lines = |part: &str| -> Vec<String> {
        let bytes = &files[&format!("{base}{part}/{part}.jsonl.gz")];
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut text)
            .expect("text");
        text.lines().map(str::to_owned).collect()
    };
    let (train, gold) = (lines("train"), lines("dev"));
    assert!(train.iter().all(|line| !gold.contains(line)) && gold.len() > 10);
    assert_eq!(train.len() + gold.len(), 100);
    assert!(train[0].contains("\"source\":\"r/city_talk\"") && train[0].contains("\"hate\":"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&files[&format!("{base}manifest.json")]).expect("JSON");
    assert_eq!(manifest["parts"]["train"]["texts"], json!(train.len()));
    assert_eq!(manifest["hash"].as_str(), run.data_set_hash.as_deref());

    let job =
        world.outer.jobs.lock().expect("no panic")[&format!("modloop-{}", run.challenger_version)].clone();
    assert_eq!(job.channels["train"], format!("{base}train/"));
    assert_eq!(job.channels["model"], "s3://models/bundles/v1.tar.gz");
    assert!(!job.channels.contains_key("replay") && files.contains_key("s3://models/bundles/v1.tar.gz"));
    assert_eq!(job.hyperparameters["labels"], "hate,offensive");
}

#[tokio::test]
async fn labels_keep_their_origin_and_a_second_run_labels_nothing_twice() {
    let world = World::new().await;
    let run = world.until(RunState::Shadow).await;
    let items = world
        .store()
        .await
        .labeled_items(run.id, &"v1".parse().expect("a version"), 500)
        .await
        .expect("reads");
    assert_eq!(items.len(), 100);
    assert!(items.iter().all(|item| item.labels.values().all(|(_, source)| *source == LabelKind::Llm)));
    let asked = || world.outer.asked.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked(), 100);
    world
        .invoke(json!({"kind": "start", "by": "local:test", "reason": "by hand"}))
        .await
        .expect("alive")
        .expect("goes well");
    assert_eq!(asked(), 100, "the first run is still on trial");
}
