//! What else may be on a device? The marks of file systems, partition tables and other owners.

use super::device::Device;
use super::init::get;
use super::refused::Why;
use crate::wire::disk::{AREA_LEN, BLOCK_LEN};

/// What was found, as people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Signature(pub &'static str);

const KIB: u64 = 1024;

/// A mark: these bytes at that place from the start. (A table: one row a mark.)
#[rustfmt::skip]
const MARKS: &[(&str, u64, &[u8])] = &[
    ("an ext2, ext3 or ext4 file system", KIB + 56, b"\x53\xef"),
    ("an XFS file system", 0, b"XFSB"),
    ("a Btrfs file system", 64 * KIB + 64, b"_BHRfS_M"),
    ("a bcachefs or bcache device", 4 * KIB + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca"),
    ("an F2FS file system", KIB, b"\x10\x20\xf5\xf2"),
    ("a GFS2 file system", 64 * KIB, b"\x01\x16\x19\x70\x00\x00\x00\x01"),
    ("an OCFS2 file system", KIB, b"OCFSV2"),
    ("an OCFS2 file system", 2 * KIB, b"OCFSV2"),
    ("an OCFS2 file system", 4 * KIB, b"OCFSV2"),
    ("an OCFS2 file system", 8 * KIB, b"OCFSV2"),
    ("a SquashFS file system", 0, b"hsqs"),
    ("an ISO 9660 file system", 32 * KIB + 1, b"CD001"),
    ("a UDF file system", 32 * KIB + 1, b"BEA01"),
    ("an LVM2 physical volume", 0, b"LABELONE"),
    ("an LVM2 physical volume", 512, b"LABELONE"),
    ("an LVM2 physical volume", 1024, b"LABELONE"),
    ("an LVM2 physical volume", 1536, b"LABELONE"),
    ("a RAID member (md 1.1)", 0, MD),
    ("a RAID member (md 1.2)", 4 * KIB, MD),
    ("a LUKS volume", 0, b"LUKS\xba\xbe"),
    ("a LUKS volume", 16 * KIB, b"SKUL\xba\xbe"),
    ("swap space", 4 * KIB - 10, b"SWAPSPACE2"),
    ("swap space", 4 * KIB - 10, b"SWAP-SPACE"),
    ("swap space", 16 * KIB - 10, b"SWAPSPACE2"),
    ("swap space", 64 * KIB - 10, b"SWAPSPACE2"),
    ("a hibernated system", 4 * KIB - 10, b"S1SUSPEND"),
    ("a Ceph OSD", 0, b"bluestore block device"),
    ("an Oracle ASM disk", 32, b"ORCLDISK"),
    ("an SBD device of Pacemaker", 0, b"SBD_SBD_"),
    ("a sanlock lockspace", 0, b"\x10\x20\x21\x12"),
    ("a sanlock lease", 0, b"\x10\x20\x15\x06"),
    ("an NTFS file system", 3, b"NTFS    "),
    ("an exFAT file system", 3, b"EXFAT   "),
    ("a FAT file system", 54, b"FAT12   "),
    ("a FAT file system", 54, b"FAT16   "),
    ("a FAT file system", 82, b"FAT32   "),
    ("a GPT partition table", 512, b"EFI PART"),
    ("a GPT partition table", 4 * KIB, b"EFI PART"),
    ("an MBR partition table, or a boot sector", 510, b"\x55\xaa"),
];

const MD: &[u8] = b"\xfc\x4e\x2b\xa9";

/// What is on this device besides a lock area, going by its first and its last MiB.
pub(super) fn find(device: &Device) -> Result<Option<Signature>, Why> {
    let blocks = device.len_bytes() / BLOCK_LEN as u64;
    let of_area = AREA_LEN / BLOCK_LEN as u64;
    let head = bytes(device, 0, of_area)?;
    let tail_at = blocks.saturating_sub(of_area);
    let tail = bytes(device, tail_at, of_area)?;
    Ok(look(
        &head,
        &tail,
        tail_at * BLOCK_LEN as u64,
        device.len_bytes(),
    ))
}

fn bytes(device: &Device, at: u64, count: u64) -> Result<Vec<u8>, Why> {
    let mut bytes = Vec::with_capacity(AREA_LEN as usize);
    for block in at..at + count {
        bytes.extend_from_slice(get(device, block)?.bytes());
    }
    Ok(bytes)
}

/// The same for a device of `len` bytes whose first MiB is `head`, and which goes on at `tail_at`
/// with `tail`.
fn look(head: &[u8], tail: &[u8], tail_at: u64, len: u64) -> Option<Signature> {
    let marked = |(_, at, mark): &&(&str, u64, &[u8])| is_at(head, *at, mark);
    let at_start = MARKS.iter().find(marked).map(|(name, ..)| *name);
    let at_start = at_start.or_else(|| zfs(head, 0, len).then_some("a ZFS device"));
    let name = at_start.or_else(|| at_end(tail, tail_at, len));
    name.map(Signature)
}

fn is_at(bytes: &[u8], at: u64, mark: &[u8]) -> bool {
    let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
    from.is_some_and(|from| from.starts_with(mark))
}

/// Some owners write to the end.
fn at_end(tail: &[u8], tail_at: u64, len: u64) -> Option<&'static str> {
    let marked = |at: Option<u64>, mark| {
        let at = at.and_then(|at| at.checked_sub(tail_at));
        at.is_some_and(|at| is_at(tail, at, mark))
    };
    // The last sector, of either length.
    if [512, 4096]
        .iter()
        .any(|sector| marked(len.checked_sub(*sector), b"EFI PART"))
    {
        return Some("the copy of a GPT partition table");
    }
    // 8 KiB before the end, on a multiple of 4 KiB; and 64 KiB before it, on a multiple of that.
    let md_1_0 = (len / 512)
        .checked_sub(16)
        .map(|sector| (sector & !7) * 512);
    let md_0_90 = (len & !(64 * KIB - 1)).checked_sub(64 * KIB);
    if marked(md_1_0, MD) || marked(md_0_90, MD) {
        return Some("a RAID member (md 1.0 or 0.90)");
    }
    zfs(tail, tail_at, len).then_some("a ZFS device")
}

