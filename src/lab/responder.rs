//! What answers HTTP on a host without HAProxy? `GET /` is answered with the host's name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections that are served at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;
/// A longer request is not answered.
const REQUEST_BYTES_MAX: usize = 4096;
/// A slower client is not answered.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// Serves until it fails; it needs no address to be there yet when `listen` names none.
///
/// # Errors
/// When it cannot listen, or cannot accept any more.
pub fn serve(name: &str, listen: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        accept(&listener, name).await
    })
}

async fn accept(listener: &TcpListener, name: &str) -> io::Result<()> {
    let good: &'static str = response("200 OK", name).leak();
    let bad: &'static str = response("404 Not Found", "only GET / is here").leak();
    static ROOM: Semaphore = Semaphore::const_new(CONNECTIONS_MAX);
    loop {
        // The semaphore is never closed.
        let Ok(place) = ROOM.acquire().await else {
            return Ok(());
        };
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that went away or dawdles is its own loss.
            let _ = timeout(REQUEST_WITHIN, answer(stream, good, bad)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, good: &str, bad: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        let room = REQUEST_BYTES_MAX - request.len();
        if room == 0 {
            return Ok(());
        }
        let mut part = (&mut stream).take(room as u64);
        if part.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let response = if request.starts_with(b"GET / ") {
        good
    } else {
        bad
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

fn response(status: &str, body: &str) -> String {
    let length = body.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    fn served() -> SocketAddr {
        // Reserved and given back: nobody else is handed that port at once.
        let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = reserved.local_addr().unwrap();
        drop(reserved);
        thread::spawn(move || serve("lb-a", listen));
        let up = || TcpStream::connect(listen).is_ok();
        assert!(crate::lab::clock::wait_until(Duration::from_secs(5), up));
        listen
    }

    fn ask(server: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[test]
    fn it_answers_with_the_name_and_nothing_else() {
        let server = served();
        let answer = ask(server, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nlb-a\n"), "{answer}");
        let other = ask(server, "GET /etc/passwd HTTP/1.1\r\n\r\n");
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
    }

    #[test]
    fn an_endless_request_is_closed_without_an_answer() {
        let server = served();
        assert_eq!(ask(server, &"x".repeat(REQUEST_BYTES_MAX)), "");
    }
}
