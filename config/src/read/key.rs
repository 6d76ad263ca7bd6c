//! `[site.key]`.

use crate::reader::{Fault, Reader};
use crate::values::{choice, cookie_name, field_name, flag, parameter};
use crate::{FieldName, QueryKey, SiteKey, hearsay};

use super::plain;

/// Fields that can't tell one object from another, why, and what to do.
#[rustfmt::skip]
const SENSELESS: [(&[&str], &str, &str); 6] = [
    (&["host"], "the key has the site already, whichever of its hosts is asked for", REMOVE),
    (
        &["cookie", "set-cookie"],
        "all cookies together are another key for every client",
        "name those that matter: `cookies = [\"lang\"]`",
    ),
    (
        &["authorization", "proxy-authorization"],
        "answers to requests with credentials aren't stored unless the origin says `public`, and \
         those are for all",
        REMOVE,
    ),
    (
        &[
            "connection", "keep-alive", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade", "expect", "content-length", "max-forwards",
        ],
        "this field concerns a connection or a message, not an object",
        REMOVE,
    ),
    (
        &[
            "cache-control", "pragma", "range", "if-range", "if-match", "if-none-match",
            "if-modified-since", "if-unmodified-since",
        ],
        "this field says what to do with an object, not which one is meant",
        REMOVE,
    ),
    (&["cdn-loop", "via"], UNSEEN, REMOVE),
];

const UNSEEN: &str =
    "the edge removes this field or writes it itself: the origin never sees a client's";
const REMOVE: &str = "remove it from the list";

pub(super) fn key(table: &mut Reader<'_>) -> SiteKey {
    let query = query(table);
    let query_sort = table.get_or("query_sort", false, flag);
    let headers = headers(table);
    let cookies = table.list("cookies", r#""lang""#, cookie_name).unwrap_or_default();
    let ignore_case = table.get_or("ignore_case", false, flag);
    SiteKey { query, query_sort, headers, cookies: plain(cookies), ignore_case }
}

fn query(table: &mut Reader<'_>) -> QueryKey {
    let all = table.get_or("query", true, choice(&[("all", true), ("none", false)]));
    let keep = table.list("query_keep", r#""page""#, parameter);
    let drop = table.list("query_drop", r#""utm_*""#, parameter);
    let mut said = ["query", "query_keep", "query_drop"].into_iter().filter(|key| table.has(key));
    if let (Some(first), Some(second)) = (said.next(), said.next()) {
        let fault = Fault {
            message: format!("`{first}` and `{second}` exclude each other"),
            help: "keep the one that says which parameters belong to the key".to_owned(),
        };
        let place = table.span_of(first);
        table.problem(table.span_of(second), second, fault, |problem| {
            problem.related(place, "the other is here")
        });
    }
    match (keep, drop) {
        (Some(keep), _) => QueryKey::Keep(plain(keep)),
        (None, Some(drop)) => QueryKey::Drop(plain(drop)),
        (None, None) if all => QueryKey::All,
        (None, None) => QueryKey::None,
    }
}

fn headers(table: &mut Reader<'_>) -> Vec<FieldName> {
    let listed = table.list("headers", r#""X-Device""#, field_name).unwrap_or_default();
    for name in &listed {
        let text = name.get_ref().as_str();
        let known = SENSELESS.iter().find(|(names, ..)| names.contains(&text));
        let unseen = hearsay::is_spoken_for(text) || hearsay::steers(text);
        let senseless = known.map(|(_, reason, remedy)| (*reason, *remedy));
        if let Some((reason, remedy)) = senseless.or(unseen.then_some((UNSEEN, REMOVE))) {
            let message = format!("`{text}` can't be part of the key: {reason}");
            table.fault(name.span(), "headers", Fault { message, help: remedy.to_owned() });
        }
    }
    plain(listed)
}
