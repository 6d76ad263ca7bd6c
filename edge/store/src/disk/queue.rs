//! What waits to be written: bounded, and told apart by who came last.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Kind;
use super::error::Shed;
use crate::Id;

/// Removals that may wait. They can't be refused, so beyond that all is forgotten.
const REMOVALS_MAX: usize = 1 << 18;

/// Something to be written.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) id: Id,
    /// When it came: of two about one id, the later counts.
    ticket: u64,
    pub(crate) what: OpKind,
}

#[derive(Debug)]
pub(crate) enum OpKind {
    Put { kind: Kind, frequency: u8, parts: Vec<Bytes>, len: u32 },
    Remove,
}

impl Op {
    fn bytes(&self) -> usize {
        match &self.what {
            OpKind::Put { len, .. } => *len as usize,
            OpKind::Remove => 0,
        }
    }
}

/// The queue between those who store and a disk's writer.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// There is something to do.
    ready: Condvar,
    /// Nothing is left to do.
    drained: Condvar,
    /// Ids that something waits for: whoever looks one up needn't ask where it is 0.
    waiting: AtomicUsize,
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    ops: VecDeque<Op>,
    bytes: usize,
    removals: usize,
    /// The last op of each id that waits or is under way.
    latest: HashMap<Id, Latest>,
    ticket: u64,
    under_way: bool,
    /// A removal had no room.
    overflown: bool,
    woken: bool,
    closed: bool,
}

#[derive(Debug)]
struct Latest {
    ticket: u64,
    /// What is put; none for a removal.
    parts: Option<Vec<Bytes>>,
}

/// What waits under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Nothing: what is on the disk counts.
    Nothing,
    /// To be put, in parts.
    Put(Vec<Bytes>),
    /// To be removed.
    Removal,
}

impl Queue {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let (inner, ready, drained) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { inner, ready, drained, waiting: AtomicUsize::new(0), limit_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a change of what waits.
    fn unlock(&self, inner: MutexGuard<'_, Inner>) {
        self.waiting.store(inner.latest.len(), Ordering::Release);
    }

    /// What waits under this id: it counts before what is on the disk.
    pub(crate) fn waiting(&self, id: &Id) -> Waiting {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return Waiting::Nothing;
        }
        match self.lock().latest.get(id) {
            Some(Latest { parts: Some(parts), .. }) => Waiting::Put(parts.clone()),
            Some(Latest { parts: None, .. }) => Waiting::Removal,
            None => Waiting::Nothing,
        }
    }

