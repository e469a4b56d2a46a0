//! To whom a node posts events: `gaffer webhook ls`, `add`, `rm`, `secret` and `test`.

use serde_json::{json, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::keys::{found, in_path, text};
use super::terminal::{Cell, Paint, Terminal};
use super::times;
use crate::daemon::passwords::from_file;
use crate::wire::webhook::Url;

/// `gaffer webhook ls`: how it stands with each.
pub fn list(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = connect::server(invocation)?.ask("GET", "/webhooks", b"")?.json()?;
    if terminal.is_json() {
        return terminal.json(&answer);
    }
    let heads = ["ID", "EVENTS", "STATE", "QUEUED", "DROPPED", "URL"];
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut rows: Vec<Vec<Cell>> = vec![heads.iter().map(head).collect()];
    let hooks = answer["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for hook in hooks {
        let events = hook["events"].as_array().into_iter().flatten();
        let events: Vec<String> = events.map(|event| text(&event["event"])).collect();
        let paint = match hook["state"].as_str() {
            Some("dead") => Paint::Bad,
            Some("waiting") => Paint::Warn,
            Some(_) | None => Paint::Plain,
        };
        rows.push(vec![
            text(&hook["id"]).into(),
            events.join(" ").into(),
            Cell { text: text(&hook["state"]), paint },
            text(&hook["queued"]).into(),
            text(&hook["dropped"]).into(),
            text(&hook["url"]).into(),
        ]);
    }
    terminal.table(&rows, &[3, 4])?;
    let fails = |hook: &&Value| !hook["failing_since"].is_null();
    for hook in hooks.iter().filter(fails) {
        let next = hook["retry_at"].as_f64().map(|at| format!("; again at {}", times::full(at)));
        terminal.line(&format!(
            "{}: failed {} times since {}: {}{}",
            text(&hook["id"]),
            text(&hook["failures"]),
            times::full(hook["failing_since"].as_f64().unwrap_or_default()),
            text(&hook["last_error"]),
            next.unwrap_or_default()
        ))?;
    }
    Ok(())
}

/// `gaffer webhook add URL EVENT...`.
pub fn add(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let said = invocation.words.split_first().filter(|(_, events)| !events.is_empty());
    let Some((url, events)) = said else {
        return Err(Failure::usage("expected URL EVENT...: where to, and which events; . for all"));
    };
    let mut body = json!({"events": events, "url": url});
    if let Some(secret) = secret(invocation)? {
        body["secret"] = json!(secret);
    }
    let mut server = connect::server(invocation)?;
    let made = server.ask("POST", "/webhooks", body.to_string().as_bytes())?.json()?;
    if terminal.is_json() {
        return terminal.json(&made);
    }
    terminal.line(&format!("The webhook '{}' has been added.", text(&made["id"])))?;
    tell_secret(&made, terminal)
}

/// `gaffer webhook rm HOOK [EVENT]`.
pub fn remove(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut words = invocation.words.iter().cloned();
    let name = words.next().ok_or_else(|| Failure::usage("HOOK is missing"))?;
    let event = words.next();
    let mut server = connect::server(invocation)?;
    let query = event.as_deref().map(|event| format!("?event={}", in_path(event)));
    let path = format!("{}{}", path(&name, ""), query.unwrap_or_default());
    if !terminal.agrees(&format!("Remove the webhook '{name}'"))? {
        return Ok(());
    }
    let reply = server.ask("DELETE", &path, b"")?;
    match event {
        Some(event) => {
            found(reply, "event", &event)?;
            terminal.line(&format!("No more '{event}' for the webhook '{name}'."))
        }
        None => {
            found(reply, "webhook", &name)?;
            terminal.line(&format!("The webhook '{name}' has been removed."))
        }
    }
}

/// `gaffer webhook secret HOOK`: another one, which is made unless it is given.
pub fn renew(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("HOOK")?.to_owned();
    let body = match secret(invocation)? {
        Some(secret) => json!({"secret": secret}),
        None => json!({}),
    };
    let path = path(&name, "/secret");
    let mut server = connect::server(invocation)?;
    let made = found(server.ask("POST", &path, body.to_string().as_bytes())?, "webhook", &name)?;
    if terminal.is_json() {
        return terminal.json(&made);
    }
    terminal.line(&format!(
        "The webhook '{name}' has another secret; for a day the last one signs beside it."
    ))?;
    tell_secret(&made, terminal)
}

/// `gaffer webhook test HOOK`: sends a test, and tells what came of it.
pub fn test(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("HOOK")?.to_owned();
    let path = path(&name, "/test");
    let mut server = connect::server(invocation)?;
    let told = found(server.ask("POST", &path, b"")?, "webhook", &name)?;
    let is_delivered = told["delivered"] == true;
    if terminal.is_json() {
        terminal.json(&told)?;
    } else if is_delivered {
        let answer = told["answer"].as_str().filter(|answer| !answer.is_empty());
        let answer = answer.map(|answer| format!(": {answer}")).unwrap_or_default();
        let (status, seconds) = (text(&told["status"]), text(&told["seconds"]));
        terminal.line(&format!("It answers {status} after {seconds} s{answer}"))?;
    }
    match is_delivered {
        true => Ok(()),
        false => Err(Failure::failed(format!("not delivered: {}", text(&told["error"])))),
    }
}

/// The path of a webhook that is named by its id or its whole address. That may be a secret, and is not said:
/// paths are told in logs.
fn path(name: &str, rest: &str) -> String {
    let id = Url::read(name).map_or_else(|_| in_path(name), |url| url.id());
    format!("/webhooks/{id}{rest}")
}

fn secret(invocation: &Invocation) -> Result<Option<String>, Failure> {
    let path = invocation.value("secret-file");
    path.map(|path| from_file(path).map_err(Failure::Failed)).transpose()
}

fn tell_secret(made: &Value, terminal: &mut Terminal) -> Result<(), Failure> {
    let Some(secret) = made["secret"].as_str() else { return Ok(()) };
    terminal.line(&format!("Secret: {secret}"))?;
    terminal.remark("the secret signs what is posted there, and is not told again");
    Ok(())
}
