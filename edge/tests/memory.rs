//! What happens as the memory runs out: less at once, then nothing stored, then 503; and hits all
//! along.

mod stage;

use http::Method;
use stage::{Answer, Gate, Got, Opened, Stage};

const KIB: usize = 1 << 10;

/// Clients whose answers take memory, until one was refused.
async fn fill_up(stage: &Stage, gate: &Gate) -> (Vec<Opened>, Got) {
    let slow = Answer::new(200)
        .field("cache-control", "no-store")
        .announce(8 << 20)
        .send(vec![0; 8 * KIB])
        .wait(gate);
    let mut clients = Vec::new();
    for number in 0..400 {
        let target = format!("/slow/{number}");
        stage.origin.on(&target, slow.clone());
        let client = stage.open(&target, &[]).await;
        if client.response.status() != 200 {
            return (clients, client.finish().await);
        }
        clients.push(client);
    }
    panic!("nothing bounds them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_memory_runs_out_less_is_stored_and_then_fetches_are_refused() {
    let stage = Stage::with_memory(8 << 20).await;
    stage.origin.on("/held", Answer::fresh("held").field("x-from", "store"));
    stage.get("/held").await;
    let gate = Gate::new();
    let (mut clients, refused) = fill_up(&stage, &gate).await;
    // Windows of 1 MiB at first, much smaller ones when there isn't much left.
    assert!((7..60).contains(&clients.len()), "{}", clients.len());
    assert_eq!(refused.status, 503);
    assert_eq!(
        (refused.cache(), refused.field("retry-after")),
        ("fwd=uri-miss; detail=no-memory", "1")
    );
    assert!(stage.metric("kingcdn_edge_shed_total", &[]) >= 1.0);
    assert!(stage.get("/held").await.is_hit(), "what is held needs no memory");
    let passed = stage.send(Method::POST, "/held", &[], "x".into()).await;
    assert_eq!(passed.status, 503, "what passes needs some, too");

    // A bit of room: what comes is passed on, but there is none to keep it.
    drop(clients.pop());
    stage.origin.on("/big", Answer::fresh(vec![1; 500 * KIB]));
    let got = loop {
        let got = stage.get("/big").await;
        if got.status == 200 {
            break got;
        }
    };
    assert!(got.complete && got.body.len() == 500 * KIB);
    assert!(!got.cache().contains("stored"), "{}", got.cache());
    let no_memory = [("reason", "no-memory")];
    assert!(stage.metric("kingcdn_edge_not_stored_total", &no_memory) >= 1.0);

    // All of it comes back.
    clients.clear();
    loop {
        let got = stage.get("/big").await;
        if got.status == 200 && (got.is_hit() || got.cache().contains("stored")) {
            break;
        }
        stage.elapse(2); // What couldn't be shared is tried again after a while.
    }
    assert!(stage.get("/big").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_what_is_stale_stands_in() {
    let stage = Stage::with_memory(8 << 20).await;
    let lenient = "max-age=60, stale-if-error=600";
    stage.origin.on("/held", Answer::new(200).field("cache-control", lenient).send("held"));
    stage.get("/held").await;
    let gate = Gate::new();
    let (_clients, _refused) = fill_up(&stage, &gate).await;
    stage.elapse(300);
    let got = stage.get("/held").await;
    assert_eq!((got.status.as_u16(), got.text()), (200, "held"));
}
