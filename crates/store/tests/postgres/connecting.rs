use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use modloop_store::testing::TestDatabase;
use modloop_store::{Database, DatabaseSettings, Store, StoreError};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

fn settings(url: &Url) -> DatabaseSettings {
    DatabaseSettings::from_url(url.as_str()).expect("a usable URL")
}

async fn refused(settings: &DatabaseSettings) -> StoreError {
    match Store::connect(settings).await {
        Ok(_) => panic!("connected to {settings:?}"),
        Err(error) => error,
    }
}

async fn url() -> (TestDatabase, Url) {
    let database = TestDatabase::create().await;
    let url = database.url().parse().expect("a URL");
    (database, url)
}

#[tokio::test]
async fn an_unreachable_server_is_worth_another_try() {
    // Bound and dropped: nobody listens there now.
    let port = TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a port").port();
    let error =
        refused(&settings(&format!("postgres://u:p@127.0.0.1:{port}/m").parse().expect("a URL"))).await;
    assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_retryable(), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port} cannot be reached")), "{error}");
}

#[tokio::test]
async fn an_unknown_user_is_not() {
    let (_database, mut url) = url().await;
    url.set_username("modloop_nobody").expect("takes a name");
    let error = refused(&settings(&url)).await;
    assert!(matches!(error, StoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
}

/// A server that lets people in or not as a test needs it: says `messages` once it has read the start-up
/// message, and again after each further one.
async fn scripted(messages: Vec<Vec<u8>>) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        for message in messages {
            let _start_up_or_password = client.read(&mut [0; 1024]).await.expect("reads");
            client.write_all(&message).await.expect("writes");
        }
    });
    format!("postgres://modloop:open-sesame@127.0.0.1:{port}/modloop").parse().expect("a URL")
}

/// One message of Postgres's protocol: kind, length, content.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).expect("short");
    [&[kind], length.to_be_bytes().as_slice(), content].concat()
}

