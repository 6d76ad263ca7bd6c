use std::path::Component;

use proptest::prelude::*;

use super::*;

fn name(path: &str) -> Result<String, PathRefusal> {
    SitePath::parse(path).map(|path| path.as_path().to_string_lossy().into_owned())
}

#[test]
fn a_path_names_one_file() {
    let table = [
        ("/", "index.html"),
        ("/film/", "film/index.html"),
        ("/film", "film"),
        ("/film/0-01.m4s", "film/0-01.m4s"),
        ("/a%20b.txt", "a b.txt"),
        ("/caf%C3%A9.txt", "café.txt"),
        ("/100%25.txt", "100%.txt"),
        ("/%252e%252e/x", "%2e%2e/x"),
        ("/.well-known/security.txt", ".well-known/security.txt"),
        ("/a..b", "a..b"),
    ];
    for (path, expected) in table {
        assert_eq!(name(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_names_no_file_is_refused_with_its_reason() {
    use PathRefusal::*;
    let table = [
        ("", Relative),
        ("*", Relative),
        ("film", Relative),
        ("/..", Hidden),
        ("/../etc/passwd", Hidden),
        ("/film/../../etc/passwd", Hidden),
        ("/%2e%2e/etc/passwd", Hidden),
        ("/.%2E/etc/passwd", Hidden),
        ("/.", Hidden),
        ("/./film", Hidden),
        ("/...", Hidden),
        ("/.git/config", Hidden),
        ("/.well-known/.git", Hidden),
        ("//etc/passwd", Empty),
        ("/film//x", Empty),
        ("//", Empty),
        ("/..%2fetc%2fpasswd", Character),
        ("/film%2Fx", Character),
        ("/..\\etc", Character),
        ("/..%5cetc", Character),
        ("/a%0d%0ab", Character),
        ("/a%7f", Character),
        ("/index.html%00.png", Nul),
        ("/%", Escape),
        ("/%4", Escape),
        ("/%zz", Escape),
        ("/%+1", Escape),
    ];
    for (path, expected) in table {
        assert_eq!(name(path), Err(expected), "{path}");
    }
}

#[test]
fn the_file_name_is_the_last_segment_in_lower_case() {
    for (path, expected) in
        [("/A/B.M4S", "b.m4s"), ("/", "index.html"), ("/a/%FF.mp4", "\u{fffd}.mp4")]
    {
        let path = SitePath::parse(path).unwrap();
        assert_eq!(path.file_name(), expected);
    }
}

proptest! {
    #[test]
    fn no_path_leads_out_of_the_root(
        path in "(/(\\.|%2e|%2E|%2f|%5c|%00|%|/|\\\\|[a-z]){0,6}){0,5}"
    ) {
        if let Ok(path) = SitePath::parse(&path) {
            prop_assert!(!path.as_path().as_os_str().is_empty());
            for component in path.as_path().components() {
                prop_assert!(matches!(component, Component::Normal(_)), "{component:?}");
            }
        }
    }

    #[test]
    fn no_text_is_too_strange(path in "\\PC*") {
        let _ = SitePath::parse(&path);
    }
}
