//! One disk: opened, used, taken out when it fails, and tried again.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use super::caretaker::{Caretaker, settle};
use super::counters::{Counters, count};
use super::device::Device;
use super::disks::{Beside, DiskOptions, Settings};
use super::error::{Reason, Shed};
use super::lock::Lock;
use super::mount::{self, Ground};
use super::queue::{Queue, Waiting};
use super::reader::{Found, Readers, Wanted};
use super::recovery::Opening;
use super::snapshot_file;
use super::status::{DiskStatus, State};
use super::volume::Volume;
use super::writer::Writer;
use super::{Kind, RECORD_MAX_BYTES};
use crate::Id;

/// A disk, whatever its state.
pub(crate) struct Disk {
    options: DiskOptions,
    settings: Settings,
    device: Arc<dyn Device>,
    /// Set while it is in use.
    volume: ArcSwapOption<Volume>,
    readers: OnceLock<Readers>,
    counters: Arc<Counters>,
    queue: Arc<Queue>,
    condition: Mutex<Condition>,
    changed: Condvar,
}

struct Condition {
    state: State,
    reason: Option<(&'static str, String)>,
    /// It is to be closed.
    closing: bool,
    /// It is to be tried again now.
    retrying: bool,
}

/// Somebody who has something else in a disk's folder, as long as that is locked.
struct Guest<'a> {
    beside: Option<&'a Beside>,
    folder: &'a Path,
}

impl<'a> Guest<'a> {
    fn welcome(settings: &'a Settings, folder: &'a Path) -> Self {
        let beside = settings.beside.as_ref();
        if let Some(Beside(tell)) = beside {
            tell(folder, true);
        }
        Self { beside, folder }
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        if let Some(Beside(tell)) = self.beside {
            tell(self.folder, false);
        }
    }
}

impl Disk {
    /// Starts to open it, and keeps it from then on.
    pub(crate) fn start(
        options: DiskOptions,
        settings: Settings,
        device: Arc<dyn Device>,
    ) -> (Arc<Self>, Option<JoinHandle<()>>) {
        let condition =
            Condition { state: State::Starting, reason: None, closing: false, retrying: false };
        let disk = Arc::new(Self {
            queue: Arc::new(Queue::new(settings.queue_bytes)),
            options,
            settings,
            device,
            volume: ArcSwapOption::empty(),
            readers: OnceLock::new(),
            counters: Arc::default(),
            condition: Mutex::new(condition),
            changed: Condvar::new(),
        });
        let kept = Arc::clone(&disk);
        let keeper = thread::Builder::new().name("disk".to_owned()).spawn(move || kept.keep());
        if let Err(error) = &keeper {
            disk.set_state(State::Out, Some(&Reason::Thread(error.to_string())));
        }
        (disk, keeper.ok())
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: State, reason: Option<&Reason>) {
        let mut condition = self.condition();
        condition.state = state;
        condition.reason = reason.map(|reason| (reason.label(), reason.to_string()));
        drop(condition);
        self.changed.notify_all();
    }

    /// Opens it, uses it, tries again: until it is closed.
    fn keep(&self) {
        let mut pause = self.settings.retry_first;
        let mut ground = None;
        loop {
            let mut was_ready = false;
            let used = catch_unwind(AssertUnwindSafe(|| self.use_it(&mut was_ready, &mut ground)));
            self.volume.store(None);
            let reason = match used {
                Ok(Ok(())) => return self.set_state(State::Closed, None),
                Ok(Err(reason)) => reason,
                Err(_) => Arc::new(Reason::Thread("it panicked".to_owned())),
            };
            self.set_state(State::Out, Some(&reason));
            self.queue.drop_puts();
            let folder = self.options.path.display();
            tracing::error!(disk = %folder, "out of use: {reason}");
            if was_ready {
                count(&self.counters.outages);
                pause = self.settings.retry_first;
            }
            if !self.pause(pause) {
                return self.set_state(State::Closed, None);
            }
            pause = (pause * 2).min(self.settings.retry_most);
        }
    }

