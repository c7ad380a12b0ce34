//! The person's Python, and virtual environments made with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::installation::Installation;
use crate::layout::Layout;

/// A Python that can make virtual environments.
pub(crate) struct Python {
    program: PathBuf,
    version: String,
}

impl Python {
    /// Finds one of version 3.11 or later.
    pub(crate) fn find() -> Result<Self> {
        let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"];
        let found: Vec<(&str, String)> =
            names.into_iter().filter_map(|name| Some((name, version(name)?))).collect();
        let Some((name, version)) = found.iter().find(|(_, version)| is_recent(version)) else {
            match found.first() {
                Some((name, version)) => bail!("{name} is version {version}; 3.11 or later is needed"),
                None => bail!(
                    "Python is missing; install version 3.11 or later (Debian: apt install python3 python3-venv)"
                ),
            }
        };
        let python = Self { program: name.into(), version: version.clone() };
        python.check_can_make_environments()?;
        Ok(python)
    }

    fn check_can_make_environments(&self) -> Result<()> {
        let check = Command::new(&self.program).args(["-c", "import venv, ensurepip"]).output();
        if !check.with_context(|| format!("run {}", self.program.display()))?.status.success() {
            bail!(
                "{} cannot make virtual environments; install its venv module (Debian: apt install python3-venv)",
                self.program.display()
            );
        }
        Ok(())
    }

    /// A virtual environment with the packages of `requirements/NAME.txt`, whose Python then runs `finish`. Gives its
    /// folder of programs.
    pub(crate) async fn environment(
        &self,
        layout: &Layout,
        name: &str,
        title: &str,
        finish: Option<&str>,
    ) -> Result<PathBuf> {
        let requirements = requirements(layout, name);
        let wanted = read(&requirements)?;
        let mut inputs = vec![wanted.as_str(), &self.version];
        inputs.extend(finish);
        let installation = Installation::new(layout, name, title, &inputs);
        let place = installation.folder();
        let folder = installation.ensure(async |part: &Path| {
            let mut venv = Command::new(&self.program);
            venv.args(["-m", "venv"]).arg(part);
            installation.run(venv, "python -m venv").await?;
            let mut pip = pip(&part.join("bin/python"));
            // The list is complete, so nothing needs resolving; and most modules are never imported.
            pip.args(["install", "--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:"]);
            pip.arg("--requirement").arg(&requirements);
            installation.run(pip, "pip install").await?;
            if let Some(program) = finish {
                let mut python = Command::new(part.join("bin/python"));
                python.args(["-c", program]);
                installation.run(python, "python").await?;
            }
            relocate(&part.join("bin"), part, &place)
        });
        Ok(folder.await?.join("bin"))
    }
}

/// Scripts name the Python that runs them by its full path: names the one in the final place.
fn relocate(programs: &Path, from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    for entry in std::fs::read_dir(programs).with_context(|| format!("list {}", programs.display()))? {
        let path = entry?.path();
        if path.is_symlink() {
            continue;
        }
        // Programs that are no text hold no such path.
        if let Ok(text) = std::fs::read_to_string(&path) {
            std::fs::write(&path, text.replace(&*from, &to))
                .with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

/// pip, quiet and with the person's own settings of which index to use.
pub(crate) fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--no-input", "--disable-pip-version-check"]);
    pip
}

/// The committed list of packages and hashes called `name`.
pub(crate) fn requirements(layout: &Layout, name: &str) -> PathBuf {
    layout.root.join("xtask/requirements").join(format!("{name}.txt"))
}

/// The text of a committed list.
pub(crate) fn read(requirements: &Path) -> Result<String> {
    std::fs::read_to_string(requirements).with_context(|| format!("read {}", requirements.display()))
}

fn version(program: &str) -> Option<String> {
    let output =
        Command::new(program).args(["-c", "import platform; print(platform.python_version())"]).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_recent(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(3), Some(11))
}

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, recent) in
            [("3.9.18", false), ("3.10.1", false), ("3.11.2", true), ("3.14.0rc1", true), ("4.0.0", true)]
        {
            assert_eq!(is_recent(version), recent, "{version}");
        }
    }
}
