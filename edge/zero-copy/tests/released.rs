//! Nothing is held once nobody needs it. One test, alone in its process: it counts.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod pair;

use kingcdn_zero_copy::usage;
use pair::{Mix, frames, pair, send};

#[tokio::test]
async fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    for _ in 0..20 {
        let (ours, theirs) = pair(Some(4_000)).await;
        let (frames, _) = frames(&[(Mix::Sealed, 1 << 20), (Mix::Sealed, 1 << 20)], 0);
        assert_eq!((usage().sealed, usage().sealed_bytes), (2, 2 << 20));
        drop(theirs);
        // The connection is reset; what `send` says of that isn't the question here.
        assert!(tokio::spawn(send(ours, frames)).await.is_err());
        assert_eq!((usage().sealed, usage().sealed_bytes), (0, 0));
    }
}
