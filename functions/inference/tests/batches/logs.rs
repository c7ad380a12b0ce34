use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::fixture::{Fixture, UNSCORABLE, event};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_names_poison_and_failures_with_their_reasons_and_never_a_text() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let function = Fixture::new().await;
    function.comment("t1_1", &format!("{UNSCORABLE} my private words")).await;
    function.comment("t1_2", "my private words").await;
    let poison = format!("\"{}\"", "x".repeat(5_000));
    function.handle(event(&[r#"{"item":"t1_1"}"#, r#"{"item":"t1_2"}"#, &poison])).await.log();

    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("UTF-8");
    assert!(!log.contains("private"), "{log}");
    let lines: Vec<serde_json::Value> = log.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let field = |message: &str, name: &str| {
        let line =
            lines.iter().find(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains(message)));
        line.unwrap_or_else(|| panic!("no line {message:?} in {log}"))["fields"][name].clone()
    };
    assert_eq!((field("poison", "message_id"), field("poison", "receive_count")), ("m2".into(), "3".into()));
    assert!(
        field("poison", "reason").as_str().is_some_and(|r| r.contains("not of the form") && r.len() < 300)
    );
    assert_eq!((field("cannot be scored", "item"), field("batch done", "scored")), ("t1_1".into(), 1.into()));
}
