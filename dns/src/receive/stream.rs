//! Messages on a stream, TCP's or TLS's, each with its length in front (RFC 1035 section 4.2.2).
//!
//! A query is read when the answers to those before are with the kernel. All that have come are
//! answered in one go: from memory, in their order. What isn't made in memory, a zone that somebody
//! transfers, goes out message by message, and queries behind it are answered between its messages
//! (RFC 7766 section 6.2.1.1).

use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use kingcdn_config::clock::Stopwatch;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep, timeout};
use tracing::{debug, info};

use super::tcp::Context;
use super::{Limits, QUERY_BYTES};
use crate::record::{Tally, TransferEnd, Transport};
use crate::transfer::{Transfer, send as send_zone};

/// Octets that are read at a time: many queries.
const READ: usize = 2 << 10;
/// Octets of answers that are sent at a time: what comes behind waits.
const SENT: usize = 16 << 10;
/// What a connection that idles may keep.
const KEPT: usize = 4 << 10;
/// How long a connection is listened to once the server stops: a query may be under way.
const FAREWELL: Duration = Duration::from_millis(250);
/// How long a client has to take leave.
const LEAVE: Duration = Duration::from_secs(1);

/// One connection.
struct Conversation<S> {
    stream: S,
    transport: Transport,
    with: Context,
    limits: Limits,
    tally: Tally,
    /// What has come and isn't answered yet.
    inbox: BytesMut,
    /// Answers, each with its length.
    outbox: Vec<u8>,
    answer: Vec<u8>,
    /// A zone on its way.
    transfer: Option<Outgoing>,
    /// The next one: one at a time. Until then nothing more is answered.
    waiting: Option<Box<Transfer>>,
    /// Nothing more comes.
    ended: bool,
    /// The server stops.
    leaving: bool,
}

/// A zone on its way.
struct Outgoing {
    messages: mpsc::Receiver<Option<Vec<u8>>>,
    secondary: String,
    zone: String,
    sent: usize,
}

/// What happened while there was nothing to answer.
enum Event {
    Came(io::Result<usize>),
    Message(Option<Option<Vec<u8>>>),
    Idle,
    Stops,
}

/// Why a connection is closed.
enum Close {
    /// Its client is done, or idles.
    Quiet,
    /// What came is no query.
    TooLong,
    Unread,
    Broken(io::Error),
}