    /// Waits to be written, in place of whatever waits under the same id.
    pub(crate) fn put(
        &self,
        id: Id,
        kind: Kind,
        frequency: u8,
        parts: Vec<Bytes>,
        len: u32,
    ) -> Result<(), Shed> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Shed::Out);
        }
        if inner.bytes + len as usize > self.limit_bytes {
            return Err(Shed::Busy);
        }
        inner.push(id, OpKind::Put { kind, frequency, parts, len });
        self.unlock(inner);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits to be removed. Never refused; but past a bound [`Queue::is_overflown`] says so.
    pub(crate) fn remove(&self, id: Id) {
        let mut inner = self.lock();
        if matches!(inner.latest.get(&id), Some(Latest { parts: None, .. })) {
            return;
        }
        if inner.removals >= REMOVALS_MAX {
            inner.overflown = true;
            return;
        }
        inner.push(id, OpKind::Remove);
        self.unlock(inner);
        self.ready.notify_one();
    }

    /// Whether a record of this id waits, and isn't removed again.
    pub(crate) fn has(&self, id: &Id) -> bool {
        matches!(self.lock().latest.get(id), Some(Latest { parts: Some(_), .. }))
    }

    /// Whether nothing about the same id came after this.
    pub(crate) fn is_latest(&self, op: &Op) -> bool {
        self.lock().latest.get(&op.id).is_some_and(|latest| latest.ticket == op.ticket)
    }

    /// Some of what waits, the oldest first, about `bytes` of it. None after [`Queue::close`],
    /// when nothing is left. Waits a while for something to come, then comes back with nothing.
    pub(crate) fn take(&self, bytes: usize, patience: Duration) -> Option<Vec<Op>> {
        let mut inner = self.lock();
        if inner.ops.is_empty() && !inner.closed && !inner.woken {
            let waited = self.ready.wait_timeout(inner, patience);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.woken = false;
        let mut taken = Vec::new();
        let mut sum = 0;
        while sum < bytes
            && taken.len() < 4096
            && let Some(op) = inner.ops.pop_front()
        {
            sum += op.bytes();
            taken.push(op);
        }
        inner.under_way = !taken.is_empty();
        (!taken.is_empty() || !inner.closed).then_some(taken)
    }

    /// What was taken is written.
    pub(crate) fn done(&self, ops: &[Op]) {
        let mut inner = self.lock();
        for op in ops {
            inner.forget(op);
        }
        inner.under_way = false;
        if inner.ops.is_empty() {
            self.drained.notify_all();
        }
        self.unlock(inner);
    }

    /// All that waits, as removals: for a disk that isn't in use yet.
    pub(crate) fn take_as_removals(&self) -> Vec<Op> {
        let mut inner = self.lock();
        inner.puts_to_removals();
        let ops: Vec<_> = inner.ops.drain(..).collect();
        inner.under_way = !ops.is_empty();
        ops
    }

    /// Its disk is out: nothing of what waits will be stored, so nothing older of the same ids may
    /// be found when the disk is back.
    pub(crate) fn drop_puts(&self) {
        self.lock().puts_to_removals();
        self.drained.notify_all();
    }

    /// Puts what wasn't done back in front.
    pub(crate) fn put_back(&self, ops: Vec<Op>) {
        let mut inner = self.lock();
        ops.into_iter().rev().for_each(|op| inner.ops.push_front(op));
        inner.under_way = false;
    }

    /// Whether a removal was lost since the last call.
    pub(crate) fn take_overflown(&self) -> bool {
        std::mem::take(&mut self.lock().overflown)
    }

    /// A removal was lost.
    pub(crate) fn set_overflown(&self) {
        self.lock().overflown = true;
    }

    /// Whether a removal was lost.
    pub(crate) fn is_overflown(&self) -> bool {
        self.lock().overflown
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Lets the writer look around.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.ready.notify_all();
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    /// Whether [`Queue::close`] was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until nothing waits to be written; removals for a disk that is out aside.
    pub(crate) fn wait_drained(&self, is_out: impl Fn() -> bool) {
        let mut inner = self.lock();
        while (!inner.ops.is_empty() || inner.under_way) && !is_out() {
            let waited = self.drained.wait_timeout(inner, Duration::from_millis(100));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Inner {
    fn push(&mut self, id: Id, what: OpKind) {
        self.ticket += 1;
        let op = Op { id, ticket: self.ticket, what };
        self.bytes += op.bytes();
        self.removals += usize::from(matches!(op.what, OpKind::Remove));
        let parts = match &op.what {
            OpKind::Put { parts, .. } => Some(parts.clone()),
            OpKind::Remove => None,
        };
        self.latest.insert(id, Latest { ticket: self.ticket, parts });
        self.ops.push_back(op);
    }

    fn puts_to_removals(&mut self) {
        let mut removals = 0;
        for op in &mut self.ops {
            if let OpKind::Put { len, .. } = &op.what {
                self.bytes -= *len as usize;
                removals += 1;
                op.what = OpKind::Remove;
                if let Some(latest) = self.latest.get_mut(&op.id) {
                    latest.parts = None;
                }
            }
        }
        self.removals += removals;
    }

    fn forget(&mut self, op: &Op) {
        self.bytes -= op.bytes();
        self.removals -= usize::from(matches!(op.what, OpKind::Remove));
        if self.latest.get(&op.id).is_some_and(|latest| latest.ticket == op.ticket) {
            self.latest.remove(&op.id);
        }
    }
}
