//! What did a user of the service see? Requests in a steady rhythm, each answered or lost.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::{Host, LabError, clock};
use crate::core::Instant;

/// A longer answer is cut.
const ANSWER_BYTES_MAX: u64 = 4096;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// When it was begun.
    pub at: Instant,
    /// When its answer was complete, or when it was given up.
    pub until: Instant,
    /// The host that answered; none: it was lost.
    pub host: Option<String>,
}

/// What to fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// From where.
    pub server: SocketAddr,
    /// Between the begins of two requests, whatever becomes of them.
    pub every: Duration,
    /// When a request counts as lost.
    pub timeout: Duration,
}

/// A client that fetches until it is dropped.
#[derive(Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    fetches: Mutex<Vec<Fetch>>,
    changed: Condvar,
}

impl Fetcher {
    /// Starts to fetch from `host`, each time through a new connection.
    ///
    /// # Errors
    /// [`LabError::Off`], or why it could not start.
    pub fn start(host: &Host, options: FetchOptions) -> Result<Self, LabError> {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let thread = host
            .run(move || start_thread(options, mine))?
            .map_err(LabError::io(format!("fetching from {}", host.name())))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Puts a question to the requests that have ended, in the order of their ends.
    pub fn look<T>(&self, question: impl FnOnce(&[Fetch]) -> T) -> T {
        question(&self.shared.fetches())
    }

    /// Waits until the requests that have ended have an answer to the question.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        question: impl Fn(&[Fetch]) -> Option<T>,
    ) -> Option<T> {
        let fetches = self.shared.fetches();
        let nothing_yet = |fetches: &mut Vec<Fetch>| question(fetches).is_none();
        let wait = self
            .shared
            .changed
            .wait_timeout_while(fetches, within, nothing_yet);
        let (fetches, _) = wait.unwrap_or_else(PoisonError::into_inner);
        question(&fetches)
    }

    /// How many requests ended between two instants, and how many of them were lost.
    #[must_use]
    pub fn count(&self, from: Instant, until: Instant) -> (usize, usize) {
        self.look(|fetches| {
            let within = fetches
                .iter()
                .filter(|f| from <= f.until && f.until < until);
            let lost = within.clone().filter(|f| f.host.is_none()).count();
            (within.count(), lost)
        })
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and its end is what counts.
            let _ = thread.join();
        }
    }
}

fn start_thread(options: FetchOptions, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let body = move || runtime.block_on(fetch_steadily(options, &shared));
    thread::Builder::new()
        .name("fetcher".to_owned())
        .spawn(body)
}

async fn fetch_steadily(options: FetchOptions, shared: &Arc<Shared>) {
    let mut rhythm = interval(options.every);
    while !shared.stop.load(Ordering::Relaxed) {
        rhythm.tick().await;
        // At most `timeout / every` of them are under way at any time.
        tokio::spawn(fetch(options, Arc::clone(shared)));
    }
}

async fn fetch(options: FetchOptions, shared: Arc<Shared>) {
    let at = clock::now();
    let answer = timeout(options.timeout, get(options.server)).await;
    let host = answer
        .ok()
        .and_then(Result::ok)
        .and_then(|text| name_in(&text));
    let until = clock::now();
    shared.fetches().push(Fetch { at, until, host });
    shared.changed.notify_all();
}

async fn get(server: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        server.ip()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body of a good answer.
fn name_in(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    (status == "200").then(|| body.trim().to_owned())
}

impl Shared {
    fn fetches(&self) -> MutexGuard<'_, Vec<Fetch>> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_answer_names_a_host() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nlb-a\n";
        assert_eq!(name_in(good).as_deref(), Some("lb-a"));
        assert_eq!(name_in("HTTP/1.1 503 No\r\n\r\nlb-a\n"), None);
        assert_eq!(name_in("HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(name_in(""), None);
    }
}
