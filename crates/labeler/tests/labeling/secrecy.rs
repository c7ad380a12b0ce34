use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use modloop_labeler::{ApiKey, Labeler, NoLabel, Rubric};
use modloop_local::labeler::Fault;
use tracing_subscriber::fmt::MakeWriter;

use crate::ledger::Ledger;
use crate::rig::{at_once, item, items, label, labeler, settings, stand_in, why};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that is ever logged here, by the HTTP client too.
fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn a_refused_key_ends_the_work_and_is_shown_nowhere() {
    let (log, _listening) = listen();
    let stand_in = stand_in().await;
    let key = ApiKey::new("sk-very-hush");
    let settings = at_once(settings(&stand_in), 1);
    let labeler = Labeler::new(settings.clone(), Rubric::v1().expect("a rubric"), &key).expect("a labeler");
    let outcomes = label(&labeler, (0..9).map(|n| item(n, "a fine day")).collect(), &Ledger::plenty()).await;
    assert!(outcomes.iter().all(|outcome| why(outcome) == &NoLabel::Key));
    assert_eq!(stand_in.stats().requests, 1);
    let shown = format!("{key:?} {settings:?} {outcomes:?} {} {}", why(&outcomes[0]), log.text());
    assert!(shown.contains("LABELER_SECRET_ARN") && shown.contains("no label"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn texts_and_rationales_are_not_logged() {
    let (log, _listening) = listen();
    let stand_in = stand_in().await;
    stand_in.break_next([Fault::Overloaded, Fault::HalfJson, Fault::Refusal, Fault::Prose]);
    let texts = items(["my private words", "my private words", "my private words"]);
    let shown = format!("{texts:?}");
    let outcomes = label(&labeler(&stand_in), texts, &Ledger::plenty()).await;
    assert!(outcomes.iter().any(|outcome| outcome.result.is_err()));
    let shown = format!("{shown} {outcomes:?} {}", log.text());
    assert!(shown.contains("t1_0") && !shown.contains("private"), "{shown}");
    assert!(!shown.contains("Labeled by a stand-in"), "{shown}");
}
