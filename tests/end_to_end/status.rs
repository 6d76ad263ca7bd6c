//! The whole CDN at a glance, in a browser and in a terminal.

use std::net::SocketAddr;

use serde_json::json;

use crate::harness::{Answer, Browser, Cdn, Client, Node, Origin, eventually, run, tables};

/// A name server that knows of an edge that is up and of one that is down.
pub(crate) async fn fleet(cdn: &Cdn) -> (SocketAddr, [Node; 2]) {
    let network = cdn.network;
    let (dns, dns_admin) = (network.socket(53), network.socket(53));
    let (seoul, seoul_admin) = (network.socket(11), network.socket(11));
    let (tokyo, tokyo_admin) = (network.socket(12), network.socket(12));
    let origin = Origin::start(network.socket(1), |_| Answer::new(200, "film")).await;
    cdn.configure(
        &[
            tables::dns(dns, dns_admin),
            tables::edge("seoul", tables::SEOUL, seoul, seoul_admin),
            tables::edge("tokyo", tables::TOKYO, tokyo, tokyo_admin),
            tables::site(origin.address),
        ]
        .concat(),
    );
    let edge = cdn.edge("seoul", seoul_admin).await;
    let server = cdn.dns(dns_admin).await;
    eventually("the name server knows of both", || async {
        let edges = server.status().await["edges"].clone();
        let known = edges[0]["figures"].is_object() && edges[1]["state"] == "down";
        known.then_some(())
    })
    .await;
    (dns_admin, [edge, server])
}

#[tokio::test]
async fn the_page_shows_the_fleet_in_a_browser_and_the_command_in_a_terminal() {
    let cdn = Cdn::new();
    let (admin, _nodes) = fleet(&cdn).await;

    let mut browser = Browser::start(cdn.folder()).await;
    browser.call("Page.navigate", json!({ "url": format!("http://{admin}/") })).await;
    browser.until("document.getElementById('fresh')?.textContent === 'live'").await;
    assert_eq!(browser.complaints(), Vec::<&serde_json::Value>::new());
    let page = browser.value("document.documentElement.outerHTML").await;
    let page = page.as_str().expect("text");
    for expected in [
        "role=\"status\" class=\"bad\">Down: tokyo</p>",
        "id=\"edges-up\">1 of 2</dd>",
        // The land, and marks for both edges.
        "id=\"land\" d=\"M",
        "<title>seoul: up</title>",
        "<title>tokyo: down</title>",
        "<title>Singapore: seoul</title>",
        // The tables that say the same.
        "class=\"plain\">seoul</span>",
        "no connection: connection refused",
        "nearer ones can't; tokyo is down",
        "IP Geolocation by DB-IP",
        "id=\"fresh\">live</p>",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }

    let config = cdn.config_file();
    let config = config.to_str().expect("a path in UTF-8");
    let text = run(crate::harness::KINGCDN, &["status", "--config", config]).await;
    for expected in ["1 of 2 edges up", "tokyo  down", "nearer ones can't; tokyo is down"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let admin_text = admin.to_string();
    let json = ["status", "--admin", &admin_text, "--format", "json"];
    let json = run(crate::harness::KINGCDN, &json).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["edges"][1]["state"], "down");

    // A name that somebody else has pointed at this address isn't ours (DNS rebinding).
    let rebound = Client::new(admin, "rebound.example");
    assert_eq!(rebound.get("/status").await.status, 421);
}
