//! Writes databases in MaxMind's format.

use ipnet::IpNet;

/// A value of MaxMind's format.
pub(crate) enum Value<'v> {
    Text(&'v str),
    Double(f64),
    Float(f32),
    Uint16(u16),
    Uint32(u32),
    Uint64(u64),
    Array,
    Map(Vec<(&'v str, Value<'v>)>),
}
use Value::{Array, Double, Float, Map as Table, Text, Uint16, Uint32, Uint64};

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let small = |length: usize| u8::try_from(length).unwrap();
        match self {
            Text(text) => {
                out.push(2 << 5 | small(text.len()));
                out.extend(text.as_bytes());
            }
            Double(number) => {
                out.push(3 << 5 | 8);
                out.extend(number.to_be_bytes());
            }
            Float(number) => {
                out.extend([4, 15 - 7]);
                out.extend(number.to_be_bytes());
            }
            Uint16(number) => {
                out.push(5 << 5 | 2);
                out.extend(number.to_be_bytes());
            }
            Uint32(number) => {
                out.push(6 << 5 | 4);
                out.extend(number.to_be_bytes());
            }
            // Types above 7 stand in an octet of their own.
            Uint64(number) => {
                out.extend([8, 9 - 7]);
                out.extend(number.to_be_bytes());
            }
            Array => out.extend([0, 11 - 7]),
            Table(entries) => {
                out.push(7 << 5 | small(entries.len()));
                for (key, value) in entries {
                    Text(key).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// A database of these networks: a tree of 24-bit records, a gap, the data, and what it is.
pub(crate) fn mmdb(networks: &[(&str, Value<'_>)]) -> Vec<u8> {
    const EMPTY: usize = usize::MAX;
    const DATA: usize = 1 << 32;
    let mut nodes = vec![[EMPTY; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (bits, length) = match network.parse().unwrap() {
            IpNet::V4(net) => (u128::from(net.network().to_bits()), 96 + net.prefix_len()),
            IpNet::V6(net) => (net.network().to_bits(), net.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = DATA + data.len();
            } else if nodes[node][side] == EMPTY {
                nodes.push([EMPTY; 2]);
                nodes[node][side] = nodes.len() - 1;
            }
            node = nodes[node][side];
        }
        value.write(&mut data);
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match *record {
            EMPTY => count,
            record if record >= DATA => record - DATA + count + 16,
            record => record,
        };
        out.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    Table(vec![
        ("binary_format_major_version", Uint16(2)),
        ("binary_format_minor_version", Uint16(0)),
        ("node_count", Uint32(u32::try_from(count).unwrap())),
        ("record_size", Uint16(24)),
        ("ip_version", Uint16(6)),
        ("database_type", Text("City")),
        ("build_epoch", Uint64(1)),
        ("languages", Array),
        ("description", Table(Vec::new())),
    ])
    .write(&mut out);
    out
}
