//! Who listens on the control socket? A task that answers, and can delay nobody but itself.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Group, Uid, User, chown};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::{Request, Response, SOCKET};

/// The group whose members may talk to the agent.
const GROUP: &str = "floatlock";
/// The longest request.
const REQUEST_MAX: u64 = 64 << 10;
/// Connections at a time; more wait until one ends, or has been silent for [`SILENT`].
pub(crate) const CONNECTIONS: usize = 32;
/// After this a client that says nothing has to make room if others wait: the one that has been
/// silent for longest first.
const SILENT: Duration = Duration::from_millis(200);
/// A client that says or takes nothing for so long is dropped.
const IDLE: Duration = Duration::from_secs(10);

/// The listening socket.
pub(crate) struct Server {
    listener: UnixListener,
    group: Option<Gid>,
}

/// What answers requests.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers one request; runs on a thread that may block.
    fn answer(&self, request: Request) -> Response;
}

impl Server {
    /// Binds the socket; an old one, which a dead agent left, is replaced. With it comes what an
    /// operator should know: a socket that cannot be given to its group is its owner's alone.
    pub(crate) fn bind(runtime_dir: &Path) -> io::Result<(Self, Option<String>)> {
        let path = runtime_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody but us may connect between the binding and the setting of mode and group.
        let before = umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(&path);
        umask(before);
        let listener = listener?;
        let group = Group::from_name(GROUP)
            .ok()
            .flatten()
            .map(|group| group.gid);
        if let Some(errno) = group.and_then(|gid| chown(&path, None, Some(gid)).err()) {
            let group = None;
            return Ok((Self { listener, group }, Some(not_given(&path, errno))));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        Ok((Self { listener, group }, None))
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve(self, answer: Arc<dyn Answer>) {
        let room = Arc::new(Room::default());
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors, most likely: let some connections end.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = room.place().await else {
                return;
            };
            let (answer, group, room) = (Arc::clone(&answer), self.group, Arc::clone(&room));
            tokio::spawn(async move {
                // A client that went away is not our trouble.
                let _ = converse(stream, answer, group, &room).await;
                drop(place);
            });
        }
    }
}

fn not_given(path: &Path, errno: nix::Error) -> String {
    let (path, user) = (path.display(), Uid::effective());
    format!(
        "{path} cannot be given to the group {GROUP}, so that only root and the user {user} may use \
         it: {errno}. Give the agent CAP_CHOWN, or run it with that group (Group={GROUP} in the \
         unit)"
    )
}

/// The places of the connections.
struct Room {
    free: Arc<Semaphore>,
    /// Calls one connection, of those that are silent the one that has waited here for longest;
    /// where none is, the next that will be.
    wanted: Notify,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(CONNECTIONS)),
            wanted: Notify::new(),
        }
    }
}

impl Room {
    async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        self.wanted.notify_one();
        let place = Arc::clone(&self.free).acquire_owned().await;
        // One that left by itself: the call must not drive out another one later.
        let call = pin!(self.wanted.notified());
        call.enable();
        place
    }

    /// Ends when a silent connection has to go.
    async fn is_wanted(&self) {
        sleep(SILENT).await;
        self.wanted.notified().await;
    }
}

/// Requests and answers, line by line, until the client ends.
async fn converse(
    mut stream: UnixStream,
    answer: Arc<dyn Answer>,
    group: Option<Gid>,
    room: &Room,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (uid, gid) = (Uid::from_raw(peer.uid()), Gid::from_raw(peer.gid()));
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_MAX);
        let read = tokio::select! {
            biased;
            read = within(limited.read_until(b'\n', &mut line)) => read?,
            () = room.is_wanted() => return Ok(()),
        };
        if read == 0 {
            return Ok(());
        }
        let response = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                let answer = Arc::clone(&answer);
                // Who may do what is looked up where waiting for a directory service hurts nobody.
                let work = move || match may(&request, uid, gid, group) {
                    true => answer.answer(request),
                    false => error(
                        4,
                        "only root and the group of the control socket may do this",
                    ),
                };
                tokio::task::spawn_blocking(work).await?
            }
            Err(reason) => error(1, &format!("not a request: {reason}")),
        };
        let mut bytes = serde_json::to_vec(&response)?;
        bytes.push(b'\n');
        within(writer.write_all(&bytes)).await?;
        if line.last() != Some(&b'\n') {
            return Ok(());
        }
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(IDLE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn error(code: u8, text: &str) -> Response {
    Response::Error {
        error: text.to_owned(),
        code,
    }
}

/// Status for everyone whom the mode of the socket lets in; commands for root, for the user that
/// the agent runs as, and for the group of the socket.
fn may(request: &Request, uid: Uid, gid: Gid, group: Option<Gid>) -> bool {
    let is_observer = *request == Request::Status {};
    is_observer
        || uid.is_root()
        || uid == Uid::effective()
        || group.is_some_and(|group| gid == group || is_member(uid, group))
}

fn is_member(uid: Uid, group: Gid) -> bool {
    let user = User::from_uid(uid).ok().flatten();
    let group = Group::from_gid(group).ok().flatten();
    user.zip(group)
        .is_some_and(|(user, group)| group.mem.contains(&user.name))
}
