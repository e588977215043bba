//! How is an area made? On a device that nobody uses, the header last.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::area::Area;
use super::device::{Access, Blocks, Device, Medium};
use super::refused::{Doing, Refused, Why};
use super::signature;
use super::watch::{Watched, watch_until};
use crate::sys::clock;
use crate::wire::disk::{
    AreaId, Block, COPY_AT, CopyOf, HEADER_AT, Header, Headers, Malformed, Member, Slot, Times,
    slot_at,
};

/// What an area is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The cluster that it is for.
    pub cluster: String,
    /// Its nodes, with the numbers of their slots.
    pub members: Vec<Member>,
    /// How long its leases last.
    pub times: Times,
}

impl Plan {
    /// The header of a new area.
    ///
    /// # Errors
    /// Something of it cannot be said in a header.
    pub fn header(&self, area: AreaId) -> Result<Header, Malformed> {
        let header = Header {
            area,
            created_ms: wall_ms(),
            times: self.times,
            cluster: self.cluster.clone(),
            members: self.members.clone(),
            copy: CopyOf::ALONE,
        };
        header.emit().map(|_| header)
    }
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// As it was written, and read back.
    pub header: Header,
    /// Where.
    pub path: PathBuf,
    /// On what.
    pub medium: Medium,
}

/// Makes an area, on one disk or on several together. With `force` also where there is one, unless somebody in it
/// lives.
///
/// # Errors
/// Nothing was written, unless that itself failed.
pub fn init(paths: &[PathBuf], plan: &Plan, force: bool) -> Result<Vec<Made>, Refused> {
    for (at, path) in paths.iter().enumerate() {
        let twin = paths[..at].iter().find(|other| is_same(path, other));
        if let Some(twin) = twin {
            return Err(Refused::new(path, Why::Twice(twin.clone())));
        }
    }
    let open = |path: &PathBuf| Device::open(path, Access::Exclusive);
    let devices: Vec<Device> = paths.iter().map(open).collect::<Result<_, _>>()?;
    for device in &devices {
        is_free(device, plan, force).map_err(|why| Refused::new(device.path(), why))?;
    }
    let first = |why: Why| Refused::new(&paths[0], why);
    let area = random().map(AreaId).map_err(first)?;
    let header = plan.header(area).map_err(|why| first(why.into()))?;
    let disks = u8::try_from(devices.len()).unwrap_or(u8::MAX);
    let copy = |number| Header {
        copy: CopyOf { disks, number },
        ..header.clone()
    };
    let headers: Vec<Header> = (0..disks).map(copy).collect();
    // What cannot be said is known before anything is wiped.
    let said: Result<Vec<Block>, _> = headers.iter().map(Header::emit).collect();
    said.map_err(|why| first(why.into()))?;
    for (device, header) in devices.iter().zip(&headers) {
        write(device, header).map_err(|why| Refused::new(device.path(), why))?;
    }
    // Two paths to one disk: the later copy stands on the earlier one.
    for (device, header) in devices.iter().zip(&headers) {
        let is_there = is_there(device, header);
        let why = match Area::read(device) {
            Ok(Area { header: read, .. }) if read.area == area && read.copy != header.copy => {
                let twin = devices.get(usize::from(read.copy.number));
                Err(Why::Twice(
                    twin.map_or_else(PathBuf::new, |twin| twin.path().to_owned()),
                ))
            }
            _ => is_there,
        };
        why.map_err(|why| Refused::new(device.path(), why))?;
    }
    let made = devices.iter().zip(headers).map(|(device, header)| Made {
        header,
        path: device.path().to_owned(),
        medium: device.medium(),
    });
    Ok(made.collect())
}

/// Whether both names lead to one device. What cannot be found is refused when it is opened.
fn is_same(path: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let data = path.metadata().ok()?;
        Some(match data.file_type().is_block_device() {
            true => (0, data.rdev()),
            false => (data.dev(), data.ino()),
        })
    };
    let [one, two] = [path, other].map(identity);
    one.is_some() && one == two
}

