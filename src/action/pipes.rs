//! How is a script fed and heard? Through three pipes, none of which can hold the agent up.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::io::{ioctl_fionread, read};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::task::consume_budget;

use super::output::{Output, Stream};

/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// Our ends of a script's standard input, output and error, each as long as it is of use.
pub(super) struct Pipes {
    input: Option<Input>,
    out: Option<Receiver>,
    err: Option<Receiver>,
    chunk: Box<[u8]>,
}

struct Input {
    pipe: Sender,
    bytes: Vec<u8>,
    /// How many of them are written.
    at: usize,
}

impl Pipes {
    pub(super) fn of(child: &mut Child, bytes: Vec<u8>) -> io::Result<Self> {
        let sender = |pipe| Sender::from_owned_fd(OwnedFd::from(pipe));
        let pipe = child.stdin.take().map(sender).transpose()?;
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        Ok(Self {
            input: pipe.map(|pipe| Input { pipe, bytes, at: 0 }),
            out: out.map(Receiver::from_owned_fd).transpose()?,
            err: err.map(Receiver::from_owned_fd).transpose()?,
            chunk: vec![0; CHUNK].into(),
        })
    }

    /// Writes and reads whatever can be, until it is dropped.
    pub(super) async fn pump(&mut self, output: &mut Output<'_>) -> Infallible {
        let Self {
            input,
            out,
            err,
            chunk,
        } = self;
        loop {
            tokio::select! {
                () = ready(out.as_ref()) => take(out, Stream::Out, chunk, output),
                () = ready(err.as_ref()) => take(err, Stream::Err, chunk, output),
                () = feed(input) => {}
            }
            // A flood is read for ever; the deadline must get its turn.
            consume_budget().await;
        }
    }

    /// What is in the pipes now, and no more: somebody may hold their other ends for ever, or flood them.
    pub(super) fn drain(&mut self, output: &mut Output<'_>) {
        for (pipe, stream) in [(&self.out, Stream::Out), (&self.err, Stream::Err)] {
            let Some(pipe) = pipe else { continue };
            let mut left = ioctl_fionread(pipe).unwrap_or(0) as usize;
            while left > 0 {
                let len = left.min(CHUNK);
                let Ok(len @ 1..) = read(pipe, &mut self.chunk[..len]) else {
                    break;
                };
                output.take(stream, &self.chunk[..len]);
                left -= len;
            }
        }
    }
}

async fn ready(pipe: Option<&Receiver>) {
    if let Some(pipe) = pipe
        && pipe.readable().await.is_ok()
    {
        return;
    }
    pending().await
}

fn take(pipe: &mut Option<Receiver>, stream: Stream, chunk: &mut [u8], output: &mut Output<'_>) {
    match pipe.as_ref().map(|pipe| pipe.try_read(chunk)) {
        Some(Ok(len @ 1..)) => output.take(stream, &chunk[..len]),
        Some(Err(error)) if again(&error) => {}
        // Nobody writes any more.
        _ => *pipe = None,
    }
}

/// Closes it when all is written, or nobody reads any more, which is the script's own affair.
async fn feed(input: &mut Option<Input>) {
    let Some(Input { pipe, bytes, at }) = input else {
        return pending().await;
    };
    let is_done = match bytes.get(*at..) {
        None | Some([]) => true,
        Some(rest) => {
            if pipe.writable().await.is_err() {
                return pending().await;
            }
            match pipe.try_write(rest) {
                Ok(len) => {
                    *at += len;
                    false
                }
                Err(error) => !again(&error),
            }
        }
    };
    if is_done {
        *input = None;
    }
}

fn again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
