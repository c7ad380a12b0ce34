//! Checks of the templates, as a reviewer would run them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Tools;
use crate::layout::Layout;

/// Runs `sam validate --lint` on the stack and cfn-lint on every template.
pub(crate) fn lint_templates(layout: &Layout, tools: &Tools) -> Result<()> {
    let mut sam = Command::new(&tools.sam);
    sam.args(["validate", "--lint", "--region", "us-east-1", "--template-file", "infra/template.yaml"]);
    sam.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", layout.home.join("sam"));
    // Validation asks for some credentials, and uses none.
    sam.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
    check(&layout.root, sam, "sam validate --lint")?;
    let mut cfn_lint = Command::new(&tools.cfn_lint);
    cfn_lint.args(["infra/template.yaml", "infra/network.yaml", "infra/database.yaml"]);
    check(&layout.root, cfn_lint, "cfn-lint")
}

fn check(repository: &Path, mut command: Command, what: &str) -> Result<()> {
    let output = command.current_dir(repository).output().with_context(|| format!("run {what}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("{what} found faults:\n{}", String::from_utf8_lossy(&text));
    }
    Ok(())
}
