use std::sync::atomic::Ordering;

use modloop_domain::ModelVersion;
use modloop_registry::RunInfo;

use crate::{Context, RetrainError, bundles};

/// Lets the registry say what inference does: after every switch, and once in a process, so that the first
/// champion is registered on the first start.
pub(crate) async fn mirror(context: &Context) -> Result<(), RetrainError> {
    let switches = context.database.ask(async |store| store.unmirrored_switches().await).await?;
    if switches.is_empty() && context.champion_known.load(Ordering::Relaxed) {
        return Ok(());
    }
    let serving = context.database.ask(async |store| store.serving().await).await?;
    let champion = serving.champion.map_or_else(|| context.shipped.clone(), |model| model.version);
    ensure_registered(context, &champion).await?;
    let challenger = serving.challenger.map(|challenger| challenger.model.version);
    context.outside.registry.point(&champion, challenger.as_ref()).await?;
    if let Some(last) = switches.last() {
        context.database.ask(async |store| store.mark_mirrored(last.id).await).await?;
        tracing::info!(%champion, switches = switches.len(), "the registry says which models serve");
    }
    context.champion_known.store(true, Ordering::Relaxed);
    Ok(())
}

async fn ensure_registered(context: &Context, champion: &ModelVersion) -> Result<(), RetrainError> {
    if !context.outside.registry.knows(champion).await? {
        let open = bundles::open(context, champion).await?;
        context.outside.registry.register(&open.bundle, &RunInfo::default()).await?;
    }
    Ok(())
}
