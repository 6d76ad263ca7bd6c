//! Opening a folder: whatever is in it, what comes of it is a volume whose records can be trusted
//! as far as any can before they are read.
//!
//! The newest snapshot that is whole says what there was; what was written since is replayed from
//! the segments' ends. Without a snapshot all headers of all segments are replayed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::counters::{Counters, count};
use super::device::{self, Device};
use super::error::Reason;
use super::history_file;
use super::meta::{Decoded, Meta};
use super::queue::Queue;
use super::record::{Header, What};
use super::scan::scan;
use super::segment::{Opened, SEGMENT_HEADER_BYTES, Segment, number_of};
use super::snapshot::Mark;
use super::snapshot_file::{self, Loaded};
use super::volume::{Index, Marks, Parts, Volume};
use crate::policy::log::{Entry, Place};
use crate::policy::{Eviction, IdMap, Ledger, Log, Shape};

/// With fewer segments than this of an existing store's length, a store is begun anew.
const SEGMENTS_LEAST: u64 = 16;
/// A configured size has room for this share of reclaimed segments that are still read.
const SPARE_SHARE: u64 = 32;

/// A tail that may be as long as this is asked for ahead, so far.
const TAIL_BYTES: u32 = 64 << 10;
const AHEAD_BYTES: u32 = 4 << 20;

/// What a folder is opened with.
pub(crate) struct Opening {
    pub(crate) folder: PathBuf,
    pub(crate) size_bytes: u64,
    pub(crate) eviction: Eviction,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) queue: Arc<Queue>,
    /// Begin anew, whatever is there.
    pub(crate) discard: bool,
}

/// A segment that was found, and where its tail begins.
struct Found {
    segment: Segment,
    entries: Vec<Entry>,
    tail: u32,
    end: u32,
}

/// The last word on an id in the tails.
struct Word {
    sequence: u64,
    /// None for a tombstone.
    entry: Option<Entry>,
    /// The segment that it is in.
    number: u64,
}

impl Opening {
    /// Opens the folder, which the caller has locked.
    pub(crate) fn open(self) -> Result<Volume, Reason> {
        let shape = wanted_shape(self.size_bytes)?;
        let segments = self.folder.join("segments");
        let meta = self.meta(shape)?;
        fs::create_dir_all(&segments).map_err(Reason::io("create", &segments))?;
        let space = Arc::new(AtomicU64::new(0));
        let mut found = self.find(&segments, meta, &space)?;
        let loaded = snapshot_file::load(&*self.device, &self.folder, meta.seed, &self.counters)?;
        let last_number = found.iter().map(|it| it.segment.number).max();
        let mut next_number = last_number.map_or(1, |it| it + 1);
        let mut next_sequence = 1;
        let state = loaded.as_ref().map(|loaded| loaded.head.state);
        if let Some(loaded) = loaded {
            next_sequence = loaded.head.sequence;
            next_number = next_number.max(loaded.head.next_number);
            self.remove_left(&mut found, &loaded)?;
            take(&mut found, loaded);
        }
        expect_tails(&found, meta);
        history_file::load(&self.folder, &self.ledger, &self.counters);
        let words = self.replay(meta, &mut found)?;
        next_sequence = words.values().fold(next_sequence, |it, word| it.max(word.sequence + 1));

        let shape = shape_of(self.size_bytes, meta);
        let mut log = Log::new(shape, self.eviction, Arc::clone(&self.ledger));
        if let Some(state) = state {
            log.restore_state(state);
        }
        merge(&mut found, &words, &log);
        let surplus = shrink(&mut found, shape);
        let mut marks = Marks::default();
        let mut lost = Vec::new();
        for (id, word) in &words {
            marks.set(*id, word.number);
            if surplus.iter().any(|it| it.number == word.number) {
                lost.push(*id);
            }
        }
        let index = fill(log, &*self.device, found, surplus);
        let (folder, device, seed) = (self.folder, self.device, meta.seed);
        let (counters, queue) = (self.counters, self.queue);
        Ok(Volume::new(Parts {
            folder,
            device,
            seed,
            index,
            marks,
            counters,
            queue,
            ledger: self.ledger,
            lost,
            sequence: next_sequence,
            number: next_number,
            space,
            space_max: self.size_bytes,
        }))
    }

    /// What the store says of itself, or what a new one will say.
    fn meta(&self, shape: Shape) -> Result<Meta, Reason> {
        let path = self.folder.join("meta");
        let decoded = match fs::read(&path) {
            Ok(bytes) => Some(Meta::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Reason::io("read", &path)(error)),
        };
        let meta = match decoded {
            Some(Decoded::Right(meta)) => Some(meta),
            Some(Decoded::OtherVersion(version)) => {
                self.set_aside(version)?;
                None
            }
            // Every segment says the same.
            Some(Decoded::Bad) | None => self.meta_of_segments()?,
        };
        let fresh = || Meta { seed: random(), segment_bytes: shape.segment_bytes };
        let fits = |meta: &Meta| {
            segments_of(self.size_bytes, *meta)
                >= SEGMENTS_LEAST.min(segments_of(self.size_bytes, fresh()))
        };
        let kept = meta.filter(|meta| !self.discard && fits(meta));
        if kept.is_none() {
            self.discard_all()?;
            tracing::info!(disk = %self.folder.display(), "a new cache begins");
        }
        let meta = kept.unwrap_or_else(fresh);
        if decoded != Some(Decoded::Right(meta)) {
            snapshot_file::replace(&*self.device, &self.folder, "meta", &meta.encode())
                .map_err(Reason::io("write", &path))?;
        }
        Ok(meta)
    }

