//! Gets lines to the server: again after a failure, in halves after a refusal, until every line is either taken or
//! parked with the server's own words.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use shopfloor::time::Timestamp;
use tokio_util::sync::CancellationToken;

/// Longest request, bytes.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// First pause after a failure; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A line and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// With its end.
    pub text: String,
    /// The block or the end of the log at which the result was found.
    pub log_index: u64,
    /// The instant it speaks for.
    pub at: Timestamp,
}

/// A line that the mirror does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The line.
    pub line: Line,
    /// Stable code.
    pub reason: &'static str,
    /// In the server's words, or ours.
    pub detail: String,
}

/// What a server answered to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Every line was taken.
    Taken,
    /// Some or all lines were refused for what they are.
    Refused(String),
    /// The request is too large.
    TooLarge(String),
    /// Not now: no connection, no answer in time, too many requests, a fault or a refusal of the server's own.
    Later(String),
}

/// Where lines are written.
pub trait Writes: Send + Sync {
    /// One request; nothing is retried here.
    fn write(&self, lines: String) -> impl Future<Output = Answer> + Send;
}

/// What is told while lines are on their way.
pub trait Told: Send + Sync {
    /// A request was answered.
    fn answered(&self, answer: &Answer);
    /// A pause before the next attempt.
    fn paused(&self, why: &str);
}

/// What became of the lines.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Lines that were taken.
    pub written: u64,
    /// Lines that were refused for what they are.
    pub parked: Vec<Parked>,
}

/// How lines are sent.
pub struct Delivery<'a, S, T> {
    /// Where.
    pub server: &'a S,
    /// Who is told.
    pub told: &'a T,
    /// Most lines in one request.
    pub lines_max: usize,
    /// A line that any server in order takes: tells a refusal of lines from a refusal of everything.
    pub probe: String,
    /// Ends the waiting.
    pub stop: &'a CancellationToken,
}

impl<S: Writes, T: Told> Delivery<'_, S, T> {
    /// Sends every line. `None`: it was stopped, and nothing is known of the lines not yet answered for.
    pub async fn deliver(&self, lines: &[Line]) -> Option<Delivered> {
        let mut delivered = Delivered::default();
        let mut suspects: Vec<(Range<usize>, String)> = Vec::new();
        let mut left = requests(lines, self.lines_max);
        left.reverse();
        while let Some(range) = left.pop() {
            match self.send(joined(&lines[range.clone()])).await? {
                Answer::Taken => delivered.written += range.len() as u64,
                // Every line of it is refused: the server's count says so, or there is only one.
                Answer::Refused(why) if range.len() == 1 || dropped(&why) == Some(range.len()) => {
                    suspects.push((range, why));
                }
                Answer::TooLarge(why) if range.len() == 1 => suspects.push((range, why)),
                Answer::Refused(_) | Answer::TooLarge(_) => {
                    let middle = range.start + range.len() / 2;
                    left.push(middle..range.end);
                    left.push(range.start..middle);
                }
                Answer::Later(_) => {}
            }
        }
        if !suspects.is_empty() && delivered.written == 0 {
            // Not one line was taken. Before they are blamed the server shows that it takes any line at all.
            self.insist(&self.probe).await?;
        }
        for (range, why) in suspects {
            let park = |line: &Line| Parked { line: line.clone(), reason: "refused", detail: why.clone() };
            delivered.parked.extend(lines[range].iter().map(park));
        }
        Some(delivered)
    }

    /// One request until it is answered for what it holds; never [`Answer::Later`].
    async fn send(&self, body: String) -> Option<Answer> {
        let mut failures = 0;
        loop {
            let answer = tokio::select! {
                () = self.stop.cancelled() => return None,
                answer = self.server.write(body.clone()) => answer,
            };
            self.told.answered(&answer);
            let Answer::Later(why) = &answer else { return Some(answer) };
            self.pause(&mut failures, why).await?;
        }
    }

    /// One request until it is taken.
    async fn insist(&self, body: &str) -> Option<()> {
        let mut failures = 0;
        loop {
            match self.send(body.to_owned()).await? {
                Answer::Taken => return Some(()),
                Answer::Refused(why) | Answer::TooLarge(why) | Answer::Later(why) => {
                    let why = format!("the server refuses every line: {why}");
                    self.pause(&mut failures, &why).await?;
                }
            }
        }
    }

    async fn pause(&self, failures: &mut u32, why: &str) -> Option<()> {
        self.told.paused(why);
        let pause = pause(*failures, random());
        *failures = failures.saturating_add(1);
        // Real time, also where the clock of the factory is a simulated one: the server's troubles are.
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(pause) => Some(()),
        }
    }
}

/// Between half and all of the doubled pause. `random` is spread evenly over its type.
fn pause(failures: u32, random: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    let half = doubled / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// A number from the operating system's generator; zero if it has none, which only makes the jitter less even.
fn random() -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_or(0, |()| u32::from_le_bytes(bytes))
}

