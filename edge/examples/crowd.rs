//! A crowd of clients that ask for objects over many connections, and the origin that has the
//! objects. For `tests/bench/zipf` and `tests/bench/disk`.
//!
//! ```text
//! crowd origin ADDRESS
//! crowd clients ADDRESS CONNECTIONS OBJECTS SECONDS RATE    by a Zipf distribution
//! crowd evenly  ADDRESS CONNECTIONS OBJECTS SECONDS RATE    each as often as any other
//! crowd each    ADDRESS CONNECTIONS OBJECTS                 each once
//! crowd await   ADDRESS CONNECTIONS OBJECTS                 evenly, from before the server is there
//! ```
//!
//! `RATE` is requests a second in all; 0 asks again as soon as an answer is there. Latency counts
//! from when a request was due, so that a server that stands still is charged for all whom it
//! keeps waiting. `MAX_BYTES` in the environment cuts objects, for all who know of each other. One
//! line goes to standard output; of `await`, the milliseconds from its start to the first hit, and
//! to when 99 of 100 were hits.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)] // A tool for developers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kingcdn_config::clock::Stopwatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The popularity of the object of rank n is proportional to n to the power of this, negated.
const ZIPF_EXPONENT: f64 = 0.9;
const SIZE_MAX: usize = 1 << 20;
/// Byte k of object n is (n + k) modulo this.
const CYCLE: usize = 251;
const HEAD_MAX: usize = 8192;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    /// From 0 to 1, without 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn within(&mut self, from: usize, to: usize) -> usize {
        from + (self.share() * (to - from) as f64) as usize
    }
}

static MAX_BYTES: LazyLock<usize> = LazyLock::new(|| {
    let max = std::env::var("MAX_BYTES").ok();
    max.map_or(SIZE_MAX, |max| max.parse().expect("a number of bytes"))
});

/// What objects of the web are like, roughly: 17 KiB in the mean.
fn size_bytes(object: usize) -> usize {
    let mut random = Random(object as u64);
    let size = match random.share() {
        share if share < 0.6 => random.within(200, 4 << 10),
        share if share < 0.9 => random.within(4 << 10, 32 << 10),
        share if share < 0.995 => random.within(32 << 10, 128 << 10),
        _ => random.within(256 << 10, SIZE_MAX),
    };
    size.min(*MAX_BYTES)
}

// ── the origin ───────────────────────────────────────────────────────────────────────────────────

async fn origin(address: SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("an address to listen on");
    let pattern: Arc<[u8]> = (0..SIZE_MAX + CYCLE).map(|at| (at % CYCLE) as u8).collect();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let pattern = Arc::clone(&pattern);
        tokio::spawn(async move {
            let _client_left = answer_all(stream, &pattern).await;
        });
    }
}

async fn answer_all(mut stream: TcpStream, pattern: &[u8]) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut buffer = Vec::with_capacity(HEAD_MAX);
    loop {
        let end = read_head(&mut stream, &mut buffer).await?;
        let head = str::from_utf8(&buffer[..end]).ok()?;
        let object: usize = head.split(['/', ' ']).nth(2)?.parse().ok()?;
        let size = size_bytes(object);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nETag: \"{object}\"\r\n\
             Content-Type: application/octet-stream\r\nCache-Control: public, max-age=86400\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let first = object % CYCLE;
        stream.write_all(&pattern[first..first + size]).await.ok()?;
        buffer.drain(..end);
    }
}

/// Reads until a head is complete; where it ends. None: the connection ended.
async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    let mut seen = 0_usize;
    loop {
        let from = seen.saturating_sub(3);
        if let Some(at) = buffer[from..].windows(4).position(|it| it == b"\r\n\r\n") {
            return Some(from + at + 4);
        }
        seen = buffer.len();
        if stream.read_buf(buffer).await.ok()? == 0 || seen > 16 * HEAD_MAX {
            return None;
        }
    }
}

// ── the clients ──────────────────────────────────────────────────────────────────────────────────

/// Microseconds by eighths of powers of two.
struct Latencies(Vec<AtomicU64>);

impl Latencies {
    fn new() -> Self {
        Self((0..256).map(|_| AtomicU64::new(0)).collect())
    }

