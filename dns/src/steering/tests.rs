mod shares;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::*;

use super::*;

const SEOUL: Point = at(37.57, 126.98);
const FRANKFURT: Point = at(50.11, 8.68);
const ASHBURN: Point = at(39.04, -77.49);
const CITIES: [Point; 3] = [SEOUL, FRANKFURT, ASHBURN];

const fn at(latitude: f64, longitude: f64) -> Point {
    Point { latitude, longitude }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn map(edges: &[Point], operator: &[(&str, Placement)], database: &[(&str, Point)]) -> Map {
    let operator = operator.iter().map(|(prefix, placement)| (net(prefix), placement.clone()));
    let mut builder = MapBuilder::new(edges, operator).unwrap();
    for (prefix, place) in database {
        push(&mut builder, net(prefix), *place).unwrap();
    }
    builder.build()
}

fn push(builder: &mut MapBuilder, net: IpNet, place: Point) -> Result<(), MapError> {
    let list = builder.near(place);
    builder.push(net.network(), net.broadcast(), list)
}

fn locate<'m>(map: &'m Map, client: &str) -> Located<'m> {
    let client: IpNet = format!("{client}/32")
        .parse()
        .or_else(|_| client.parse())
        .or_else(|_| format!("{client}/128").parse())
        .unwrap();
    map.locate(client.network(), client.prefix_len())
}

#[test]
fn nearest_by_great_circle() {
    let cases: &[(&str, &[Point], Point, &[EdgeIndex])] = &[
        ("in the city itself", &CITIES, ASHBURN, &[2, 1, 0]),
        ("Tokyo", &CITIES, at(35.68, 139.69), &[0, 1, 2]),
        ("São Paulo", &CITIES, at(-23.55, -46.63), &[2, 1, 0]),
        (
            "Fiji: the edge beyond the antimeridian is 400 km away, not 39,000",
            &[at(-17.7, -178.0), at(-36.8, 174.8)],
            at(-17.7, 178.0),
            &[0, 1],
        ),
        (
            "Anchorage to Europe leads over the pole: flat degrees would name Brazil",
            &[at(-9.67, -35.74), at(60.17, 24.94)],
            at(61.22, -149.9),
            &[1, 0],
        ),
        (
            "at the pole all meridians meet",
            &[at(80.0, 10.0), at(85.0, -170.0)],
            at(90.0, 10.0),
            &[1, 0],
        ),
        (
            "equally near ones keep their order",
            &[at(0.0, 10.0), at(0.0, -10.0), at(10.0, 0.0)],
            at(0.0, 0.0),
            &[0, 1, 2],
        ),
        ("the same place twice", &[SEOUL, FRANKFURT, SEOUL], SEOUL, &[0, 2, 1]),
    ];
    for (name, edges, client, order) in cases {
        let map = map(edges, &[], &[("192.0.2.0/24", *client)]);
        assert_eq!(*locate(&map, "192.0.2.1").list, **order, "{name}");
    }
}

#[test]
fn explicit_lists_end_in_the_default_order() {
    let cases: &[(&[EdgeIndex], &[EdgeIndex])] =
        &[(&[], &[0, 1, 2]), (&[2], &[2, 0, 1]), (&[2, 1], &[2, 1, 0]), (&[0], &[0, 1, 2])];
    for (order, list) in cases {
        let order = Placement::Order(order.to_vec());
        let map = map(&CITIES, &[("192.0.2.0/24", order)], &[]);
        assert_eq!(*locate(&map, "192.0.2.1").list, **list);
    }
}

#[test]
fn long_lists_keep_the_nearest() {
    let edges: Vec<Point> = (0..100).map(|n| at(0.0, f64::from(n))).collect();
    let map = map(&edges, &[], &[("192.0.2.0/24", at(0.0, 50.2))]);
    let list = locate(&map, "192.0.2.1").list;
    assert_eq!(*list, [50, 51, 49, 52, 48, 53, 47, 54]);
}

