use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use modloop_domain::{Label, text};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::EvaluationError;

/// One text of the validation set.
#[derive(Debug, Clone, PartialEq)]
pub struct DevLine {
    /// The data set it comes from.
    pub source: String,
    /// What is scored.
    pub text: String,
    /// Per label of the model: has it, has it not, or the source says nothing about it.
    pub truth: Vec<Option<bool>>,
}

/// A validation set, in an order that depends on its texts alone: any part of it is a random sample.
#[derive(Debug, Clone, PartialEq)]
pub struct DevSet {
    /// Its texts.
    pub lines: Vec<DevLine>,
}

#[derive(Deserialize)]
struct RawLine {
    source: String,
    text: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl DevSet {
    /// Reads JSON lines, plain or gzipped (by the name's ending `.gz`), and keeps at most `limit`. Empty
    /// lines are skipped.
    pub fn read(path: &Path, labels: &[Label], limit: Option<usize>) -> Result<Self, EvaluationError> {
        let file = File::open(path).map_err(EvaluationError::io("read", path))?;
        let gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> =
            if gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut lines = Vec::new();
        for (index, line) in BufReader::new(reader).lines().enumerate() {
            let line = line.map_err(EvaluationError::io("read", path))?;
            let refuse = |problem| EvaluationError::Line { path: path.to_owned(), line: index + 1, problem };
            if !line.trim().is_empty() {
                lines.push(parse(&line, labels).map_err(refuse)?);
            }
        }
        lines.sort_by_cached_key(|line| Sha256::digest(&line.text).to_vec());
        lines.truncate(limit.unwrap_or(usize::MAX));
        Ok(Self { lines })
    }
}

fn parse(line: &str, labels: &[Label]) -> Result<DevLine, String> {
    let raw: RawLine = serde_json::from_str(&text::mend_surrogates(line)).map_err(|e| e.to_string())?;
    let truth = truths(&raw.rest, labels)?;
    Ok(DevLine { source: raw.source, text: raw.text, truth })
}

/// Per label 0, 1, or null and absent alike.
pub(crate) fn truths(
    fields: &BTreeMap<String, Value>,
    labels: &[Label],
) -> Result<Vec<Option<bool>>, String> {
    let truth = |label: &Label| match fields.get(label.as_str()) {
        None | Some(Value::Null) => Ok(None),
        Some(value) if *value == 0 || *value == false => Ok(Some(false)),
        Some(value) if *value == 1 || *value == true => Ok(Some(true)),
        Some(value) => Err(format!("{label} is {value}")),
    };
    labels.iter().map(truth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(name: &str, content: &[u8]) -> Result<DevSet, EvaluationError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        let labels = ["hate", "offensive"].map(|label| label.parse().expect("a label"));
        DevSet::read(&path, &labels, None)
    }

    const LINES: &str = concat!(
        r#"{"source":"a","text":"one","hate":1,"offensive":null,"weak":true}"#,
        "\n",
        r#"{"source":"b","text":"\ud83d","hate":0}"#,
        "\n"
    );

    #[test]
    fn plain_and_gzipped_lines_read_alike() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(LINES.as_bytes()).expect("written");
        let plain = read("dev.jsonl", LINES.as_bytes()).expect("reads");
        assert_eq!(plain, read("dev.jsonl.gz", &gzip.finish().expect("finished")).expect("reads"));
        let mut truths: Vec<_> = plain.lines.into_iter().map(|line| (line.text, line.truth)).collect();
        truths.sort();
        let expected =
            [("one".to_owned(), vec![Some(true), None]), ("\u{fffd}".to_owned(), vec![Some(false), None])];
        assert_eq!(truths, expected);
    }

    #[test]
    fn broken_lines_are_named() {
        for (content, words) in [
            ("{\"source\":\"a\",\"text\":\"x\"}\n{oops", "dev.jsonl, line 2"),
            ("{\"source\":\"a\",\"text\":\"x\",\"hate\":2}", "hate is 2"),
            ("{\"source\":\"a\"}", "missing field `text`"),
        ] {
            let error = read("dev.jsonl", content.as_bytes()).expect_err(content).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
