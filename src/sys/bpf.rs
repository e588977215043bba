//! How does a program get into the kernel, and how are its maps shared with it? bpf(2).
//!
//! The crates for it expect programs that clang has compiled; ours are a few dozen instructions
//! that [`crate::gate`] writes itself.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_long};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

// linux/bpf.h
const BPF_MAP_CREATE: c_long = 0;
const BPF_MAP_UPDATE_ELEM: c_long = 2;
const BPF_MAP_DELETE_ELEM: c_long = 3;
const BPF_PROG_LOAD: c_long = 5;
const BPF_OBJ_PIN: c_long = 6;
const BPF_OBJ_GET_INFO_BY_FD: c_long = 15;
const BPF_MAP_LOOKUP_BATCH: c_long = 24;
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_F_NO_PREALLOC: u32 = 1;
const BPF_F_MMAPABLE: u32 = 1 << 10;

const NAME_LEN: usize = 16;
/// What the verifier may say about a program that it refuses.
const LOG_LEN: usize = 16 << 10;

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; NAME_LEN],
}

#[repr(C)]
struct MapElement {
    map_fd: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct MapBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    /// So many there is room for, and then: so many there are.
    count: Cell<u32>,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

#[repr(C)]
struct ProgramLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LEN],
}

#[repr(C)]
struct ObjectPin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[repr(C)]
struct ObjectInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// What `struct bpf_prog_info` begins with.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    prog_type: u32,
    id: u32,
}

/// A map in the kernel.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    key_len: usize,
    value_len: usize,
    room: u32,
}

impl Map {
    /// A hash map of up to `entries` entries.
    ///
    /// # Errors
    /// What bpf(2) says: `EPERM` without CAP_BPF, `ENOSYS` without BPF in the kernel.
    pub fn hash(name: &str, key_len: u32, value_len: u32, entries: u32) -> io::Result<Self> {
        let lengths = (key_len, value_len);
        Self::create(name, BPF_MAP_TYPE_HASH, lengths, entries, BPF_F_NO_PREALLOC)
    }

    /// An array of `entries` entries that programs and this process share (Linux 5.5).
    ///
    /// # Errors
    /// As [`Map::hash`].
    pub fn shared_array(name: &str, value_len: u32, entries: u32) -> io::Result<Self> {
        let lengths = (4, value_len);
        Self::create(name, BPF_MAP_TYPE_ARRAY, lengths, entries, BPF_F_MMAPABLE)
    }

    fn create(
        name: &str,
        map_type: u32,
        (key_size, value_size): (u32, u32),
        max_entries: u32,
        map_flags: u32,
    ) -> io::Result<Self> {
        let attributes = MapCreate {
            map_type,
            key_size,
            value_size,
            max_entries,
            map_flags,
            inner_map_fd: 0,
            numa_node: 0,
            map_name: short_name(name),
        };
        Ok(Self {
            fd: descriptor(BPF_MAP_CREATE, &attributes)?,
            key_len: key_size as usize,
            value_len: value_size as usize,
            room: max_entries,
        })
    }