    fn add(&self, latency: Duration) {
        let micros = (latency.as_micros() as f64).max(1.0);
        let at = ((micros.log2() * 8.0) as usize).min(self.0.len() - 1);
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// In milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = (self.count() as f64 * share) as u64;
        for (at, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > left {
                return ((at + 1) as f64 / 8.0).exp2() / 1000.0;
            }
            left -= count;
        }
        0.0
    }
}

/// Which object is asked for next.
enum Pick {
    /// Of each rank, the share of requests up to it.
    Zipf(Vec<f64>),
    /// Any of so many.
    Evenly(usize),
    /// So many, each once: this one is next.
    Each(usize, AtomicUsize),
}

impl Pick {
    fn zipf(objects: usize) -> Self {
        let weights = (1..=objects).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let sum: f64 = weights.clone().sum();
        let shares = weights.scan(0.0, |so_far, weight| {
            *so_far += weight / sum;
            Some(*so_far)
        });
        // The sum may fall short of 1 by a rounding error: nobody asks for more than there is.
        Self::Zipf(shares.take(objects - 1).collect())
    }

    /// None when all have had their turn.
    fn next(&self, random: &mut Random) -> Option<usize> {
        match self {
            Self::Zipf(shares) => {
                let share = random.share();
                Some(shares.partition_point(|&up_to| up_to < share))
            }
            Self::Evenly(objects) => Some(random.within(0, *objects)),
            Self::Each(objects, next) => {
                Some(next.fetch_add(1, Ordering::Relaxed)).filter(|next| next < objects)
            }
        }
    }
}

/// What all connections share.
struct Crowd {
    address: SocketAddr,
    pick: Pick,
    started: Stopwatch,
    period: Option<Duration>,
    over: AtomicBool,
    all: Latencies,
    hits: Latencies,
    bytes: AtomicU64,
    errors: AtomicU64,
}

