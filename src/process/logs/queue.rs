//! Lines on their way out: gathered in buffers, written by a thread of their own.
//!
//! Who logs appends to a buffer that it shares with few others, and goes on. The writer wakes when
//! there is something, lets a batch come together, and writes it in one go. When whoever reads
//! falls behind, buffers fill up: lines are lost then, and counted.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Buffers; threads take them in turn.
const LANES: usize = 16;
/// Bytes that wait in one, at most.
const LANE_BYTES_MAX: usize = 1 << 20;
/// How long lines may wait for company.
const BATCH: Duration = Duration::from_millis(10);
/// How long the end waits for the last lines to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where lines are put.
#[derive(Clone)]
pub(super) struct Lines(Arc<Queue>);

/// Writes what is left when it is dropped.
pub(super) struct Writer {
    queue: Arc<Queue>,
    thread: Thread,
    /// Only looked at at the end; the lock is for sharing it.
    ended: Mutex<Receiver<()>>,
}

struct Queue {
    lanes: [Mutex<Vec<u8>>; LANES],
    /// Whether the writer knows that there are lines.
    told: AtomicBool,
    stop: AtomicBool,
    lost: AtomicU64,
    writer: Mutex<Option<Thread>>,
}

/// Starts the thread that writes to `out`.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, Writer)> {
    let queue = Arc::new(Queue {
        lanes: Default::default(),
        told: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        lost: AtomicU64::new(0),
        writer: Mutex::new(None),
    });
    let (end, ended) = sync_channel(1);
    let handle = thread::Builder::new().name("log".to_owned()).spawn({
        let queue = Arc::clone(&queue);
        move || {
            queue.write(out);
            let _nobody_waits = end.send(());
        }
    })?;
    let thread = handle.thread().clone();
    *queue.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread.clone());
    Ok((Lines(Arc::clone(&queue)), Writer { queue, thread, ended: Mutex::new(ended) }))
}

impl Queue {
    fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        {
            let mut lane = self.lanes[lane()].lock().unwrap_or_else(PoisonError::into_inner);
            let before = lane.len();
            write(&mut lane);
            if lane.len() > LANE_BYTES_MAX {
                lane.truncate(before);
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        if !self.told.load(Ordering::SeqCst) && !self.told.swap(true, Ordering::SeqCst) {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.iter().for_each(Thread::unpark);
        }
    }

    /// Writes until told to stop, and then what is left.
    fn write(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let last = self.stop.load(Ordering::SeqCst);
            if !last {
                if !self.told.load(Ordering::SeqCst) {
                    thread::park();
                    continue;
                }
                thread::park_timeout(BATCH);
            }
            // Lines that come from here on tell again.
            self.told.store(false, Ordering::SeqCst);
            for lane in &self.lanes {
                mem::swap(&mut batch, &mut lane.lock().unwrap_or_else(PoisonError::into_inner));
                // Nobody is left to tell when standard error is closed.
                let _written = out.write_all(&batch);
                batch.clear();
            }
            let _written = out.flush();
            if last {
                return;
            }
        }
    }
}

/// The buffer of this thread.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OURS: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
    }
    OURS.try_with(|ours| *ours).unwrap_or(0)
}

impl Lines {
    /// Appends the line that `write` writes.
    pub(super) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.put(write);
    }

    /// Lines lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(|lane| lane.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        // Who reads our standard error may have stopped doing so.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _in_time = ended.recv_timeout(FAREWELL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Blocks in each write until it is let go on.
    struct Gated(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _nobody_waits = self.1.recv();
            let _nobody_reads = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, Writer, Receiver<Vec<u8>>, Sender<()>) {
        let ((sent, written), (go, gate)) = (channel(), channel());
        let (lines, writer) = start(Gated(sent, gate)).unwrap();
        (lines, writer, written, go)
    }

    #[test]
    fn every_line_is_written_and_those_of_a_thread_in_order() {
        let (lines, writer, written, go) = gated();
        drop(go);
        let threads: Vec<_> = (0..4)
            .map(|name| {
                let lines = lines.clone();
                thread::spawn(move || {
                    for number in 0..1000 {
                        let line = format!("{name} {number}\n");
                        (&lines).write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop((writer, lines));
        let all: Vec<u8> = written.iter().flatten().collect();
        let all = String::from_utf8(all).unwrap();
        for name in 0..4 {
            let of_thread = all.lines().filter_map(|line| line.strip_prefix(&format!("{name} ")));
            assert!(of_thread.eq((0..1000).map(|number| number.to_string())), "thread {name}");
        }
    }

    #[test]
    fn when_nobody_reads_lines_are_lost_and_nobody_waits() {
        let (lines, writer, written, go) = gated();
        let line = vec![b'x'; LANE_BYTES_MAX / 8];
        // Eight fill a buffer; the writer may have taken one buffer away and waits with it.
        for _ in 0..20 {
            (&lines).write_all(&line).unwrap();
        }
        let lost = lines.lost();
        assert!((4..=12).contains(&lost), "{lost}");
        drop(go);
        drop((writer, lines));
        let bytes: usize = written.iter().map(|batch| batch.len()).sum();
        assert_eq!(bytes, (20 - usize::try_from(lost).unwrap()) * line.len());
    }
}