/// Whether nobody misses what is on the device.
fn is_free(device: &Device, plan: &Plan, force: bool) -> Result<(), Why> {
    match Area::read(device) {
        Ok(area) if force => is_dead(device, &area),
        Ok(area) if area.header.cluster != plan.cluster => Err(Why::OtherCluster {
            theirs: area.header.cluster,
            ours: plan.cluster.clone(),
        }),
        Ok(area) => Err(Why::Initialised {
            area: area.header.area,
            cluster: area.header.cluster,
        }),
        Err(Why::NoHeader { first, copy }) => match [first, copy].into_iter().find(is_ours) {
            Some(why) if !force => Err(Why::Remains(why)),
            _ => not_taken(device),
        },
        Err(Why::HeadersDiffer) if force => Ok(()),
        Err(why) => Err(why),
    }
}

/// Whether a block that cannot be read was a header of ours.
fn is_ours(why: &Malformed) -> bool {
    !matches!(why, Malformed::Blank | Malformed::Magic { .. })
}

fn not_taken(device: &Device) -> Result<(), Why> {
    match signature::find(device)? {
        None => Ok(()),
        Some(signature) => Err(Why::Taken(signature)),
    }
}

/// Whether no slot changes for as long as it takes a dead holder's to be taken over.
fn is_dead(device: &Device, area: &Area) -> Result<(), Why> {
    let held = |member: &&Member| area.look(device, member).is_held();
    let held: Vec<Member> = area.header.members.iter().filter(held).cloned().collect();
    let length = match held.is_empty() {
        true => Duration::ZERO,
        false => area.header.times.wait(),
    };
    all_dead(device, area, &held, length)
}

/// Whether none of these changes its slot for so long.
pub(super) fn all_dead(
    device: &Device,
    area: &Area,
    members: &[Member],
    length: Duration,
) -> Result<(), Why> {
    let alive = |watched: &Watched| watched.changes > 0;
    let enough = |seen: &[Watched]| seen.iter().any(alive);
    let watched = watch_until(device, area, members, length, enough);
    match watched.into_iter().find(alive) {
        None => Ok(()),
        Some(alive) => Err(Why::Alive {
            host: alive
                .last
                .slot()
                .map_or_else(|| "its host".to_owned(), |slot| slot.host.to_string()),
            node: alive.member.name,
        }),
    }
}

/// First no header, then everything else, then the copy, then the header: whoever reads meanwhile
/// sees no area, or the whole of it.
fn write(device: &Device, header: &Header) -> Result<(), Why> {
    device.wipe().map_err(|error| Doing::Wiping.failed(error))?;
    for member in &header.members {
        let slot = Slot::clean(member.number).emit(header.area)?;
        put(device, slot_at(member.number), &slot)?;
    }
    let block = header.emit()?;
    put(device, COPY_AT, &block)?;
    put(device, HEADER_AT, &block)?;
    is_there(device, header)
}

fn is_there(device: &Device, header: &Header) -> Result<(), Why> {
    let read = |at| get(device, at);
    match Headers::read(&read(HEADER_AT)?, &read(COPY_AT)?) {
        Headers::Good(read) if read == *header => Ok(()),
        _ => Err(Why::NotThere { at: HEADER_AT }),
    }
}

/// Writes a block and looks whether it is there.
pub(super) fn put(device: &Device, at: u64, block: &Block) -> Result<(), Why> {
    let written = device.write(at, block);
    written.map_err(|error| Doing::Writing(at).failed(error))?;
    match get(device, at)? == *block {
        true => Ok(()),
        false => Err(Why::NotThere { at }),
    }
}

pub(super) fn get(device: &Device, at: u64) -> Result<Block, Why> {
    let read = device.read(at);
    read.map_err(|error| Doing::Reading(at).failed(error))
}

/// 128 random bits.
pub(super) fn random() -> Result<[u8; 16], Why> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Doing::Drawing.failed(error.into()))?;
    Ok(bits)
}

/// Now, in milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let since = clock::wall().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}
