//! A wrong configuration is refused, all of it explained; a running node takes over only right ones.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{Answer, Cdn, Client, KINGCDN, Origin, eventually, tables};

const RIGHT: &str = r#"
[cdn]
zone    = "kingcdn.test"
contact = "hostmaster@kingcdn.test"
[dns]
listen = ["127.0.0.1:5300"]
[[dns.nameserver]]
name      = "ns1"
addresses = ["127.0.0.1"]
[[edge]]
name      = "seoul"
location  = [37.57, 126.98]
addresses = ["127.0.0.11"]
listen    = ["127.0.0.11:8080"]
[[edge]]
name      = "ashburn"
location  = [39.04, -77.49]
addresses = ["127.0.0.13"]
listen    = ["127.0.0.13:8080"]
[[site]]
name   = "netcinema"
hosts  = ["video.netcinema.test"]
origin = ["http://127.0.0.1:8000"]
"#;

/// Exit code, standard output and standard error of `kingcdn check`.
fn check(cdn: &Cdn, text: &str) -> (Option<i32>, String, String) {
    cdn.configure(text);
    let output = Command::new(KINGCDN).arg("check").arg(cdn.config_file()).output();
    let output = output.expect("kingcdn runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_mistake_is_named_with_its_place_and_its_remedy() {
    let cdn = Cdn::new();
    let (code, said, complaints) = check(&cdn, RIGHT);
    assert_eq!((code, complaints.as_str()), (Some(0), ""), "{said}");
    for (right, wrong, line, part) in [
        ("[37.57, 126.98]", "[97.57, 126.98]", 12, "97.57"),
        ("[37.57, 126.98]", "[37.57]", 12, "location"),
        ("\"127.0.0.11:8080\"", "\"127.0.0.11:http\"", 14, "127.0.0.11:http"),
        ("\"ashburn\"", "\"seoul\"", 16, "seoul"),
        ("origin = [\"http://127.0.0.1:8000\"]", "", 20, "origin"),
        ("http://", "ftp://", 23, "ftp://"),
        ("location  = [39.04", "locaton  = [39.04", 17, "locaton"),
        ("\"hostmaster@kingcdn.test\"", "\"hostmaster\"", 4, "hostmaster"),
        ("[cdn]", "[[dns.zone]]\nname = \"a.test\"\nfile = \"none.zone\"\n[cdn]", 4, "none.zone"),
        ("\"netcinema\"", "\"net cinema\"", 21, "net cinema"),
        ("[[site]]", "[[site]", 20, "]"),
    ] {
        assert!(RIGHT.contains(right), "{right}");
        let (code, _, complaints) = check(&cdn, &RIGHT.replacen(right, wrong, 1));
        assert_eq!(code, Some(2), "{wrong}: {complaints}");
        assert!(complaints.contains(part), "{wrong}: {complaints}");
        let place = format!("cdn.toml:{line}:");
        assert!(complaints.contains(&place), "{wrong} not at {place}\n{complaints}");
        assert!(complaints.contains("help"), "{wrong}: no remedy\n{complaints}");
    }
}

#[test]
fn every_mistake_of_a_file_is_named_at_once() {
    let cdn = Cdn::new();
    let wrong = RIGHT
        .replace("37.57", "97.57")
        .replace("\"ashburn\"", "\"seoul\"")
        .replace("http://", "ftp://");
    let (code, _, complaints) = check(&cdn, &wrong);
    assert_eq!(code, Some(2));
    assert_eq!(complaints.matches("error").count(), 3, "{complaints}");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let cdn = Cdn::new();
    cdn.configure(RIGHT);
    let file = cdn.config_file();
    let file = file.to_str().expect("text");
    for (arguments, part) in [
        (&["edge", "--config", file] as &[&str], "seoul, ashburn"),
        (&["edge", "--config", file, "--node", "paris"], "paris"),
        (&["origin", "--config", file], "[origin]"),
        (&["edge", "--config", "/none.toml"], "/none.toml"),
        (&["edge", "--config", file, "--node", "seoul", "--listen", "here"], "here"),
        (&["edge", "--config", file, "--node", "seoul", "--log", "a=loud"], "a=loud"),
        (&["edge"], "--config"),
        (&["fly"], "fly"),
    ] {
        let output = Command::new(KINGCDN).args(arguments).output().expect("kingcdn runs");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaints}");
        assert!(complaints.contains(part), "{arguments:?}: {complaints}");
        assert!(!complaints.contains("panicked"), "{arguments:?}: {complaints}");
    }
}

