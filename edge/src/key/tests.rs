use std::path::Path;

use http::HeaderValue;
use kingcdn_config::Config;
use proptest::prelude::*;

use super::*;

/// The rules that these lines of `[site.key]` say.
fn rules(lines: &str) -> KeyRules {
    let text = format!(
        "[[edge]]\nname = \"seoul\"\nlocation = [0, 0]\n[[site]]\nname = \"netcinema\"\n\
         hosts = [\"video.netcinema.test\"]\norigin = [\"http://192.0.2.1\"]\n[site.key]\n{lines}\n"
    );
    match Config::parse(&text, Path::new("key.toml")) {
        Ok(loaded) => KeyRules::new(&loaded.config.sites[0].key),
        Err(report) => panic!("{report}"),
    }
}

fn target(rules: &KeyRules, target: &str) -> String {
    rules.target(&target.parse().unwrap()).unwrap().to_string()
}

fn key(rules: &KeyRules, target: &str, fields: &[(&'static str, &str)]) -> Key {
    let mut headers = HeaderMap::new();
    for &(name, value) in fields {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let target = rules.target(&target.parse().unwrap()).unwrap();
    rules.key("netcinema", &target, &headers)
}

#[test]
fn by_default_site_and_target_name_an_object_byte_by_byte() {
    let key = Key::new("netcinema", "/film?part=1");
    assert_eq!(key, Key::new("netcinema", "/film?part=1"));
    for (site, target) in [
        ("netcinema", "/film?part=2"),
        ("netcinema", "/film"),
        ("netcinema", "/film?"),
        ("netcinema", "/Film?part=1"),
        ("netcinema", "/film?part=%31"),
        ("other", "/film?part=1"),
        ("netcinema/film", "?part=1"),
    ] {
        assert_ne!(key, Key::new(site, target), "{site} {target}");
    }
}

#[test]
fn by_default_a_target_is_left_as_it_is() {
    let rules = rules("");
    for given in ["/", "/a?", "/a?&b=2&&a=1&", "/A%2f//../b;c?x=%41?y", "*"] {
        assert!(matches!(rules.normal(given), Cow::Borrowed(same) if same == given), "{given}");
    }
}

#[test]
fn the_query_that_counts() {
    const KEEP: &str = "query_keep = [\"a\", \"p*\"]";
    const DROP: &str = "query_drop = [\"utm_*\", \"fbclid\"]";
    for (lines, given, expected) in [
        ("query = \"none\"", "/f?a=1", "/f"),
        ("query = \"none\"", "/f?", "/f"),
        ("query = \"none\"", "/f", "/f"),
        (KEEP, "/f?b=1&a=2&page=3&a=1", "/f?a=2&page=3&a=1"),
        (KEEP, "/f?b=1", "/f"),
        (KEEP, "/f?a", "/f?a"),
        (KEEP, "/f?a=", "/f?a="),
        (KEEP, "/f?A=1&%61=1&ab=1&xp=1", "/f"),
        (KEEP, "/f?&&a=1&", "/f?a=1"),
        (DROP, "/f?b=1&utm_source=x&a=2&fbclid=y", "/f?b=1&a=2"),
        (DROP, "/f?utm_=1", "/f"),
        (DROP, "/f?utm=1&fbclid2=1&xutm_=1&UTM_a=1", "/f?utm=1&fbclid2=1&xutm_=1&UTM_a=1"),
        (DROP, "/f?%75tm_a=1", "/f?%75tm_a=1"),
        (DROP, "/f?utm_a=1&", "/f?"),
        (DROP, "/f?a=1?utm_b=2", "/f?a=1?utm_b=2"),
        ("query_sort = true", "/f?b=1&a=2&b=0&a=1", "/f?a=2&a=1&b=1&b=0"),
        ("query_sort = true", "/f?a-b=1&a=2&a%3d=3", "/f?a=2&a%3d=3&a-b=1"),
        ("query_sort = true", "/B?a", "/B?a"),
        ("query_sort = true\nquery_drop = [\"b\"]", "/f?c&b&a", "/f?a&c"),
    ] {
        assert_eq!(target(&rules(lines), given), expected, "{lines}: {given}");
    }
}

#[test]
fn case_is_ignored_in_the_path_alone() {
    let rules = rules("ignore_case = true");
    assert_eq!(target(&rules, "/Film%2F/ABC.Mp4?Part=A"), "/film%2f/abc.mp4?Part=A");
    assert_eq!(target(&rules, "/%41"), "/%41", "nothing is decoded");
}

/// Origins read URLs in other ways than we do. Whatever a client hides in what isn't part of the
/// key, the origin doesn't get it.
#[test]
fn what_is_not_in_the_key_does_not_reach_the_origin() {
    let rules = rules("query_drop = [\"utm_*\"]");
    for given in [
        "/f?utm_a=1;callback=evil",
        "/f?utm_a=1%26callback=evil",
        "/f?utm_a[callback]=evil",
        "/f?utm_a=?callback=evil",
        "/f?utm_callback",
    ] {
        assert_eq!(target(&rules, given), "/f", "{given}");
    }
    // Here it does, and the key says so.
    for given in ["/f?a=1;utm_a=evil", "/f?;utm_a=evil", "/f?%75tm_a=evil", "/f;utm_a=evil"] {
        assert_eq!(target(&rules, given), given);
    }
}

#[test]
fn fields_count_with_every_line_and_absent_is_not_empty() {
    let rules = rules("headers = [\"X-Device\", \"X-Zone\"]");
    let requests: [&[(&str, &str)]; 9] = [
        &[],
        &[("x-device", "")],
        &[("x-zone", "")],
        &[("x-device", "tv")],
        &[("x-device", "TV")],
        &[("x-device", "tv"), ("x-device", "tv")],
        &[("x-device", "tv, tv")],
        &[("x-device", "tv"), ("x-zone", "tv")],
        &[("x-zone", "tv")],
    ];
    for (index, one) in requests.iter().enumerate() {
        for (other_index, other) in requests.iter().enumerate() {
            let same = key(&rules, "/", one) == key(&rules, "/", other);
            assert_eq!(same, index == other_index, "{one:?} {other:?}");
        }
    }
    assert_eq!(key(&rules, "/", &[("accept", "x")]), key(&rules, "/", &[]));
}

#[test]
fn cookies_count_by_name() {
    let rules = rules("cookies = [\"lang\"]");
    let with = |cookie: &str| key(&rules, "/", &[("cookie", cookie)]);
    let korean = with("lang=ko");
    for same in
        ["lang=ko; id=1", "id=1;lang=ko", "id=1 ;  lang=ko ", "x=lang=en; lang=ko", "lang =ko"]
    {
        assert_eq!(with(same), korean, "{same}");
    }
    let absent = key(&rules, "/", &[]);
    for other in
        ["lang=en", "Lang=ko", "lang=", "lang=ko; lang=en", "lang=en; lang=ko", "lang=ko=", "lang"]
    {
        assert_ne!(with(other), korean, "{other}");
    }
    for none in ["Lang=ko", "xlang=ko", "lang", "", ";;="] {
        assert_eq!(with(none), absent, "{none}");
    }
    assert_ne!(with("lang="), absent);
    let in_two_lines = key(&rules, "/", &[("cookie", "id=1"), ("cookie", "lang=ko")]);
    assert_eq!(in_two_lines, korean);
}

#[test]
fn a_key_with_inputs_names_the_same_object() {
    let rules = rules("headers = [\"X-Device\"]");
    let (tv, phone) =
        (key(&rules, "/", &[("x-device", "tv")]), key(&rules, "/", &[("x-device", "phone")]));
    assert!(tv.object == phone.object);
    assert!(tv.inputs != phone.inputs);
}

/// A request in parts, from few names and values so that equal ones are common.
fn parts() -> impl Strategy<Value = (String, Option<Vec<String>>)> {
    let parameter = "(a|b|utm_a|B|%61|)(=[01=?;]?)?";
    ("/[aA]?/?", prop::option::of(prop::collection::vec(parameter, 1..4)))
}

fn written((path, query): &(String, Option<Vec<String>>)) -> String {
    match query {
        Some(parameters) => format!("{path}?{}", parameters.join("&")),
        None => path.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Two requests share a key just where what the rules leave of them is the same.
    #[test]
    fn keys_are_shared_by_the_rules_alone(
        one in parts(),
        other in parts(),
        query in 0..4_usize,
        sort: bool,
        ignore_case: bool,
    ) {
        let said = ["query = \"all\"", "query = \"none\"", "query_keep = [\"a\"]",
            "query_drop = [\"utm_*\"]"][query];
        let rules = rules(&format!("{said}\nquery_sort = {sort}\nignore_case = {ignore_case}"));
        let counts = |parameter: &String| {
            let name = parameter.split('=').next().unwrap();
            [true, false, name == "a", !name.starts_with("utm_")][query]
        };
        let left = |(path, parameters): &(String, Option<Vec<String>>)| {
            let path = if ignore_case { path.to_lowercase() } else { path.clone() };
            let parameters = parameters.iter().flatten().filter(|p| counts(p)).cloned();
            let mut parameters: Vec<String> = parameters.collect();
            if sort {
                parameters.sort_by(|a, b| a.split('=').next().cmp(&b.split('=').next()));
            }
            (path, parameters)
        };
        let shared = key(&rules, &written(&one), &[]) == key(&rules, &written(&other), &[]);
        prop_assert_eq!(shared, left(&one) == left(&other));
        prop_assert_eq!(shared, target(&rules, &written(&one)) == target(&rules, &written(&other)));
    }

    #[test]
    fn what_the_rules_leave_they_leave_again(given in parts(), lines in prop::sample::select(vec![
        "query = \"none\"", "query_keep = [\"a\"]", "query_drop = [\"utm_*\"]",
        "query_sort = true\nignore_case = true",
    ])) {
        let rules = rules(lines);
        let once = target(&rules, &written(&given));
        prop_assert_eq!(target(&rules, &once), once);
    }

    #[test]
    fn no_two_sets_of_values_run_together(
        one in prop::collection::vec(("x-[ab]", "[ab,;=]{0,3}"), 0..4),
        other in prop::collection::vec(("x-[ab]", "[ab,;=]{0,3}"), 0..4),
    ) {
        let rules = rules("headers = [\"X-A\", \"X-B\"]");
        let headers = |lines: &[(String, String)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        let values = |lines: &[(String, String)]| ["x-a", "x-b"].map(|name| {
            let values = lines.iter().filter(|line| line.0 == name);
            values.map(|line| line.1.clone()).collect::<Vec<_>>()
        });
        let root = PathAndQuery::from_static("/");
        let key = |lines| rules.key("netcinema", &root, &headers(lines));
        prop_assert_eq!(key(&one) == key(&other), values(&one) == values(&other));
    }
}

#[test]
fn a_remembered_key_is_the_one_that_would_be_worked_out() {
    // More than are remembered, of two sites, each asked for twice and in another order.
    let targets: Vec<_> = (0..3 * Recent::SLOTS).map(|number| format!("/{number}")).collect();
    let long = format!("/{}", "x".repeat(Recent::TARGET_BYTES_MAX));
    for target in targets.iter().chain([&long]).chain(targets.iter().rev()) {
        for site in ["film", "shop"] {
            for _ in 0..2 {
                assert_eq!(Key::new(site, target).object, ObjectKey::new(site, target));
            }
        }
    }
}
