//! Serves a folder without a configuration file, to work on the page or to look at other players:
//! `cargo run -p kingcdn-origin --example netcinema -- origin/media/site 127.0.0.1:8000`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use kingcdn_config::clock::Clock;
use kingcdn_origin::Origin;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().unwrap_or("origin/media/site".to_owned());
    let listen = arguments.next().unwrap_or("127.0.0.1:8000".to_owned());
    let config = kingcdn_config::Origin {
        listen: vec![listen.parse()?],
        admin: "127.0.0.1:0".parse()?,
        root: PathBuf::from(root),
        cache_control: BTreeMap::new(),
    };
    let origin = Origin::start(&config, Clock::system(), &prometheus::Registry::new()).await?;
    tracing::info!("http://{}/", origin.addresses()[0]);
    std::future::pending().await
}
