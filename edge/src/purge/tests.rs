use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::journal::{decode, encode, record};
use super::*;

const ROOM: usize = 1000;

fn tagged(names: &[&str]) -> tags::Tags {
    let mut headers = HeaderMap::new();
    headers.insert("surrogate-key", HeaderValue::from_str(&names.join(" ")).unwrap());
    tags(&headers)
}

fn object(purges: &Purges, site: &str, target: &str, names: &[&str]) -> Birth {
    Birth::new(purges.moment(), site, target, &tagged(names))
}

#[test]
fn a_purge_concerns_what_it_names_and_nothing_else() {
    use Scope::{Everything, Object, Prefix, Site, Tag};
    let purges = Purges::new(1, ROOM);
    let film = object(&purges, "film", "/a/b/c.mp4?x=1", &["hero", "season"]);
    for (scope, concerned) in [
        (Everything, true),
        (Site("film"), true),
        (Site("shop"), false),
        (Prefix("film", "/"), true),
        (Prefix("film", "/a/"), true),
        (Prefix("film", "/a/b/"), true),
        (Prefix("film", "/a/b/cut"), true), // What follows the last `/` doesn't count.
        (Prefix("film", "/a/b/c.mp4/"), false),
        (Prefix("film", "/b/"), false),
        (Prefix("shop", "/a/"), false),
        (Tag("film", b"hero"), true),
        (Tag("film", b"season"), true),
        (Tag("film", b"Hero"), false),
        (Tag("shop", b"hero"), false),
        (Object("film", "/a/b/c.mp4?x=1"), true),
        (Object("film", "/a/b/c.mp4"), false),
        (Object("shop", "/a/b/c.mp4?x=1"), false),
    ] {
        for (mode, verdict) in [(Mode::Soft, Verdict::Stale), (Mode::Hard, Verdict::Gone)] {
            let mut purges = purges.clone();
            assert_eq!(purges.verdict(&film), Verdict::Live);
            purges.purge(scope, mode);
            let expected = if concerned { verdict } else { Verdict::Live };
            assert_eq!(purges.verdict(&film), expected, "{scope:?}");
            let later = film.renewed(purges.moment());
            assert_eq!(purges.verdict(&later), Verdict::Live, "fetched after: {scope:?}");
        }
    }
}

#[test]
fn what_was_being_fetched_goes_too() {
    let mut purges = Purges::new(1, ROOM);
    let began = purges.moment();
    purges.purge(Scope::Tag("film", b"hero"), Mode::Hard);
    let arrived = Birth::new(began, "film", "/", &tagged(&["hero"]));
    assert_eq!(purges.verdict(&arrived), Verdict::Gone);
}

#[test]
fn a_hard_purge_outweighs_a_soft_one_in_any_order() {
    for modes in [[Mode::Soft, Mode::Hard], [Mode::Hard, Mode::Soft]] {
        let mut purges = Purges::new(1, ROOM);
        let film = object(&purges, "film", "/", &[]);
        for mode in modes {
            purges.purge(Scope::Object("film", "/"), mode);
        }
        assert_eq!(purges.verdict(&film), Verdict::Gone);
    }
}

#[test]
fn a_full_table_purges_more_rather_than_less() {
    let mut purges = Purges::new(1, 3);
    let first = object(&purges, "film", "/0", &[]);
    let bystander = object(&purges, "film", "/bystander", &[]);
    let other_site = object(&purges, "shop", "/0", &[]);
    for number in 0..3 {
        purges.purge(Scope::Object("film", &format!("/{number}")), Mode::Hard);
    }
    assert_eq!(purges.verdict(&bystander), Verdict::Live);
    purges.purge(Scope::Object("film", "/3"), Mode::Hard);
    assert_eq!(purges.verdict(&first), Verdict::Gone);
    assert_eq!(purges.verdict(&bystander), Verdict::Gone, "the site goes with the oldest");
    assert_eq!(purges.verdict(&other_site), Verdict::Live);
    for number in 0..10_000 {
        purges.purge(Scope::Object("film", &format!("/{number}")), Mode::Hard);
        purges.purge(Scope::Site(&format!("s{number}")), Mode::Hard);
    }
    assert!(purges.len() <= 3 + 4096);
    assert_eq!(purges.verdict(&other_site), Verdict::Gone, "sites are bounded, too");
}

