use std::path::Path;

use modloop_bundle::Windowing;
use ort::session::Session;

use crate::runtime::{self, input};
use crate::tokens::WindowedTokenizer;
use crate::{ClassifierOptions, LoadError, ScoreError};

/// Looks into a graph while it computes.
pub struct Observer {
    tokenizer: WindowedTokenizer,
    session: Session,
}

impl Observer {
    /// Loads a graph that gives more than its logits, and its tokenizer.
    pub fn load(
        graph: &Path,
        tokenizer: &Path,
        windowing: Windowing,
        options: &ClassifierOptions,
    ) -> Result<Self, LoadError> {
        let tokenizer = WindowedTokenizer::load(tokenizer, windowing)?;
        Ok(Self { tokenizer, session: runtime::open(graph, options)? })
    }

    /// Shows `see` everything that the graph gives for each window of `text`: the name of a value, how many
    /// numbers its rows have, and the rows.
    pub fn observe(
        &mut self,
        text: &str,
        mut see: impl FnMut(&str, usize, &[f32]),
    ) -> Result<(), ScoreError> {
        for ids in self.tokenizer.split(text)?.windows {
            self.window(&ids, &mut see).map_err(|e| ScoreError::Runtime(e.to_string()))?;
        }
        Ok(())
    }

    fn window(&mut self, ids: &[i64], see: &mut impl FnMut(&str, usize, &[f32])) -> ort::Result<()> {
        let outputs = self.session.run(ort::inputs!["input_ids" => input(ids)?])?;
        for (name, value) in &outputs {
            let (shape, rows) = value.try_extract_tensor::<f32>()?;
            let width = shape.last().and_then(|width| usize::try_from(*width).ok()).unwrap_or(rows.len());
            see(name, width, rows);
        }
        Ok(())
    }
}