/// Answers one connection's queries.
pub(super) async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    transport: Transport,
    with: Context,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let client = with.client;
    let mut conversation = Conversation {
        stream,
        transport,
        tally: with.journey.tally(),
        with,
        limits,
        inbox: BytesMut::new(),
        outbox: Vec::new(),
        answer: Vec::new(),
        transfer: None,
        waiting: None,
        ended: false,
        leaving: false,
    };
    let why = conversation.run(&mut stop).await;
    if let Some(transfer) = conversation.transfer.take() {
        conversation.transferred(&transfer, false);
    }
    match why {
        Close::Quiet => {
            // Whoever reads no more doesn't care.
            let _left = timeout(LEAVE, conversation.stream.shutdown()).await;
        }
        Close::TooLong => debug!(%client, "query too long"),
        Close::Unread => debug!(%client, "answer not read"),
        Close::Broken(error) => debug!(%error, %client, "connection broke"),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> Close {
        let mut idle = pin!(sleep(self.limits.idle()));
        loop {
            match self.answer_some() {
                Ok(false) => {}
                Ok(true) => {
                    idle.set(sleep(self.pause()));
                    if let Err(why) = self.flush().await {
                        return why;
                    }
                    continue;
                }
                Err(why) => return why,
            }
            if self.ended && self.transfer.is_none() {
                return Close::Quiet;
            }
            match self.next(idle.as_mut(), stop).await {
                Event::Came(Ok(0)) => self.ended = true,
                Event::Came(Ok(_)) => {}
                Event::Came(Err(error)) => return Close::Broken(error),
                Event::Message(message) => {
                    if let Err(why) = self.pass(message).await {
                        return why;
                    }
                    idle.set(sleep(self.pause()));
                }
                Event::Idle => return Close::Quiet,
                Event::Stops => {
                    self.leaving = true;
                    idle.set(sleep(FAREWELL));
                }
            }
        }
    }

    /// How long the client may say nothing from now on.
    fn pause(&self) -> Duration {
        if self.leaving { FAREWELL } else { self.limits.idle() }
    }

    /// Waits. All of these may be waited for again: nothing is lost by not waiting longer.
    async fn next(&mut self, idle: Pin<&mut Sleep>, stop: &mut watch::Receiver<bool>) -> Event {
        let listens = !self.ended && self.waiting.is_none();
        if listens {
            self.inbox.reserve(READ);
        }
        let message = async {
            match &mut self.transfer {
                Some(transfer) => transfer.messages.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            came = self.stream.read_buf(&mut self.inbox), if listens => Event::Came(came),
            message = message => Event::Message(message),
            () = idle => Event::Idle,
            _ = stop.wait_for(|stop| *stop), if !self.leaving => Event::Stops,
        }
    }

    /// Answers the queries that have come, as many as there is room for; whether there was one.
    fn answer_some(&mut self) -> Result<bool, Close> {
        let Self { inbox, outbox, answer, with, tally, .. } = self;
        let (mut some, mut granted) = (false, None);
        let started = Stopwatch::start();
        let mut turn = with.journey.turn(self.transport, tally);
        while self.waiting.is_none() && granted.is_none() && outbox.len() < SENT {
            let Some(length) = inbox.first_chunk() else { break };
            let length = usize::from(u16::from_be_bytes(*length));
            if length > QUERY_BYTES {
                return Err(Close::TooLong);
            }
            let Some(packet) = inbox.get(2..2 + length) else { break };
            some = true;
            granted = turn.answer(packet, with.client, answer);
            if granted.is_none() && !answer.is_empty() {
                // No answer is longer.
                let size = u16::try_from(answer.len()).unwrap_or(u16::MAX);
                outbox.extend_from_slice(&size.to_be_bytes());
                outbox.extend_from_slice(answer);
            }
            inbox.advance(2 + length);
        }
        turn.end(started.elapsed());
        if let Some(granted) = granted {
            match self.transfer {
                Some(_) => self.waiting = Some(granted),
                None => self.begin(*granted),
            }
        }
        Ok(some)
    }

    /// Sends the answers that there are.
    async fn flush(&mut self) -> Result<(), Close> {
        let sent = write(&mut self.stream, &self.outbox, self.limits.patience()).await;
        self.outbox.clear();
        for kept in [&mut self.outbox, &mut self.answer] {
            kept.shrink_to(KEPT);
        }
        if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
            self.inbox = BytesMut::new();
        }
        sent
    }

    /// Begins to send a zone.
    fn begin(&mut self, granted: Transfer) {
        let (secondary, zone) = (granted.secondary.to_string(), granted.zone.name().to_string());
        let messages = send_zone(granted, self.with.journey.clock.clone());
        self.transfer = Some(Outgoing { messages, secondary, zone, sent: 0 });
    }

    /// Passes on what comes of a zone: a message, its end, or that one couldn't be made.
    async fn pass(&mut self, message: Option<Option<Vec<u8>>>) -> Result<(), Close> {
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        match message {
            Some(Some(mut message)) => {
                transfer.sent += 1;
                // No message is longer.
                let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
                message.splice(..0, length.to_be_bytes());
                write(&mut self.stream, &message, self.limits.patience()).await
            }
            // The secondary must not take it for whole.
            None => Err(Close::Quiet),
            Some(None) => {
                if let Some(transfer) = self.transfer.take() {
                    self.transferred(&transfer, true);
                }
                if let Some(next) = self.waiting.take() {
                    self.begin(*next);
                }
                Ok(())
            }
        }
    }

    /// Records a transfer that has ended.
    fn transferred(&self, transfer: &Outgoing, whole: bool) {
        let Outgoing { secondary, zone, sent, .. } = transfer;
        info!(%secondary, %zone, messages = sent, whole, "zone transferred");
        let end = if whole { TransferEnd::Sent } else { TransferEnd::Broken };
        self.limits.metrics.transfer(end);
    }
}

/// Sends octets, their lengths in one write with them (RFC 7766 section 8), to a client who has so
/// long to read.
async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    octets: &[u8],
    patience: Duration,
) -> Result<(), Close> {
    let sent = async {
        stream.write_all(octets).await?;
        stream.flush().await
    };
    match timeout(patience, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Close::Broken(error)),
        Err(_) => Err(Close::Unread),
    }
}
