//! Child processes that never outlive this one.
//!
//! Each child leads a process group of its own, so that what it starts in turn ends with it, and so
//! that Ctrl-C in a terminal reaches only us: we stop the children in our order.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

const POLL: Duration = Duration::from_millis(50);

/// A running child process. Dropping it stops the child and everything the child started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Length of the log before the process wrote to it, in bytes.
    log_before: u64,
    stop_signal: Signal,
    grace: Duration,
}

/// What to start and how to stop it.
#[derive(Debug)]
pub struct Launch {
    /// What people call it, for messages.
    pub name: String,
    /// Program, arguments and environment.
    pub command: Command,
    /// File that its output is added to.
    pub log: PathBuf,
    /// What asks it to end in good order; also sent when this process dies.
    pub stop_signal: Signal,
    /// How long it may take to end before it is killed.
    pub grace: Duration,
}

impl Launch {
    /// Starts the process.
    pub fn start(self) -> Result<Process> {
        let Launch { name, mut command, log, stop_signal, grace } = self;
        let output = append_to(&log)?;
        let log_before = output.metadata().map_or(0, |metadata| metadata.len());
        let errors = output.try_clone().with_context(|| format!("open {} twice", log.display()))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl is one.
        unsafe {
            command.pre_exec(move || set_pdeathsig(stop_signal).map_err(io::Error::from));
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = spawn(command).with_context(|| format!("start {name}: cannot run {program}"))?;
        Ok(Process { name, child, log, log_before, stop_signal, grace })
    }
}

impl Launch {
    /// Runs the program to its end. A failure is told with the last `lines` of what it wrote.
    pub async fn succeed(self, lines: usize) -> Result<()> {
        let name = self.name.clone();
        let mut process = self.start()?;
        if !process.wait().await?.success() {
            bail!("{name} failed:\n{}", process.last_words(lines));
        }
        Ok(())
    }
}

impl Process {
    /// Process id, which is also the id of its process group.
    pub fn id(&self) -> i32 {
        // Linux process ids stay below 2^22.
        self.child.id() as i32
    }

    /// The last lines that it wrote, for an error message.
    pub fn last_words(&self, lines: usize) -> String {
        let mut written = Vec::new();
        if let Ok(mut log) = File::open(&self.log)
            && log.seek(SeekFrom::Start(self.log_before)).is_ok()
        {
            // What can be read is better than nothing.
            let _ = log.read_to_end(&mut written);
        }
        let text = String::from_utf8_lossy(&written);
        // Of a line that was written over and over, as progress is, the last writing.
        let shown = text.lines().map(|line| line.rsplit('\r').next().unwrap_or(line));
        let all: Vec<&str> = shown.filter(|line| !line.trim().is_empty()).collect();
        let tail = &all[all.len().saturating_sub(lines)..];
        format!("{}\n(the whole log: {})", tail.join("\n"), self.log.display())
    }

    /// How the process ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("ask how {} is", self.name))
    }

    /// Waits until the process ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until `ready` says so. Fails when the process ends first or `limit` passes, with the end of its log.
    pub async fn wait_until<F: Future<Output = bool>>(
        &mut self,
        ready: impl Fn() -> F,
        limit: Duration,
    ) -> Result<()> {
        let begun = Instant::now();
        while !ready().await {
            if let Some(status) = self.ended()? {
                bail!("{} ended at once ({status}):\n{}", self.name, self.last_words(15));
            }
            if begun.elapsed() > limit {
                let (name, log) = (&self.name, self.last_words(15));
                bail!("{name} gave no answer within {} s:\n{log}", limit.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends the process in good order, and by force when it takes too long. Blocks until it is gone.
    pub fn stop(&mut self) {
        let leader = Pid::from_raw(self.id());
        if !self.is_gone() {
            // Only the leader: it may need what it started to end in good order.
            let _ = kill(leader, self.stop_signal);
        }
        let begun = Instant::now();
        while !self.is_gone() && begun.elapsed() < self.grace {
            std::thread::sleep(POLL);
        }
        if killpg(leader, Signal::SIGKILL) != Err(Errno::ESRCH) {
            let _ = self.child.wait();
        }
    }

    fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends when a person asks this process to stop: Ctrl-C, a closed terminal, or `kill`.
pub async fn stop_requested() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

fn append_to(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    File::options().create(true).append(true).open(log).with_context(|| format!("open {}", log.display()))
}

type Spawn = (Command, Sender<io::Result<Child>>);

/// Starts children from one thread that lasts as long as this process: Linux takes the end of the
/// thread that started a child for the death of the parent.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: LazyLock<Mutex<Sender<Spawn>>> = LazyLock::new(|| {
        let (requests, inbox): (Sender<Spawn>, Receiver<Spawn>) = channel();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(requests)
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    let (reply, answer) = channel();
    SPAWNER.lock().map_err(|_| gone())?.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Launch {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Launch {
            name: "a script".into(),
            command,
            log: log.into(),
            stop_signal: Signal::SIGTERM,
            grace: Duration::from_millis(300),
        }
    }

    #[tokio::test]
    async fn output_goes_to_the_log_and_the_status_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("logs/out");
        shell("echo of an earlier run", &log).start().expect("starts").wait().await.expect("ends");
        let mut process =
            shell(r"printf 'half\rsaid\n'; echo complained >&2; exit 3", &log).start().expect("starts");
        let status = process.wait().await.expect("ends");
        assert_eq!(status.code(), Some(3));
        let tail = process.last_words(5);
        assert!(tail.starts_with("said\ncomplained\n"), "{tail}");
    }

    #[tokio::test]
    async fn dropping_ends_the_whole_group_even_when_it_resists() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, started) = (folder.path().join("out"), folder.path().join("started"));
        let script =
            format!("trap '' TERM; sleep 600 & echo $! > {0}.part; mv {0}.part {0}; wait", started.display());
        let mut process = shell(&script, &log).start().expect("starts");
        process.wait_until(|| async { started.exists() }, Duration::from_secs(10)).await.expect("comes up");
        let grandchild: i32 = std::fs::read_to_string(&started).expect("read").trim().parse().expect("a pid");
        drop(process);
        let gone_by = Instant::now() + Duration::from_secs(10);
        while is_running(grandchild) && Instant::now() < gone_by {
            std::thread::yield_now();
        }
        assert!(!is_running(grandchild), "process {grandchild} still runs");
    }

    /// A killed orphan may stay listed as a zombie until init collects it.
    fn is_running(id: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn one_that_ends_before_it_is_ready_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process =
            shell("echo no licence; exit 1", &folder.path().join("out")).start().expect("starts");
        let error =
            process.wait_until(|| async { false }, Duration::from_secs(10)).await.expect_err("ends early");
        assert!(error.to_string().contains("no licence"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut launch = shell("", &folder.path().join("out"));
        launch.command = Command::new("/no/such/program");
        let error = launch.start().expect_err("not there").to_string();
        assert_eq!(error, "start a script: cannot run /no/such/program");
    }
}
