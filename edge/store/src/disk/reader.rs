//! Reading: from memory at once, from the device by a pool of threads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::counters::count;
use super::device;
use super::record::{self, Checksum, HEADER_BYTES, Header};
use super::segment::{LARGE_BYTES, Segment};
use super::volume::Volume;
use crate::Id;
use crate::policy::log::Place;

/// Reads that may wait for the pool; each is a client that waits too.
const WAITING_MAX: usize = 1024;
/// A large record is verified in pieces of this size, which stay in the processor's cache.
const PIECE_BYTES: usize = 128 << 10;

/// What there is of an id.
#[derive(Debug)]
pub enum Found {
    /// Nothing, or nothing that can be had.
    Absent,
    /// All of it.
    Ready(Bytes),
    /// It has to be read from the device.
    Cold(Pending),
}

/// A record that is read from the device. Gives nothing where it turns out to be bad. Drop it to
/// give up.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Option<Bytes>>);

impl Future for Pending {
    type Output = Option<Bytes>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|read| read.ok().flatten())
    }
}

impl Pending {
    /// Waits for it. Not for threads that serve.
    pub fn wait(self) -> Option<Bytes> {
        self.0.blocking_recv().ok().flatten()
    }
}

/// How the bytes of a large record are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As a view of the file's mapping, to be sent from there.
    View,
    /// Copied, to be read by us.
    Copy,
}

/// A record to be read.
pub(crate) struct Job {
    volume: Arc<Volume>,
    segment: Arc<Segment>,
    id: Id,
    place: Place,
    wanted: Wanted,
    reply: oneshot::Sender<Option<Bytes>>,
}

/// The way to the threads that read from one disk.
pub(crate) struct Readers {
    jobs: SyncSender<Job>,
}

impl Readers {
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel::<Job>(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |_| {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("disk-read".to_owned()).spawn(move || work(&receiver))
        };
        // They end when nobody can ask them any more.
        (0..threads.max(1)).map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { jobs })
    }

    /// What `volume` has of `id`: counted as a hit. Doesn't wait for the device.
    pub(crate) fn get(&self, volume: &Arc<Volume>, id: &Id, wanted: Wanted) -> Found {
        let Some((place, segment)) = find(volume, id) else {
            count(&volume.counters.misses);
            return Found::Absent;
        };
        count(&volume.counters.hits);
        let large = place.len >= LARGE_BYTES;
        let payload = place.offset + HEADER_BYTES as u32..place.offset + place.len;
        if large && wanted == Wanted::View {
            if segment.is_verified(place.offset)
                && is_its_header(volume, &segment, id, place)
                && segment.is_resident(payload.clone())
                && let Some(bytes) = segment.view(payload)
            {
                return Found::Ready(bytes);
            }
            return self.read(volume, segment, id, place, wanted);
        }
        let mut buffer = vec![0; place.len as usize];
        let at = Segment::at(place.offset);
        match volume.device.read_ready(&segment.file, &mut buffer, at) {
            Ok(read) if read == buffer.len() => {
                let spot = volume.spot(&segment, place.offset);
                if record::verified(&buffer, spot, *id).is_none() {
                    volume.drop_bad(*id, place, &segment);
                    return Found::Absent;
                }
                Found::Ready(Bytes::from(buffer).slice(HEADER_BYTES..))
            }
            // In part, not at all, or an error that the pool will see again.
            Ok(_) | Err(_) => self.read(volume, segment, id, place, wanted),
        }
    }

    fn read(
        &self,
        volume: &Arc<Volume>,
        segment: Arc<Segment>,
        id: &Id,
        place: Place,
        wanted: Wanted,
    ) -> Found {
        let (reply, pending) = oneshot::channel();
        let volume = Arc::clone(volume);
        let counters = Arc::clone(&volume.counters);
        let job = Job { volume, segment, id: *id, place, wanted, reply };
        match self.jobs.try_send(job) {
            Ok(()) => {
                count(&counters.cold_reads);
                Found::Cold(Pending(pending))
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                count(&counters.reads_shed);
                Found::Absent
            }
        }
    }
}

/// Where the record is, where it is complete.
fn find(volume: &Volume, id: &Id) -> Option<(Place, Arc<Segment>)> {
    let mut index = volume.index();
    let place = index.log.get(id)?;
    let segment = index.segments.get(usize::from(place.segment))?.as_ref()?;
    let complete = place.offset + place.len <= segment.written();
    complete.then(|| (place, Arc::clone(segment)))
}

/// Whether the header of `id`'s record is in memory and right: so that a record that was verified
/// isn't taken for another, whatever the index says.
fn is_its_header(volume: &Volume, segment: &Segment, id: &Id, place: Place) -> bool {
    let mut header = [0; HEADER_BYTES];
    let at = Segment::at(place.offset);
    let read = volume.device.read_ready(&segment.file, &mut header, at);
    let header = Header::decode(&header, volume.spot(segment, place.offset));
    matches!(read, Ok(HEADER_BYTES)) && header.is_some_and(|it| it.is_of(*id, place.len))
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut buffer = Vec::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.reply.is_closed() {
            continue;
        }
        let bytes = job.read(&mut buffer);
        let _ = job.reply.send(bytes);
    }
}

impl Job {
    fn read(&self, buffer: &mut Vec<u8>) -> Option<Bytes> {
        let Self { volume, segment, id, place, .. } = self;
        if place.len >= LARGE_BYTES && self.wanted == Wanted::View && self.verify(buffer)? {
            segment.set_verified(place.offset);
            let payload = place.offset + HEADER_BYTES as u32..place.offset + place.len;
            if let Some(bytes) = segment.view(payload) {
                return Some(bytes);
            }
        }
        let mut record = Vec::new();
        volume.read_record(*id, *place, segment, &mut record)?;
        Some(Bytes::from(record).slice(HEADER_BYTES..))
    }

    /// Reads the record piece by piece, which brings it into memory, and verifies it. None: it
    /// was dropped.
    fn verify(&self, buffer: &mut Vec<u8>) -> Option<bool> {
        let Self { volume, segment, id, place, .. } = self;
        buffer.resize(PIECE_BYTES, 0);
        let mut header = None;
        let mut checksum = Checksum::new();
        let mut read = 0;
        while read < place.len as usize {
            let piece = PIECE_BYTES.min(place.len as usize - read);
            let piece = &mut buffer[..piece];
            let at = Segment::at(place.offset) + read as u64;
            if device::read_exact(&*volume.device, &segment.file, piece, at).is_err() {
                // Once more and as a whole, where errors are judged.
                return Some(false);
            }
            if read == 0 {
                header = Header::decode(piece, volume.spot(segment, place.offset))
                    .filter(|header| header.is_of(*id, place.len));
                checksum.add(piece.get(HEADER_BYTES..)?);
            } else {
                checksum.add(piece);
            }
            read += piece.len();
        }
        if header.is_some_and(|header| header.checksum == checksum.finish()) {
            return Some(true);
        }
        volume.drop_bad(*id, *place, segment);
        None
    }
}
