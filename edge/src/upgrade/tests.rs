use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for &(name, value) in lines {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

#[test]
fn only_permitted_protocols_are_proposed() {
    let permitted = ["websocket", "x-own"].map(|name| UpgradeProtocol::parse(name).unwrap());
    for (connection, upgrade, expected) in [
        ("Upgrade", "websocket", Some("websocket")),
        ("keep-alive, UPGRADE", "WebSocket", Some("WebSocket")),
        ("upgrade", "h2c, websocket, x-own/2", Some("websocket, x-own/2")),
        ("upgrade", "h2c", None),
        ("upgrade", "", None),
        ("keep-alive", "websocket", None),
        ("", "websocket", None),
        ("upgrade", "websockets", None),
    ] {
        let client = headers(&[("connection", connection), ("upgrade", upgrade)]);
        let proposed = protocols(&client, &permitted);
        let proposed = proposed.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(proposed, expected, "{connection}: {upgrade}");
        assert_eq!(protocols(&client, &[]), None);
    }
}

#[test]
fn an_origin_may_agree_to_one_thing_that_was_proposed() {
    let proposed = HeaderValue::from_static("websocket, x-own/2");
    for (answer, expected) in [
        (&[("upgrade", "websocket")][..], true),
        (&[("upgrade", "WebSocket")], true),
        (&[("upgrade", "x-own/2")], true),
        (&[("upgrade", "x-own")], false),
        (&[("upgrade", "websocket, x-own/2")], false),
        (&[("upgrade", "websocket"), ("upgrade", "x-own/2")], false),
        (&[], false),
    ] {
        assert_eq!(agreed(&headers(answer), &proposed).is_some(), expected, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_ends_for_one_reason_or_another() {
    const IDLE: Duration = Duration::from_secs(120);
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    for expected in End::ALL {
        let stopping = CancellationToken::new();
        let (mut client, ours) = tokio::io::duplex(64);
        let (theirs, mut origin) = tokio::io::duplex(64);
        let act = async {
            for _ in 0..3 {
                client.write_all(b"ping").await.unwrap();
                origin.read_exact(&mut [0; 4]).await.unwrap();
                tokio::time::sleep(IDLE - Duration::from_millis(1)).await;
            }
            match expected {
                End::Closed => {
                    // One side may still speak when the other is done.
                    client.shutdown().await.unwrap();
                    assert_eq!(origin.read(&mut [0; 4]).await.unwrap(), 0);
                    origin.write_all(b"bye").await.unwrap();
                    client.read_exact(&mut [0; 3]).await.unwrap();
                    origin.shutdown().await.unwrap();
                }
                End::Broken => {
                    drop(origin);
                    let _gone = client.write_all(b"more").await;
                }
                End::Stopped => {
                    stopping.cancel();
                    for _ in 0..3 {
                        tokio::time::sleep(LAST_WORDS / 2).await;
                        client.write_all(b"last").await.unwrap();
                        origin.read_exact(&mut [0; 4]).await.unwrap();
                    }
                    tokio::time::sleep(LAST_WORDS * 2).await;
                }
                End::Idle => tokio::time::sleep(IDLE * 2).await,
            }
            std::future::pending::<()>().await;
        };
        let tunnel = carry(ours, theirs, IDLE, &stopping, &metrics.tunnels);
        let end = tokio::select! {
            end = tunnel => end,
            () = act => unreachable!(),
        };
        assert_eq!(end, expected);
    }
}
