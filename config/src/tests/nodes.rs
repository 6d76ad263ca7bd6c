//! One node: who it is, what flags say to it, what it can't take over.

use std::path::PathBuf;

use super::{parse, parts};
use crate::{Config, Label, Overrides, Refusal, Role, RoleError, fixed_differences};

fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|report| panic!("{report}")).config
}

fn everything() -> Config {
    config(&(parts("cdn dns nameserver edge site") + "[origin]\nroot = \"netcinema\"\n"))
}

fn seoul() -> Label {
    Label::parse("seoul").expect("a label")
}

fn said(result: Result<impl Sized, RoleError>) -> String {
    let error = result.err().expect("an error");
    format!("{error}; {}", error.help())
}

#[test]
fn a_node_is_found_by_its_name() {
    let one = everything();
    let found = |node| one.node(node).map(|edge| edge.name.as_str());
    assert_eq!(found(None), Ok("seoul"));
    assert_eq!(found(Some("Seoul")), Ok("seoul"));
    assert_eq!(
        said(one.node(Some("seuol"))),
        "the configuration has no edge `seuol` (--node); did you mean `seoul`?"
    );
    let two = config(&(parts("edge site") + "[[edge]]\nname = \"tokyo\"\nlocation = [0, 0]\n"));
    assert_eq!(
        said(two.node(None)),
        "the configuration has several edges: seoul, tokyo; say which one with `--node NAME`"
    );
    let none = config("[origin]\nroot = \"netcinema\"\n");
    assert!(said(none.node(None)).starts_with("the configuration has no `[[edge]]`"));
}

#[test]
fn flags_say_it_for_one_node() {
    let seoul = seoul();
    let overrides = Overrides {
        listen: vec!["127.0.0.1:8080".to_owned(), "[::1]:8080".to_owned()],
        admin: Some("127.0.0.1:0".to_owned()),
        cache_path: None,
    };
    let roles = [Role::Edge(&seoul), Role::Dns, Role::Origin];
    for role in roles {
        let config = everything().with_overrides(role, &overrides).expect("good flags");
        let dns = config.dns.as_ref().expect("dns");
        let origin = config.origin.as_ref().expect("origin");
        let admins = [config.edges[0].admin, dns.admin, origin.admin];
        let changed = roles.map(|other| other == role);
        assert_eq!(admins.map(|admin| admin.port() == 0), changed);
    }
    let same = everything().with_overrides(Role::Dns, &Overrides::default());
    assert_eq!(same, Ok(everything()));
}

#[test]
fn bad_flags_are_named() {
    let seoul = seoul();
    let edge = Role::Edge(&seoul);
    let try_with = |role, overrides: Overrides| said(everything().with_overrides(role, &overrides));
    let listen = |text: &str| Overrides { listen: vec![text.to_owned()], ..Overrides::default() };
    let admin = |text: &str| Overrides { admin: Some(text.to_owned()), ..Overrides::default() };
    let cache = || Overrides { cache_path: Some(PathBuf::from("cache")), ..Overrides::default() };
    assert_eq!(
        try_with(edge, listen("127.0.0.1")),
        "--listen: `127.0.0.1` has no port; write `127.0.0.1:80`"
    );
    assert_eq!(
        try_with(edge, admin(":9180")),
        "--admin: `:9180` has no address; write `127.0.0.1:9180`, or `0.0.0.0:9180` for every address"
    );
    assert!(try_with(edge, listen("127.0.0.1:9180")).contains("would be listened on twice"));
    assert!(try_with(edge, admin("127.0.0.1:80")).contains("would be listened on twice"));
    assert!(try_with(edge, cache()).contains("this edge has no disk tier"));
    assert!(try_with(Role::Dns, cache()).contains("only edges have a cache"));
    let no_dns = config(&parts("edge site")).with_overrides(Role::Dns, &Overrides::default());
    assert!(said(no_dns).starts_with("the configuration has no `[dns]`"));
}

#[test]
fn the_disk_tier_moves_with_its_flag() {
    let text = parts("edge") + "cache.disk = { path = \"a\", size = \"1 GiB\" }\n" + &parts("site");
    let overrides = Overrides { cache_path: Some(PathBuf::from("b")), ..Overrides::default() };
    let moved = config(&text).with_overrides(Role::Edge(&seoul()), &overrides);
    let disk = moved.expect("good flags").edges[0].cache.disk.clone().expect("a disk");
    assert_eq!((disk.path, disk.size_bytes), (PathBuf::from("b"), 1 << 30));
}

