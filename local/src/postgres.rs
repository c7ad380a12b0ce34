//! A Postgres server for this machine alone, from unpacked binaries.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::account::Account;
use crate::claim::Claim;
use crate::ports::stable_port;
use crate::processes::{Launch, Process};

const USER: &str = "modloop";
const DATABASE: &str = "modloop";
const START_LIMIT: Duration = Duration::from_secs(60);

/// Where a server comes from and where it keeps its things.
#[derive(Debug, Clone)]
pub struct PostgresFiles {
    /// Folder with `bin`, `lib` and `share`.
    pub installation: PathBuf,
    /// Folder for data, password and port. Made on the first start, kept afterwards.
    pub folder: PathBuf,
    /// File that the server's messages are added to.
    pub log: PathBuf,
}

/// A running Postgres server. Dropping it stops the server; the data stays.
#[derive(Debug)]
pub struct Postgres {
    files: PostgresFiles,
    account: Account,
    password: String,
    port: u16,
    process: Process,
    throw_away: bool,
    _claim: Claim,
}

impl Postgres {
    /// Starts the server, after creating its data folder on the first start.
    pub async fn start(files: PostgresFiles) -> Result<Self> {
        let account = Account::not_root()?;
        let files = within_reach(files, account)?;
        let claim = Claim::take(&files.folder)?;
        let password = password(&files.folder.join("password"), account)?;
        create_data(&files, account)?;
        let port = stable_port(&files.folder.join("port"))?;
        let process = launch(&files, account, port).await?;
        Ok(Self { files, account, password, port, process, throw_away: false, _claim: claim })
    }

    /// Deletes the data when the server stops, wherever it lies.
    #[must_use]
    pub fn throw_away(mut self) -> Self {
        self.throw_away = true;
        self
    }

    /// Deletes what a killed server left outside `folder`, the one it was given. Only while none runs there.
    pub fn sweep(folder: &Path) -> Result<()> {
        let place = elsewhere(folder);
        match fs::metadata(&place) {
            Ok(found) if found.uid() == Uid::effective().as_raw() => {
                fs::remove_dir_all(&place).with_context(|| format!("delete {}", place.display()))
            }
            _ => Ok(()),
        }
    }

    /// Stops the server and starts it again; every connection is cut.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.stop();
        self.process = launch(&self.files, self.account, self.port).await?;
        Ok(())
    }

    /// Address of a database on this server.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@{}:{}/{DATABASE}", self.password, self.host(), self.port)
    }

    /// Host name.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::LOCALHOST
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Name of the database.
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// Name of the account that owns the database.
    pub fn username(&self) -> &'static str {
        USER
    }

    /// Password of that account.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// How the server ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.process.ended()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.throw_away {
            self.process.stop();
            if let Err(error) = fs::remove_dir_all(&self.files.folder) {
                tracing::warn!(%error, folder = %self.files.folder.display(), "data was left behind");
            }
        }
    }
}

/// Where the data lies when the server's account cannot reach `folder`.
fn elsewhere(folder: &Path) -> PathBuf {
    let name = hex::encode(Sha256::digest(folder.as_os_str().as_encoded_bytes()));
    PathBuf::from(format!("/var/tmp/modloop-{}", &name[..12]))
}

/// The same files, or their like under /var/tmp when `account` cannot reach them (a checkout under a closed home).
fn within_reach(files: PostgresFiles, account: Account) -> Result<PostgresFiles> {
    if account.can_reach(&files.folder.join("data")) && account.can_reach(&files.installation.join("bin")) {
        return Ok(files);
    }
    let place = elsewhere(&files.folder);
    fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
    // Anybody may create folders there.
    if fs::metadata(&place)?.uid() != Uid::effective().as_raw() {
        bail!(
            "{} belongs to somebody else: delete it, or move this project where all may pass",
            place.display()
        );
    }
    let installation = place.join("postgres");
    if !installation.is_dir() {
        copy_folder(&files.installation, &installation)?;
    }
    Ok(PostgresFiles { installation, folder: place, log: files.log })
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
    let copied = Command::new("cp").arg("-R").arg(from.join(".")).arg(&part).status().context("run cp")?;
    if !copied.success() {
        bail!("copying {} to {} failed", from.display(), part.display());
    }
    fs::rename(&part, to).with_context(|| format!("create {}", to.display()))
}

