use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn secret(name: &str, text: &[u8]) -> Arc<Secret> {
    let name = hickory_proto::rr::Name::from_ascii(name).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, text);
    Arc::new(Secret { name: Key::new(&name).unwrap(), key })
}

fn ours() -> Arc<Secret> {
    secret("backup.", b"0123456789abcdef")
}

/// A signed question.
fn request(by: &Arc<Secret>) -> Vec<u8> {
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 6, 0, 1];
    Chain::request(Arc::clone(by), [0, 7]).sign(&mut packet, NOW);
    packet
}

fn fault(packet: &[u8], now: Timestamp) -> Option<(Fault, bool)> {
    match check(packet, &[ours()], now) {
        Checked::Good(_) => None,
        Checked::Bad(fault, chain) => Some((fault, chain.is_some())),
    }
}

#[test]
fn what_was_signed_is_accepted_and_nothing_else() {
    let good = request(&ours());
    assert_eq!(fault(&good, NOW), None);
    assert_eq!(fault(&good, NOW.plus(Duration::from_secs(300))), None);
    let late = NOW.plus(Duration::from_secs(301));
    assert_eq!(fault(&good, late), Some((Fault::Time, true)));
    assert_eq!(
        fault(&request(&secret("other.", b"0123456789abcdef")), NOW),
        Some((Fault::Key, false))
    );
    let forged = request(&secret("backup.", b"fedcba9876543210"));
    assert_eq!(fault(&forged, NOW), Some((Fault::Signature, false)));
    // Whatever octet is another, but for the id, of which the signature has its own.
    for at in 2..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x40;
        assert!(fault(&changed, NOW).is_some(), "octet {at}");
    }
    for length in 0..good.len() {
        assert_eq!(fault(&good[..length], NOW), Some((Fault::Malformed, false)), "{length}");
    }
}

/// As its reader checks it: RFC 8945 sections 5.3 and 5.3.1.
#[test]
fn messages_are_signed_in_a_chain() {
    let packet = request(&ours());
    let Checked::Good(mut chain) = check(&packet, &[ours()], NOW) else { panic!("refused") };
    let mut prior = Record::read(&packet).unwrap().mac.to_vec();
    for first in [true, false, false] {
        let mut message = vec![0, 7, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let length = message.len() + chain.size();
        chain.sign(&mut message, NOW);
        assert!(message.len() <= length);
        let record = Record::read(&message).unwrap();
        let mut octets = [&[0, 32][..], &prior, &message[..11], &[0]].concat();
        if first {
            octets.extend(b"\x06backup\0\0\xff\0\0\0\0\x0bhmac-sha256\0");
        }
        octets.extend([0, 0, 0x65, 0x53, 0xf1, 0, 1, 44]);
        if first {
            octets.extend([0; 4]);
        }
        hmac::verify(&ours().key, &octets, record.mac).unwrap();
        prior = record.mac.to_vec();
    }
}
