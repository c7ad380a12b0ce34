//! Checks of the templates, as a reviewer would run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Tools;
use crate::layout::Layout;

/// Programs that check templates.
pub(crate) struct Linters {
    sam: PathBuf,
    cfn_lint: PathBuf,
}

impl Tools<'_> {
    /// The linters of templates.
    pub(crate) async fn linters(&self) -> Result<Linters> {
        let programs = self.aws_tools().await?;
        Ok(Linters { sam: programs.join("sam"), cfn_lint: programs.join("cfn-lint") })
    }
}

impl Linters {
    /// Runs `sam validate --lint` on the stack and cfn-lint on every template.
    pub(crate) fn check(&self, layout: &Layout) -> Result<()> {
        let mut sam = Command::new(&self.sam);
        sam.args(["validate", "--lint", "--region", "us-east-1", "--template-file", "infra/template.yaml"]);
        sam.env("SAM_CLI_TELEMETRY", "0").env("__SAM_CLI_APP_DIR", layout.home.join("sam"));
        // Validation asks for some credentials, and uses none.
        sam.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
        succeed(&layout.root, sam, "sam validate --lint")?;
        let mut cfn_lint = Command::new(&self.cfn_lint);
        cfn_lint.args(["infra/template.yaml", "infra/network.yaml", "infra/database.yaml"]);
        succeed(&layout.root, cfn_lint, "cfn-lint")
    }
}

fn succeed(repository: &Path, mut command: Command, what: &str) -> Result<()> {
    let output = command.current_dir(repository).output().with_context(|| format!("run {what}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("{what} found faults:\n{}", String::from_utf8_lossy(&text));
    }
    Ok(())
}