    /// Waits to try again. False when it is to be closed.
    fn pause(&self, pause: Duration) -> bool {
        let waiting = |it: &mut Condition| !it.closing && !it.retrying;
        let waited = self.changed.wait_timeout_while(self.condition(), pause, waiting);
        let mut condition = waited.unwrap_or_else(PoisonError::into_inner).0;
        condition.retrying = false;
        !condition.closing
    }

    /// Tries it again now, if it is out.
    pub(crate) fn retry(&self) {
        let mut condition = self.condition();
        condition.retrying = condition.state == State::Out;
        drop(condition);
        self.changed.notify_all();
    }

    /// Opens it, and uses it until it fails or is closed. `ground` is where its folder was when it
    /// was last used.
    fn use_it(&self, was_ready: &mut bool, ground: &mut Option<Ground>) -> Result<(), Arc<Reason>> {
        let folder = &self.options.path;
        mount::check(&self.options, *ground)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Arc::new(Reason::io("create", folder)(error)));
            }
            _ => {}
        }
        let lock = Lock::take(folder)?;
        let _beside = Guest::welcome(&self.settings, folder);
        if self.readers.get().is_none() {
            let readers = Readers::start(self.settings.readers);
            let readers = readers.map_err(|error| Reason::Thread(error.to_string()))?;
            let _ = self.readers.set(readers);
        }
        let discard = self.queue.take_overflown();
        let opened = self.open(discard);
        if opened.is_err() && discard {
            self.queue.set_overflown();
        }
        let (volume, mut writer) = opened?;
        self.volume.store(Some(Arc::clone(&volume)));
        *was_ready = true;
        *ground = Ground::of(folder).ok();
        self.set_state(State::Ready, None);
        let records = volume.index().log.len();
        tracing::info!(disk = %folder.display(), records, "in use");
        let written = self.run(&volume, &mut writer, &lock);
        self.volume.store(None);
        if let Some(reason) = written.err().map(Arc::new).or_else(|| volume.failure()) {
            if matches!(*reason, Reason::Forgotten) {
                self.queue.set_overflown();
            }
            return Err(reason);
        }
        settle(&volume)?;
        Ok(snapshot_file::write(&volume)?)
    }

    fn open(&self, discard: bool) -> Result<(Arc<Volume>, Writer), Reason> {
        let opening = Opening {
            folder: self.options.path.clone(),
            size_bytes: self.options.size_bytes,
            eviction: self.settings.eviction,
            ledger: Arc::clone(&self.settings.ledger),
            device: Arc::clone(&self.device),
            counters: Arc::clone(&self.counters),
            queue: Arc::clone(&self.queue),
            discard,
        };
        let volume = Arc::new(opening.open()?);
        let mut writer = Writer::new(Arc::clone(&volume), self.settings.records_max);
        writer.replace_lost(&volume.lost)?;
        // What was removed while it was out mustn't be found, not even for a moment.
        writer.apply(self.queue.take_as_removals())?;
        Ok((volume, writer))
    }

    /// Writes, with the caretaker beside.
    fn run(&self, volume: &Arc<Volume>, writer: &mut Writer, lock: &Lock) -> Result<(), Reason> {
        thread::scope(|scope| {
            let mut caretaker =
                Caretaker::new(Arc::clone(volume), self.settings.scrub_bytes_per_second);
            let care = thread::Builder::new()
                .name("disk-care".to_owned())
                .spawn_scoped(scope, move || caretaker.run(lock))
                .map_err(|error| Reason::Thread(error.to_string()))?;
            let written = writer.run();
            volume.stop_caretaker();
            care.join().map_err(|_| Reason::Thread("it panicked".to_owned()))?;
            written
        })
    }

    pub(crate) fn get(&self, id: &Id, wanted: Wanted) -> Found {
        let volume = self.volume.load_full();
        match (volume, self.readers.get()) {
            (Some(volume), Some(readers)) if !volume.has_failed() => match self.queue.waiting(id) {
                Waiting::Nothing => readers.get(&volume, id, wanted),
                Waiting::Put(parts) => {
                    count(&self.counters.hits);
                    Found::Ready(joined(parts))
                }
                Waiting::Removal => self.absent(),
            },
            _ => self.absent(),
        }
    }

    fn absent(&self) -> Found {
        count(&self.counters.misses);
        Found::Absent
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        let holds = |volume: Arc<Volume>| volume.index().log.peek(id).is_some();
        self.queue.has(id) || self.volume.load_full().is_some_and(holds)
    }

    pub(crate) fn put(
        &self,
        id: Id,
        kind: Kind,
        frequency: u8,
        parts: Vec<Bytes>,
    ) -> Result<(), Shed> {
        let len: usize = parts.iter().map(Bytes::len).sum();
        let put = match u32::try_from(len) {
            Ok(len) if len <= RECORD_MAX_BYTES => match self.volume.load().is_some() {
                true => self.queue.put(id, kind, frequency, parts, len),
                false => Err(Shed::Out),
            },
            _ => Err(Shed::TooLarge),
        };
        if let Err(shed) = put {
            match shed {
                Shed::Busy => count(&self.counters.shed_busy),
                Shed::Out => count(&self.counters.shed_out),
                Shed::TooLarge | Shed::NoDisk => {}
            }
            // What isn't stored now mustn't be found as it was before.
            self.remove(&id);
        }
        put
    }

    pub(crate) fn remove(&self, id: &Id) {
        let volume = self.volume.load_full();
        if let Some(volume) = &volume
            && !self.queue.has(id)
            && !volume.index().may_come_back(id)
        {
            return;
        }
        // First into the queue: what the writer puts into the index after this is younger.
        self.queue.remove(*id);
        if let Some(volume) = &volume {
            volume.index().log.remove(id);
            if self.queue.is_overflown() {
                volume.fail(Reason::Forgotten);
            }
        }
    }

    pub(crate) fn status(&self) -> DiskStatus {
        let (state, reason) = {
            let condition = self.condition();
            (condition.state, condition.reason.clone())
        };
        let mut status = DiskStatus {
            path: self.options.path.clone(),
            state,
            reason,
            size_bytes: self.options.size_bytes,
            used_bytes: 0,
            live_bytes: 0,
            records: 0,
            queued_bytes: self.queue.bytes() as u64,
            counts: self.counters.read(),
        };
        if let Some(volume) = self.volume.load_full() {
            let snapshots = 2 * volume.snapshot_bytes.load(Ordering::Relaxed);
            status.used_bytes = volume.space.load(Ordering::Relaxed) + snapshots;
            let index = volume.index();
            (status.live_bytes, status.records) = (index.log.live_bytes(), index.log.len() as u64);
        }
        status
    }

    /// Memory that its index takes.
    pub(crate) fn index_bytes(&self) -> usize {
        self.volume.load_full().map_or(0, |volume| volume.index().log.bytes())
    }

    /// Waits until it isn't starting any more; at most so long.
    pub(crate) fn wait_started(&self, patience: Duration) {
        let starting = |it: &mut Condition| it.state == State::Starting;
        let condition = self.condition();
        let _ = self.changed.wait_timeout_while(condition, patience, starting);
    }

    /// Waits until everything that was put is written, or dropped because the disk is out.
    pub(crate) fn flush(&self) {
        self.queue.wait_drained(|| self.volume.load().is_none());
    }

    /// Lets it be closed, when what waits is written.
    pub(crate) fn close(&self) {
        self.condition().closing = true;
        self.changed.notify_all();
        self.queue.close();
    }
}

/// The parts of a record as one: most have but one that is long.
fn joined(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => parts.concat().into(),
    }
}
