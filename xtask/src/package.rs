//! `package`: what `sam deploy` uploads to AWS.

use std::path::PathBuf;

use anyhow::Result;
use modloop_local::package::{Packaging, Profile};

use crate::layout::Layout;
use crate::report::Stages;
use crate::setup::Tools;

/// Compiles for Amazon Linux 2023, optimised, and lays out one folder a function.
pub(crate) async fn run(layout: &Layout) -> Result<()> {
    let tools = Tools::new(layout)?;
    let sam = tools.sam().await?;
    let packaging = Packaging {
        repository: layout.root.clone(),
        profile: Profile::Release { tools: tools.release().await? },
        onnxruntime: tools.onnxruntime().await?,
        bundle: modloop_environment::optional("MODLOOP_BUNDLE")?
            .map_or_else(|| layout.root.join("models/champion"), PathBuf::from),
        log: layout.home.join("logs/package.log"),
    };
    Stages::default().run("compile the functions for AWS", packaging.run()).await?;
    println!("Next: {} deploy --config-env dev", sam.display());
    Ok(())
}
