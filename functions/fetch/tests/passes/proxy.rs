//! A way to die at an exact moment: counts what a pass does to the outside and ends it at a given step.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use modloop_cloud::{CloudError, Sent};
use modloop_domain::ItemId;
use modloop_fetch::Queue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::fixture::MemoryQueue;

/// Steps are what reaches the database or the queue. The fatal one takes effect, and nobody hears of it.
pub(crate) struct Death {
    steps: AtomicUsize,
    fatal: usize,
    come: Notify,
}

impl Death {
    pub(crate) fn at(fatal: usize) -> Arc<Self> {
        Arc::new(Self { steps: AtomicUsize::new(0), fatal, come: Notify::new() })
    }

    /// Counts a step that has taken effect. Does not return from the fatal one.
    async fn step(&self) {
        if self.steps.fetch_add(1, Ordering::SeqCst) == self.fatal {
            self.come.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the fatal step.
    pub(crate) async fn come(&self) {
        self.come.notified().await;
    }
}

/// The queue of a process that will die.
pub(crate) struct MortalQueue(pub(crate) MemoryQueue, pub(crate) Arc<Death>);

impl Queue for MortalQueue {
    async fn send(&self, items: &[ItemId]) -> Result<Sent, CloudError> {
        self.1.step().await;
        let sent = self.0.send(items).await;
        self.1.step().await;
        sent
    }
}

/// Stands before Postgres at `server` and counts every exchange as a step. Returns its own port.
pub(crate) async fn before_postgres(server: String, death: Arc<Death>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.expect("Postgres");
            tokio::spawn(pass_on(client, server, Arc::clone(&death)));
        }
    });
    port
}

/// Postgres answers each message that a client waits for; the answer is held back while the step is counted.
async fn pass_on(mut client: TcpStream, mut server: TcpStream, death: Arc<Death>) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut waiting = false;
    loop {
        tokio::select! {
            length = client.read(&mut asked) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                waiting = true;
                server.write_all(&asked[..length]).await?;
            }
            length = server.read(&mut answered) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                if std::mem::take(&mut waiting) {
                    death.step().await;
                }
                client.write_all(&answered[..length]).await?;
            }
        }
    }
}
