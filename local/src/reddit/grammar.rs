//! Sentences from templates.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use regex::{Regex, RegexBuilder};

/// Deeper than any phrase file nests; a section that names itself ends here.
const DEEPEST: usize = 8;

/// Room for all alternatives of a phrase file at once; with the usual 2 MB a long text takes much longer to search.
const PATTERN_BYTES: usize = 64 << 20;

/// A phrase file: `[section]`, then one alternative a line, in which `{section}` stands for an alternative
/// of another section and `¶` for a new paragraph. Lines that start with `#` are for the reader.
#[derive(Debug, Clone)]
pub(crate) struct Grammar {
    sections: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Grammar {
    pub(crate) fn parse(file: &'static str) -> Self {
        let mut sections = BTreeMap::<_, Vec<_>>::new();
        let mut section = "";
        for line in file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(name) => section = name,
                None => sections.entry(section).or_default().push(line),
            }
        }
        Self { sections }
    }

    /// One alternative of a section, its own sections expanded. `topic` is what `{topic}` stands for, so
    /// that a post and its comments speak of the same thing.
    pub(crate) fn compose(&self, section: &str, topic: &str, rng: &mut StdRng) -> String {
        let text = self.phrase(section, topic, rng).replace(" ¶ ", "\n\n");
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    /// The same as part of a sentence: with a small letter at its start.
    pub(crate) fn phrase(&self, section: &str, topic: &str, rng: &mut StdRng) -> String {
        self.expand(section, topic, rng, 0)
    }

    fn expand(&self, section: &str, topic: &str, rng: &mut StdRng, depth: usize) -> String {
        if section == "topic" && !topic.is_empty() {
            return topic.to_owned();
        }
        let alternatives = self.sections.get(section).map_or(&[][..], Vec::as_slice);
        let mut rest = match alternatives.choose(rng) {
            Some(chosen) if depth < DEEPEST => *chosen,
            _ => return String::new(),
        };
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            let (inner, behind) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            text.push_str(&self.expand(inner, topic, rng, depth + 1));
            rest = behind;
        }
        text + rest
    }

    /// Finds what these sections can say, whatever the topic, within a text.
    pub(crate) fn pattern(&self, sections: &[&str]) -> Regex {
        let any: Vec<_> = sections.iter().map(|section| self.alternatives(section, 0)).collect();
        RegexBuilder::new(&any.join("|"))
            .case_insensitive(true)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn alternatives(&self, section: &str, depth: usize) -> String {
        if section == "topic" {
            return r"[^\n]{1,60}?".to_owned();
        }
        let alternatives = self.sections.get(section).map_or(&[][..], Vec::as_slice);
        let mut patterns = Vec::new();
        for mut rest in alternatives.iter().copied().filter(|_| depth < DEEPEST) {
            let mut pattern = String::new();
            while let Some((before, after)) = rest.split_once('{') {
                let (inner, behind) = after.split_once('}').unwrap_or((after, ""));
                pattern += &regex::escape(before);
                pattern += &self.alternatives(inner, depth + 1);
                rest = behind;
            }
            patterns.push(pattern + &regex::escape(rest));
        }
        format!("(?:{})", patterns.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn sections_are_filled_in() {
        let grammar = Grammar::parse("# a note\n[title]\n{who} likes {topic} ¶ {who} too\n[who]\neve\n");
        let text = grammar.compose("title", "tea", &mut StdRng::seed_from_u64(1));
        assert_eq!(text, "Eve likes tea\n\neve too");
    }

    #[test]
    fn a_section_that_names_itself_ends() {
        let grammar = Grammar::parse("[title]\na {title}\n");
        assert_eq!(grammar.compose("title", "", &mut StdRng::seed_from_u64(1)).matches('A').count(), 1);
        assert_eq!(grammar.compose("missing", "", &mut StdRng::seed_from_u64(1)), "");
    }
}
