//! What came of it: counts, latencies and the loader's own share of CPU, as one JSON object.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::client::Answer;

/// Linux reports CPU in ticks of 10 ms (`USER_HZ`), whatever its own clock does.
const TICKS_A_SECOND: f64 = 100.0;
/// Of `/proc/self/stat`, counted behind the program's name in parentheses.
const UTIME: usize = 11;

/// The outcomes of one thread.
#[derive(Default)]
pub(crate) struct Outcomes {
    latencies: Vec<Duration>,
    statuses: BTreeMap<u16, usize>,
    receipts: usize,
    bytes: usize,
    failures: BTreeMap<String, usize>,
}

impl Outcomes {
    /// Counts an answer with what it took, or what went wrong.
    pub(crate) fn add(&mut self, outcome: Result<(Answer, Duration)>) {
        match outcome {
            Ok((answer, taken)) => {
                self.latencies.push(taken);
                *self.statuses.entry(answer.status).or_default() += 1;
                self.receipts += usize::from(answer.receipt);
                self.bytes += answer.bytes;
            }
            Err(error) => *self.failures.entry(error.to_string()).or_default() += 1,
        }
    }
}

/// One run. Latencies in ms, from before `connect` to the last byte of the answer; of answered uploads only.
#[derive(Serialize)]
pub(crate) struct Summary {
    answered: usize,
    receipts: usize,
    statuses: BTreeMap<u16, usize>,
    failures: BTreeMap<String, usize>,
    answer_bytes: usize,
    seconds: f64,
    cpu_seconds: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Summary {
    /// Sums up what all threads saw within `elapsed`.
    pub(crate) fn new(parts: Vec<Outcomes>, elapsed: Duration) -> Result<Self> {
        let mut all = Outcomes::default();
        for part in parts {
            all.latencies.extend(part.latencies);
            all.receipts += part.receipts;
            all.bytes += part.bytes;
            for (status, count) in part.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
            for (failure, count) in part.failures {
                *all.failures.entry(failure).or_default() += count;
            }
        }
        all.latencies.sort_unstable();
        let answered = all.latencies.len();
        let percentile = |hundredths: usize| {
            let place = answered.saturating_sub(1) * hundredths / 100;
            all.latencies.get(place).map_or(0.0, |taken| taken.as_secs_f64() * 1e3)
        };
        Ok(Self {
            answered,
            receipts: all.receipts,
            answer_bytes: all.bytes.checked_div(answered).unwrap_or(0),
            seconds: elapsed.as_secs_f64(),
            cpu_seconds: cpu_seconds()?,
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: percentile(100),
            statuses: all.statuses,
            failures: all.failures,
        })
    }

    /// Writes the object as one line.
    pub(crate) fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// CPU of this process so far, user and system.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat is not as it was")?;
    let ticks = fields.split_whitespace().skip(UTIME).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<std::result::Result<f64, _>>()? / TICKS_A_SECOND)
}