/// The scopes of the server that is known for true ones, for its own example.
#[test]
fn scopes_are_as_large_as_they_are_true() {
    let eu_first = Placement::Order(vec![0]);
    let us_first = Placement::Order(vec![1]);
    let edges = [FRANKFURT, ASHBURN];
    let reference = [("10.1.0.0/16", eu_first), ("10.2.0.0/20", us_first.clone())];
    let inside =
        [("10.1.0.0/16", Placement::Order(vec![1])), ("10.1.2.0/24", Placement::Order(vec![0]))];
    type Case<'a> = (&'a [(&'a str, Placement)], &'a str, u8, EdgeIndex);
    let cases: &[Case<'_>] = &[
        (&[], "10.1.2.0/24", 0, 0),
        (&[], "2001:db8::/32", 0, 0),
        (&reference, "10.1.2.0/24", 15, 0),
        (&reference, "10.2.3.0/24", 20, 1),
        (&reference, "10.9.9.0/24", 13, 0),
        (&reference, "10.2.16.0/24", 20, 0),
        (&reference, "192.0.2.0/24", 1, 0),
        (&inside, "10.1.2.0/24", 24, 0),
        (&inside, "10.1.3.0/24", 24, 1),
        (&inside, "10.1.4.0/24", 22, 1),
        (&inside, "10.1.128.0/24", 17, 1),
        (&inside, "10.0.0.0/24", 16, 0),
        // A prefix that is shorter than the answer is true for: the scope says so.
        (&inside, "10.1.0.0/16", 23, 1),
    ];
    for (operator, client, scope, first) in cases {
        let map = map(&edges, operator, &[]);
        let located = locate(&map, client);
        assert_eq!((located.scope, located.list[0]), (*scope, *first), "{client}");
    }
}

#[test]
fn the_operator_knows_better_than_the_database() {
    let operator = [
        ("10.0.0.0/8", Placement::Near(SEOUL)),
        ("10.1.0.0/16", Placement::Order(vec![2])),
        ("172.16.3.0/24", Placement::Near(SEOUL)),
    ];
    let database =
        [("10.1.0.0/16", FRANKFURT), ("10.2.3.0/24", FRANKFURT), ("172.16.0.0/12", FRANKFURT)];
    let map = map(&CITIES, &operator, &database);
    let cases = [
        ("10.1.2.3", 2, Source::Operator),
        ("10.2.3.4", 0, Source::Operator),
        ("10.255.255.255", 0, Source::Operator),
        ("172.16.3.0", 0, Source::Operator),
        ("172.16.4.0", 1, Source::Database),
        ("172.31.255.255", 1, Source::Database),
        ("172.32.0.0", 0, Source::Default),
        ("255.255.255.255", 0, Source::Default),
    ];
    for (client, first, source) in cases {
        let located = locate(&map, client);
        assert_eq!((located.list[0], located.source), (first, source), "{client}");
    }
}

#[test]
fn mapped_addresses_are_version_4() {
    let map = map(
        &CITIES,
        &[
            ("192.0.2.0/24", Placement::Order(vec![2])),
            ("2001:db8::/32", Placement::Order(vec![1])),
        ],
        &[],
    );
    let cases = [
        ("::ffff:192.0.2.1/128", 2, 96 + 24),
        ("::ffff:198.51.100.1/120", 0, 96 + 6),
        // Around a default network of version 6 lies no mapped address of another list.
        ("8000::/48", 0, 1),
        ("::1/128", 0, 81),
        ("2001:db8::/56", 1, 32),
    ];
    for (client, first, scope) in cases {
        let located = locate(&map, client);
        assert_eq!((located.list[0], located.scope), (first, scope), "{client}");
    }
}

#[test]
fn a_database_out_of_order_is_refused() {
    let mut builder = MapBuilder::new(&CITIES, []).unwrap();
    push(&mut builder, net("10.0.0.0/8"), SEOUL).unwrap();
    push(&mut builder, net("2001:db8::/32"), SEOUL).unwrap();
    for before in ["9.0.0.0/8", "10.0.0.0/8", "10.255.255.255/32", "10.0.0.0/6"] {
        let again = push(&mut builder, net(before), SEOUL);
        assert_eq!(again, Err(MapError::OutOfOrder), "{before}");
    }
    push(&mut builder, net("11.0.0.0/8"), SEOUL).unwrap();
    push(&mut builder, net("255.255.255.255/32"), SEOUL).unwrap();
    let beyond = push(&mut builder, net("255.255.255.255/32"), SEOUL);
    assert_eq!(beyond, Err(MapError::OutOfOrder));
    let seoul = builder.near(SEOUL);
    let (v4, v6) = ("10.0.0.1".parse().unwrap(), "2001:db9::".parse().unwrap());
    assert_eq!(builder.push(v4, v6, seoul), Err(MapError::OutOfOrder));
    assert_eq!(
        MapBuilder::new(&vec![SEOUL; 70_000], []).unwrap_err(),
        MapError::TooManyEdges(70_000)
    );
}

/// Edges at places of their own, that stand so and give up nothing.
fn apart(standings: &[Standing]) -> Fleet {
    let place = |index: usize| at(0.0, index as f64);
    let members = (0..standings.len()).map(|index| member(place(index), 1, index));
    fleet(members.collect(), standings, &[])
}

fn member(place: Point, weight: u32, index: usize) -> Member {
    Member { place, weight, seed: seed(&format!("edge{index}")) }
}

fn fleet(members: Vec<Member>, standings: &[Standing], shares: &[f64]) -> Fleet {
    let shares: Vec<Share> = shares.iter().map(|share| Share::of(*share)).collect();
    Fleet::new(Arc::new(Groups::new(members)), standings, shares.into())
}

/// A choice of one edge.
#[derive(Debug, PartialEq)]
enum Chosen {
    Edge(EdgeIndex),
    Despite(EdgeIndex),
    AllDown,
    NoAddress,
}

fn asked<'a>(list: &'a [GroupIndex], client: &str) -> Ask<'a> {
    let client = client.parse().unwrap();
    Ask { list: list.into(), client, scope: 0, site: 7, answers: 1, all_down: AllDown::Every }
}