// Servers for tests often trust everybody on this machine, so this one is scripted.
#[tokio::test]
async fn a_wrong_password_is_not_worth_another_try_and_not_repeated() {
    let ask_for_password = message(b'R', &3_u32.to_be_bytes());
    let refuse =
        message(b'E', b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"modloop\"\0\0");
    let mut url = scripted(vec![ask_for_password.clone(), refuse]).await;
    let error = refused(&settings(&url)).await;
    assert!(matches!(error, StoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    let words = format!("{error} {error:?}");
    assert!(words.contains("\"modloop\"") && !words.contains("open-sesame"), "{words}");

    url = scripted(vec![ask_for_password]).await;
    url.set_password(None).expect("takes none");
    let error = refused(&settings(&url)).await;
    assert!(
        matches!(error, StoreError::Refused { .. }) && error.to_string().contains("password missing"),
        "{error}"
    );
}

fn starting() -> Vec<u8> {
    message(b'E', b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0")
}

#[tokio::test]
async fn a_server_that_is_starting_is_worth_another_try() {
    let error = refused(&settings(&scripted(vec![starting()]).await)).await;
    assert!(matches!(error, StoreError::Unreachable { .. }) && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_named() {
    let welcome =
        [message(b'R', &[0; 4]), message(b'S', b"server_version\x0013.4 (Debian)\0"), message(b'Z', b"I")];
    let error = refused(&settings(&scripted(vec![welcome.concat()]).await)).await;
    assert!(matches!(error, StoreError::ServerTooOld { .. }) && !error.is_retryable(), "{error}");
    assert!(error.to_string().contains("version 13.4"), "{error}");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let (_database, mut url) = url().await;
    url.set_path("modloop_no_such");
    let error = refused(&settings(&url)).await;
    assert!(
        matches!(&error, StoreError::DatabaseMissing { database, .. } if database == "modloop_no_such"),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_schema_older_than_the_code_names_the_way_out() {
    let database = TestDatabase::create_empty().await;
    let error = refused(database.settings()).await;
    assert!(matches!(error, StoreError::SchemaTooOld { found: None, .. }), "{error}");
    assert!(error.to_string().contains("run the migrate function"), "{error}");

    let database = TestDatabase::create().await;
    database
        .client()
        .await
        .batch_execute("delete from refinery_schema_history where version > 1; update refinery_schema_history set version = 0")
        .await
        .expect("aged");
    let error = refused(database.settings()).await;
    assert!(
        matches!(error, StoreError::SchemaTooOld { found: Some(0), .. }) && !error.is_retryable(),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let (_database, mut url) = url().await;
    url.set_query(Some("sslmode=verify-full"));
    let error = refused(&settings(&url)).await;
    assert!(matches!(error, StoreError::Tls { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("does not support TLS"), "{error}");
}

/// A server with TLS and a certificate of its own making.
async fn self_signed() -> Url {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a usable certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let _ssl_request = client.read(&mut [0; 8]).await.expect("reads");
        client.write_all(b"S").await.expect("agrees to TLS");
        // The client breaks off as soon as it has seen the certificate.
        let refused = TlsAcceptor::from(Arc::new(config)).accept(client).await;
        assert!(refused.is_err(), "the client went on");
    });
    format!("postgres://modloop:open-sesame@localhost:{port}/modloop?sslmode=verify-full")
        .parse()
        .expect("a URL")
}

#[tokio::test]
async fn a_certificate_that_no_rds_authority_signed_is_refused_before_the_password_is_sent() {
    let error = refused(&settings(&self_signed().await)).await;
    assert!(matches!(error, StoreError::Tls { .. }) && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

/// Refuses the first caller as a server that is starting does, and leads the others to Postgres.
async fn starting_once(postgres: &Url) -> Url {
    let (host, port) = (postgres.host_str().expect("a host"), postgres.port().unwrap_or(5432));
    let place = format!("{host}:{port}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut url = postgres.clone();
    url.set_host(Some("127.0.0.1")).expect("takes a host");
    url.set_port(Some(listener.local_addr().expect("an address").port())).expect("takes a port");
    tokio::spawn(async move {
        let (mut early, _) = listener.accept().await.expect("a client");
        let _start_up = early.read(&mut [0; 1024]).await.expect("reads");
        early.write_all(&starting()).await.expect("writes");
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(place).await.expect("Postgres");
        // Ends with an error when either side closes first: no matter here.
        let _bytes = copy_bidirectional(&mut client, &mut server).await;
    });
    url
}

#[tokio::test]
async fn a_server_that_is_starting_is_waited_for() {
    let (_database, url) = url().await;
    let database = Database::new(settings(&starting_once(&url).await));
    assert_eq!(database.session().await.expect("waits").oldest_unscored().await.expect("asks"), None);
}

#[tokio::test]
async fn a_restart_is_not_noticed_by_the_next_call() {
    let fixture = TestDatabase::create().await;
    let database = Database::new(fixture.settings().clone());
    assert_eq!(database.session().await.expect("connects").oldest_unscored().await.expect("asks"), None);
    fixture.terminate_connections().await;
    assert_eq!(database.session().await.expect("reconnects").oldest_unscored().await.expect("asks"), None);
}

#[tokio::test]
async fn a_connection_lost_under_a_statement_is_worth_another_try() {
    let fixture = TestDatabase::create().await;
    let store = fixture.store().await;
    fixture.terminate_connections().await;
    let error = store.oldest_unscored().await.expect_err("the connection is gone");
    assert!(error.is_retryable(), "{error}");
    assert!(store.is_closed());
}

#[tokio::test]
async fn a_question_is_asked_again_when_the_connection_breaks_under_it() {
    let fixture = TestDatabase::create().await;
    let database = Database::new(fixture.settings().clone());
    let asked = AtomicU32::new(0);
    let answer = database
        .ask(async |store| {
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                fixture.terminate_connections().await;
            }
            store.oldest_unscored().await
        })
        .await;
    assert_eq!((answer.expect("answers"), asked.into_inner()), (None, 2));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let fixture = TestDatabase::create().await;
    let settings = fixture.settings().clone().with_statement_timeout(std::time::Duration::from_millis(200));
    let store = Store::connect(&settings).await.expect("connects");
    let other = fixture.client().await;
    other.batch_execute("begin; lock table items in access exclusive mode").await.expect("locked");
    let error = store.oldest_unscored().await.expect_err("waits for the lock");
    assert!(error.is_retryable() && error.to_string().contains("statement timeout"), "{error}");
}
