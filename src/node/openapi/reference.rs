//! The reference of the API in the README: a table with a line for each route.

use super::doc::Doc;
use super::documented;
use crate::front::rights::Right;
use crate::node::permission::Needs;
use crate::node::routes::{Route, ROUTES};

/// A route's path in the words of the README.
pub fn shown(pattern: &str) -> String {
    // However many parts of an event's name there are, they are told in one line.
    let pattern = match pattern.split_once("/:part") {
        Some((before, _)) => format!("{before}/PART/…"),
        None => pattern.to_owned(),
    };
    let pattern = pattern.replace(":node", "NODE");
    let pattern = pattern.replace(":session", "S").replace(":job", "L");
    let pattern = pattern.replace(":key", "K").replace(":user", "U").replace(":hook", "HOOK");
    let pattern = pattern.replace(":name", "NAME").replace("*rest", "…");
    pattern.replace(":label", "LABEL").replace("#pid", "P").replace("#instance", "INSTANCE")
}

/// The table, in the order of the routes.
pub fn table() -> String {
    let mut table = String::from("| request | effect and answer | needs |\n|---|---|---|\n");
    let mut last = String::new();
    for route in ROUTES {
        let Some(doc) = documented(route.method, route.pattern) else { continue };
        let request = format!("{} {}", route.method.name(), shown(route.pattern));
        if request != last {
            let (about, query, needs) = (doc.about, query(doc), in_short(route));
            table.push_str(&format!("| `{request}` | {about}{query} | {needs} |\n"));
            last = request;
        }
    }
    table
}

/// What it reads of the query, unless that is told already: in its line, or for all that change something.
fn query(doc: &Doc) -> String {
    let is_told = |name: &str| {
        ["wait", "timeout"].contains(&name) || doc.about.contains(&format!("?{name}="))
    };
    let names = doc.query.iter().map(|param| param.name).filter(|name| !is_told(name));
    let names: Vec<String> = names.map(|name| format!("{name}=")).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" (`?{}`)", names.join("&")),
    }
}

/// What a route needs, in a cell of the table.
fn in_short(route: &Route) -> String {
    let right = |right| match right {
        Right::Read => "`read`",
        Right::Write => "`write`",
        Right::Manage => "`manage`",
    };
    match route.needs {
        Needs::Nothing => "–".into(),
        Needs::Within => "`read`, `write`".into(),
        Needs::Known => "`read`, of what is told".into(),
        Needs::Admin | Needs::Registry => "`admin`".into(),
        Needs::All(needed) => format!("{} on `*`", right(needed)),
        Needs::Session(needed) => format!("{} on `S`", right(needed)),
        Needs::Job(needed) | Needs::Process(needed) => right(needed).into(),
        Needs::Events if route.pattern.contains(':') => "`manage` on what it is of".into(),
        Needs::Events => "`manage` on `*`".into(),
        Needs::Keys => "`create_key`".into(),
        Needs::OwnKey => "`create_key`, or it is yours".into(),
        Needs::Users => "`create_user`".into(),
        Needs::OwnUser => "`create_user`, or it is you".into(),
    }
}

/// What a route needs, in a sentence.
pub(super) fn needed(needs: Needs) -> String {
    let right = |right| match right {
        Right::Read => "read",
        Right::Write => "write",
        Right::Manage => "manage",
    };
    match needs {
        Needs::Nothing => "It is for everybody.".into(),
        Needs::Within => {
            "It needs `read` on the job to read, and `write` to write; a key may be said on the websocket.".into()
        }
        Needs::Known => "It is for whoever has a key, and tells of what that may read.".into(),
        Needs::Admin | Needs::Registry => "It needs `admin`.".into(),
        Needs::All(needed) => format!("It needs `{}` on `*`.", right(needed)),
        Needs::Session(needed) => format!("It needs `{}` on the session.", right(needed)),
        Needs::Job(needed) | Needs::Process(needed) => format!("It needs `{}` on the job.", right(needed)),
        Needs::Events => "It needs `manage` on the job or session that the events are of, else on `*`.".into(),
        Needs::Keys => "It needs `create_key`.".into(),
        Needs::OwnKey => "It needs `create_key`, unless it is the key that asks.".into(),
        Needs::Users => "It needs `create_user`.".into(),
        Needs::OwnUser => "It needs `create_user`, unless it is the user who asks.".into(),
    }
}

/// Markdown without its marks: what stands in brackets without where that leads, and no backquotes.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.replace('`', "");
    while let Some((before, after)) = rest.split_once("](#") {
        plain.push_str(&before.replacen('[', "", 1));
        rest = after.split_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    }
    plain + &rest
}
