//! Who shares a place, and who gives up what.

use std::time::Duration;

use super::*;

const LIMITS: Limits = Limits { soft: 0.8, hard: 1.0 };
const SETTLE: Duration = Duration::from_secs(45);

fn first(choice: Choice) -> EdgeIndex {
    picks(choice).edges()[0]
}

fn picks(choice: Choice) -> Picks {
    match choice {
        Choice::Edges(picks) | Choice::Despite(picks) => picks,
        other => panic!("{other:?}"),
    }
}

/// Clients all over version 4, each in a unit of its own.
fn clients() -> impl Iterator<Item = IpAddr> {
    (0..4000_u32).map(|n| IpAddr::V4(Ipv4Addr::from(n << 16 | 7)))
}

fn count(fleet: &Fleet, list: &[GroupIndex], edges: usize) -> Vec<usize> {
    let mut counts = vec![0; edges];
    for client in clients() {
        let ask = Ask { client, ..asked(list, "0.0.0.0") };
        counts[usize::from(first(choose(&ask, fleet)))] += 1;
    }
    counts
}

fn neighbours(weights: &[u32]) -> Vec<Member> {
    weights.iter().enumerate().map(|(index, weight)| member(SEOUL, *weight, index)).collect()
}

#[test]
fn edges_of_one_place_share_by_weight() {
    let up = [Standing::Up; 3];
    let counts = count(&fleet(neighbours(&[1, 1, 2]), &up, &[]), &[0], 3);
    for (count, expected) in counts.iter().zip([1000, 1000, 2000]) {
        assert!(count.abs_diff(expected) < 120, "{counts:?}");
    }
}

/// Who loses his edge, and only he, gets another.
#[test]
fn an_edge_that_goes_moves_its_own_clients_only() {
    let fleet_of = |last| fleet(neighbours(&[1, 1, 1]), &[Standing::Up, Standing::Up, last], &[]);
    let (all, two) = (fleet_of(Standing::Up), fleet_of(Standing::Down));
    for client in clients() {
        let ask = Ask { client, ..asked(&[0], "0.0.0.0") };
        let (before, after) = (first(choose(&ask, &all)), first(choose(&ask, &two)));
        assert!(before == 2 || before == after, "{client}: {before} {after}");
        assert_ne!(after, 2);
        // Another site may have another edge, always the same.
        let other = Ask { site: 8, ..ask };
        assert_eq!(choose(&other, &all), choose(&other, &all));
    }
}

#[test]
fn scopes_are_longer_only_where_clients_are_told_apart() {
    let up = [Standing::Up; 3];
    let scope = |fleet: &Fleet, list: &[GroupIndex], client: &str, scope| {
        picks(choose(&Ask { scope, ..asked(list, client) }, fleet)).scope
    };
    let alone = apart(&up);
    assert_eq!(scope(&alone, &[0, 1], "192.0.2.1", 3), 3);
    let together = fleet(neighbours(&[1, 1, 1]), &up, &[]);
    for (client, known, expected) in [
        ("192.0.2.1", 3, 16),
        ("192.0.2.1", 24, 24),
        ("2001:db8::1", 5, 32),
        ("2001:db8::1", 48, 48),
        ("::ffff:192.0.2.1", 99, 112),
        ("::ffff:192.0.2.1", 9, 32),
    ] {
        assert_eq!(scope(&together, &[0], client, known), expected, "{client}");
    }
    // One is left, or a list names one.
    let one = [Standing::Up, Standing::Down, Standing::Down];
    assert_eq!(scope(&fleet(neighbours(&[1, 1, 1]), &one, &[]), &[0], "192.0.2.1", 3), 3);
    let single = together.groups().single(1).unwrap();
    assert_eq!(scope(&together, &[single], "192.0.2.1", 3), 3);
    // Who gives up all or nothing doesn't tell clients apart.
    let spread: Vec<Member> = (0..3).map(|n| member(at(0.0, n as f64), 1, n)).collect();
    for (share, expected) in [(0.0, 3), (0.3, 16), (1.0, 3)] {
        let fleet = fleet(spread.clone(), &up, &[share]);
        assert_eq!(scope(&fleet, &[0, 1], "192.0.2.1", 3), expected, "{share}");
    }
}