fn chosen(list: &[GroupIndex], fleet: &Fleet, all_down: AllDown) -> Chosen {
    match choose(&Ask { all_down, ..asked(list, "192.0.2.1") }, fleet) {
        Choice::Edges(picks) => Chosen::Edge(picks.edges()[0]),
        Choice::Despite(picks) => Chosen::Despite(picks.edges()[0]),
        Choice::AllDown => Chosen::AllDown,
        Choice::NoAddress => Chosen::NoAddress,
    }
}

#[test]
fn choices() {
    use AllDown::{Every, Fail};
    use Chosen::{AllDown as Nobody, Despite, Edge, NoAddress};
    use Standing::{Absent, Down, Drained, Unchecked, Up};
    let cases: &[(&[GroupIndex], &[Standing], AllDown, Chosen)] = &[
        (&[1, 0, 2], &[Up, Up, Up], Every, Edge(1)),
        (&[1, 0, 2], &[Up, Down, Up], Every, Edge(0)),
        (&[1, 0, 2], &[Down, Down, Up], Every, Edge(2)),
        // Behind a short list stands the default order.
        (&[2], &[Down, Up, Down], Every, Edge(1)),
        (&[], &[Down, Up, Up], Every, Edge(1)),
        // Nobody gets an unchecked edge while a checked one is up; else, rather that than a down one.
        (&[1, 0, 2], &[Unchecked, Unchecked, Up], Every, Edge(2)),
        (&[1, 0, 2], &[Unchecked, Down, Down], Fail, Edge(0)),
        (&[1, 0], &[Unchecked, Unchecked], Fail, Edge(1)),
        // A drained one is left alone while another is up, and is better than a dead one.
        (&[1, 0, 2], &[Up, Drained, Up], Every, Edge(0)),
        (&[1, 0, 2], &[Unchecked, Drained, Down], Every, Edge(0)),
        (&[2, 0, 1], &[Down, Drained, Down], Fail, Edge(1)),
        // An edge without an address of this family is passed over.
        (&[1, 0, 2], &[Up, Absent, Up], Every, Edge(0)),
        (&[1, 0], &[Absent, Absent], Every, NoAddress),
        (&[], &[], Every, NoAddress),
        (&[1, 0, 2], &[Down, Absent, Down], Every, Despite(0)),
        (&[1, 0, 2], &[Down, Down, Down], Fail, Nobody),
    ];
    for (list, standings, policy, choice) in cases {
        let fleet = apart(standings);
        assert_eq!(chosen(list, &fleet, *policy), *choice, "{list:?} {standings:?}");
    }
}

/// Small networks of 10.0.0.0/8, so that they meet.
fn networks() -> impl Strategy<Value = Vec<(Ipv4Net, usize)>> {
    let network = (any::<u16>(), 8_u8..=24, 0_usize..4).prop_map(|(bits, length, place)| {
        let address = u32::from_be_bytes([10, 0, 0, 0]) | u32::from(bits) << 8;
        (Ipv4Net::new(address.into(), length).unwrap().trunc(), place)
    });
    prop::collection::vec(network, 0..12)
}

/// Ranges around there that don't meet, first and last address, in order; many are no networks.
fn ranges() -> impl Strategy<Value = Vec<(u32, u32, usize)>> {
    let range = (0_u32..1 << 24, 0_u32..1 << 20, 0_usize..4).prop_map(|(bits, length, place)| {
        let first = u32::from_be_bytes([10, 0, 0, 0]) | bits;
        (first, first + length, place)
    });
    prop::collection::vec(range, 0..12).prop_map(|mut ranges| {
        ranges.sort_unstable();
        ranges.dedup_by_key(|(first, ..)| *first);
        for index in 1..ranges.len() {
            // Some end where the next begins.
            ranges[index - 1].1 = ranges[index - 1].1.min(ranges[index].0 - 1);
        }
        ranges
    })
}

