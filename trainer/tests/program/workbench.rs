//! The program itself, on a tiny base model and a few lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::tiny;

/// A folder with a base model, training data and dev data.
pub(crate) struct Workbench {
    pub(crate) dir: tempfile::TempDir,
}

impl Workbench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a directory") };
        std::fs::create_dir(bench.path("base")).expect("a directory");
        tch::manual_seed(5);
        tiny::write_base(&bench.path("base"), "bert.", |_| true);
        bench.write("train.jsonl", &lines(0));
        bench.write("dev.jsonl", &lines(1));
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    /// `modloop-train train`, one epoch of a few steps, into the folder `out`.
    pub(crate) fn train(&self, out: &str, more: &[&str]) -> Command {
        let mut command = self.train_from(&self.path("base").display().to_string(), out, more);
        command.args(["--base-name", "tiny", "--base-licence", "none", "--labels", "hate,offensive"]);
        command
    }

    /// The same from another start, without labels.
    pub(crate) fn train_from(&self, start: &str, out: &str, more: &[&str]) -> Command {
        let mut command = program();
        command.args(["train", "--base", start]).arg("--out").arg(self.path(out));
        command.arg("--data").arg(self.path("train.jsonl")).arg("--dev").arg(self.path("dev.jsonl"));
        if !more.contains(&"--batch-size") {
            command.args(["--batch-size", "8"]);
        }
        command.args(["--max-tokens", "12", "--threads", "1"]).args(more);
        command
    }

    pub(crate) fn weights(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.path(out).join("model.safetensors")).expect("weights")
    }
}

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_modloop-train"))
}

/// 36 lines; "nasty" means the first label, "vile" the second. `variant` gives other lines of the same kind.
pub(crate) fn lines(variant: usize) -> String {
    let mut text = String::new();
    for (adjective, hate, offensive) in [("kind", 0, 0), ("nasty", 1, 0), ("vile", 0, 1)] {
        for noun in ["friend", "stranger", "neighbour"] {
            for end in ["", "today", "always", "never today"] {
                let (first, last) = if variant == 0 { ("you are", end) } else { (end, "you are") };
                text += &format!(
                    "{{\"text\":\"{first} a {adjective} {noun} {last}\",\"source\":\"test\",\
                     \"hate\":{hate},\"offensive\":{offensive}}}\n"
                );
            }
        }
    }
    text
}

/// Runs it to its end; what it wrote to stderr when it failed as it should have.
pub(crate) fn failure(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

/// Runs it to its end; fails with what it wrote unless it succeeds.
pub(crate) fn success(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Names in a folder, sorted.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
