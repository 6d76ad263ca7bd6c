//! Scenarios told in lines: what the origin answers, what a client asks, what it gets.
//!
//! Each file in `scenarios/` holds some. `edge/CACHING.md` names them beside what they show.
//!
//! ```text
//! #### name_of_the_scenario
//! site default_ttl = "1m"                      lines for [site.cache]; heuristics are on anyway
//! origin 200 | Cache-Control: max-age=60       from now on; `origin /a 200` for that target alone;
//!                                              its content is #1, the next one's #2, or what
//!                                              follows a `=`
//! get | Accept: */*                            in whatever method; `get /a` for another target
//! -> miss 200 #1 fwd=uri-miss | Age: 0 | -ETag what the client gets: the metric's label, status,
//!                                              content, parts of Cache-Status, fields
//! => Accept: */* | -Range                      what the origin was asked last
//! wait 60                                      seconds
//! ```
//!
//! `{+60}` is the date in 60 seconds. After each answer, metric, Cache-Status and the origin's
//! count of requests have to tell the same story.

#![allow(clippy::unwrap_used, clippy::panic)] // What fails here fails the test.

mod stage;

use std::cell::Cell;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use stage::{Answer, Got, Stage};

const LABELS: [&str; 6] = ["hit", "stale", "revalidated", "miss", "bypass", "error"];

struct Scenario<'a> {
    name: &'a str,
    site: String,
    steps: Vec<&'a str>,
}

/// A scenario under way.
struct Play {
    stage: Stage,
    answers: usize,
    last: Option<(Got, &'static str)>,
    seen_before: usize,
}

fn scenarios(text: &str) -> Vec<Scenario<'_>> {
    let read = |text| -> Scenario<'_> {
        let (name, steps) = str::split_once(text, '\n').unwrap();
        let steps = steps.lines().map(str::trim).filter(|line| !line.is_empty());
        let (site, steps): (Vec<&str>, Vec<&str>) =
            steps.partition(|line| line.starts_with("site "));
        let site: String =
            site.iter().map(|line| format!("{}\n", line.trim_start_matches("site "))).collect();
        Scenario { name: name.trim(), site, steps }
    };
    text.split("#### ").skip(1).map(read).collect()
}

impl Play {
    async fn step(&mut self, line: &str) {
        let (head, fields) = line.split_once('|').unwrap_or((line, ""));
        let (verb, words) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
        let words: Vec<&str> = words.split_whitespace().collect();
        match verb {
            "origin" => self.origin(&words, &self.fields(fields)),
            "->" => self.expect(&words, fields),
            "=>" => self.expect_seen(line.trim_start_matches("=>")),
            "wait" => self.stage.elapse(words[0].parse().unwrap()),
            method => self.ask(method, words.first().unwrap_or(&"/"), &self.fields(fields)).await,
        }
    }

    /// `Name: value` between bars, with dates in them. `=content` comes as a field without name.
    fn fields(&self, text: &str) -> Vec<(String, String)> {
        let text = self.dated(text);
        let fields = text.split('|').map(str::trim).filter(|field| !field.is_empty());
        fields
            .map(|field| match field.strip_prefix('=') {
                Some(content) => (String::new(), content.to_owned()),
                None => {
                    let (name, value) = field.split_once(':').unwrap_or((field, ""));
                    (name.trim().to_ascii_lowercase(), value.trim().to_owned())
                }
            })
            .collect()
    }