#[tokio::test]
async fn reloads_under_load_fail_no_request() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |_| {
        Answer::new(200, "film").field("cache-control", "max-age=1")
    })
    .await;
    let right = tables::edge("seoul", tables::SEOUL, listen, admin) + &tables::site(origin.address);
    cdn.configure(&right);
    let edge = cdn.edge("seoul", admin).await;
    let client = Client::new(listen, tables::HOST);
    let added = Client::new(listen, "new.netcinema.test");
    assert_eq!(added.get("/").await.status, 421);

    let (running, answered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (client, running) = (client.clone(), Arc::clone(&running));
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                while running.load(Ordering::Relaxed) {
                    let reply = client.get("/").await;
                    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "film"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let reloaded = async |text: &str, result: &str, count: f64| {
        cdn.configure(text);
        edge.signal("HUP");
        eventually("the reload is done", || async {
            let done = edge.metric("kingcdn_config_reloads_total", &[result]).await;
            (done == count).then_some(())
        })
        .await;
        // Requests from before and from after it.
        let before = answered.load(Ordering::Relaxed);
        eventually("requests are answered", || async {
            (answered.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
    };

    let more = right.replace("hosts = [", "hosts = [\"new.netcinema.test\", ");
    reloaded(&more, "accepted", 1.0).await;
    assert_eq!(added.get("/").await.status, 200);

    reloaded(&more.replace("hosts", "host"), "refused", 1.0).await;
    assert_eq!(added.get("/").await.status, 200);
    let refusal = edge.status().await["config"]["refusal"].as_str().map(str::to_owned);
    let refusal = refusal.expect("the reason is in /status");
    assert!(refusal.contains("unknown key") || refusal.contains("host"), "{refusal}");
    assert!(edge.log().contains("the old one stays"), "{}", edge.log());

    let elsewhere = right.replace(&listen.to_string(), &cdn.network.socket(11).to_string());
    reloaded(&elsewhere, "accepted", 2.0).await;
    assert_eq!(added.get("/").await.status, 421);
    assert!(edge.log().contains("a restart is needed"), "{}", edge.log());
    assert!(edge.status().await["config"]["refusal"].is_null());

    running.store(false, Ordering::Relaxed);
    for client in load {
        client.await.expect("no request failed");
    }
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_finishes_what_is_open() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    let origin = Origin::start(cdn.network.socket(1), |_| {
        let pause = std::time::Duration::from_millis(100);
        Answer::new(200, vec![b'x'; 100_000]).slowly(10_000, pause)
    })
    .await;
    cdn.configure(
        &(tables::edge("seoul", tables::SEOUL, listen, admin) + &tables::site(origin.address)),
    );
    let mut edge = cdn.edge("seoul", admin).await;
    let client = Client::new(listen, tables::HOST);
    let open = tokio::spawn(async move { client.get("/film").await });
    eventually("the fetch is under way", || async {
        (origin.requests("/film") == 1).then_some(())
    })
    .await;

    edge.signal("TERM");

    let reply = open.await.expect("an answer");
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 100_000));
    assert_eq!(edge.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_busy_port_is_one_clear_line() {
    let cdn = Cdn::new();
    let (listen, admin) = (cdn.network.socket(11), cdn.network.socket(11));
    cdn.configure(&(tables::edge("seoul", tables::SEOUL, listen, admin) + &tables::site(listen)));
    for (busy, key) in [(listen, "listen"), (admin, "admin")] {
        let _holder = std::net::TcpListener::bind(busy).expect("a free port");
        let mut command = tokio::process::Command::new(KINGCDN);
        command.arg("edge").arg("--config").arg(cdn.config_file()).kill_on_drop(true);
        let output = tokio::time::timeout(crate::harness::PATIENCE, command.output())
            .await
            .expect("it gives up")
            .expect("kingcdn runs");
        assert_eq!(output.status.code(), Some(1));
        let complaints = String::from_utf8_lossy(&output.stderr);
        let line = complaints.lines().last().unwrap_or_default();
        assert!(line.contains(&format!("{busy} is in use by ")), "{complaints}");
        assert!(line.contains(&format!("change `{key}` in [[edge]]")), "{complaints}");
    }
}