    /// Sets an entry.
    ///
    /// # Errors
    /// `E2BIG` when the map is full; `EINVAL` for a key or value of another length than the map's.
    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.len() != self.key_len || value.len() != self.value_len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bpf(BPF_MAP_UPDATE_ELEM, &self.element(key, value)).map(drop)
    }

    /// The keys of at most so many entries, and their values in the same order, one after the other (Linux 5.6).
    /// Of a map that has any, at least one comes, unless so many share a place in it that there is no room for them.
    ///
    /// # Errors
    /// What bpf(2) says.
    pub fn entries(&self, most: u32) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let most = most.min(self.room);
        let room = most as usize;
        let mut keys = vec![0; room * self.key_len];
        let mut values = vec![0; room * self.value_len];
        let mut place = 0_u64;
        let attributes = MapBatch {
            in_batch: 0,
            out_batch: address(&raw mut place),
            keys: address(keys.as_mut_ptr()),
            values: address(values.as_mut_ptr()),
            count: Cell::new(most),
            map_fd: number(&self.fd),
            elem_flags: 0,
            flags: 0,
        };
        match bpf(BPF_MAP_LOOKUP_BATCH, &attributes) {
            // There are no more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => drop(other?),
        }
        let count = attributes.count.get() as usize;
        keys.truncate(count * self.key_len);
        values.truncate(count * self.value_len);
        Ok((keys, values))
    }

    /// Removes an entry; one that is not there is fine.
    ///
    /// # Errors
    /// `EINVAL` for a key of another length than the map's.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        if key.len() != self.key_len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match bpf(BPF_MAP_DELETE_ELEM, &self.element(key, &[])) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    fn element(&self, key: &[u8], value: &[u8]) -> MapElement {
        MapElement {
            map_fd: number(&self.fd),
            reserved: 0,
            key: address(key.as_ptr()),
            value: address(value.as_ptr()),
            flags: 0,
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Loads a traffic classifier (`SCHED_CLS`) and returns its descriptor.
///
/// # Errors
/// What bpf(2) says, with the last words of the verifier where it has some.
pub fn load_classifier(name: &str, instructions: &[u64]) -> io::Result<OwnedFd> {
    const LICENSE: &CStr = c"Dual MIT/GPL";
    let mut log = vec![0_u8; LOG_LEN];
    let load = |log_level, log: &mut [u8]| {
        let attributes = ProgramLoad {
            prog_type: BPF_PROG_TYPE_SCHED_CLS,
            insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
            insns: address(instructions.as_ptr()),
            license: address(LICENSE.as_ptr()),
            log_level,
            log_size: if log_level == 0 { 0 } else { LOG_LEN as u32 },
            log_buf: if log_level == 0 {
                0
            } else {
                address(log.as_mut_ptr())
            },
            kern_version: 0,
            prog_flags: 0,
            prog_name: short_name(name),
        };
        descriptor(BPF_PROG_LOAD, &attributes)
    };
    load(0, &mut log).map_err(|error| {
        let refused = error.kind() == io::ErrorKind::PermissionDenied;
        let said = match refused && load(1, &mut log).is_err() {
            true => last_words(&log),
            false => String::new(),
        };
        match said.is_empty() {
            true => error,
            false => io::Error::new(error.kind(), format!("{error}: {said}")),
        }
    })
}

fn last_words(log: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(log).map(CStr::to_string_lossy);
    let text = text.unwrap_or_default();
    let lines = text
        .lines()
        .rev()
        .filter(|line| !line.starts_with("processed"));
    lines.take(1).collect()
}

/// The number by which the kernel knows a program: no other one has it as long as this is loaded.
///
/// # Errors
/// What bpf(2) says.
pub fn program_id(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = ProgramInfo::default();
    let attributes = ObjectInfo {
        bpf_fd: number(&fd),
        info_len: size_of::<ProgramInfo>() as u32,
        info: address(&raw mut info),
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes)?;
    Ok(info.id)
}

/// Gives the object behind `fd` a name in the BPF file system, where it outlives the process.
///
/// # Errors
/// `ENOENT` or `EINVAL` where `path` is not on a BPF file system, `EEXIST`, `EACCES`.
pub fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = ObjectPin {
        pathname: address(path.as_ptr()),
        bpf_fd: number(&fd),
        file_flags: 0,
    };
    bpf(BPF_OBJ_PIN, &attributes).map(drop)
}

/// Words of memory that a map shares with the programs that use it.
pub struct Shared {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the memory is only reached through atomics, and stays mapped until the drop.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps a shared array of `words` eight-byte words.
    ///
    /// # Errors
    /// What mmap(2) says.
    pub fn map(map: &Map, words: usize) -> io::Result<Self> {
        let flags = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address that the kernel chooses; nobody else knows it.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                words * size_of::<AtomicU64>(),
                flags.0,
                flags.1,
                map,
                0,
            )?
        };
        let words_at = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            words: words_at,
            count: words,
        })
    }

    /// The word at `place`, if there are that many.
    #[must_use]
    pub fn word(&self, place: usize) -> Option<&AtomicU64> {
        if place >= self.count {
            return None;
        }
        // SAFETY: within the mapping, which is aligned to a page and lives as long as `self`.
        Some(unsafe { self.words.add(place).as_ref() })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length, and no reference outlives `self`.
        let unmapped = unsafe {
            munmap(
                self.words.as_ptr().cast(),
                self.count * size_of::<AtomicU64>(),
            )
        };
        debug_assert!(unmapped.is_ok());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("count", &self.count)
            .finish()
    }
}

fn bpf<T>(command: c_long, attributes: &T) -> io::Result<c_long> {
    // SAFETY: `attributes` is one of the structures above, laid out as the command's part of
    // `union bpf_attr`; the kernel takes what is beyond its length as zero, and every pointer in it
    // is to memory that lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn descriptor<T>(command: c_long, attributes: &T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: a new descriptor (close-on-exec, as all of bpf(2)) that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: &impl AsRawFd) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

fn address<T>(pointer: *const T) -> u64 {
    pointer as usize as u64
}

fn short_name(name: &str) -> [u8; NAME_LEN] {
    let mut short = [0; NAME_LEN];
    // The last byte stays zero.
    for (to, from) in short[..NAME_LEN - 1].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    short
}
