//! Which mount a folder is on: what is written to it while its disk isn't mounted would land
//! beneath the mount point, and fill somebody else's.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::disks::DiskOptions;
use super::error::Reason;

/// A mount, as told from the others that there are at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mount(u64);

impl Mount {
    fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
        let is_told = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
        let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
        // Before Linux 5.8 devices have to do; they don't tell bind mounts apart.
        Ok(Self(if is_told { found.stx_mnt_id } else { device }))
    }
}

/// The mount that a folder is on, and the one that is found there without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ground {
    own: Mount,
    beneath: Option<Mount>,
}

impl Ground {
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let folder = fs::canonicalize(folder)?;
        let own = Mount::of(&folder)?;
        for above in folder.ancestors().skip(1) {
            let mount = Mount::of(above)?;
            if mount != own {
                return Ok(Self { own, beneath: Some(mount) });
            }
        }
        Ok(Self { own, beneath: None })
    }
}

/// Whether the folder is where it is meant to be: on the mount that the options name, and not
/// beneath the one that it `was` on when it was last used.
pub(crate) fn check(options: &DiskOptions, was: Option<Ground>) -> Result<(), Reason> {
    if let Some(point) = &options.mount
        && !is_mount_point(point).map_err(Reason::io("find", point))?
    {
        return Err(Reason::NotMounted(point.clone()));
    }
    let Some(Ground { own, beneath: Some(beneath) }) = was else { return Ok(()) };
    // It may have to be created, on whatever the one above it is on.
    let now = [Some(&*options.path), options.path.parent()];
    let now = now.into_iter().flatten().find_map(|path| Mount::of(path).ok());
    match now {
        Some(now) if now == beneath && now != own => Err(Reason::NotMounted(options.path.clone())),
        Some(_) | None => Ok(()),
    }
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        path => path?,
    };
    match path.parent() {
        Some(above) => Ok(Mount::of(&path)? != Mount::of(above)?),
        None => Ok(true),
    }
}