#[test]
fn a_share_of_the_networks_goes_to_the_next() {
    let up = [Standing::Up; 3];
    let spread: Vec<Member> = (0..3).map(|n| member(at(0.0, n as f64), 1, n)).collect();
    let counts = |shares: &[f64]| count(&fleet(spread.clone(), &up, shares), &[1, 0, 2], 3);
    assert_eq!(counts(&[]), [0, 4000, 0]);
    assert_eq!(counts(&[0.0, 1.0]), [4000, 0, 0]);
    let some = counts(&[0.0, 0.25]);
    assert!(some[0].abs_diff(1000) < 120 && some[2] == 0, "{some:?}");
    // The next has enough too, and gives up others than the first did.
    let both = counts(&[0.5, 0.5]);
    assert!(both[2].abs_diff(1000) < 120 && both[0].abs_diff(1000) < 120, "{both:?}");
    // All gave it up: the nearest, and nobody says that it was shed.
    assert_eq!(counts(&[1.0, 1.0, 1.0]), [0, 4000, 0]);
    // Two at one place: the other one takes first.
    let pair = vec![member(SEOUL, 1, 0), member(SEOUL, 1, 1), member(ASHBURN, 1, 2)];
    assert_eq!(count(&fleet(pair, &up, &[1.0, 0.0, 0.0]), &[0, 1], 3), [0, 4000, 0]);
}

#[test]
fn several_answers_are_different_edges() {
    let mut standings = [Standing::Up; 4];
    let members = vec![
        member(SEOUL, 1, 0),
        member(ASHBURN, 1, 1),
        member(SEOUL, 1, 2),
        member(FRANKFURT, 1, 3),
    ];
    let edges = |standings: &[Standing], shares: &[f64], answers| {
        let fleet = fleet(members.clone(), standings, shares);
        let ask = Ask { answers, ..asked(&[0, 1, 2], "192.0.2.1") };
        let mut edges = picks(choose(&ask, &fleet)).edges().to_vec();
        edges.sort_unstable();
        edges
    };
    assert_eq!(edges(&standings, &[], 2), [0, 2]);
    assert_eq!(edges(&standings, &[], 3), [0, 1, 2]);
    assert_eq!(edges(&standings, &[], 4), [0, 1, 2, 3]);
    assert_eq!(edges(&standings, &[1.0], 2), [1, 2]);
    // Rather one that is up than two of which one isn't.
    standings[0] = Standing::Down;
    standings[1] = Standing::Down;
    standings[3] = Standing::Unchecked;
    assert_eq!(edges(&standings, &[], 2), [2]);
}

#[test]
fn load_decides_on_the_share() {
    let shed = |share| Shed { share, settled: Duration::from_secs(60) };
    let cases = [
        // What it gave up, the load, what it gives up.
        (0.0, Some(0.0), 0.0),
        (0.0, Some(0.8), 0.0),
        (0.0, Some(0.85), 0.25),
        (0.0, Some(0.95), 0.75),
        (0.0, Some(1.0), 1.0),
        (0.0, Some(7.0), 1.0),
        // Never less while it is above the soft limit; the same just below it.
        (0.5, Some(0.85), 0.5),
        (0.5, Some(0.75), 0.5),
        // Then a little less at a time.
        (0.5, Some(0.5), 0.25),
        (0.5, Some(0.7), 1.0 - 0.5 * 0.776 / 0.7),
        (1.0, Some(0.0), 0.95),
        (0.1, Some(0.0), 0.0),
        // Unknown is no load.
        (0.5, None, 0.0),
    ];
    for (before, load, expected) in cases {
        let next = shed(before).next(load, LIMITS, Duration::from_secs(1), SETTLE).share;
        assert!((next - expected).abs() < 1e-9, "{before} at {load:?}: {next}");
    }
    // What it did must be seen first.
    let fresh = Shed { share: 0.5, settled: Duration::ZERO };
    assert_eq!(fresh.next(Some(0.1), LIMITS, Duration::from_secs(1), SETTLE).share, 0.5);
}

