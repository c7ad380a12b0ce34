//! How often a batch waits for Postgres, counted on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use modloop_inference::{Context, Models, handle};
use modloop_store::{Database, DatabaseSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::fixture::{FakeScorer, Fixture, messages};

/// Stands before Postgres and counts how often a client speaks after it was answered: each time, it had waited.
async fn before_postgres(server: String, waits: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.expect("Postgres");
            tokio::spawn(pass_on(client, server, Arc::clone(&waits)));
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, waits: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let mut was_answered = true;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(length) if length > 0 => {
                    if std::mem::take(&mut was_answered) {
                        waits.fetch_add(1, Ordering::SeqCst);
                    }
                    server.write_all(&asked[..length]).await.expect("Postgres takes it");
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(length) if length > 0 => {
                    was_answered = true;
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn a_batch_of_twenty_waits_for_postgres_at_most_three_times() {
    let function = Fixture::new().await;
    let mut url: Url = function.database.url().parse().expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let waits = Arc::new(AtomicUsize::new(0));
    let port = before_postgres(server, Arc::clone(&waits)).await;
    url.set_host(Some("127.0.0.1")).expect("takes a host");
    url.set_port(Some(port)).expect("takes a port");
    let settings = DatabaseSettings::from_url(url.as_str()).expect("usable");
    let models =
        Models::new(function.loader.clone(), Arc::new(FakeScorer::new("v1")), Duration::from_secs(300));
    let context = Context { database: Database::new(settings), models };

    let names: Vec<String> = (0..40).map(|n| format!("t1_{n}")).collect();
    for name in &names {
        function.comment(name, "fine").await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The first batch connects.
    assert_eq!(handle(&context, messages(&names[..20])).await.recorded().inserted, 20);
    let before = waits.load(Ordering::SeqCst);
    assert_eq!(handle(&context, messages(&names[20..])).await.recorded().inserted, 20);
    let waited = waits.load(Ordering::SeqCst) - before;
    println!("a batch of 20 waited for {waited} answers");
    assert!((1..=3).contains(&waited), "{waited}");
}
