use std::fmt;
use std::ops::RangeInclusive;

/// A field that is outside its range.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    field: String,
    found: String,
    expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; expected {}", self.field, self.found, self.expected)
    }
}

impl Problem {
    pub(crate) fn new(field: &str, found: impl fmt::Display, expected: &str) -> Self {
        Self { field: field.to_owned(), found: found.to_string(), expected: expected.to_owned() }
    }

    /// The same field inside another one.
    pub(crate) fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// Refuses a number outside a range. Not a number is outside every range.
pub(crate) fn number(field: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Problem::new(field, value, &format!("a number from {} to {}", range.start(), range.end())))
}

/// The same of a whole number.
pub(crate) fn whole(field: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), Problem> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Problem::new(field, value, &format!("a whole number from {} to {}", range.start(), range.end())))
}

/// The same of a share: 0 to 1.
pub(crate) fn share(field: &str, value: f64) -> Result<(), Problem> {
    number(field, value, 0.0..=1.0)
}
