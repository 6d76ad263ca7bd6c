//! What the operator wants of edges, told to every name server by one command.

use std::process::Command;

use crate::harness::{Answer, Cdn, KINGCDN, Origin, tables};

/// What a command says, what it complains of, and its exit code.
async fn told(arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(KINGCDN);
    command.args(arguments).env_remove("KINGCDN_ADMIN").env_remove("KINGCDN_CONFIG");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let output = output.expect("kingcdn runs");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test]
async fn one_command_tells_every_name_server() {
    let cdn = Cdn::new();
    let network = cdn.network;
    let (dns, admin) = (network.socket(53), network.socket(53));
    let (second, second_admin) = (network.socket(54), network.socket(54));
    let origin = Origin::start(network.socket(1), |_| Answer::new(200, "film")).await;
    let edge = |name, at| tables::edge(name, tables::SEOUL, network.socket(at), network.socket(at));
    let server = |name: &str, own: &str| {
        format!("[[dns.nameserver]]\nname = \"{name}\"\naddresses = [\"{}\"]\n{own}", second.ip())
    };
    let parts = [edge("seoul", 11), edge("tokyo", 12), tables::site(origin.address)].concat();
    let own = format!("admin = \"{second_admin}\"\n");
    cdn.configure(&[tables::dns(dns, admin), server("ns2", &own), parts.clone()].concat());
    let file = cdn.config_file();
    let config = file.to_str().expect("a path in UTF-8").to_owned();
    let (listen, at) = (second.to_string(), second_admin.to_string());
    let first = cdn.dns(admin).await;
    let other =
        cdn.start("dns", "dns2", &["--listen", &listen, "--admin", &at], second_admin).await;
    let wish =
        async |word: &str, name: &str| told(&["edge", word, name, "--config", &config]).await;
    let states = async || {
        let mut states = Vec::new();
        for node in [&first, &other] {
            let edges = node.status().await["edges"].clone();
            states.push(format!("{} {}", edges[0]["operator"], edges[1]["operator"]));
        }
        states
    };
    let (said, complaints, code) = wish("drain", "s*").await;
    assert_eq!((complaints.as_str(), code), ("", Some(0)), "{said}");
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("ns1: ") && lines[1].starts_with("ns2: "), "{said}");
    assert_eq!(states().await, [r#""drain" "auto""#; 2]);

    // One that is gone keeps none of the others from it, and the command says so.
    drop(other);
    let (said, complaints, code) = wish("down", "tokyo").await;
    assert!(said.starts_with("ns1: ") && said.contains("tokyo"), "{said}");
    assert!(complaints.contains("ns2: no answer from "), "{complaints}");
    assert_eq!(code, Some(1));
    let (said, complaints, code) = wish("down", "nobody").await;
    assert_eq!((said.as_str(), code), ("", Some(1)));
    assert!(complaints.contains("ns1: no edge is called `nobody`"), "{complaints}");

    // Whom the file doesn't know it can't tell, and it says so.
    cdn.configure(&[tables::dns(dns, admin), server("ns2", ""), parts].concat());
    let (said, complaints, code) = wish("auto", "*").await;
    assert!(said.contains("seoul") && code == Some(0), "{said}{complaints}");
    assert!(complaints.contains("of 2 name servers one is told"), "{complaints}");
}
