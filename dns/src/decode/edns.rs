//! EDNS (RFC 6891) and the client subnet (RFC 7871).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Reader, Refusal};
use crate::cookies::{self, Cookie};

/// Type of the OPT record.
pub(crate) const OPT: u16 = 41;
/// The type of signatures with a shared secret (RFC 8945 section 4.2).
pub(crate) const TSIG: u16 = 250;
/// Code of the client subnet option.
const SUBNET: u16 = 8;
/// Code of the option that asks what the server calls itself (RFC 5001).
const NSID: u16 = 3;
/// Code of the cookie option (RFC 7873 section 4).
const COOKIE: u16 = 10;
/// Code of the option that asks how long a connection may idle (RFC 7828).
const KEEPALIVE: u16 = 11;
/// Code of the option that only fills room (RFC 7830 section 3).
const PADDING: u16 = 12;
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
    /// CO (RFC 9824 section 5.1): compact denials are understood also with their code.
    pub(crate) compact_ok: bool,
    /// For whom the resolver asks.
    pub(crate) subnet: Option<Subnet>,
    pub(crate) cookie: Option<cookies::Sent>,
    /// Whether it asks what the server calls itself.
    pub(crate) nsid: bool,
    /// Whether it asks how long a connection may idle.
    pub(crate) keepalive: bool,
    /// Whether its length shall tell nothing, nor that of the answer.
    pub(crate) padding: bool,
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
    /// Octets of the option.
    pub(crate) fn size(&self) -> usize {
        4 + 4 + usize::from(self.source.div_ceil(8))
    }

    /// Writes the option of the answer: everything as in the query, and our scope (RFC 7871
    /// section 7.2.1). A client that wants not to be known gets no scope (section 7.1.2).
    pub(crate) fn echo(&self, scope: u8, out: &mut Vec<u8>) {
        let known = usize::from(self.source.div_ceil(8));
        let scope = if self.source == 0 { 0 } else { scope };
        #[allow(clippy::cast_possible_truncation)] // At most 16.
        let [code, length] = [SUBNET, 4 + known as u16].map(u16::to_be_bytes);
        let mut option = |family: u16, octets: &[u8]| {
            out.extend_from_slice(&code);
            out.extend_from_slice(&length);
            out.extend_from_slice(&family.to_be_bytes());
            out.extend_from_slice(&[self.source, scope]);
            out.extend_from_slice(octets.get(..known).unwrap_or(octets));
        };
        match self.address {
            IpAddr::V4(address) => option(FAMILY_V4, &address.octets()),
            IpAddr::V6(address) => option(FAMILY_V6, &address.octets()),
        }
    }
}

/// An OPT record, and why the request is refused for it, if it is.
type Read = (Edns, Option<Refusal>);

/// What the OPT record says among the records behind the question, if there is one, and why the
/// request is refused for it, if it is; and whether there is a signature behind them all.
///
/// `others` is how many records stand before the additional ones.
pub(crate) fn read(
    records: Reader<'_>,
    others: u32,
    additional: u16,
) -> Result<(Option<Read>, bool), Refusal> {
    let (opt, signed) = find(records, others, additional)?;
    let Some(opt) = opt else { return Ok((None, signed)) };
    let mut edns = Edns {
        payload: opt.class.clamp(PAYLOAD_MIN, PAYLOAD_MAX),
        dnssec_ok: opt.ttl & 0x8000 != 0,
        compact_ok: opt.ttl & 0x4000 != 0,
        subnet: None,
        cookie: None,
        nsid: false,
        keepalive: false,
        padding: false,
    };
    let version = opt.ttl >> 16 & 0xff;
    if version != 0 {
        return Ok((Some((edns, Some(Refusal::EdnsVersion))), signed));
    }
    let fault = edns.options(opt.data).err();
    Ok((Some((edns, fault)), signed))
}

struct Opt<'p> {
    class: u16,
    ttl: u32,
    data: &'p [u8],
}

