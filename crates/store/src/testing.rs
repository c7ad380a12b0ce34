//! Throw-away databases for tests, this crate's own and others'.

use std::sync::atomic::{AtomicU32, Ordering};

use modloop_domain::{HashKey, ItemState, ItemText};
use serde_json::json;
use tokio_postgres::Client;
use url::Url;

use crate::models::NewModel;
use crate::{DatabaseSettings, Store, StoreError, connection, migrate};

/// Lets one test process at a time make the template.
const TEMPLATE_LOCK: i64 = 0x4D4F_444C_4F4F_5001;

static CREATED: AtomicU32 = AtomicU32::new(0);

/// A migrated database of a test's own on the server of DATABASE_URL, dropped with this value, also
/// when the test panics.
pub struct TestDatabase {
    server: DatabaseSettings,
    settings: DatabaseSettings,
    url: String,
    name: String,
}

impl TestDatabase {
    /// Clones the migrated template, which the first test to need it makes.
    ///
    /// # Panics
    /// Without a usable DATABASE_URL: a test cannot go on then.
    pub async fn create() -> Self {
        let database = Self::named();
        let created = database.clone_template().await;
        created.unwrap_or_else(|e| panic!("no test database: {e}"));
        database
    }

    /// A database in which no migration ran.
    ///
    /// # Panics
    /// Without a usable DATABASE_URL.
    pub async fn create_empty() -> Self {
        let database = Self::named();
        let created = database.on_server(&format!("create database {}", database.name)).await;
        created.unwrap_or_else(|e| panic!("no test database: {e}"));
        database
    }

    fn named() -> Self {
        let server_url =
            modloop_environment::required("DATABASE_URL", "run `cargo xtask test`, or set DATABASE_URL")
                .unwrap_or_else(|e| panic!("{e}"));
        let server = DatabaseSettings::from_url(&server_url).unwrap_or_else(|e| panic!("DATABASE_URL: {e}"));
        // The process and its start make the name unique among tests that run side by side, and
        // among what killed ones left behind.
        let started = std::time::UNIX_EPOCH.elapsed().map(|t| t.subsec_nanos()).unwrap_or_default();
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("modloop_test_{}_{started}_{number}", std::process::id());
        let mut url = Url::parse(&server_url).unwrap_or_else(|e| panic!("DATABASE_URL: {e}"));
        url.set_path(&name);
        let settings = server.clone().with_database(&name);
        Self { server, settings, url: url.into(), name }
    }

    /// How to connect to it.
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// The same as a URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of one's own.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn store(&self) -> Store {
        Store::connect(&self.settings).await.unwrap_or_else(|e| panic!("no connection: {e}"))
    }

    /// A bare connection for SQL that only tests need: fixtures, and looks from outside.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn client(&self) -> Client {
        connection::open(&self.settings).await.unwrap_or_else(|e| panic!("no connection: {e}"))
    }

    /// Makes a model known with the one label `hate`, and without figures.
    ///
    /// # Panics
    /// When Postgres refuses it.
    pub async fn register_model(&self, version: &str, bundle_uri: Option<&str>) {
        let model = NewModel {
            version: version.parse().unwrap_or_else(|e| panic!("{e}")),
            labels: vec!["hate".parse().unwrap_or_else(|e| panic!("{e}"))],
            baseline: json!({}),
            metrics: json!({}),
            bundle_uri: bundle_uri.map(str::to_owned),
        };
        self.store().await.register_model(&model).await.unwrap_or_else(|e| panic!("{version}: {e}"));
    }

    /// Stores an item that waits for its scores, in a community of Reddit with the default thresholds. With
    /// another text it edits the item.
    ///
    /// # Panics
    /// When Postgres refuses it.
    pub async fn insert_item(&self, community: &str, id: &str, text: &ItemText) {
        let client = self.client().await;
        let kind = if text.title().is_some() { "post" } else { "comment" };
        let key: Vec<u8> = client
            .query_one_scalar("select hash_key from installation", &[])
            .await
            .unwrap_or_else(|e| panic!("no key: {e}"));
        let key = HashKey::from_bytes(&key).unwrap_or_else(|| panic!("a key of the wrong length"));
        let hash = text.content_hash(&key);
        let stored = client
            .execute(
                "with known as (
                     insert into communities (name) values ($1)
                     on conflict (source, name) do update set name = excluded.name returning id
                 ), counted as (
                     insert into count_deltas (community_id, stored)
                     select id, 1 from known where not exists (select from items where id = $2)
                 ), head as (
                     insert into items (id, community_id, kind, content_hash, created_at, pending_since)
                     select $2, id, $3, $4, now(), now() from known
                     on conflict (id) do update set content_hash = excluded.content_hash,
                         pending_since = now(), queue_attempts = 0
                     returning id, part)
                 insert into item_texts (part, item_id, author, title, body, permalink)
                 select part, id, 'somebody', $5, $6, '/r/' || $1 || '/' || $2 from head
                 on conflict (part, item_id) do update set title = excluded.title, body = excluded.body",
                &[&community, &id, &kind, &hash.as_bytes(), &text.title(), &text.body()],
            )
            .await;
        stored.unwrap_or_else(|e| panic!("{id}: {e}"));
    }

    /// Takes the item's text away, as its deletion by its author does.
    ///
    /// # Panics
    /// When Postgres refuses it.
    pub async fn delete_text(&self, id: &str) {
        let id = id.parse().unwrap_or_else(|e| panic!("{e}"));
        let scrubbed = self.store().await.scrub(&[id], ItemState::Deleted).await;
        scrubbed.unwrap_or_else(|e| panic!("no item was scrubbed: {e}"));
    }

    /// Ends every connection to this database, as a restart of Postgres does.
    ///
    /// # Panics
    /// When Postgres refuses it.
    pub async fn terminate_connections(&self) {
        let sql = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'",
            self.name
        );
        self.on_server(&sql).await.unwrap_or_else(|e| panic!("{e}"));
    }

    async fn on_server(&self, sql: &str) -> Result<(), StoreError> {
        execute(&connection::open(&self.server).await?, sql).await
    }

    async fn clone_template(&self) -> Result<(), StoreError> {
        let template = format!("modloop_template_{:016x}", migrate::fingerprint());
        let server = connection::open(&self.server).await?;
        execute(&server, &format!("select pg_advisory_lock({TEMPLATE_LOCK})")).await?;
        let made: bool = server
            .query_one_scalar("select exists (select from pg_database where datname = $1)", &[&template])
            .await
            .map_err(StoreError::query("looking for the template database"))?;
        if !made {
            // Under another name until it is whole: a killed test leaves no half a template.
            let half = format!("{template}_half");
            execute(&server, &format!("drop database if exists {half} with (force)")).await?;
            execute(&server, &format!("create database {half}")).await?;
            migrate::migrate(&self.server.clone().with_database(&half)).await?;
            execute(&server, &format!("alter database {half} rename to {template}")).await?;
        }
        execute(&server, &format!("select pg_advisory_unlock({TEMPLATE_LOCK})")).await?;
        execute(&server, &format!("create database {} template {template}", self.name)).await
    }
}

async fn execute(client: &Client, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(sql).await.map_err(StoreError::query("preparing a test database"))
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, sql) =
            (self.server.clone(), format!("drop database if exists {} with (force)", self.name));
        // A thread with a runtime of its own: drop cannot wait inside the test's runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| {
                runtime.block_on(async { execute(&connection::open(&server).await?, &sql).await })
            })
        });
        if !matches!(dropping.join(), Ok(Ok(Ok(())))) {
            eprintln!("the test database {} was left behind", self.name);
        }
    }
}
