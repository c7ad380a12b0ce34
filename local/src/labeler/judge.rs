use std::sync::Arc;

use crate::reddit;

/// Whether a label applies to a text.
pub type Judge = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// A label applies when one of its words occurs in the text, in any case. A label that is not listed never does.
pub fn lexicon<L, W>(words: L) -> Judge
where
    L: IntoIterator<Item = (&'static str, W)>,
    W: IntoIterator<Item = &'static str>,
{
    let words: Vec<(&str, Vec<String>)> = words
        .into_iter()
        .map(|(label, words)| (label, words.into_iter().map(str::to_lowercase).collect()))
        .collect();
    Arc::new(move |label, text| {
        let text = text.to_lowercase();
        words
            .iter()
            .filter(|(of, _)| *of == label)
            .flat_map(|(_, words)| words)
            .any(|word| text.contains(word))
    })
}

/// Knows every text of the Reddit stand-in, the coded ones too: the labels `hate` and `offensive` as they were meant.
pub fn feed_judge() -> Judge {
    Arc::new(reddit::applies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decide() {
        let judge = lexicon([("hate", ["vermin", "Go Home"]), ("offensive", ["idiot", "vermin"])]);
        assert!(judge("hate", "they are VERMIN") && judge("hate", "go home!") && judge("offensive", "Idiot"));
        assert!(!judge("hate", "you idiot") && !judge("spam", "vermin"));
    }
}
