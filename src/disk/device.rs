//! How are blocks read and written? Whole ones, past every cache, and down on the medium before the
//! write returns.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags, ioctl_blksszget, statx};

use super::refused::{Refused, Why};
use crate::wire::disk::{AREA_LEN, BLOCK_LEN, Block};

/// What somebody wants to do with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look.
    Read,
    /// Write too, beside the agents.
    Write,
    /// Write too, on a device that nothing else has mounted or claimed.
    Exclusive,
}

/// What a lock area lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk, a partition, a logical volume.
    Block,
    /// A file: for trials on one host, or as good as the file server.
    File,
}

/// Where blocks come from.
pub trait Blocks {
    /// The block of that number.
    ///
    /// # Errors
    /// What the medium said.
    fn read(&self, at: u64) -> io::Result<Block>;
}

/// An open device, with room for an area.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    medium: Medium,
    len: u64,
}

impl Device {
    /// Opens a device, if a lock area can be there.
    ///
    /// # Errors
    /// Why not, and what to do instead.
    pub fn open(path: &Path, access: Access) -> Result<Self, Refused> {
        let open = || -> Result<Self, Why> {
            // Asked before opening: a pipe without a writer would never let us go.
            let medium = medium(&path.metadata().map_err(Why::opening)?)?;
            let file = open(path, medium, access)?;
            let len = check(&file, medium)?;
            Ok(Device {
                file,
                path: path.to_owned(),
                medium,
                len,
            })
        };
        open().map_err(|why| Refused::new(path, why))
    }

    /// As it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    #[must_use]
    pub const fn medium(&self) -> Medium {
        self.medium
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len
    }

    /// The open file.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Writes a block. When this returns, it is on the medium, and every later read sees it.
    ///
    /// # Errors
    /// What the medium said; the block may be there all the same, now or later.
    pub fn write(&self, at: u64, block: &Block) -> io::Result<()> {
        self.put(at, block.bytes())
    }

    /// Writes zeroes over the whole area, the header first.
    ///
    /// # Errors
    /// What the medium said.
    pub fn wipe(&self) -> io::Result<()> {
        let blocks_at_once = (ZEROES.0.len() / BLOCK_LEN) as u64;
        let end = AREA_LEN / BLOCK_LEN as u64;
        (0..end)
            .step_by(blocks_at_once as usize)
            .try_for_each(|at| self.put(at, &ZEROES.0))
    }

    fn put(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_at(bytes, at * BLOCK_LEN as u64)?;
        whole(written, bytes.len())
    }
}

impl Blocks for Device {
    fn read(&self, at: u64) -> io::Result<Block> {
        let mut block = Block::ZERO;
        let read = self
            .file
            .read_at(block.bytes_mut(), at * BLOCK_LEN as u64)?;
        whole(read, BLOCK_LEN).map(|()| block)
    }
}

/// The rest of a torn read or write is not asked for: what comes then belongs to another moment.
fn whole(done: usize, need: usize) -> io::Result<()> {
    match done == need {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("only {done} of {need} bytes"),
        )),
    }
}

/// As aligned as a block.
#[repr(C, align(4096))]
struct Zeroes([u8; 16 * BLOCK_LEN]);

static ZEROES: Zeroes = Zeroes([0; 16 * BLOCK_LEN]);

fn medium(metadata: &Metadata) -> Result<Medium, Why> {
    let kind = metadata.file_type();
    match (kind.is_block_device(), kind.is_file()) {
        (true, _) => Ok(Medium::Block),
        (_, true) => Ok(Medium::File),
        _ => Err(Why::Kind),
    }
}

fn open(path: &Path, medium: Medium, access: Access) -> Result<File, Why> {
    let mut flags = libc::O_DIRECT | libc::O_DSYNC;
    if medium == Medium::Block && access == Access::Exclusive {
        flags |= libc::O_EXCL;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(access != Access::Read);
    let file = options.custom_flags(flags).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => Why::Cached,
        _ => Why::opening(error),
    })?;
    // It may have been replaced since it was asked.
    match file
        .metadata()
        .map_err(Why::opening)
        .map(|m| self::medium(&m))?
    {
        Ok(opened) if opened == medium => Ok(file),
        _ => Err(Why::Kind),
    }
}

/// The length, if blocks of ours can be read and written past the page cache.
fn check(file: &File, medium: Medium) -> Result<u64, Why> {
    let need = match medium {
        Medium::Block => ioctl_blksszget(file).map_err(|error| Why::opening(error.into()))?,
        Medium::File => alignment(file)?,
    };
    if need as usize > BLOCK_LEN || !BLOCK_LEN.is_multiple_of(need.max(1) as usize) {
        return Err(Why::Alignment { need });
    }
    // The end of a block device is its size.
    let mut end = file;
    let len = end.seek(SeekFrom::End(0)).map_err(Why::opening)?;
    match len >= AREA_LEN {
        true => Ok(len),
        false => Err(Why::TooSmall { len }),
    }
}

/// What direct I/O needs there. A file system that takes O_DIRECT and does nothing about it, as
/// tmpfs does, does not say.
fn alignment(file: &File) -> Result<u32, Why> {
    let stat = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
    let stat = stat.map_err(|error| Why::opening(error.into()))?;
    let said = stat.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    match said && stat.stx_dio_offset_align != 0 {
        true => Ok(stat.stx_dio_offset_align.max(stat.stx_dio_mem_align)),
        false => Err(Why::Cached),
    }
}