#[test]
fn work_is_measured_by_its_tightest_limit() {
    let work = Work {
        requests_per_second: Some(900.0),
        egress_bits_per_second: Some(5e8),
        cpu_share: None,
    };
    let capacity = |requests, egress, cpu| Work {
        requests_per_second: requests,
        egress_bits_per_second: egress,
        cpu_share: cpu,
    };
    let cases = [
        (capacity(None, None, None), None),
        (capacity(Some(1000.0), None, None), Some(0.9)),
        (capacity(Some(1000.0), Some(1e9), None), Some(0.9)),
        (capacity(Some(1800.0), Some(1e9), None), Some(0.5)),
        // It isn't known how busy the processors are.
        (capacity(None, None, Some(0.9)), None),
    ];
    for (capacity, expected) in cases {
        assert_eq!(work.of(&capacity), expected);
    }
}

#[test]
fn never_all_at_once() {
    let sheds = |shares: &[f64]| -> Vec<Shed> {
        shares.iter().map(|share| Shed { share: *share, settled: Duration::ZERO }).collect()
    };
    let full = [1.0, 1.0, 0.5];
    assert_eq!(shares(&sheds(&full), |_| true), full.map(Share::of));
    // The one that could take isn't up.
    assert_eq!(shares(&sheds(&full), |edge| edge < 2), [Share(0); 3]);
    assert_eq!(shares(&sheds(&[1.0, 1.0]), |_| true), [Share(0); 2]);
}

/// An edge with clients all around it, in time: what it has to do follows what it gives up after
/// half a minute, as with a TTL of 30 seconds.
fn simulate(demand: f64, seconds: usize) -> Vec<(f64, f64)> {
    const LAG: usize = 30;
    let mut past = vec![0.0; LAG];
    let mut shed = Shed::default();
    let mut story = Vec::new();
    for _ in 0..seconds {
        let load = demand * (1.0 - past[past.len() - LAG]);
        shed = shed.next(Some(load), LIMITS, Duration::from_secs(1), SETTLE);
        past.push(shed.share);
        story.push((load, shed.share));
    }
    story
}

/// No see-saw: whatever the demand, the load ends below the hard limit, and what is given up comes
/// to rest.
#[test]
fn shedding_comes_to_rest() {
    for demand in [0.5, 0.85, 0.95, 1.2, 2.0, 5.0] {
        let story = simulate(demand, 3600);
        let end = &story[2400..];
        let (load, share) = end[0];
        assert!(end.iter().all(|moment| *moment == (load, share)), "{demand}: {end:?}");
        assert!(load < 1.0, "{demand}: {load}");
        if demand < 0.8 {
            assert_eq!(share, 0.0);
        } else {
            // And no more is given up than need be.
            assert!(load > 0.7, "{demand}: {load} with {share}");
        }
        let turns = story.windows(2).filter(|pair| pair[1].1 > pair[0].1).count();
        assert!(turns <= 1, "{demand}: it gave up more {turns} times");
    }
}