    fn dated(&self, text: &str) -> String {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (secs, after) = after.split_once('}').unwrap();
            let secs: i64 = secs.parse().unwrap();
            let moment = self.stage.clock.now().as_secs() + secs;
            let moment = UNIX_EPOCH + Duration::from_secs(moment.unsigned_abs());
            whole.extend([before, &httpdate::fmt_http_date(moment)]);
            rest = after;
        }
        whole + rest
    }

    fn origin(&mut self, words: &[&str], fields: &[(String, String)]) {
        let (target, status) = match words {
            [target, status] => (*target, status),
            [status] => ("/", status),
            other => panic!("{other:?}"),
        };
        self.answers += 1;
        let mut answer = Answer::new(status.parse().unwrap());
        let mut content = format!("#{}", self.answers);
        for (name, value) in fields {
            if name.is_empty() {
                content.clone_from(value);
            } else {
                answer = answer.field(name, value);
            }
        }
        if !matches!(*status, "204" | "304") {
            answer = answer.send(content);
        }
        self.stage.origin.on(target, answer);
    }

    async fn ask(&mut self, method: &str, target: &str, fields: &[(String, String)]) {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let before = LABELS.map(|label| self.stage.counted(label));
        self.seen_before = self.stage.origin.count();
        let got = self.stage.ask(method, target, &fields).await;
        // An answer is counted when its last byte has been handed over.
        let label = loop {
            let counted = LABELS
                .iter()
                .zip(before)
                .find(|(label, before)| self.stage.counted(label) > *before);
            match counted {
                Some((label, _)) => break *label,
                None => tokio::task::yield_now().await,
            }
        };
        self.is_one_story(&got, label);
        self.last = Some((got, label));
    }

    /// RFC 9211: what `Cache-Status` says is what happened.
    fn is_one_story(&self, got: &Got, label: &str) {
        let said = got.cache();
        let has =
            |wanted: &str| said.split("; ").any(|part| part.split('=').next() == Some(wanted));
        let asked = self.stage.origin.count() > self.seen_before;
        let stale = said.contains("ttl=-") || said.contains("ttl=0");
        let true_story = match label {
            "hit" => has("hit") && !asked && !said.contains("ttl=-"),
            "stale" => stale && (has("hit") || said.contains("fwd=stale")),
            "revalidated" => asked && has("fwd") && said.contains("fwd-status=304"),
            "miss" | "bypass" => asked && has("fwd") && has("fwd-status") && !has("hit"),
            "error" => has("detail") && !has("hit") && !has("stored"),
            other => panic!("{other}"),
        };
        assert!(true_story, "the metric says {label}, Cache-Status {said:?}, fetched: {asked}");
        // Who says that it was stored knows for how long, and who says why it wasn't didn't.
        assert!(!has("stored") || (has("ttl") && !has("detail")), "{said}");
    }

    fn expect(&self, words: &[&str], fields: &str) {
        let (got, label) = self.last.as_ref().unwrap();
        let context = || format!("{label} {} {:?} {:?}", got.status, got.cache(), got.headers);
        for (place, word) in words.iter().enumerate() {
            let holds = match word.parse::<u16>() {
                Ok(status) => got.status == status,
                Err(_) if place == 0 => label == word,
                Err(_) if word.starts_with('#') => got.text() == *word,
                Err(_) => match word.strip_prefix('!') {
                    Some(absent) => !got.cache().split("; ").any(|part| part == absent),
                    None => got.cache().split("; ").any(|part| part == *word),
                },
            };
            assert!(holds, "`{word}` isn't so: {}", context());
        }
        for (name, value) in self.fields(fields) {
            match name.strip_prefix('-') {
                Some(absent) => assert!(!got.headers.contains_key(absent), "{}", context()),
                None if name.is_empty() => assert_eq!(got.text(), value, "{}", context()),
                None => assert_eq!(got.field(&name), value, "{name}: {}", context()),
            }
        }
    }

    fn expect_seen(&self, fields: &str) {
        assert!(self.stage.origin.count() > self.seen_before, "nothing was asked");
        let seen = self.stage.origin.last();
        for (name, value) in self.fields(fields) {
            match name.strip_prefix('-') {
                Some(absent) => assert!(!seen.headers.contains_key(absent), "{seen:?}"),
                None => assert_eq!(seen.field(&name), value, "{name}: {seen:?}"),
            }
        }
    }
}

/// `at` is the line that is being played.
async fn play<'a>(scenario: &Scenario<'a>, at: &Cell<&'a str>) {
    let heuristic = if scenario.site.contains("heuristic =") { "" } else { "heuristic = true\n" };
    let site = format!("[site.cache]\n{heuristic}{}", scenario.site);
    let stage = Stage::with(&site).await;
    let mut play = Play { stage, answers: 0, last: None, seen_before: 0 };
    for line in &scenario.steps {
        at.set(line);
        play.step(line).await;
    }
}

#[test]
fn scenarios_come_true() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut count, mut failed) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for scenario in scenarios(&text) {
            count += 1;
            let at = Cell::new("");
            let played = AssertUnwindSafe(|| runtime.block_on(play(&scenario, &at)));
            if std::panic::catch_unwind(played).is_err() {
                failed.push(format!("{} at `{}`", scenario.name, at.get()));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count} scenarios fail: {failed:#?}", failed.len());
    assert!(count >= 300, "only {count} scenarios");
    // Past the capture of tests' output: every run says it.
    let _said = writeln!(std::io::stderr(), "scenarios through the whole edge: {count}");
}
