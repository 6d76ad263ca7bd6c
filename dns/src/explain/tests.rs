//! Explanations, word for word.

use kingcdn_config::{HealthCheck, Location, NetworkTarget, SiteAllDown};

use super::*;
use crate::health::CheckError;
use crate::journey::tests::harness::Server;
use crate::testing;

fn explained(server: &Server, name: &str, client: &str, live: bool) -> Explanation {
    let world = server.journey.world.load_full();
    let case = Case::parse(name, None, Some(client)).unwrap();
    let fleet = world.monitor.fleet();
    explain(&world, &fleet, &case, live)
}

#[test]
fn a_steered_name_through_an_alias() {
    let server = Server::new(|config| {
        let place = Location::new(48.9, 2.4).unwrap();
        let paris = testing::network("10.3.0.0/16", &[]);
        config
            .dns
            .as_mut()
            .unwrap()
            .networks
            .push(kingcdn_config::Network { target: NetworkTarget::Location(place), ..paris });
    });
    let text = explained(&server, "video.netcinema.test", "10.3.1.0/24", false).to_string();
    let expected = "\
video.netcinema.test A for 10.3.1.0/24
  source    the configuration's word: every edge counts as up
  zone      kingcdn.test
  alias     netcinema.kingcdn.test
  end       edges of a site
  site      netcinema
  client    placed by [[dns.network]] 10.3.0.0/16, at 48.9, 2.4
  edge      frankfurt           473 km  answered
  decision  network
  answer    127.0.0.12
  ttl       30 s
  scope     /16
";
    assert_eq!(text, expected);
}

#[test]
fn edges_that_are_passed_over_say_why() {
    let server = Server::new(|config| {
        config.dns.as_mut().unwrap().health.check = HealthCheck::Http;
        config.sites[0].dns.answers = 2;
    });
    let monitor = server.journey.world.load().monitor.clone();
    (0..3).for_each(|target| monitor.observe(target, Ok(())));
    (0..3).for_each(|_| monitor.observe(1, Err(CheckError::Timeout)));
    assert!(monitor.wish("sp?ul", crate::fleet::Wish::Drain).0.is_empty());
    assert_eq!(monitor.wish("s*l", crate::fleet::Wish::Drain).0, ["seoul"]);
    let text = explained(&server, "netcinema.kingcdn.test", "10.1.2.0/24", true).to_string();
    let expected = "\
netcinema.kingcdn.test A for 10.1.2.0/24
  source    a running name server's word, with the health that it sees
  zone      kingcdn.test
  end       edges of a site
  site      netcinema
  client    placed by [[dns.network]] 10.1.0.0/16
  edge      frankfurt                   passed over: down
  edge      seoul                       passed over: drained
  edge      ashburn                     answered
  decision  network
  answer    127.0.0.13
  ttl       10 s, short because edges come and go
  scope     /16
";
    assert_eq!(text, expected);
    assert_eq!(monitor.wish("*", crate::fleet::Wish::Down).0.len(), 3);
    let down = explained(&server, "netcinema.kingcdn.test", "192.0.2.1", true).steering.unwrap();
    assert_eq!(down.decision.as_deref(), Some("all-down"));
    assert_eq!(down.placed_by, "default");
}

#[test]
fn what_is_not_steered_says_what_it_is() {
    let server = Server::new(|config| {
        let fallback = kingcdn_config::DomainName::parse("www.example.org").unwrap();
        config.sites[0].dns.all_down = Some(SiteAllDown::Alias(fallback));
        config.dns.as_mut().unwrap().health.check = HealthCheck::Http;
    });
    let end = |name| explained(&server, name, "192.0.2.1", false).end;
    assert_eq!(end("ns1.netcinema.test"), "records of the zone");
    assert_eq!(end("nobody.netcinema.test"), "no such name");
    assert_eq!(end("www.child.netcinema.test"), "a referral to other name servers");
    assert_eq!(end("example.org"), "not a zone of ours: REFUSED");
    let monitor = server.journey.world.load().monitor.clone();
    assert_eq!(monitor.wish("*", crate::fleet::Wish::Down).0.len(), 3);
    let steering = explained(&server, "video.netcinema.test", "192.0.2.1", true).steering;
    assert_eq!(steering.unwrap().answer, ["CNAME www.example.org"]);
    // Not beside SOA and NS.
    let apex = explained(&server, "netcinema.test", "192.0.2.1", true).steering.unwrap();
    assert_eq!(apex.answer, ["127.0.0.11"]);
    // It is read again as it was written.
    let whole = explained(&server, "video.netcinema.test", "192.0.2.1", true);
    let document = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&document).unwrap(), whole);
}

#[test]
fn questions_are_checked() {
    let parse = |name, rtype, client| Case::parse(name, rtype, client).map(drop);
    assert_eq!(parse("a.test.", Some("aaaa"), Some("2001:db8::/32")), Ok(()));
    assert!(matches!(parse("a..test", None, None), Err(ExplainError::Name(_))));
    assert!(matches!(parse("a.test", Some("MX"), None), Err(ExplainError::Type(_))));
    assert!(matches!(parse("a.test", None, Some("10.0.0.0/33")), Err(ExplainError::Client(_))));
}
