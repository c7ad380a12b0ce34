use modloop_domain::Label;

use crate::LabelerError;

/// What the labels mean, in words for the model. A file with a version: `# Rubric v1`, and a section
/// `## Label: hate` for each label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rubric {
    version: String,
    labels: Vec<Label>,
    text: String,
}

const V1: &str = include_str!("../rubrics/v1.md");
const TITLE: &str = "# Rubric ";
const SECTION: &str = "## Label: ";

impl Rubric {
    /// The first version of this project's own rubric: `hate` and `offensive`.
    pub fn v1() -> Result<Self, LabelerError> {
        Self::parse(V1)
    }

    /// Reads a rubric.
    ///
    /// # Errors
    /// Says what the file lacks.
    pub fn parse(text: &str) -> Result<Self, LabelerError> {
        let wrong = |problem: String| Err(LabelerError::Rubric(problem));
        let version = text.lines().next().and_then(|line| line.strip_prefix(TITLE)).map(str::trim);
        let fits = |v: &str| {
            (1..=40).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let Some(version) = version.filter(|v| fits(v)) else {
            return wrong(format!("its first line is not \"{TITLE}\" and a version such as v1"));
        };
        let mut labels: Vec<Label> = Vec::new();
        for name in text.lines().filter_map(|line| line.strip_prefix(SECTION)) {
            match name.trim().parse::<Label>() {
                Ok(label) if labels.contains(&label) => return wrong(format!("{label} is defined twice")),
                Ok(label) => labels.push(label),
                Err(error) => return wrong(error.to_string()),
            }
        }
        if labels.is_empty() {
            return wrong(format!("no line says \"{SECTION}\" and the name of a label"));
        }
        Ok(Self { version: version.to_owned(), labels, text: text.trim_end().to_owned() })
    }

    /// Asks for these labels alone: a model that lacks one of the rubric's labels has no use for it.
    ///
    /// # Errors
    /// Names a label that the rubric does not define: nobody could know what it means.
    pub fn asking_for(self, labels: &[Label]) -> Result<Self, LabelerError> {
        if labels.is_empty() {
            return Err(LabelerError::Rubric("no label is asked for".into()));
        }
        match labels.iter().find(|label| !self.labels.contains(label)) {
            Some(label) => Err(LabelerError::Rubric(format!(
                "{} does not define {label}; write a version with a section \"{SECTION}{label}\"",
                self.version
            ))),
            None => Ok(Self { labels: labels.to_vec(), ..self }),
        }
    }

    /// Such as `v1`; kept with every label.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The labels that are asked for.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The words for the model.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn v1_is_what_its_labels_were_made_by() {
        let rubric = Rubric::v1().expect("a rubric");
        assert_eq!(rubric.version(), "v1");
        assert_eq!(rubric.labels(), ["hate", "offensive"].map(|l| l.parse().expect("a label")));
        let hash = hex::encode(Sha256::digest(V1));
        assert!(
            hash.starts_with("ec0f94557456e3b0"),
            "labels remember v1: write v2.md instead of changing it ({hash})"
        );
    }

    #[test]
    fn what_a_rubric_lacks_is_said() {
        for (text, expected) in [
            ("hate is bad", "first line"),
            ("# Rubric a b\n## Label: hate", "first line"),
            ("# Rubric v9\nhate", "## Label: "),
            ("# Rubric v9\n## Label: Hate!", "\"Hate!\" is no label"),
            ("# Rubric v9\n## Label: hate\n## Label: hate", "twice"),
        ] {
            let error = Rubric::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_label_without_definition_is_named() {
        let spam = "spam".parse::<Label>().expect("a label");
        let error = Rubric::v1().and_then(|r| r.asking_for(&[spam])).expect_err("no spam").to_string();
        assert!(error.contains("v1 does not define spam"), "{error}");
    }
}