/// Whether one of the four labels has an uberblock: 128 KiB into each, one a KiB or rarer.
fn zfs(bytes: &[u8], from: u64, len: u64) -> bool {
    let label = 256 * KIB;
    let len = len & !(label - 1);
    let ends = [
        Some(0),
        Some(label),
        len.checked_sub(2 * label),
        len.checked_sub(label),
    ];
    let places = ends.into_iter().flatten().flat_map(|label| {
        let ring = label + 128 * KIB;
        (ring..ring + 128 * KIB).step_by(KIB as usize)
    });
    let magic = 0x00ba_b10c_u64;
    let marks = [magic.to_le_bytes(), magic.to_be_bytes()];
    places
        .filter_map(|at| at.checked_sub(from))
        .any(|at| marks.iter().any(|mark| is_at(bytes, at, mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 16 << 20;
    const TAIL: u64 = LEN - AREA_LEN;

    fn with(at: u64, mark: &[u8]) -> Option<Signature> {
        let mut disk = vec![0; LEN as usize];
        disk[at as usize..][..mark.len()].copy_from_slice(mark);
        look(
            &disk[..AREA_LEN as usize],
            &disk[TAIL as usize..],
            TAIL,
            LEN,
        )
    }

    #[test]
    fn every_mark_of_the_table_is_found_in_its_place_and_only_there() {
        for (name, at, mark) in MARKS {
            assert_eq!(with(*at, mark), Some(Signature(name)));
            assert_eq!(with(at + 200 * KIB + 7, mark), None, "{name}");
        }
    }

    #[test]
    fn those_at_the_end_are_found() {
        for (at, mark, name) in [
            (
                LEN - 512,
                &b"EFI PART"[..],
                "the copy of a GPT partition table",
            ),
            (LEN - 4096, b"EFI PART", "the copy of a GPT partition table"),
            (LEN - 8192, MD, "a RAID member (md 1.0 or 0.90)"),
            (LEN - 65536, MD, "a RAID member (md 1.0 or 0.90)"),
            (LEN - 128 * KIB, &0xbab10c_u64.to_be_bytes(), "a ZFS device"),
            (LEN - 384 * KIB, &0xbab10c_u64.to_le_bytes(), "a ZFS device"),
            (129 * KIB, &0xbab10c_u64.to_le_bytes(), "a ZFS device"),
            (400 * KIB, &0xbab10c_u64.to_le_bytes(), "a ZFS device"),
        ] {
            assert_eq!(with(at, mark), Some(Signature(name)), "{at}");
        }
    }

    #[test]
    fn zeroes_are_nobodys() {
        assert_eq!(with(0, &[]), None);
        let small = vec![0; AREA_LEN as usize];
        assert_eq!(look(&small, &small, 0, AREA_LEN), None);
    }
}
