//! Snapshots as files: two of them, so that one is whole whatever happens to the other.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::counters::{Counters, add, count};
use super::device::{self, Device};
use super::error::Reason;
use super::history_file;
use super::snapshot::{BLOCK_BYTES, HEAD_BYTES, Head, Mark};
use super::volume::Volume;
use crate::policy::log::Entry;

const NEWEST: &str = "snapshot";
const OLDER: &str = "snapshot.old";
/// Blocks are gathered until there is so much to write.
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot that was read.
pub(crate) struct Loaded {
    pub(crate) head: Head,
    /// For each segment what it had, the segments' log numbers left open.
    pub(crate) blocks: Vec<(Mark, Vec<Entry>)>,
}

/// The newest snapshot of the store with this seed that is whole, if there is one.
pub(crate) fn load(
    device: &dyn Device,
    folder: &Path,
    seed: u64,
    counters: &Counters,
) -> Result<Option<Loaded>, Reason> {
    for name in [NEWEST, OLDER] {
        let path = folder.join(name);
        let file = match device.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Reason::io("open", &path)(error)),
        };
        match read(device, &file, seed) {
            Ok(Some(loaded)) => return Ok(Some(loaded)),
            // A part of the device that can't be read is as bad as a wrong one: go on without.
            Ok(None) | Err(_) => {
                count(&counters.bad_snapshots);
                tracing::warn!(snapshot = %path.display(), "a snapshot is damaged");
            }
        }
    }
    Ok(None)
}

fn read(device: &dyn Device, file: &File, seed: u64) -> io::Result<Option<Loaded>> {
    let len = file.metadata()?.len();
    let mut at = 0;
    let mut buffer = Vec::new();
    // Lengths are believed only as far as the file goes.
    let mut next = |buffer: &mut Vec<u8>, bytes: usize| -> io::Result<bool> {
        if at + bytes as u64 > len {
            return Ok(false);
        }
        let read = buffer.len();
        buffer.resize(read + bytes, 0);
        device::read_exact(device, file, &mut buffer[read..], at)?;
        at += bytes as u64;
        Ok(true)
    };
    if !next(&mut buffer, HEAD_BYTES)? {
        return Ok(None);
    }
    let Some(whole) = Head::len_bytes(&buffer) else { return Ok(None) };
    if !next(&mut buffer, whole - HEAD_BYTES)? {
        return Ok(None);
    }
    let Some(head) = Head::decode(&buffer).filter(|head| head.seed == seed) else {
        return Ok(None);
    };
    let mut blocks = Vec::with_capacity(head.marks.len());
    for mark in &head.marks {
        buffer.clear();
        if !next(&mut buffer, BLOCK_BYTES)? {
            return Ok(None);
        }
        let Some(whole) = Head::block_len_bytes(&buffer, mark.number) else { return Ok(None) };
        if !next(&mut buffer, whole - BLOCK_BYTES)? {
            return Ok(None);
        }
        let Some(entries) = head.decode_block(mark.number, 0, &mut buffer) else {
            return Ok(None);
        };
        blocks.push((*mark, entries));
    }
    Ok(Some(Loaded { head, blocks }))
}

/// Writes a snapshot, and makes the former newest the older one; beside it, the history.
pub(crate) fn write(volume: &Volume) -> Result<(), Reason> {
    history_file::write(&*volume.device, &volume.folder, &volume.ledger, &volume.counters)?;
    let folder = &volume.folder;
    let temporary = folder.join("snapshot.new");
    let failed = |error| Reason::io("write", &temporary)(error);
    let (head, segments) = volume.head();
    let device = &*volume.device;
    let file = device.overwrite(&temporary).map_err(failed)?;
    let mut at = 0;
    let mut gathered = head.encode();
    for (slot, segment) in segments {
        let entries = {
            let index = volume.index();
            let now = index.segments.get(usize::from(slot)).and_then(Option::as_ref);
            // Reclaimed meanwhile: the log's number may be another segment's by now.
            let is_it = now.is_some_and(|now| now.number == segment.number);
            if is_it { index.log.entries_of(slot) } else { Vec::new() }
        };
        gathered.extend(head.encode_block(segment.number, &entries));
        if gathered.len() >= WRITE_BYTES {
            at += device::write_all(device, &file, &[&gathered], at).map_err(failed)?;
            gathered.clear();
        }
    }
    at += device::write_all(device, &file, &[&gathered], at).map_err(failed)?;
    device.sync(&file).map_err(failed)?;
    let (newest, older) = (folder.join(NEWEST), folder.join(OLDER));
    match device.rename(&newest, &older) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => device.rename(&temporary, &newest).map_err(failed)?,
    }
    sync_folder(device, folder).map_err(failed)?;
    add(&volume.counters.bytes_overhead, at);
    count(&volume.counters.snapshots);
    volume.snapshot_bytes.store(at, Ordering::Relaxed);
    volume.marks().completed();
    Ok(())
}

/// Puts a file of this content in the place of `name`, in one step.
pub(crate) fn replace(
    device: &dyn Device,
    folder: &Path,
    name: &str,
    content: &[u8],
) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let file = device.overwrite(&temporary)?;
    device::write_all(device, &file, &[content], 0)?;
    device.sync(&file)?;
    device.rename(&temporary, &folder.join(name))?;
    sync_folder(device, folder)
}

fn sync_folder(device: &dyn Device, folder: &Path) -> io::Result<()> {
    device.sync(&File::open(folder)?)
}