proptest! {
    /// More load never brings back what less load doesn't.
    #[test]
    fn shares_grow_with_the_load(before in 0.0..=1.0_f64, less in 0.0..2.0_f64, more in 0.0..2.0_f64, settled: u16) {
        let (less, more) = (less.min(more), less.max(more));
        let shed = Shed { share: before, settled: Duration::from_secs(settled.into()) };
        let next = |load| shed.next(Some(load), LIMITS, Duration::from_secs(1), SETTLE).share;
        prop_assert!(next(less) <= next(more));
        prop_assert!((0.0..=1.0).contains(&next(more)));
    }

    /// A network that a smaller share gives up, a larger one does, too.
    #[test]
    fn networks_given_up_stay_so(client: u32, less: u16, more: u16) {
        let members: Vec<Member> = (0..2).map(|n| member(at(0.0, n as f64), 1, n)).collect();
        let client = IpAddr::V4(client.into());
        let edge = |share: u16| {
            let shares = [Share(share.into())];
            let fleet = Fleet::new(
                Arc::new(Groups::new(members.clone())), [Standing::Up; 2], Arc::from(shares));
            first(choose(&Ask { client, ..asked(&[0, 1], "0.0.0.0") }, &fleet))
        };
        prop_assert!(edge(less.min(more)) <= edge(less.max(more)));
    }

    /// Any two clients inside one returned scope get the same edges, with everything at once: places
    /// of several edges, states, shares.
    #[test]
    fn scopes_are_true_for_choices(
        edges in prop::collection::vec((0_u8..3, 1_u32..5, 0_u8..5, 0.0..=1.2_f64), 1..8),
        operator in networks(),
        client: u32,
        other: u32,
        answers in 1_usize..=ANSWERS,
    ) {
        let members: Vec<Member> = edges.iter().enumerate()
            .map(|(n, (place, weight, ..))| member(PLACES[usize::from(*place)], *weight, n)).collect();
        let standings: Vec<Standing> = edges.iter().map(|(.., standing, _)| match standing {
            0 => Standing::Down,
            1 => Standing::Drained,
            _ => Standing::Up,
        }).collect();
        let shares: Vec<f64> = edges.iter().map(|(.., share)| share.max(0.2) - 0.2).collect();
        let fleet = fleet(members, &standings, &shares);
        let operator = operator.iter()
            .map(|(prefix, place)| (IpNet::V4(*prefix), Placement::Near(PLACES[*place])));
        let map = MapBuilder::new(fleet.groups().places(), operator).unwrap().build();
        let choice = |client: u32| {
            let client = IpAddr::V4(Ipv4Addr::from(client));
            let located = map.locate(client, 32);
            let ask = Ask {
                list: located.list, client, scope: located.scope, site: 1, answers,
                all_down: AllDown::Every,
            };
            choose(&ask, &fleet)
        };
        let chosen = choice(client);
        let scope = Ipv4Net::new(client.into(), picks(chosen).scope).unwrap();
        let inside = scope.network().to_bits() | other & scope.hostmask().to_bits();
        prop_assert_eq!(choice(inside), chosen, "{} in {}", Ipv4Addr::from(inside), scope);
        // Deterministic, and never an edge twice.
        prop_assert_eq!(choice(client), chosen);
        let mut named = picks(chosen).edges().to_vec();
        named.sort_unstable();
        named.dedup();
        prop_assert_eq!(named.len(), picks(chosen).edges().len());
        let up = standings.contains(&Standing::Up);
        prop_assert!(!up || named.iter().all(|edge| fleet.standing(*edge) == Standing::Up));
    }

    /// A new edge takes only clients to whom it is nearer, or as near, than what they had.
    #[test]
    fn a_new_edge_moves_only_those_nearer_to_it(
        edges in prop::collection::vec((-80..80_i32, -180..180_i32), 1..12),
        new in (-80..80_i32, -180..180_i32),
        client in (-80..80_i32, -180..180_i32),
        address: u32,
    ) {
        let place = |(latitude, longitude): (i32, i32)| at(latitude.into(), longitude.into());
        let (client, new) = (place(client), place(new));
        let mut members: Vec<Member> =
            edges.iter().enumerate().map(|(n, edge)| member(place(*edge), 1, n)).collect();
        let edge = |members: &[Member]| {
            let fleet = fleet(members.to_vec(), &vec![Standing::Up; members.len()], &[]);
            let list = Map::near(client, fleet.groups().places());
            let address = IpAddr::V4(address.into());
            first(choose(&Ask { client: address, ..asked(&list, "0.0.0.0") }, &fleet))
        };
        let before = edge(&members);
        members.push(member(new, 1, members.len()));
        let after = edge(&members);
        if after != before {
            prop_assert_eq!(usize::from(after), members.len() - 1);
            let old = members[usize::from(before)].place;
            prop_assert!(client.km(new) <= client.km(old) + 0.001);
        }
    }
}
