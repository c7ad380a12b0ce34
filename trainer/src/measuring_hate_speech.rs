//! The public Parquet of Measuring Hate Speech (Kennedy et al. 2020, `ucberkeley-dlab/measuring-hate-speech`), read
//! into the project's form. The file has one row an annotation; every row of a comment repeats the comment's score.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use crate::TrainError;
use crate::data::Example;

/// The `source` of the lines.
pub const SOURCE: &str = "mhs";
/// Above it the set's authors call a comment hate speech.
const HATE: f64 = 0.5;
/// Below it they call it counter-speech or supportive; what lies between is neither, and is left out.
const HARMLESS: f64 = -1.0;
/// The columns that matter, of more than a hundred.
const COLUMNS: [&str; 3] = ["comment_id", "hate_speech_score", "text"];
/// One comment in so many is for measuring.
const DEV_SHARE: i64 = 10;

/// A comment with what its annotators agree on.
#[derive(Debug, Clone, PartialEq)]
pub struct Comment {
    /// Unique in the set.
    pub id: i64,
    /// What a user wrote.
    pub text: String,
    /// Higher is more hateful; about -8 to 6.
    pub score: f64,
}

impl Comment {
    /// Whether it is hate, `None` between the two.
    pub fn is_hate(&self) -> Option<bool> {
        if self.score > HATE { Some(true) } else { (self.score < HARMLESS).then_some(false) }
    }

    /// Whether it is for measuring rather than for training; always the same for the same comment.
    pub fn is_dev(&self) -> bool {
        // Identifiers follow the time of collection; a multiplicative hash (Knuth) spreads them.
        (self.id.wrapping_mul(2_654_435_761) >> 16).rem_euclid(DEV_SHARE) == 0
    }

    /// A line for the single label `hate`; `None` where the set is undecided.
    pub fn example(self) -> Option<Example> {
        let answer = self.is_hate()?;
        Some(Example {
            text: self.text,
            source: SOURCE.to_owned(),
            source_label: format!("{:.2}", self.score),
            weak: false,
            answers: vec![Some(answer)],
            weight: 1.0,
        })
    }
}

/// The comments of a file, by their identifiers. Scores that differ between rows are averaged.
pub fn read(path: &Path) -> Result<Vec<Comment>, TrainError> {
    let file = File::open(path).map_err(TrainError::io("open", path))?;
    let broken = |error: ParquetError| TrainError::base(path)(format!("is no whole Parquet file: {error}"));
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let columns = projection(&reader).map_err(TrainError::base(path))?;
    let mut comments: BTreeMap<i64, (String, f64, u32)> = BTreeMap::new();
    for (number, row) in reader.get_row_iter(Some(columns)).map_err(broken)?.enumerate() {
        let (id, text, score) = parse(&row.map_err(broken)?)
            .map_err(|problem| TrainError::base(path)(format!("row {}: {problem}", number + 1)))?;
        let known = comments.entry(id).or_insert((text, 0.0, 0));
        known.1 += score;
        known.2 += 1;
    }
    let comment = |(id, (text, sum, rows)): (i64, (String, f64, u32))| Comment {
        id,
        text,
        score: sum / f64::from(rows),
    };
    Ok(comments.into_iter().map(comment).collect())
}

/// The file's schema cut down to [`COLUMNS`].
fn projection(reader: &SerializedFileReader<File>) -> Result<Type, String> {
    let schema = reader.metadata().file_metadata().schema();
    let wanted: Vec<Arc<Type>> =
        schema.get_fields().iter().filter(|f| COLUMNS.contains(&f.name())).cloned().collect();
    if let Some(missing) = COLUMNS.iter().find(|name| wanted.iter().all(|field| field.name() != **name)) {
        return Err(format!("has no column {missing}; is it Measuring Hate Speech?"));
    }
    Type::group_type_builder(schema.name()).with_fields(wanted).build().map_err(|e| e.to_string())
}

fn parse(row: &Row) -> Result<(i64, String, f64), String> {
    let mut found = (None, None, None);
    for (name, field) in row.get_column_iter() {
        match (name.as_str(), field) {
            ("comment_id", Field::Long(id)) => found.0 = Some(*id),
            ("comment_id", Field::Int(id)) => found.0 = Some(i64::from(*id)),
            ("text", Field::Str(text)) => found.1 = Some(text.clone()),
            ("hate_speech_score", Field::Double(score)) => found.2 = Some(*score),
            ("hate_speech_score", Field::Float(score)) => found.2 = Some(f64::from(*score)),
            (name, other) => return Err(format!("{name} is {other}, of an unexpected type")),
        }
    }
    match found {
        (Some(id), Some(text), Some(score)) if score.is_finite() => Ok((id, text, score)),
        _ => Err("comment_id, text or hate_speech_score is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// Rows as the published file has them, with a column that does not matter.
    fn write(path: &Path, rows: &[(i64, &str, f64)], score_column: &str) {
        let schema = format!(
            "message schema {{ optional int64 comment_id; optional double {score_column};
             optional int64 annotator_id; optional byte_array text (UTF8); }}"
        );
        let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
        let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = File::create(path).expect("a file");
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(snappy)).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let levels = vec![1i16; rows.len()];
        let ids: Vec<i64> = rows.iter().map(|r| r.0).collect();
        let scores: Vec<f64> = rows.iter().map(|r| r.2).collect();
        let texts: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(r.1)).collect();
        let mut column = group.next_column().expect("a column").expect("comment_id");
        column.typed::<Int64Type>().write_batch(&ids, Some(&levels), None).expect("ids");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("the score");
        column.typed::<DoubleType>().write_batch(&scores, Some(&levels), None).expect("scores");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("annotator_id");
        column.typed::<Int64Type>().write_batch(&ids, Some(&levels), None).expect("annotators");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("text");
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).expect("texts");
        column.close().expect("closed");
        group.close().expect("closed");
        writer.close().expect("closed");
    }

    #[test]
    fn annotations_become_one_line_a_comment() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("mhs.parquet");
        let rows = [
            (7, "hateful", 2.5),
            (3, "kind", -3.0),
            (7, "hateful", 2.5),
            (9, "undecided", 0.1),
            (7, "hateful", 2.5),
        ];
        write(&path, &rows, "hate_speech_score");
        let comments = read(&path).expect("comments");
        let found: Vec<(i64, Option<bool>)> = comments.iter().map(|c| (c.id, c.is_hate())).collect();
        assert_eq!(found, [(3, Some(false)), (7, Some(true)), (9, None)]);
        let examples: Vec<Example> = comments.into_iter().filter_map(Comment::example).collect();
        assert_eq!(examples.len(), 2);
        assert_eq!((examples[1].text.as_str(), examples[1].source_label.as_str()), ("hateful", "2.50"));
        assert_eq!(examples[1].answers, [Some(true)]);
    }

    #[test]
    fn a_tenth_is_for_measuring() {
        let comment = |id| Comment { id, text: String::new(), score: 0.0 };
        let dev = (10_000..50_000).filter(|id| comment(*id).is_dev()).count();
        assert!((3_600..=4_400).contains(&dev), "{dev} of 40,000");
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("other.parquet");
        write(&path, &[(1, "a", 1.0)], "toxicity");
        let error = read(&path).expect_err("a column is missing").to_string();
        assert!(error.contains("other.parquet") && error.contains("hate_speech_score"), "{error}");
        std::fs::write(&path, b"PAR1 no").expect("a file");
        let error = read(&path).expect_err("no Parquet").to_string();
        assert!(error.contains("is no whole Parquet file"), "{error}");
    }
}
