//! EDNS (RFC 6891) and the client subnet (RFC 7871), read from the packet
//! itself: hickory's types don't show whether an address was too long, had bits
//! beyond its prefix, or stood there twice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Refusal;

/// Type of the OPT record.
const OPT: u16 = 41;
/// Code of the client subnet option.
const SUBNET: u16 = 8;
/// Address families of the option (RFC 7871 section 6).
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;
/// The smallest payload that a client can have (RFC 6891 section 6.2.3) …
const PAYLOAD_MIN: u16 = 512;
/// … and the largest that we send, so that no answer is fragmented.
pub(crate) const PAYLOAD_MAX: u16 = 1232;

/// What a client can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Octets that an answer over UDP may have.
    pub(crate) payload: u16,
    /// DO (RFC 3225): copied into the answer.
    pub(crate) dnssec_ok: bool,
    /// For whom the resolver asks.
    pub(crate) subnet: Option<Subnet>,
}

/// A client subnet option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// The address's beginning, the rest zero.
    pub(crate) address: IpAddr,
    /// SOURCE PREFIX-LENGTH: bits of the address that are known.
    pub(crate) source: u8,
}

impl Subnet {
    /// The option of the answer: everything as in the query, and our scope (RFC 7871 section 7.2.1).
    pub(crate) fn echo(&self, scope: u8) -> Vec<u8> {
        let (family, octets) = match &self.address {
            IpAddr::V4(address) => (FAMILY_V4, &address.octets()[..]),
            IpAddr::V6(address) => (FAMILY_V6, &address.octets()[..]),
        };
        let [high, low] = family.to_be_bytes();
        let mut option = vec![high, low, self.source, scope];
        option.extend(octets.iter().take(usize::from(self.source.div_ceil(8))));
        option
    }
}

/// The packet's OPT record, if it has one, and why the request is refused for it, if it is.
pub(crate) fn read(packet: &[u8]) -> Result<Option<(Edns, Option<Refusal>)>, Refusal> {
    let Some(opt) = find(packet).ok_or(Refusal::Edns)? else {
        return Ok(None);
    };
    let mut edns = Edns {
        payload: opt.class.clamp(PAYLOAD_MIN, PAYLOAD_MAX),
        dnssec_ok: opt.ttl & 0x8000 != 0,
        subnet: None,
    };
    let version = opt.ttl >> 16 & 0xff;
    if version != 0 {
        return Ok(Some((edns, Some(Refusal::EdnsVersion))));
    }
    match subnet(opt.data) {
        Ok(subnet) => {
            edns.subnet = subnet;
            Ok(Some((edns, None)))
        }
        Err(refusal) => Ok(Some((edns, Some(refusal)))),
    }
}

struct Opt<'p> {
    class: u16,
    ttl: u32,
    data: &'p [u8],
}

/// The OPT record among the additional records; the inner none where the packet has none, the outer
/// where it isn't a packet. That there is only one, hickory has seen to.
fn find(packet: &[u8]) -> Option<Option<Opt<'_>>> {
    let mut reader = Reader(packet.get(4..)?);
    let questions = reader.u16()?;
    let others = u32::from(reader.u16()?) + u32::from(reader.u16()?);
    let additional = reader.u16()?;
    for _ in 0..questions {
        reader.name()?;
        reader.take(4)?;
    }
    for at in 0..others + u32::from(additional) {
        let root = reader.name()?;
        let rtype = reader.u16()?;
        let class = reader.u16()?;
        let ttl = reader.u32()?;
        let length = reader.u16()?;
        let data = reader.take(usize::from(length))?;
        if rtype == OPT && at >= others {
            // Its owner is the root (RFC 6891 section 6.1.2).
            return root.then_some(Some(Opt { class, ttl, data }));
        }
    }
    Some(None)
}

/// The client subnet among the options.
fn subnet(options: &[u8]) -> Result<Option<Subnet>, Refusal> {
    let mut reader = Reader(options);
    let mut found = None;
    while !reader.0.is_empty() {
        let code = reader.u16().ok_or(Refusal::Edns)?;
        let length = reader.u16().ok_or(Refusal::Edns)?;
        let data = reader.take(usize::from(length)).ok_or(Refusal::Edns)?;
        if code == SUBNET {
            let subnet = one_subnet(data)?;
            if found.replace(subnet).is_some() {
                return Err(Refusal::SubnetTwice);
            }
        }
    }
    Ok(found)
}

/// RFC 7871 section 6, and section 7.1.2 for what is refused.
fn one_subnet(data: &[u8]) -> Result<Subnet, Refusal> {
    let mut reader = Reader(data);
    let family = reader.u16().ok_or(Refusal::SubnetLength)?;
    let [source, scope] = reader.u16().ok_or(Refusal::SubnetLength)?.to_be_bytes();
    let octets = reader.0;
    if scope != 0 {
        return Err(Refusal::SubnetScope);
    }
    let bits = match family {
        FAMILY_V4 => 32,
        FAMILY_V6 => 128,
        _ => return Err(Refusal::SubnetFamily),
    };
    if source > bits || octets.len() != usize::from(source.div_ceil(8)) {
        return Err(Refusal::SubnetLength);
    }
    let spare = octets.len() * 8 - usize::from(source);
    if octets.last().is_some_and(|last| last.trailing_zeros() < spare as u32) {
        return Err(Refusal::SubnetBits);
    }
    let address = if family == FAMILY_V6 {
        let mut whole = [0; 16];
        whole[..octets.len()].copy_from_slice(octets);
        IpAddr::V6(Ipv6Addr::from(whole))
    } else {
        let mut whole = [0; 4];
        whole[..octets.len()].copy_from_slice(octets);
        IpAddr::V4(Ipv4Addr::from(whole))
    };
    Ok(Subnet { address, source })
}

/// What is still to be read.
struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn take(&mut self, count: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        let octets = self.take(2)?;
        Some(u16::from_be_bytes(octets.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        let octets = self.take(4)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    }

    /// Passes over a name; whether it is the root.
    fn name(&mut self) -> Option<bool> {
        let mut root = true;
        loop {
            let length = *self.take(1)?.first()?;
            match length {
                0 => return Some(root),
                // A pointer ends it (RFC 1035 section 4.1.4).
                0xc0.. => return self.take(1).map(|_| false),
                1..0x40 => {
                    self.take(usize::from(length))?;
                }
                _ => return None,
            }
            root = false;
        }
    }
}
