use modloop_bundle::testing;
use modloop_registry::testing::registry;
use modloop_registry::{Alias, RunInfo, register_bundle};

#[tokio::test]
async fn an_alias_moves_and_goes() {
    let registry = registry();
    assert_eq!(registry.alias(Alias::Champion).await.expect("asked"), None, "no model yet");
    let mut registered = Vec::new();
    for version in ["one", "two"] {
        let place = tempfile::tempdir().expect("a folder");
        let bundle = testing::bundle(&place.path().join("bundle"), version, 1);
        registered.push(register_bundle(&registry, &bundle, &RunInfo::default()).await.expect("registered"));
    }
    assert_eq!(registered.iter().map(|r| r.registry_version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(registry.alias(Alias::Challenger).await.expect("asked"), None, "not set");

    registry.set_alias(Alias::Champion, 1).await.expect("set");
    registry.set_alias(Alias::Champion, 1).await.expect("set again");
    registry.set_alias(Alias::Challenger, 2).await.expect("set");
    let champion = registry.alias(Alias::Champion).await.expect("asked").expect("set");
    assert_eq!(champion.registry_version, 1);
    assert_eq!(champion.version.as_ref(), Some(&registered[0].version));
    assert_eq!(champion.run_id.as_ref(), Some(&registered[0].run_id));

    registry.set_alias(Alias::Champion, 2).await.expect("moved");
    registry.delete_alias(Alias::Challenger).await.expect("deleted");
    registry.delete_alias(Alias::Challenger).await.expect("gone already");
    let champion = registry.alias(Alias::Champion).await.expect("asked").expect("set");
    assert_eq!(champion.registry_version, 2);
    assert_eq!(registry.alias(Alias::Challenger).await.expect("asked"), None);

    let error = registry.set_alias(Alias::Champion, 7).await.expect_err("no such version");
    assert!(!error.is_retryable() && error.to_string().contains("registered-models/alias"), "{error}");
}