#[test]
fn an_object_of_another_lineage_is_gone() {
    let old = object(&Purges::new(1, ROOM), "film", "/", &[]);
    assert_eq!(Purges::new(2, ROOM).verdict(&old), Verdict::Gone);
}

#[test]
fn deep_paths_go_with_the_folder_above() {
    let mut purges = Purges::new(1, ROOM);
    let deep = format!("/{}x", "a/".repeat(50));
    let film = object(&purges, "film", &deep, &[]);
    purges.purge(Scope::Prefix("film", &format!("/{}", "a/".repeat(40))), Mode::Hard);
    assert_eq!(purges.verdict(&film), Verdict::Gone);
}

#[test]
fn tags_are_read_in_three_ways() {
    for (name, value, expected) in [
        ("surrogate-key", "a  b\ta", vec!["a", "b"]),
        ("cache-tag", "a, b c ,,", vec!["a", "b c"]),
        ("cache-groups", r#""a", "b c";x=1, d, 7"#, vec!["a", "b c"]),
        ("cache-groups", r#""a", "#, vec![]),
        ("surrogate-key", "", vec![]),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        let read = tags(&headers);
        let kept: Vec<_> = read.kept().map(|tag| std::str::from_utf8(tag).unwrap()).collect();
        assert_eq!(kept, expected, "{name}: {value}");
    }
}

#[test]
fn an_object_with_too_many_tags_goes_with_any() {
    let many: Vec<String> = (0..1000).map(|number| format!("t{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut purges = Purges::new(1, ROOM);
    let film = object(&purges, "film", "/", &many);
    assert!(film.scopes.len() < 200);
    purges.purge(Scope::Tag("film", b"t999"), Mode::Soft);
    assert_eq!(purges.verdict(&film), Verdict::Stale);
}

/// A purge or an object of a small world, in which much meets.
#[derive(Debug, Clone)]
enum Step {
    Store(usize, String, Vec<String>),
    Purge(usize, usize, String, bool),
}

const SITES: [&str; 3] = ["a", "b", "c"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = "(/[xy]){1,3}";
    let store = (0..3_usize, path, prop::collection::vec("[tuv]", 0..3))
        .prop_map(|(site, path, tags)| Step::Store(site, path, tags));
    let purge = (0..5_usize, 0..3_usize, "[tuv]|(/[xy]){1,3}/?", any::<bool>())
        .prop_map(|(kind, site, name, hard)| Step::Purge(kind, site, name, hard));
    prop::collection::vec(prop_oneof![store, purge], 0..60)
}

fn scope<'a>(kind: usize, site: usize, name: &'a str) -> Scope<'a> {
    let site = SITES[site];
    match kind {
        0 => Scope::Everything,
        1 => Scope::Site(site),
        2 => Scope::Prefix(site, name),
        3 => Scope::Tag(site, name.as_bytes()),
        _ => Scope::Object(site, name),
    }
}

/// What a scan of everything stored would find.
fn concerns(scope: Scope<'_>, site: &str, path: &str, tags: &[String]) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::Site(of) => of == site,
        Scope::Prefix(of, prefix) => {
            let folder = prefix.rfind('/').map_or("/", |at| &prefix[..=at]);
            of == site && path.starts_with(folder)
        }
        Scope::Tag(of, tag) => of == site && tags.iter().any(|known| known.as_bytes() == tag),
        Scope::Object(of, target) => of == site && target == path,
    }
}

proptest! {
    #[test]
    fn it_is_what_a_scan_would_do(steps in steps(), room in 1_usize..40) {
        let mut roomy = Purges::new(7, ROOM);
        let mut narrow = Purges::new(7, room);
        let mut journal = encode(&narrow);
        let mut stored: Vec<(Birth, usize, String, Vec<String>, Verdict)> = Vec::new();
        for step in steps {
            match step {
                Step::Store(site, path, names) => {
                    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
                    let birth = object(&roomy, SITES[site], &path, &refs);
                    stored.push((birth, site, path, names, Verdict::Live));
                }
                Step::Purge(kind, site, name, hard) => {
                    let (scope, mode) =
                        (scope(kind, site, &name), if hard { Mode::Hard } else { Mode::Soft });
                    journal.extend(narrow.marks(scope, mode).flat_map(record));
                    roomy.purge(scope, mode);
                    narrow.purge(scope, mode);
                    let verdict = if hard { Verdict::Gone } else { Verdict::Stale };
                    for (_, site, path, names, known) in &mut stored {
                        if concerns(scope, SITES[*site], path, names) {
                            *known = verdict.max(*known);
                        }
                    }
                }
            }
        }
        let again = decode(&journal, room).expect("a good journal");
        let compact = decode(&encode(&narrow), room).expect("a good snapshot");
        prop_assert_eq!(again.moment(), roomy.moment());
        prop_assert_eq!(compact.moment(), roomy.moment());
        for (birth, _, path, _, expected) in &stored {
            prop_assert_eq!(roomy.verdict(birth), *expected, "{}", path);
            prop_assert!(narrow.verdict(birth) >= *expected, "{} escapes", path);
            prop_assert_eq!(again.verdict(birth), narrow.verdict(birth), "{} replayed", path);
            prop_assert_eq!(compact.verdict(birth), narrow.verdict(birth), "{} snapshot", path);
        }
    }

    #[test]
    fn a_damaged_journal_forgets_nothing(cut in 0_usize..400, at in 0_usize..400, bit in 0_u8..8) {
        let mut purges = Purges::new(7, ROOM);
        let film = object(&purges, "film", "/", &[]);
        let mut journal = encode(&purges);
        let acknowledged = journal.len() + 40;
        for number in 0..6 {
            let scope = Scope::Object("film", if number == 0 { "/" } else { "/other" });
            journal.extend(purges.marks(scope, Mode::Hard).flat_map(record));
            purges.purge(scope, Mode::Hard);
        }
        let verdict = |journal: &[u8]| {
            decode(journal, ROOM).unwrap_or_else(|| Purges::new(8, ROOM)).verdict(&film)
        };
        prop_assert_eq!(verdict(&journal), Verdict::Gone);
        let torn = &journal[..cut.min(journal.len())];
        if torn.len() >= acknowledged {
            prop_assert_eq!(verdict(torn), Verdict::Gone);
        }
        let at = at % journal.len();
        journal[at] ^= 1 << bit;
        prop_assert_eq!(verdict(&journal), Verdict::Gone, "byte {}", at);
    }
}

#[test]
fn purges_survive_in_a_file_of_bounded_length() {
    let folder = std::env::temp_dir().join(format!("kingcdn-purge-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("purges");
    let mut purges = Purges::new(5, ROOM);
    let mut journal = Journal::begin(&path, &purges).unwrap();
    let film = object(&purges, "film", "/", &["hero"]);
    let other = object(&purges, "film", "/other", &[]);
    journal.write(&purges, Scope::Tag("film", b"hero"), Mode::Soft).unwrap();
    purges.purge(Scope::Tag("film", b"hero"), Mode::Soft);
    let length = || std::fs::metadata(&path).unwrap().len();
    let mut longest = 0;
    for _ in 0..600 {
        journal.write(&purges, Scope::Tag("film", b"x"), Mode::Soft).unwrap();
        purges.purge(Scope::Tag("film", b"x"), Mode::Soft);
        longest = longest.max(length());
    }
    assert!(length() < longest, "it was written anew meanwhile");
    drop(journal);
    let Ok(Found::Purges(again)) = Journal::read(&path, ROOM) else { panic!("unreadable") };
    assert_eq!((again.verdict(&film), again.verdict(&other)), (Verdict::Stale, Verdict::Live));
    assert_eq!(again.moment(), purges.moment());
    std::fs::write(&path, "something else").unwrap();
    assert!(matches!(Journal::read(&path, ROOM), Ok(Found::Damaged)));
    std::fs::remove_dir_all(&folder).unwrap();
}
