//! The checks of RFC 8906 section 8 with its own `dig` commands, over UDP and TCP, IPv4 and IPv6:
//! no question of any kind goes unanswered, and none is answered wrongly.
#![allow(clippy::unwrap_used)] // Helpers of tests, where clippy looks only at tests themselves.

mod common;

use common::{run, server};

/// What must and (behind `!`) must not stand in what `dig` prints.
type Check = (&'static str, &'static str, &'static [&'static str]);

const SOA: &str = "\tSOA\tns1.kingcdn.test.";
const CHECKS: [Check; 25] = [
    ("8.1.1", "+noedns +noad +norec soa", &[NOERROR, "flags: qr aa;", SOA, "!OPT PSEUDO"]),
    ("8.1.2", "+noedns +noad +norec type1000", &[NOERROR, "flags: qr aa;", "ANSWER: 0,", SOA]),
    ("8.1.3.1", "+noedns +noad +norec +cd soa", &[NOERROR, "flags: qr aa;", SOA]),
    ("8.1.3.2", "+noedns +norec +ad soa", &[NOERROR, "flags: qr aa;", SOA]),
    ("8.1.3.3", "+noedns +noad +norec +zflag soa", &[NOERROR, "flags: qr aa;", "!MBZ", SOA]),
    ("8.1.3.4", "+noedns +noad +rec soa", &[NOERROR, "flags: qr aa rd;", SOA]),
    (
        "8.1.4",
        "+noedns +noad +opcode=15 +norec +header-only",
        &["opcode: RESERVED15", "status: NOTIMP", "flags: qr;", "QUERY: 0, ANSWER: 0"],
    ),
    ("8.1.5", "+noedns +noad +norec +tcp soa", &[NOERROR, "flags: qr aa;", SOA]),
    ("8.2.1", "+nocookie +edns=0 +noad +norec soa", &[NOERROR, EDNS, "flags: qr aa;", SOA]),
    (
        "8.2.2",
        "+nocookie +edns=1 +noednsneg +noad +norec soa",
        &["status: BADVERS", EDNS, "flags: qr;", "ANSWER: 0,", "!SOA\tns1"],
    ),
    (
        "8.2.3",
        "+nocookie +edns=0 +noad +norec +ednsopt=100 soa",
        &[NOERROR, EDNS, "flags: qr aa;", SOA, "!OPT=100"],
    ),
    (
        "8.2.4",
        "+nocookie +edns=0 +noad +norec +ednsflags=0x40 soa",
        &[NOERROR, EDNS, "flags: qr aa;", SOA, "!MBZ"],
    ),
    (
        "8.2.5",
        "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x40 soa",
        &["status: BADVERS", EDNS, "flags: qr;", "!SOA\tns1", "!MBZ"],
    ),
    (
        "8.2.6",
        "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 soa",
        &["status: BADVERS", EDNS, "flags: qr;", "!SOA\tns1", "!OPT=100"],
    ),
    ("8.2.7", "+norec +dnssec +bufsize=512 +ignore dnskey", &[NOERROR, EDNS, "flags: qr aa"]),
    (
        "8.2.8",
        "+nocookie +edns=0 +noad +norec +dnssec soa",
        &[NOERROR, EDNS, "flags: do;", "flags: qr aa;", SOA],
    ),
    (
        "8.2.9",
        "+nocookie +edns=1 +noednsneg +noad +norec +dnssec soa",
        &["status: BADVERS", EDNS, "flags: do;", "flags: qr;", "!SOA\tns1"],
    ),
    (
        "8.2.10",
        "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0 soa",
        &[NOERROR, EDNS, "flags: qr aa;", SOA, "COOKIE: ", "CLIENT-SUBNET: 0.0.0.0/0/0"],
    ),
    // What else there is: section 3.
    ("header", "+noedns +noad +norec +header-only", &["status: FORMERR", "QUERY: 0, ANSWER: 0"]),
    ("cookie", "+noad +norec +header-only +cookie", &[NOERROR, "QUERY: 0, ANSWER: 0", "(good)"]),
    ("notify", "+noad +norec +opcode=notify soa", &["status: NOTIMP", "EDE: 21"]),
    ("update", "+noad +norec +opcode=update soa", &["status: NOTIMP", "EDE: 21"]),
    ("transfer", "+noad +norec axfr", &["; Transfer failed."]),
    ("any", "+noad +norec any", &[NOERROR, "HINFO\t\"RFC8482\""]),
    ("class", "+noad +norec -c hs soa", &["status: REFUSED", "EDE: 21"]),
];
const NOERROR: &str = "status: NOERROR";
const EDNS: &str = "EDNS: version: 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_goes_unanswered() {
    let listen = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap());
    let server = server(|config| config.dns.as_mut().unwrap().listen = listen.to_vec()).await;
    for address in server.dns.addresses() {
        for transport in ["+notcp", "+tcp"] {
            for (section, command, expected) in CHECKS {
                let arguments = format!("+tries=1 {transport} {command} kingcdn.test");
                let printed = run("dig", *address, &arguments).await;
                for text in expected {
                    let (text, wanted) = match text.strip_prefix('!') {
                        Some(text) => (text, false),
                        None => (*text, true),
                    };
                    let place = format!("{section} at {address}: `{arguments}`");
                    assert_eq!(printed.contains(text), wanted, "{place}: {text} in\n{printed}");
                }
            }
        }
    }
}
