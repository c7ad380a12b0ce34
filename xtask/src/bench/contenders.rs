//! The programs that are compared, and rounds between them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::measure::{Cost, Speeds, cpu_seconds, peak_megabytes};

/// Words that the tokenizer of BERT has whole: one token each.
const WORDS: &str = "the people who said that they would never come back after what happened last night are here \
    again and nobody knows why this place is full of old friends some of them think you should stop talking about \
    music games food work school money family because every time we try it goes wrong but maybe tomorrow will be \
    better for all of us";

/// A program that scores texts when asked.
pub(crate) struct Contender {
    /// For the tables.
    pub name: &'static str,
    child: Child,
    line: Line,
}

/// How it is asked.
enum Line {
    /// Lists of texts as lines of JSON.
    Pipe(ChildStdin, BufReader<ChildStdout>),
    /// One text a request, over one connection that stays open.
    Http(BufReader<TcpStream>),
}

impl Contender {
    /// Starts a program that reads lists of texts, and waits until it is ready.
    pub(crate) fn piped(name: &'static str, command: Command) -> Result<Self> {
        let (mut child, answers) = start(name, command)?;
        let questions = child.stdin.take().context("standard input was asked for")?;
        Ok(Self { name, child, line: Line::Pipe(questions, answers) })
    }

    /// Starts a service on a free port, and waits until it is ready.
    pub(crate) fn service(name: &'static str, command: impl FnOnce(u16) -> Command) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (child, _answers) = start(name, command(port))?;
        let mut tries = 0;
        let connection = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(connection) => break connection,
                Err(error) if tries == 100 => bail!("{name} does not listen: {error}"),
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
            }
            tries += 1;
        };
        connection.set_nodelay(true)?;
        Ok(Self { name, child, line: Line::Http(BufReader::new(connection)) })
    }

    fn score(&mut self, texts: &[String]) -> Result<()> {
        match &mut self.line {
            Line::Pipe(questions, answers) => {
                writeln!(questions, "{}", json!(texts))?;
                let mut answer = String::new();
                answers.read_line(&mut answer)?;
                answer.trim().parse::<f64>().with_context(|| format!("{} answers {answer:?}", self.name))?;
            }
            Line::Http(connection) => {
                for text in texts {
                    post(connection, &json!({ "text": text }).to_string())?;
                }
            }
        }
        Ok(())
    }

    fn round(&mut self, texts: &[String]) -> Result<Cost> {
        let (cpu, wall) = (cpu_seconds(self.child.id())?, Instant::now());
        self.score(texts).with_context(|| format!("{} failed", self.name))?;
        let items = texts.len() as f64;
        let cpu = cpu_seconds(self.child.id())? - cpu;
        Ok(Cost { cpu: cpu / items, wall: wall.elapsed().as_secs_f64() / items })
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn start(name: &str, mut command: Command) -> Result<(Child, BufReader<ChildStdout>)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut answers = BufReader::new(child.stdout.take().context("standard output was asked for")?);
    let mut ready = String::new();
    while answers.read_line(&mut ready)? > 0 {
        if ready.trim_end().ends_with("ready") {
            return Ok((child, answers));
        }
    }
    bail!("{name} ended before it was ready: {ready}")
}

fn post(connection: &mut BufReader<TcpStream>, body: &str) -> Result<()> {
    let length = body.len();
    let request = format!(
        "POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length) = (String::new(), 0);
    connection.read_line(&mut status)?;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header)?;
        match header.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut answer = vec![0; length];
    connection.read_exact(&mut answer)?;
    if status.contains(" 200 ") {
        Ok(())
    } else {
        bail!("it answers {status} {}", String::from_utf8_lossy(&answer))
    }
}

/// All contenders, taking turns.
pub(crate) struct Race {
    contenders: Vec<Contender>,
    /// So that no text comes twice.
    next: usize,
}

impl Race {
    pub(crate) fn new(contenders: Vec<Contender>) -> Self {
        Self { contenders, next: 0 }
    }

    /// `rounds` rounds with texts of `tokens` tokens; in each, all score the same texts.
    pub(crate) fn run(&mut self, tokens: usize, rounds: usize) -> Result<Speeds> {
        let items = (2048 / tokens).clamp(8, 64);
        let mut costs = vec![Vec::with_capacity(rounds); self.contenders.len()];
        // The first round warms caches up and is not counted.
        for round in 0..=rounds {
            let texts = self.texts(tokens, items);
            for (contender, costs) in self.contenders.iter_mut().zip(&mut costs) {
                let cost = contender.round(&texts)?;
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
        Ok(Speeds::new(tokens, &super::names(&self.contenders), &costs))
    }

    /// Different texts of `tokens` tokens, two of which are special ones.
    fn texts(&mut self, tokens: usize, items: usize) -> Vec<String> {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut text = || {
            self.next += 1;
            // A step that shares no factor with their number goes through all words in another order.
            let (start, step) = (self.next, 1 + 2 * (self.next % 7));
            let word = |i: usize| words[(start * 31 + i * step) % words.len()];
            (0..tokens - 2).map(word).collect::<Vec<_>>().join(" ")
        };
        (0..items).map(|_| text()).collect()
    }

    /// The most memory that each has used, in megabytes.
    pub(crate) fn peak_memory(&self) -> Result<Vec<(&'static str, f64)>> {
        self.contenders.iter().map(|c| Ok((c.name, peak_megabytes(c.child.id())?))).collect()
    }
}