#[test]
fn what_cannot_be_taken_over_is_said() {
    let seoul = seoul();
    let edge = |keys: &str| config(&(parts("edge") + keys + &parts("site")));
    let old = edge("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
    let said = |new: &Config| {
        let found = fixed_differences(&old, new, Role::Edge(&seoul));
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(said(&old).is_empty());
    let order = edge("listen = [\"127.0.0.1:2\", \"127.0.0.1:1\"]\nlimits.connections = 1\n");
    assert!(said(&order).is_empty(), "order and limits don't matter");
    let new = edge(
        "listen = [\"127.0.0.1:2\"]\nadmin = \"127.0.0.1:3\"\n\
         cache = { memory = \"1 GiB\", eviction = \"lru\", disk = { path = \"/c\", size = \"1 GB\" } }\n",
    );
    assert_eq!(
        said(&new),
        [
            "`edge.listen` stays 127.0.0.1:1, 127.0.0.1:2: a restart is needed for 127.0.0.1:2",
            "`edge.admin` stays 127.0.0.1:9180: a restart is needed for 127.0.0.1:3",
            "`edge.cache.memory` stays 256 MiB: a restart is needed for 1 GiB",
            "`edge.cache.eviction` stays lfu: a restart is needed for lru",
            "`edge.cache.disk` stays none: a restart is needed for /c of 1000000000 B",
        ]
    );
}

#[test]
fn a_node_that_is_gone_says_so() {
    let old = everything();
    let text = parts("site") + "[[edge]]\nname = \"tokyo\"\nlocation = [0, 0]\n";
    let new = config(&text);
    let seoul = seoul();
    for (role, name) in [
        (Role::Edge(&seoul), "edge `seoul`"),
        (Role::Dns, "the name server"),
        (Role::Origin, "the origin"),
    ] {
        let found = fixed_differences(&old, &new, role);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with(&format!("{name} isn't in the new")));
    }
}

#[test]
fn the_name_server_and_the_origin_keep_their_addresses() {
    let old = everything();
    let moved = |role| {
        let overrides = Overrides {
            listen: vec!["127.0.0.1:7".to_owned()],
            admin: Some("127.0.0.1:8".to_owned()),
            cache_path: None,
        };
        let new = everything().with_overrides(role, &overrides).expect("good flags");
        fixed_differences(&old, &new, role).len()
    };
    assert_eq!((moved(Role::Dns), moved(Role::Origin)), (2, 2));
}

#[test]
fn name_servers_are_asked_where_they_are() {
    let server = |name: &str, at: &str, own: &str| {
        format!("[[dns.nameserver]]\nname = \"{name}\"\naddresses = [\"{at}\"]\n{own}\n")
    };
    let [one, other] = [server("ns1", "192.0.2.53", ""), server("ns2", "2001:db8::53", "")];
    let own = server("ns3", "198.51.100.53", "admin = \"10.0.0.3:9000\"");
    let every = "[dns]\nadmin = \"0.0.0.0:9153\"\n";
    for (parts_of_dns, expected) in [
        (["", &one, ""].concat(), "ns1 127.0.0.1:9153"),
        ([every, &one, ""].concat(), "ns1 192.0.2.53:9153"),
        (["", &one, &other].concat(), "dns 127.0.0.1:9153"),
        ([every, &one, &other].concat(), "ns1 192.0.2.53:9153, ns2 [2001:db8::53]:9153"),
        (["", &one, &own].concat(), "ns3 10.0.0.3:9000, ns1 127.0.0.1:9153"),
        (["", &own, &one, &other].concat(), "ns3 10.0.0.3:9000, dns 127.0.0.1:9153"),
        ([every, &own, &one].concat(), "ns3 10.0.0.3:9000, ns1 192.0.2.53:9153"),
        (["", &own].concat(), "ns3 10.0.0.3:9000"),
    ] {
        let text = parts_of_dns + &parts("cdn edge site");
        let dns = parse(&text).unwrap_or_else(|report| panic!("{report}")).config.dns;
        let dns = dns.expect("name servers");
        let admins = dns.admins().into_iter().map(|(name, admin)| format!("{name} {admin}"));
        assert_eq!(admins.collect::<Vec<_>>().join(", "), expected, "{text}");
    }
}
