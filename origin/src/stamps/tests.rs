use std::io::Write;
use std::time::SystemTime;

use kingcdn_config::clock::Clock;

use super::*;

/// Long after every file of these tests was written.
fn later() -> Timestamp {
    Clock::system().now().plus(Duration::from_secs(3600))
}

async fn tag_of(tags: &Tags, file: &Arc<File>, now: Timestamp) -> EntityTag {
    let stamp = Stamp::of(&file.metadata().unwrap());
    tags.tag(file, stamp, now).await.unwrap().0
}

fn file_with(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

#[tokio::test]
async fn the_tag_is_the_bytes() {
    let tags = Tags::new();
    let (one, two) = (file_with(b"film"), file_with(b"film"));
    let other = file_with(b"fiLm");
    assert_eq!(tag_of(&tags, &one, later()).await, tag_of(&tags, &two, later()).await);
    assert_ne!(tag_of(&tags, &one, later()).await, tag_of(&tags, &other, later()).await);
}

#[tokio::test]
async fn other_bytes_of_the_same_length_and_time_get_another_tag() {
    let tags = Tags::new();
    let file = file_with(b"film");
    let modified: SystemTime = file.metadata().unwrap().modified().unwrap();
    // The stamp is remembered as soon as it is old enough, and it isn't: the change that follows
    // may well have the same change time.
    let now = Clock::system().now();
    let first = tag_of(&tags, &file, now).await;
    file.write_all_at(b"fiLm", 0).unwrap();
    file.set_modified(modified).unwrap();
    assert_ne!(tag_of(&tags, &file, now).await, first);
    assert!(tags.remembered.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_settled_file_is_hashed_once() {
    let tags = Tags::new();
    let file = file_with(b"film");
    let first = tag_of(&tags, &file, later()).await;
    assert_eq!(tags.remembered.lock().unwrap().len(), 1);
    assert_eq!(tag_of(&tags, &file, later()).await, first);
    assert_eq!(tags.remembered.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_file_is_tagged_unread_and_weakly_while_it_may_change() {
    let tags = Tags::new();
    let file = tempfile::tempfile().unwrap();
    file.set_len(MAX_HASHED_BYTES + 1).unwrap();
    let file = Arc::new(file);
    let settled = tag_of(&tags, &file, later()).await.to_string();
    let fresh = tag_of(&tags, &file, Clock::system().now()).await.to_string();
    assert_eq!(fresh, format!("W/{settled}"));
    assert!(tags.remembered.lock().unwrap().is_empty());
}