const PLACES: [Point; 4] = [SEOUL, FRANKFURT, ASHBURN, at(-33.9, 151.2)];

proptest! {
    /// Against the plain meaning: the operator's longest prefix, else the database's, else none.
    #[test]
    fn scopes_are_true_and_maximal(mut operator in networks(), database in ranges(), client: u16) {
        operator.sort();
        operator.dedup_by_key(|(prefix, _)| *prefix);
        let mut builder = MapBuilder::new(&CITIES, operator.iter().map(|(prefix, place)| {
            (IpNet::V4(*prefix), Placement::Near(PLACES[*place]))
        })).unwrap();
        for (first, last, place) in &database {
            let list = builder.near(PLACES[*place]);
            let [first, last] = [first, last].map(|address| IpAddr::V4((*address).into()));
            builder.push(first, last, list).unwrap();
        }
        let map = builder.build();

        let lists = PLACES.map(|place| distance::nearest(place, &CITIES.map(distance::Direction::of), 8));
        let meant = |address: u32| {
            let matching = operator.iter().filter(|(prefix, _)| prefix.contains(&Ipv4Addr::from(address)));
            let longest = matching.max_by_key(|(prefix, _)| prefix.prefix_len()).map(|(_, place)| *place);
            let mut around = database.iter().filter(|(first, last, _)| (*first..=*last).contains(&address));
            let place = longest.or_else(|| around.next().map(|(.., place)| *place));
            place.map_or(vec![0, 1, 2], |place| lists[place].clone())
        };

        let client = u32::from_be_bytes([10, 0, 0, 7]) | u32::from(client) << 8;
        let located = map.locate(IpAddr::V4(client.into()), 32);
        prop_assert_eq!(&*located.list, meant(client));
        let source = if operator.iter().any(|(prefix, _)| prefix.contains(&Ipv4Addr::from(client))) {
            Source::Operator
        } else if database.iter().any(|(first, last, _)| (*first..=*last).contains(&client)) {
            Source::Database
        } else {
            Source::Default
        };
        prop_assert_eq!(located.source, source);

        // Lists change where a network or range begins or has ended, and nowhere else.
        let networks = operator.iter().map(|(prefix, _)| (prefix.network().to_bits(), prefix.broadcast().to_bits()));
        let every = networks.chain(database.iter().map(|(first, last, _)| (*first, *last)));
        let changes: Vec<u32> = every.flat_map(|(first, last)| [first, last.wrapping_add(1)]).collect();
        let alike = |network: Ipv4Net| {
            let inside = changes.iter().copied().filter(|change| network.contains(&Ipv4Addr::from(*change)));
            inside.chain([network.network().to_bits()]).all(|address| *meant(address) == *located.list)
        };
        let scope = Ipv4Net::new(client.into(), located.scope).unwrap().trunc();
        prop_assert!(alike(scope), "{} is too large", scope);
        if let Some(larger) = scope.supernet() {
            prop_assert!(!alike(larger), "{} is true as well", larger);
        }
    }

    #[test]
    fn nobody_gets_a_down_edge_while_one_is_up(
        list in prop::collection::vec(0_u16..10, 0..8),
        standings in prop::collection::vec(0_u8..5, 0..10),
        fail: bool,
    ) {
        let standings: Vec<Standing> = standings.into_iter().map(|n| match n {
            0 => Standing::Absent,
            1 => Standing::Down,
            2 => Standing::Unchecked,
            3 => Standing::Drained,
            _ => Standing::Up,
        }).collect();
        let fleet = apart(&standings);
        let policy = if fail { AllDown::Fail } else { AllDown::Every };
        let has = |standing| standings.contains(&standing);
        match chosen(&list, &fleet, policy) {
            Chosen::Edge(edge) if has(Standing::Up) => {
                prop_assert_eq!(fleet.standing(edge), Standing::Up);
                // And the first such of the list.
                if let Some(first) = list.iter().find(|edge| fleet.standing(**edge) == Standing::Up) {
                    prop_assert_eq!(edge, *first);
                }
            }
            Chosen::Edge(edge) => {
                let next = if has(Standing::Unchecked) { Standing::Unchecked } else { Standing::Drained };
                prop_assert_eq!(fleet.standing(edge), next);
            }
            Chosen::Despite(edge) => {
                prop_assert!(!fail && !has(Standing::Up) && !has(Standing::Unchecked));
                prop_assert_eq!(fleet.standing(edge), Standing::Down);
            }
            Chosen::AllDown => prop_assert!(fail && !has(Standing::Up) && !has(Standing::Unchecked)),
            Chosen::NoAddress => prop_assert!(standings.iter().all(|s| *s == Standing::Absent)),
        }
    }
}