impl Crowd {
    fn new(address: SocketAddr, pick: Pick, period: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            address,
            pick,
            started: Stopwatch::start(),
            period,
            over: AtomicBool::new(false),
            all: Latencies::new(),
            hits: Latencies::new(),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        })
    }

    async fn client(self: Arc<Self>, number: usize) {
        let mut random = Random(number as u64 ^ 0x5bd1_e995_0000_0000);
        while !self.over.load(Ordering::Relaxed) {
            if self.ask_all(&mut random).await.is_none() && !self.over.load(Ordering::Relaxed) {
                self.errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn ask_all(&self, random: &mut Random) -> Option<()> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut buffer, mut rest) = (Vec::with_capacity(HEAD_MAX), vec![0; 64 << 10]);
        let mut due = self.started.elapsed();
        if let Some(period) = self.period {
            due += period.mul_f64(random.share());
        }
        while !self.over.load(Ordering::Relaxed) {
            let now = self.started.elapsed();
            if let Some(wait) = due.checked_sub(now) {
                tokio::time::sleep(wait).await;
                // The timer is coarse; that isn't the server's doing.
                due = self.started.elapsed();
            }
            let Some(object) = self.pick.next(random) else {
                self.over.store(true, Ordering::Relaxed);
                return Some(());
            };
            let head = format!("GET /{object} HTTP/1.1\r\nHost: bench.test\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            let end = read_head(&mut stream, &mut buffer).await?;
            let (hit, size) = judge(&buffer[..end])?;
            if size != size_bytes(object) {
                return None;
            }
            let mut at = buffer.len() - end;
            is_right(object, 0, &buffer[end..])?;
            while at < size {
                let room = rest.len().min(size - at);
                let read = stream.read(&mut rest[..room]).await.ok().filter(|&read| read > 0)?;
                is_right(object, at, &rest[..read])?;
                at += read;
            }
            buffer.clear();
            let ended = self.started.elapsed();
            self.all.add(ended - due);
            if hit {
                self.hits.add(ended - due);
            }
            self.bytes.fetch_add(size as u64, Ordering::Relaxed);
            due = self.period.map_or(ended, |period| due + period);
        }
        Some(())
    }

    fn report(&self, seconds: f64) {
        let (all, hits) = (&self.all, &self.hits);
        println!(
            "rate={:.0} hits={:.3} mbytes={:.0} p50={:.2} p99={:.2} hit_p99={:.2} errors={}",
            all.count() as f64 / seconds,
            hits.count() as f64 / all.count().max(1) as f64,
            self.bytes.load(Ordering::Relaxed) as f64 / seconds / 1e6,
            all.quantile(0.5),
            all.quantile(0.99),
            hits.quantile(0.99),
            self.errors.load(Ordering::Relaxed),
        );
    }
}

/// Whether a head says that the answer came from a cache, as each of the servers says it, and its
/// length. None for all but 200.
fn judge(head: &[u8]) -> Option<(bool, usize)> {
    let head = str::from_utf8(head).ok()?.to_ascii_lowercase();
    let mut lines = head.lines();
    lines.next()?.strip_prefix("http/1.1 200")?;
    let (mut hit, mut length) = (false, None);
    for line in lines {
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        hit |= line.starts_with("cache-status:") && line.contains("; hit")
            || line.starts_with("x-cache: hit")
            || line.starts_with("via:") && (line.contains("[uschs") || line.contains("[uscrs"));
    }
    Some((hit, length?))
}

/// Looks at both ends of a piece.
fn is_right(object: usize, at: usize, piece: &[u8]) -> Option<()> {
    let byte = |at: usize| ((object + at) % CYCLE) as u8;
    let right = |offset: usize| piece.get(offset).is_none_or(|it| *it == byte(at + offset));
    (right(0) && right(piece.len().saturating_sub(1))).then_some(())
}

async fn start(crowd: &Arc<Crowd>, connections: usize) {
    for number in 0..connections {
        tokio::spawn(Arc::clone(crowd).client(number));
        if number % 100 == 99 {
            // Not all at the listener's door at once.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn clients(address: SocketAddr, pick: fn(usize) -> Pick, numbers: &[usize]) {
    let &[connections, objects, seconds, rate] = numbers else { panic!("four numbers") };
    let period = (rate > 0).then(|| Duration::from_secs_f64(connections as f64 / rate as f64));
    let crowd = Crowd::new(address, pick(objects), period);
    start(&crowd, connections).await;
    let began = crowd.started.elapsed();
    let before = crowd.all.count();
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    crowd.over.store(true, Ordering::Relaxed);
    let lasted = crowd.started.elapsed() - began;
    let lasted = lasted.as_secs_f64() * crowd.all.count() as f64;
    crowd.report(lasted / (crowd.all.count() - before).max(1) as f64);
}

async fn each(address: SocketAddr, numbers: &[usize]) {
    let &[connections, objects] = numbers else { panic!("two numbers") };
    let crowd = Crowd::new(address, Pick::Each(objects, AtomicUsize::new(0)), None);
    start(&crowd, connections).await;
    while !crowd.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The last answers are on their way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    crowd.report(crowd.started.elapsed().as_secs_f64());
}

async fn until_full(address: SocketAddr, numbers: &[usize]) {
    /// Hit ratios are those of so long.
    const WINDOW: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(120);
    let &[connections, objects] = numbers else { panic!("two numbers") };
    let watch = Stopwatch::start();
    while TcpStream::connect(address).await.is_err() {
        assert!(watch.elapsed() < PATIENCE, "nobody is there");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let crowd = Crowd::new(address, Pick::Evenly(objects), None);
    start(&crowd, connections).await;
    let (mut first, mut before) = (None, (0, 0));
    while watch.elapsed() < PATIENCE {
        tokio::time::sleep(if first.is_none() { WINDOW / 25 } else { WINDOW }).await;
        let now = (crowd.hits.count(), crowd.all.count());
        if first.is_none() {
            first = (now.0 > 0).then(|| watch.elapsed().as_millis());
            continue;
        }
        let (hits, all) = (now.0 - before.0, now.1 - before.1);
        if all >= 100 && hits * 100 >= all * 99 {
            break;
        }
        before = now;
    }
    crowd.over.store(true, Ordering::Relaxed);
    let first = first.map_or("never".to_owned(), |it| it.to_string());
    println!("first={first} full={}", watch.elapsed().as_millis());
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let address = arguments.get(1).and_then(|it| it.parse().ok()).expect("an address");
    let numbers: Vec<_> = arguments.iter().skip(2).map(|it| it.parse().expect(it)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        match arguments[0].as_str() {
            "origin" => origin(address).await,
            "clients" => clients(address, Pick::zipf, &numbers).await,
            "evenly" => clients(address, Pick::Evenly, &numbers).await,
            "each" => each(address, &numbers).await,
            "await" => until_full(address, &numbers).await,
            other => panic!("no such mode: {other}"),
        }
    });
}
