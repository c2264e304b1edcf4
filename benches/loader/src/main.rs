//! The load of the gateway's benches: statements over mutual TLS 1.3, each on a connection of its own.
//!
//! ```text
//! tallygate-loader play --address A --ca F --credentials F --statements F --in-flight N [--first N] [--count N]
//! tallygate-loader hold --address A --ca F --credentials F --statements F [--first N] [--count N]
//! ```
//!
//! `play` sends the statements, `--in-flight` at a time, and writes one JSON object (`Summary`) to standard output.
//! `hold` sends each statement on a connection that it then keeps open; it writes its summary, waits for the end of
//! standard input, and closes them all.
//!
//! Full handshakes only: nothing is resumed. Threads block on their sockets; the program is no bottleneck as long as a
//! server that is pinned to one core is busy all the time while the loader has another.

#![forbid(unsafe_code)]

mod client;
mod inputs;
mod summary;

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use client::{Client, Session};
use inputs::{Upload, credentials, uploads};
use summary::{Outcomes, Summary};

/// Every fault of the load itself; a refusal by the server is an outcome and no fault.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A thread here holds a session's buffers on the heap and little on its stack.
const STACK_BYTES: usize = 256 * 1024;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tallygate-loader: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().ok_or("say play or hold")?;
    let options = Options::parse(words)?;
    let address: SocketAddr = options.text("address")?.parse()?;
    let client = Client::new(address, &options.path("ca")?, &credentials(&options.path("credentials")?)?)?;
    let all = uploads(&options.path("statements")?, client.credentials())?;
    let mine = &all[options.range(all.len())?];
    match mode.as_str() {
        "play" => play(&client, mine, options.number("in-flight")?)?.print(),
        "hold" => hold(&client, mine),
        _ => Err(format!("{mode} is neither play nor hold").into()),
    }
}

/// Sends every upload on its own connection, `in_flight` of them at a time.
fn play(client: &Client, uploads: &[Upload], in_flight: usize) -> Result<Summary> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Outcomes::default();
        while let Some(upload) = uploads.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            let answer = client.connect(upload.credential).and_then(|mut session| {
                let answer = session.post(&upload.statement, false)?;
                let taken = begun.elapsed();
                session.finish()?;
                Ok((answer, taken))
            });
            outcomes.add(answer);
        }
        outcomes
    };
    let begun = Instant::now();
    let parts = thread::scope(|scope| {
        let threads = (0..in_flight)
            .map(|_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work))
            .collect::<std::io::Result<Vec<_>>>()?;
        threads.into_iter().map(|one| one.join().map_err(|_| "a thread panicked".into())).collect::<Result<Vec<_>>>()
    })?;
    Summary::new(parts, begun.elapsed())
}

/// Sends each upload on a connection that stays open until standard input ends.
fn hold(client: &Client, uploads: &[Upload]) -> Result<()> {
    let mut outcomes = Outcomes::default();
    let mut sessions: Vec<Session> = Vec::with_capacity(uploads.len());
    let begun = Instant::now();
    for upload in uploads {
        let since = Instant::now();
        let answer = client.connect(upload.credential).and_then(|mut session| {
            let answer = session.post(&upload.statement, true)?;
            sessions.push(session);
            Ok((answer, since.elapsed()))
        });
        outcomes.add(answer);
    }
    Summary::new(vec![outcomes], begun.elapsed())?.print()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// `--name value` pairs.
struct Options(HashMap<String, String>);

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word} is no option"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            options.insert(name.to_owned(), value);
        }
        Ok(Self(options))
    }

    fn text(&self, name: &str) -> Result<&str> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("--{name} is missing").into())
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        self.text(name).map(|text| Path::new(text).to_owned())
    }

    fn number(&self, name: &str) -> Result<usize> {
        Ok(self.text(name)?.parse()?)
    }

    /// Which of the `total` uploads are meant: all from `--first` on, or `--count` of them.
    fn range(&self, total: usize) -> Result<Range<usize>> {
        let first = if self.0.contains_key("first") { self.number("first")? } else { 0 };
        let count = if self.0.contains_key("count") { self.number("count")? } else { total.saturating_sub(first) };
        let end = first.checked_add(count).filter(|end| *end <= total);
        Ok(first..end.ok_or_else(|| format!("the file has {total} statements"))?)
    }
}