/// The OPT record among the additional records, and whether TSIG is the last of them.
fn find(
    mut records: Reader<'_>,
    others: u32,
    additional: u16,
) -> Result<(Option<Opt<'_>>, bool), Refusal> {
    let (mut found, mut signed) = (None, false);
    for at in 0..others + u32::from(additional) {
        // RFC 8945 section 5.1.
        if signed {
            return Err(Refusal::Signature);
        }
        let (root, rtype, opt) = record(&mut records).ok_or(Refusal::Malformed)?;
        signed = rtype == TSIG && at >= others;
        if rtype != OPT || at < others {
            continue;
        }
        // There is one, and its owner is the root (RFC 6891 sections 6.1.1 and 6.1.2).
        if !root || found.replace(opt).is_some() {
            return Err(Refusal::Edns);
        }
    }
    Ok((found, signed))
}

/// The next record: whether its owner is the root, its type, and the rest as OPT has it.
fn record<'p>(reader: &mut Reader<'p>) -> Option<(bool, u16, Opt<'p>)> {
    let root = reader.name()?;
    let rtype = reader.u16()?;
    let class = reader.u16()?;
    let ttl = reader.u32()?;
    let length = reader.u16()?;
    let data = reader.take(usize::from(length))?;
    Some((root, rtype, Opt { class, ttl, data }))
}

impl Edns {
    /// Takes what we know of the options. None is kept of those of a packet that is refused.
    fn options(&mut self, options: &[u8]) -> Result<(), Refusal> {
        let mut reader = Reader(options);
        let mut taken = *self;
        while !reader.0.is_empty() {
            let code = reader.u16().ok_or(Refusal::Edns)?;
            let length = reader.u16().ok_or(Refusal::Edns)?;
            let data = reader.take(usize::from(length)).ok_or(Refusal::Edns)?;
            match code {
                SUBNET if taken.subnet.is_some() => return Err(Refusal::SubnetTwice),
                SUBNET => taken.subnet = Some(one_subnet(data)?),
                // The first counts (RFC 7873 section 5.2).
                COOKIE => taken.cookie = taken.cookie.or(Some(client_cookie(data)?)),
                KEEPALIVE => taken.keepalive = true,
                NSID => taken.nsid = true,
                PADDING => taken.padding = true,
                _ => {}
            }
        }
        *self = taken;
        Ok(())
    }
}

/// A client's cookie (RFC 7873 section 5.2.2). Servers' of another length than ours can't be ours.
fn client_cookie(data: &[u8]) -> Result<cookies::Sent, Refusal> {
    match (data.split_first_chunk(), data.len()) {
        (Some((client, server)), 8 | 16..=40) => {
            Ok(cookies::Sent { client: *client, server: server.try_into().ok() })
        }
        _ => Err(Refusal::Cookie),
    }
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

/// Writes the option of an answer to a cookie.
pub(crate) fn write_cookie(cookie: &Cookie, out: &mut Vec<u8>) {
    let [high, low] = COOKIE.to_be_bytes();
    out.extend_from_slice(&[high, low, 0, 24]);
    out.extend_from_slice(cookie);
}

/// Writes for how long a connection may idle, in tenths of a second (RFC 7828 section 3.1).
pub(crate) fn write_keepalive(tenths: u16, out: &mut Vec<u8>) {
    let ([high, low], [first, second]) = (KEEPALIVE.to_be_bytes(), tenths.to_be_bytes());
    out.extend_from_slice(&[high, low, 0, 2, first, second]);
}

/// Writes what the server calls itself (RFC 5001 section 2.3).
pub(crate) fn write_nsid(identity: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(identity.len()).unwrap_or(0);
    let [[a, b], [c, d]] = [NSID, length].map(u16::to_be_bytes);
    out.extend_from_slice(&[a, b, c, d]);
    out.extend_from_slice(identity);
}

/// Writes an option of so many octets that says nothing (RFC 7830 section 3).
pub(crate) fn write_padding(octets: u16, out: &mut Vec<u8>) {
    let ([high, low], [first, second]) = (PADDING.to_be_bytes(), octets.to_be_bytes());
    out.extend_from_slice(&[high, low, first, second]);
    out.resize(out.len() + usize::from(octets), 0);
}
