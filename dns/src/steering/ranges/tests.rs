use proptest::prelude::*;

use super::*;

/// Gaps of all sizes, so that blocks end for every reason.
fn begins() -> impl Strategy<Value = Vec<(u128, u32)>> {
    let gap = (0_u32..128, 1_u128..1 << 18, 0_u32..3)
        .prop_map(|(shift, gap, rare)| if rare == 0 { gap << shift } else { (gap % 300) << 80 });
    // Mostly few different numbers; some need four octets.
    let number = prop_oneof![8 => 0_u32..4, 1 => 65_530_u32..65_540];
    prop::collection::vec((gap, number), 0..60).prop_map(|steps| {
        let mut begin = 0_u128;
        let step = |(gap, number): (u128, u32)| {
            begin = begin.checked_add(gap.max(1))?;
            Some((begin, number))
        };
        steps.into_iter().map_while(step).collect()
    })
}

proptest! {
    /// Against the plain meaning: the last begin at or before an address.
    #[test]
    fn blocks_change_nothing(begins in begins(), probes: Vec<u128>, again in 0_usize..4) {
        let mut builder = Builder::new(7);
        for (begin, number) in &begins {
            // Another word about the same begin replaces the one before.
            for other in 0..again {
                builder.begin(*begin, number + u32::try_from(other).unwrap() + 1);
            }
            builder.begin(*begin, *number);
        }
        let ranges = builder.finish();
        let all: Vec<(u128, u32)> = [(0, 7)].into_iter().chain(begins).collect();
        let meant = |address: u128| {
            let index = all.partition_point(|(begin, _)| *begin <= address) - 1;
            all[index].1
        };
        let near = all.iter().flat_map(|(begin, _)| [*begin, begin.wrapping_sub(1), begin + 1]);
        for address in near.chain(probes) {
            prop_assert_eq!(ranges.number(address), meant(address));
            let (number, length) = ranges.network(address);
            prop_assert_eq!(number, meant(address));
            let alike = |length: u8| {
                let mask = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                let (first, last) = (address & !mask, address | mask);
                let inside = all.iter().filter(|(begin, _)| (first..=last).contains(begin));
                meant(first) == number && inside.into_iter().all(|(_, other)| *other == number)
            };
            prop_assert!(alike(length), "{length} is too large");
            prop_assert!(length == 0 || !alike(length - 1), "{} is true as well", length - 1);
        }
    }
}

/// The index shortens searches and changes nothing: at every network's ends, and with blocks that
/// hold many networks or begin amid one.
#[test]
fn an_index_changes_nothing() {
    let mut builder = Builder::<u32>::new(0);
    let mut all = vec![(0_u32, 0_u32)];
    let mut begin = 0_u32;
    for number in 1..60_000_u32 {
        let gap = match number % 1000 {
            0 => 3 << 20,
            other if number < 40_000 => other % 7 * 1024 + 1,
            other => other * 131 + 1,
        };
        let Some(next) = begin.checked_add(gap) else { break };
        begin = next;
        builder.begin(begin, number);
        all.push((begin, number));
    }
    let ranges = builder.finish();
    assert_eq!(ranges.index.len(), 1 << 16);
    let meant = |address: u32| all[all.partition_point(|(begin, _)| *begin <= address) - 1].1;
    let corners = (0..=u32::from(u16::MAX)).flat_map(|net| [net << 16, net << 16 | 0xffff]);
    let begins = all.iter().flat_map(|(begin, _)| [*begin, begin.saturating_sub(1)]);
    for address in corners.chain(begins) {
        assert_eq!(ranges.number(address), meant(address), "{address:x}");
    }
}

#[test]
fn ranges_take_four_octets() {
    // Every 256 addresses another number.
    let mut builder = Builder::<u32>::new(0);
    for network in 1..1 << 20 {
        builder.begin(network << 8, network % 1000);
    }
    builder.begin(1 << 28, 1);
    let ranges = builder.finish();
    assert_eq!(ranges.len(), (1 << 20) + 1);
    assert!(ranges.bytes() < (1 << 22) + (1 << 19), "{}", ranges.bytes());
    // Over the bounds of chunks too.
    for network in 0..1_u32 << 20 {
        assert_eq!(ranges.network(network << 8 | 77), (network % 1000, 24));
    }
}
