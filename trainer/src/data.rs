//! Labeled text as JSON lines: `{"text", "source", "<label>": 0|1|null, …}`, plain or gzipped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use modloop_domain::Label;
use modloop_domain::text::mend_surrogates;

use crate::TrainError;
use crate::checkpoint::beside;

/// One labeled text.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What a user wrote.
    pub text: String,
    /// The data set it comes from.
    pub source: String,
    /// The set's own word for it, empty where it has none.
    pub source_label: String,
    /// Taken as harmless, not annotated for the labels.
    pub weak: bool,
    /// One answer a label; `None` where the set says nothing.
    pub answers: Vec<Option<bool>>,
    /// Weight of the line in the loss.
    pub weight: f32,
}

/// Reads a file, or all `.jsonl` and `.jsonl.gz` of a folder, by name. Empty lines are skipped.
pub fn read(path: &Path, labels: &[Label]) -> Result<Vec<Example>, TrainError> {
    if !path.is_dir() {
        return read_file(path, labels);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(TrainError::io("list", path))? {
        files.push(entry.map_err(TrainError::io("list", path))?.path());
    }
    files.retain(|file| file.to_str().is_some_and(|f| f.ends_with(".jsonl") || f.ends_with(".jsonl.gz")));
    files.sort();
    if files.is_empty() {
        return Err(TrainError::Mix(format!("{} holds no .jsonl and no .jsonl.gz", path.display())));
    }
    files.iter().map(|file| read_file(file, labels)).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
}

/// A name that ends in `.gz` is unpacked.
fn read_file(path: &Path, labels: &[Label]) -> Result<Vec<Example>, TrainError> {
    let file = File::open(path).map_err(TrainError::io("open", path))?;
    let zipped = path.extension().is_some_and(|e| e == "gz");
    let bytes: Box<dyn Read> = if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut examples = Vec::new();
    for (index, line) in BufReader::new(bytes).lines().enumerate() {
        let wrong = |problem| TrainError::Line { path: path.to_owned(), line: index + 1, problem };
        let line = line.map_err(|e| wrong(e.to_string()))?;
        if !line.trim().is_empty() {
            examples.push(parse(&line, labels).map_err(wrong)?);
        }
    }
    Ok(examples)
}

fn parse(line: &str, labels: &[Label]) -> Result<Example, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(&mend_surrogates(line)).map_err(|e| format!("is no JSON object: {e}"))?;
    let word = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let needed = |name: &str| word(name).ok_or(format!("there is no {name:?}, or it is no string"));
    Ok(Example {
        text: needed("text")?,
        source: needed("source")?,
        source_label: word("source_label").unwrap_or_default(),
        weak: fields.get("weak").and_then(Value::as_bool).unwrap_or(false),
        answers: labels.iter().map(|label| answer(&fields, label)).collect::<Result<_, _>>()?,
        weight: 1.0,
    })
}

/// Writes examples in the form that [`read`] takes; packed when the name ends in `.gz`. A file that cannot be written
/// whole is not written at all.
pub fn write(path: &Path, examples: &[Example], labels: &[Label]) -> Result<(), TrainError> {
    let mut text = String::new();
    for example in examples {
        let mut fields = json!({"text": example.text, "source": example.source});
        if !example.source_label.is_empty() {
            fields["source_label"] = json!(example.source_label);
        }
        for (label, answer) in labels.iter().zip(&example.answers) {
            fields[label.as_str()] = json!(answer.map(u8::from));
        }
        text += &format!("{fields}\n");
    }
    let partial = beside(path, ".partial");
    let packed = path.extension().is_some_and(|e| e == "gz");
    let written = if packed { gzip(text.as_bytes()) } else { Ok(text.into_bytes()) };
    let written =
        written.and_then(|bytes| fs::write(&partial, bytes)).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.map_err(TrainError::io("write", path))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(bytes)?;
    gz.finish()
}

fn answer(fields: &Map<String, Value>, label: &Label) -> Result<Option<bool>, String> {
    match fields.get(label.as_str()) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            _ => Err(format!("{label} is {value}; expected 0, 1 or null")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<Label> {
        ["hate", "offensive"].map(|l| l.parse().expect("a label")).to_vec()
    }

    fn read_text(name: &str, bytes: &[u8]) -> Result<Vec<Example>, TrainError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        read(&path, &labels())
    }

    #[test]
    fn null_and_absent_labels_say_nothing() {
        let examples = read_text(
            "a.jsonl",
            b"{\"text\":\"a\",\"source\":\"s\",\"hate\":1}\n\n{\"text\":\"b\",\"source\":\"s\",\"hate\":0,\"offensive\":null}\n",
        )
        .expect("two examples");
        assert_eq!(examples.len(), 2);
        assert_eq!(examples[0].answers, [Some(true), None]);
        assert_eq!(examples[1].answers, [Some(false), None]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let example = |text: &str, answers: [Option<bool>; 2]| Example {
            text: text.to_owned(),
            source: "s".to_owned(),
            source_label: String::new(),
            weak: false,
            answers: answers.to_vec(),
            weight: 1.0,
        };
        let examples = [example("line\n\"one\"", [Some(true), None]), example("é", [None, Some(false)])];
        for name in ["a.jsonl", "a.jsonl.gz"] {
            let path = dir.path().join(name);
            write(&path, &examples, &labels()).expect("writes");
            assert_eq!(read(&path, &labels()).expect("reads"), examples);
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a listing").count(), 2, "no partial file stays");
    }

    #[test]
    fn gzip_is_unpacked() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(b"{\"text\":\"a\",\"source\":\"s\",\"offensive\":1}").expect("writes");
        let examples = read_text("a.jsonl.gz", &gz.finish().expect("gzip")).expect("one example");
        assert_eq!(examples[0].answers, [None, Some(true)]);
    }

    #[test]
    fn a_folder_is_read_file_by_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
        let error = read(dir.path(), &labels()).expect_err("nothing there").to_string();
        assert!(error.contains("holds no .jsonl"), "{error}");
        write("b.jsonl", "{\"text\":\"b\",\"source\":\"s\"}\n");
        write("a.jsonl", "{\"text\":\"a\",\"source\":\"s\"}\n");
        write("notes.txt", "not data");
        let texts: Vec<String> =
            read(dir.path(), &labels()).expect("two lines").into_iter().map(|e| e.text).collect();
        assert_eq!(texts, ["a", "b"]);
    }

    #[test]
    fn a_broken_line_is_named_by_file_and_line() {
        let good = "{\"text\":\"a\",\"source\":\"s\"}\n";
        for bad in ["{\"text\":", "{\"source\":\"s\"}", "{\"text\":\"a\",\"source\":\"s\",\"hate\":2}"] {
            let error = read_text("bad.jsonl", format!("{good}{good}{bad}\n").as_bytes());
            let error = error.expect_err(bad).to_string();
            assert!(error.contains("bad.jsonl:3: "), "{error}");
        }
    }

    #[test]
    fn a_truncated_gzip_is_an_error() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&b"{\"text\":\"a\",\"source\":\"s\"}\n".repeat(500)).expect("writes");
        let bytes = gz.finish().expect("gzip");
        assert!(read_text("cut.jsonl.gz", &bytes[..bytes.len() / 2]).is_err());
    }
}