    /// What most segments say.
    fn meta_of_segments(&self) -> Result<Option<Meta>, Reason> {
        let mut votes: HashMap<(u64, u32), usize> = HashMap::new();
        let space = Arc::default();
        for path in segment_paths(&self.folder.join("segments"))? {
            if let Ok(Opened::Right(_, header)) = Segment::open(&*self.device, path, &space) {
                *votes.entry((header.seed, header.segment_bytes)).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        Ok(most.map(|((seed, segment_bytes), _)| Meta { seed, segment_bytes }))
    }

    /// Moves a store of another version out of the way. One is kept; people may want to go back.
    fn set_aside(&self, version: u32) -> Result<(), Reason> {
        let aside = self.folder.join("set-aside");
        let failed = |error| Reason::io("set aside what is in", &self.folder)(error);
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => fs::create_dir(&aside).map_err(failed)?,
        }
        for name in OURS {
            match fs::rename(self.folder.join(name), aside.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        let folder = self.folder.display();
        tracing::warn!(%folder, version, "set aside a cache of another version of the format");
        Ok(())
    }

    fn discard_all(&self) -> Result<(), Reason> {
        let failed = |error| Reason::io("clear", &self.folder)(error);
        for name in OURS {
            let path = self.folder.join(name);
            let gone =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match gone {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The segments, the oldest first. What isn't one any more is removed.
    fn find(
        &self,
        folder: &Path,
        meta: Meta,
        space: &Arc<AtomicU64>,
    ) -> Result<Vec<Found>, Reason> {
        let mut found = Vec::new();
        for path in segment_paths(folder)? {
            let opened = Segment::open(&*self.device, path.clone(), space)
                .map_err(Reason::io("open", &path))?;
            if let Opened::Right(segment, header) = opened {
                if header.seed == meta.seed && header.segment_bytes == meta.segment_bytes {
                    found.push(Found { segment, entries: Vec::new(), tail: 0, end: 0 });
                    continue;
                }
            } else if let Opened::Damaged = opened {
                count(&self.counters.bad_segments);
                tracing::warn!(segment = %path.display(), "removed a damaged segment");
            }
            self.device.unlink(&path).map_err(Reason::io("remove", &path))?;
        }
        found.sort_unstable_by_key(|it| it.segment.number);
        Ok(found)
    }

    /// Removes segments that had been reclaimed already when the snapshot began: what it doesn't
    /// know of them is dead.
    fn remove_left(&self, found: &mut Vec<Found>, loaded: &Loaded) -> Result<(), Reason> {
        let head = &loaded.head;
        let known: HashSet<u64> = head.marks.iter().map(|mark| mark.number).collect();
        let is_left = |of: &mut Found| {
            of.segment.number < head.next_number && !known.contains(&of.segment.number)
        };
        for of in found.extract_if(.., is_left) {
            let path = &of.segment.path;
            self.device.unlink(path).map_err(Reason::io("remove", path))?;
        }
        Ok(())
    }

    /// The last word on each id that the tails speak of.
    fn replay(&self, meta: Meta, found: &mut [Found]) -> Result<IdMap<Word>, Reason> {
        let mut words: IdMap<Word> = IdMap::default();
        for of in found {
            let number = of.segment.number;
            let visit = |offset: u32, header: &Header| {
                if words.get(&header.id).is_some_and(|word| word.sequence > header.sequence) {
                    return;
                }
                let len = u32::try_from(header.stored_bytes()).unwrap_or(u32::MAX);
                let place = Place { segment: 0, offset, len };
                let entry = Entry { id: header.id, place, frequency: header.frequency, value: 0 };
                let entry = match header.what {
                    What::Data(_) => Some(entry),
                    What::Tombstone => None,
                    What::Filler => return,
                };
                words.insert(header.id, Word { sequence: header.sequence, entry, number });
            };
            let scanned = scan(&*self.device, &of.segment, meta, of.tail, visit);
            let end = scanned.map_err(Reason::io("read", &of.segment.path))?;
            of.end = of.end.max(end);
        }
        Ok(words)
    }
}

/// The files and folders that are ours, the lock aside.
const OURS: [&str; 5] = ["meta", "segments", "snapshot", "snapshot.old", "history"];

fn segment_paths(folder: &Path) -> Result<Vec<PathBuf>, Reason> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Reason::io("read", folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Reason::io("read", folder))?;
        if entry.file_name().to_str().and_then(number_of).is_some() {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// What a new store of this size would look like.
fn wanted_shape(size_bytes: u64) -> Result<Shape, Reason> {
    Shape::of(usable(size_bytes)).map_err(|_| Reason::TooSmall { size_bytes })
}

/// Bytes for segments, without those that are kept for segments that somebody still reads.
fn usable(size_bytes: u64) -> u64 {
    size_bytes - size_bytes / SPARE_SHARE
}

/// How many full segments of an existing store fit.
fn segments_of(size_bytes: u64, meta: Meta) -> u64 {
    usable(size_bytes) / (SEGMENT_HEADER_BYTES as u64 + u64::from(meta.segment_bytes))
}

/// An existing store's, for this size. Closed segments take only what is in them, so there may be
/// more of them than full ones fit.
fn shape_of(size_bytes: u64, meta: Meta) -> Shape {
    let segments = u16::try_from(2 * segments_of(size_bytes, meta)).unwrap_or(u16::MAX);
    let headers = u64::from(segments) * SEGMENT_HEADER_BYTES as u64;
    let capacity_bytes = usable(size_bytes).saturating_sub(headers);
    Shape { segments, segment_bytes: meta.segment_bytes, capacity_bytes }
}

/// Gives each segment the records that the snapshot has of it, and the mark where its tail begins.
fn take(found: &mut [Found], loaded: Loaded) {
    let mut blocks: HashMap<u64, (Mark, Vec<Entry>)> =
        loaded.blocks.into_iter().map(|(mark, entries)| (mark.number, (mark, entries))).collect();
    for of in found {
        if let Some((mark, entries)) = blocks.remove(&of.segment.number) {
            // Some may lie beyond the mark: written while the snapshot was.
            let last = entries.iter().map(|it| it.place.offset.saturating_add(it.place.len)).max();
            (of.tail, of.end) = (mark.written, mark.written.max(last.unwrap_or(0)));
            of.entries = entries;
        }
    }
}

/// Has the device read what will be replayed, while other things are done.
fn expect_tails(found: &[Found], meta: Meta) {
    for of in found {
        let left = meta.segment_bytes.saturating_sub(of.tail);
        // What is shorter is read at once; and of long records only the headers are.
        if left >= TAIL_BYTES && of.tail > 0 || of.entries.is_empty() {
            device::expect(
                &of.segment.file,
                Segment::at(of.tail),
                u64::from(left.min(AHEAD_BYTES)),
            );
        }
    }
}

/// Gives each segment the records that the tails have last words on, and takes those away that are
/// older.
fn merge(found: &mut [Found], words: &IdMap<Word>, log: &Log) {
    let mut newer: HashMap<u64, Vec<Entry>> = HashMap::new();
    for word in words.values() {
        if let Some(entry) = word.entry {
            let value = log.value_of_new(entry.place.len, entry.frequency);
            newer.entry(word.number).or_default().push(Entry { value, ..entry });
        }
    }
    for of in found {
        of.entries.retain(|entry| !words.contains_key(&entry.id));
        of.entries.extend(newer.remove(&of.segment.number).unwrap_or_default());
    }
}

/// Takes out the segments with the least worth, if there are more than the log has room for.
fn shrink(found: &mut Vec<Found>, shape: Shape) -> Vec<Segment> {
    let mut room = (shape.capacity_bytes, usize::from(shape.segments));
    let fits = |room: &mut (u64, usize), of: &Found| {
        let left = room.0.checked_sub(u64::from(of.end)).zip(room.1.checked_sub(1));
        left.map(|left| *room = left).is_some()
    };
    if found.iter().all(|of| fits(&mut room, of)) {
        return Vec::new();
    }
    // With two free ones for what comes, as in a log that is at work.
    let ahead = 2 * u64::from(shape.segment_bytes);
    room = (shape.capacity_bytes - ahead, usize::from(shape.segments) - 2);
    let worth = |of: &Found| -> u128 {
        let worth = |it: &Entry| u128::from(it.value) * u128::from(it.place.len);
        of.entries.iter().map(worth).sum()
    };
    found.sort_by_cached_key(|of| std::cmp::Reverse(worth(of)));
    let kept = found.iter().take_while(|of| fits(&mut room, of)).count();
    let surplus = found.split_off(kept);
    found.sort_unstable_by_key(|of| of.segment.number);
    surplus.into_iter().map(|of| of.segment).collect()
}

/// Puts what was found into the log. The surplus is to be removed.
fn fill(mut log: Log, device: &dyn Device, found: Vec<Found>, surplus: Vec<Segment>) -> Index {
    let segments = log.shape().segments;
    log.expect(found.iter().map(|of| of.entries.len()).sum());
    let mut index = Vec::new();
    for (slot, of) in (0..segments).zip(found) {
        let Found { segment, mut entries, end, .. } = of;
        entries.iter_mut().for_each(|entry| entry.place.segment = slot);
        let end = end.min(log.shape().segment_bytes);
        log.restore_segment(slot, end, &entries);
        segment.restore(end);
        segment.close(device);
        index.push(Some(Arc::new(segment)));
    }
    index.resize_with(usize::from(segments), || None);
    let doomed: Vec<_> = surplus.into_iter().map(Arc::new).collect();
    Index { log, segments: index, leaving: doomed.len(), doomed }
}

/// A number that nobody can guess.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
