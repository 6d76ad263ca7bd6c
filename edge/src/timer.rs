//! The timer of one connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

type Alarm = Pin<Box<tokio::time::Sleep>>;

/// Lends hyper one alarm over and over. hyper throws its alarm away with each request's head and
/// asks for a new one for the next; tokio's, once set, can be put off without a look at its wheel
/// of timers, while a new one has to be entered in it and removed from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionTimer(Arc<Mutex<Option<Alarm>>>);

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let deadline = deadline.into();
        let alarm = match spare {
            Some(mut alarm) => {
                alarm.as_mut().reset(deadline);
                alarm
            }
            None => Box::pin(tokio::time::sleep_until(deadline)),
        };
        Box::pin(Lent { alarm: Some(alarm), home: self.clone() })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

/// An alarm that goes back to its timer when hyper drops it.
struct Lent {
    alarm: Option<Alarm>,
    home: ConnectionTimer,
}

impl Sleep for Lent {}

impl Future for Lent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.as_mut().map_or(Poll::Ready(()), |alarm| alarm.as_mut().poll(cx))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = self.alarm.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_loan_has_its_own_deadline() {
        let timer = ConnectionTimer::default();
        let start = timer.now();
        for (loan_secs, dropped) in [(10, true), (30, false), (2, false), (60, true), (5, false)] {
            let (began, loan) = (timer.now(), Duration::from_secs(loan_secs));
            let alarm = timer.sleep_until(began + loan);
            if dropped {
                tokio::time::sleep(loan / 2).await;
                continue;
            }
            alarm.await;
            assert_eq!((timer.now() - began).as_secs(), loan_secs);
        }
        assert_eq!((timer.now() - start).as_secs(), 5 + 30 + 2 + 30 + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn two_at_once_are_independent() {
        let timer = ConnectionTimer::default();
        let (first, second) =
            (timer.sleep(Duration::from_secs(9)), timer.sleep(Duration::from_secs(3)));
        let began = timer.now();
        second.await;
        assert_eq!((timer.now() - began).as_secs(), 3);
        first.await;
        assert_eq!((timer.now() - began).as_secs(), 9);
    }
}
