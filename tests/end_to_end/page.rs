//! The status page for everybody: on a phone, in the dark, with large letters, by a screen reader.

use serde_json::{Value, json};

use crate::harness::{Browser, Cdn};
use crate::status::fleet;

/// Whatever is wrong with how the page looks.
const LOOK: &str = include_str!("look.js");

/// Opens the page and waits until it shows the fleet.
async fn open(cdn: &Cdn, url: &str) -> Browser {
    let mut browser = Browser::start(cdn.folder()).await;
    browser.call("Page.navigate", json!({ "url": url })).await;
    browser.until("document.getElementById('fresh')?.textContent === 'live'").await;
    browser
}

async fn window(browser: &mut Browser, width: u32) {
    let phone = width < 600;
    let metrics = json!({ "width": width, "height": 844, "deviceScaleFactor": 1, "mobile": phone });
    browser.call("Emulation.setDeviceMetricsOverride", metrics).await;
    // The map has larger letters on small screens from when it is drawn next.
    browser.value("ask()").await;
}

async fn scheme(browser: &mut Browser, scheme: &str) {
    let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    browser.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
}

#[tokio::test]
async fn it_fits_every_screen_in_light_and_dark_and_with_letters_of_twice_the_size() {
    let cdn = Cdn::new();
    let (admin, _nodes) = fleet(&cdn).await;
    let mut browser = open(&cdn, &format!("http://{admin}/")).await;
    let letters = "parseFloat(getComputedStyle(document.querySelector('#edges td')).fontSize)";

    let mut grounds = Vec::new();
    for name in ["light", "dark"] {
        scheme(&mut browser, name).await;
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor").await);
        // WCAG's narrowest window, a phone, a tablet, a desk.
        for width in [320, 390, 800, 1360] {
            window(&mut browser, width).await;
            assert_eq!(browser.value(LOOK).await, json!([]), "{name}, {width} pixels");
        }
    }
    assert_ne!(grounds[0], grounds[1], "the dark page is as light as the light one");

    let usual = browser.value(letters).await.as_f64().expect("a size");
    let sizes = json!({ "standard": 32, "fixed": 26 });
    browser.call("Page.setFontSizes", json!({ "fontSizes": sizes })).await;
    for width in [390, 1360] {
        window(&mut browser, width).await;
        assert_eq!(browser.value(LOOK).await, json!([]), "large letters, {width} pixels");
        let large = browser.value(letters).await.as_f64().expect("a size");
        assert!((large - 2.0 * usual).abs() < 0.1, "{large} for {usual}");
    }
}

#[tokio::test]
async fn a_screen_reader_finds_its_way() {
    let cdn = Cdn::new();
    let (admin, _nodes) = fleet(&cdn).await;
    let mut browser = open(&cdn, &format!("http://{admin}/")).await;
    assert_eq!(browser.value("document.documentElement.lang").await, "en");
    for width in [390, 1360] {
        window(&mut browser, width).await;
        let told = browser.told().await;
        let names = |role: &str| -> Vec<&str> {
            told.iter().filter(|it| it.role == role).map(|it| it.name.as_str()).collect()
        };
        for landmark in ["banner", "main", "contentinfo"] {
            assert_eq!(names(landmark).len(), 1, "{landmark}, {width} pixels");
        }
        let regions = names("region");
        assert_eq!(
            regions,
            [
                "The world, and where its clients are sent",
                "Edges",
                "Where clients are sent",
                "Recent changes"
            ]
        );
        let levels: Vec<_> = told.iter().filter_map(|it| it.property("level")).collect();
        assert_eq!(levels[..3], [1, 2, 2]);
        let status = told.iter().find(|it| it.role == "status").expect("a summary");
        assert_eq!(status.property("live"), Some(&Value::from("polite")));

        let map = told.iter().find(|it| it.role == "image").expect("a map");
        assert!(map.description.contains("The tables below say the same"), "{map:?}");
        assert!(names("table").contains(&"Edges") && names("table").contains(&"Asia"));
        assert_eq!(names("columnheader")[..3], ["Edge", "State", "Since"], "{width} pixels");
        assert!(names("rowheader").starts_with(&["seoul", "tokyo"]), "{:?}", names("rowheader"));
        assert!(names("cell").contains(&"down no connection: connection refused"));
        let nameless =
            told.iter().filter(|it| it.property("focusable").is_some() && it.name.is_empty());
        assert_eq!(nameless.map(|it| &it.role).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[tokio::test]
async fn it_follows_what_happens_and_asks_nobody_but_its_name_server() {
    let cdn = Cdn::new();
    let (admin, [mut seoul, mut server]) = fleet(&cdn).await;
    let page = format!("http://{admin}/");
    let mut browser = open(&cdn, &page).await;
    let says =
        |words: &str| format!("document.getElementById('summary').textContent === '{words}'");
    browser.until(&says("Down: tokyo")).await;
    // A page that is loaded anew would forget this.
    browser.value("window.remembered = true").await;
    seoul.kill();
    browser.until(&says("Every edge is down")).await;
    browser.until("document.getElementById('changes').innerText.includes('seoul down')").await;
    assert_eq!(browser.complaints(), Vec::<&Value>::new());
    server.kill();
    browser.until(&says("The name server doesn’t answer")).await;
    browser.until("document.getElementById('fresh').textContent.startsWith('not live')").await;
    assert_eq!(browser.value("window.remembered").await, true);

    let asked = browser.asked();
    assert!(asked.iter().any(|url| url.ends_with("/status")), "{asked:?}");
    let others: Vec<_> =
        asked.iter().filter(|url| !url.starts_with(&page) && !url.starts_with("data:")).collect();
    assert_eq!(others, Vec::<&&str>::new());
}