/// How many lines a server says it dropped: `... dropped=3`.
fn dropped(why: &str) -> Option<usize> {
    let (_, rest) = why.split_once("dropped=")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Lines in order, cut where a request would have too many of them or too many bytes.
fn requests(lines: &[Line], lines_max: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (place, line) in lines.iter().enumerate() {
        let full = place - start >= lines_max.max(1) || bytes + line.text.len() > REQUEST_BYTES_MAX;
        if full && place > start {
            ranges.push(start..place);
            (start, bytes) = (place, 0);
        }
        bytes += line.text.len();
    }
    if start < lines.len() {
        ranges.push(start..lines.len());
    }
    ranges
}

fn joined(lines: &[Line]) -> String {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A server that answers by rule and remembers what it took.
    struct Ruled<R> {
        rule: R,
        taken: Mutex<Vec<String>>,
        requests: Mutex<usize>,
    }

    impl<R: Fn(&[&str], usize) -> Answer + Send + Sync> Writes for Ruled<R> {
        async fn write(&self, lines: String) -> Answer {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                *requests += 1;
                *requests
            };
            let lines: Vec<&str> = lines.lines().collect();
            let answer = (self.rule)(&lines, number);
            if answer == Answer::Taken {
                self.taken.lock().unwrap().extend(lines.iter().map(|line| (*line).to_owned()));
            }
            answer
        }
    }

    struct Silent;
    impl Told for Silent {
        fn answered(&self, _: &Answer) {}
        fn paused(&self, _: &str) {}
    }

    fn lines(count: u64) -> Vec<Line> {
        let line = |n| Line { text: format!("l{n}\n"), log_index: n, at: Timestamp::from_secs(0) };
        (0..count).map(line).collect()
    }

    async fn run<R: Fn(&[&str], usize) -> Answer + Send + Sync>(
        count: u64,
        rule: R,
    ) -> (Delivered, Vec<String>, usize) {
        let server = Ruled { rule, taken: Mutex::default(), requests: Mutex::default() };
        let stop = CancellationToken::new();
        let delivery =
            Delivery { server: &server, told: &Silent, lines_max: 100, probe: "probe\n".to_owned(), stop: &stop };
        let delivered = delivery.deliver(&lines(count)).await.unwrap();
        (delivered, server.taken.into_inner().unwrap(), server.requests.into_inner().unwrap())
    }

    #[tokio::test]
    async fn only_the_offending_lines_are_parked_with_the_servers_words() {
        let bad = ["l7", "l93"];
        let rule = |lines: &[&str], _| {
            let refused = lines.iter().any(|line| bad.contains(line));
            if refused { Answer::Refused("422 partial write dropped=1".to_owned()) } else { Answer::Taken }
        };
        let (delivered, taken, requests) = run(250, rule).await;
        let parked: Vec<&str> = delivered.parked.iter().map(|parked| parked.line.text.trim()).collect();
        assert_eq!(parked, bad);
        assert!(delivered.parked.iter().all(|parked| parked.detail.contains("partial write")));
        assert_eq!(delivered.written, 248);
        assert_eq!(taken.len(), 248);
        assert!(requests < 40, "halves, not lines: {requests}");
    }

    #[tokio::test]
    async fn a_request_whose_every_line_was_dropped_is_parked_in_one_go() {
        let rule = |lines: &[&str], _| match lines {
            ["probe"] => Answer::Taken,
            lines => Answer::Refused(format!("422 points beyond retention policy dropped={}", lines.len())),
        };
        let (delivered, _, requests) = run(100, rule).await;
        assert_eq!((delivered.written, delivered.parked.len(), requests), (0, 100, 2));
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_parks_nothing_until_it_takes_something() {
        let rule = |lines: &[&str], number| match lines {
            ["probe"] if number > 4 => Answer::Taken,
            _ => Answer::Refused("400 bucket is read-only dropped=2".to_owned()),
        };
        let (delivered, taken, requests) = run(2, rule).await;
        assert_eq!((delivered.parked.len(), taken.len()), (2, 1));
        assert_eq!(requests, 5, "the lines once, the probe until it was taken");
    }

    #[tokio::test]
    async fn what_fails_is_sent_again_and_what_is_too_large_in_halves() {
        let rule = |lines: &[&str], number| match (lines.len(), number) {
            (_, 1) => Answer::Later("503".to_owned()),
            (count, _) if count > 30 => Answer::TooLarge("413".to_owned()),
            _ => Answer::Taken,
        };
        let (delivered, taken, _) = run(100, rule).await;
        assert_eq!((delivered.written, delivered.parked.len()), (100, 0));
        let wanted: Vec<String> = (0..100).map(|n| format!("l{n}")).collect();
        assert_eq!(taken, wanted, "in order, each once");
    }

    #[test]
    fn pauses_double_up_to_the_bound() {
        let pauses: Vec<u128> = (0..8).map(|failures| pause(failures, u32::MAX).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(pause(0, 0), Duration::from_millis(250));
    }

    #[test]
    fn requests_are_bounded_by_bytes_too() {
        let long = |n| Line { text: "x".repeat(REQUEST_BYTES_MAX / 2), log_index: n, at: Timestamp::from_secs(0) };
        let cut = requests(&(0..5).map(long).collect::<Vec<_>>(), 1000);
        assert_eq!(cut, [0..2, 2..4, 4..5]);
    }
}
