//! Tables of a configuration.

use std::net::SocketAddr;

/// The host of [`site`].
pub(crate) const HOST: &str = "video.netcinema.test";

pub(crate) const SEOUL: [f64; 2] = [37.57, 126.98];
pub(crate) const TOKYO: [f64; 2] = [35.68, 139.69];
pub(crate) const FRANKFURT: [f64; 2] = [50.11, 8.68];

pub(crate) fn edge(
    name: &str,
    location: [f64; 2],
    listen: SocketAddr,
    admin: SocketAddr,
) -> String {
    format!(
        "[[edge]]\nname = \"{name}\"\nlocation = {location:?}\naddresses = [\"{}\"]\n\
         listen = [\"{listen}\"]\nadmin = \"{admin}\"\n",
        listen.ip()
    )
}

pub(crate) fn site(origin: SocketAddr) -> String {
    format!(
        "[[site]]\nname = \"netcinema\"\nhosts = [\"{HOST}\"]\norigin = [\"http://{origin}\"]\n"
    )
}

pub(crate) fn dns(listen: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "[cdn]\nzone = \"kingcdn.test\"\ncontact = \"hostmaster@kingcdn.test\"\n\
         [dns]\nlisten = [\"{listen}\"]\nadmin = \"{admin}\"\nttl = \"1s\"\n\
         [dns.limits]\nrate = 0\n\
         [[dns.nameserver]]\nname = \"ns1\"\naddresses = [\"{}\"]\n",
        listen.ip()
    )
}

pub(crate) fn network(prefix: &str, location: [f64; 2]) -> String {
    format!("[[dns.network]]\nprefix = \"{prefix}\"\nlocation = {location:?}\n")
}

/// netcinema's own zone, whose file is [`ZONE`].
pub(crate) fn zone() -> String {
    "[[dns.zone]]\nname = \"netcinema.test\"\nfile = \"netcinema.zone\"\n".to_owned()
}

pub(crate) const ZONE: &str = include_str!("../../../config/netcinema.zone");

pub(crate) fn origin(listen: SocketAddr, admin: SocketAddr) -> String {
    format!("[origin]\nlisten = [\"{listen}\"]\nadmin = \"{admin}\"\nroot = \"netcinema\"\n")
}