/// The password noted in `file`, made on the first start.
fn password(file: &Path, account: Account) -> Result<String> {
    if let Ok(noted) = fs::read_to_string(file) {
        return Ok(noted);
    }
    let password = hex::encode(rand::random::<[u8; 16]>());
    // Whole or not at all: a start may be interrupted at any moment.
    let part = file.with_extension("part");
    let mut options = fs::OpenOptions::new();
    let noted = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
    noted
        .and_then(|mut noted| noted.write_all(password.as_bytes()))
        .with_context(|| format!("write {}", part.display()))?;
    // Postgres reads it when it creates the account.
    account.give(&part)?;
    fs::rename(&part, file).with_context(|| format!("create {}", file.display()))?;
    Ok(password)
}

/// Creates the data folder with our account and database. A half-made one is thrown away first.
fn create_data(files: &PostgresFiles, account: Account) -> Result<()> {
    let data = files.folder.join("data");
    if data.is_dir() {
        return Ok(());
    }
    let part = files.folder.join("data.part");
    let _ = fs::remove_dir_all(&part);
    account.create_private_folder(&part)?;
    initdb(files, account, &part)?;
    create_database(files, account, &part)?;
    fs::rename(&part, &data).with_context(|| format!("create {}", data.display()))
}

fn initdb(files: &PostgresFiles, account: Account, data: &Path) -> Result<()> {
    let mut command = program(files, account, "initdb");
    command.arg("--pgdata").arg(data).args(["--username", USER, "--auth", "scram-sha-256"]);
    command.args(["--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8"]);
    command.arg("--pwfile").arg(files.folder.join("password"));
    run_with_input(command, "initdb", "")
}

fn create_database(files: &PostgresFiles, account: Account, data: &Path) -> Result<()> {
    let mut command = program(files, account, "postgres");
    command.arg("--single").arg("-D").arg(data).arg("postgres");
    run_with_input(command, "creating the database", &format!("create database {DATABASE};\n"))
}

fn program(files: &PostgresFiles, account: Account, name: &str) -> Command {
    let mut command = Command::new(files.installation.join("bin").join(name));
    // Settings of another Postgres (PGDATA, PGOPTIONS, …) must not reach this one.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir("/");
    command.env("LD_LIBRARY_PATH", files.installation.join("lib"));
    account.take_on(&mut command);
    command
}

fn run_with_input(mut command: Command, what: &str, input: &str) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {:?}", command.get_program()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).with_context(|| format!("tell {what} its input"))?;
    }
    let output = child.wait_with_output().with_context(|| format!("wait for {what}"))?;
    if !output.status.success() {
        bail!("{what} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

async fn launch(files: &PostgresFiles, account: Account, port: u16) -> Result<Process> {
    let mut command = program(files, account, "postgres");
    command.arg("-D").arg(files.folder.join("data"));
    for setting in [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        // Tests run side by side, each with connections of its own.
        "max_connections=400".into(),
        // A crash of this machine may lose the last moments, never the database.
        "synchronous_commit=off".into(),
    ] {
        command.arg("-c").arg(setting);
    }
    let launch = Launch {
        name: "Postgres".into(),
        command,
        log: files.log.clone(),
        // A fast shutdown: running transactions are rolled back.
        stop_signal: Signal::SIGINT,
        grace: Duration::from_secs(20),
    };
    let mut process = launch.start()?;
    process.wait_until(|| accepts_logins(port), START_LIMIT).await?;
    Ok(process)
}

/// Whether the server answers a startup message with a request for the password: it listens before it
/// is ready, and then answers with an error.
async fn accepts_logins(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let parameters = format!("user\0{USER}\0database\0{DATABASE}\0\0");
    // Length of the whole message, protocol version 3.0, parameters.
    let length = (8 + parameters.len()) as u32;
    let message = [&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), parameters.as_bytes()].concat();
    let mut kind = [0];
    connection.write_all(&message).await.is_ok()
        && connection.read_exact(&mut kind).await.is_ok()
        && kind == *b"R"
}
