//! Keys of a node: `gaffer key`, `key:create` and `key:delete`, in the original's words.

use std::fs;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::terminal::{Cell, Paint, Terminal};
use super::times;
use crate::client::{Reply, Server};

/// `gaffer key [K]`: one key, or all.
pub fn key(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let Some(name) = invocation.words.first() else { return all(&mut server, terminal) };
    let key = found(server.ask("GET", &format!("/keys/{}", in_path(name)), b"")?, "key", name)?;
    if terminal.is_json() {
        return terminal.json(&key);
    }
    terminal.line(&format!("Key '{}' found.", text(&key["key"])))?;
    terminal.line(&format!("Label: {}", text(&key["label"])))?;
    if let Some(end) = key["expires"].as_f64() {
        terminal.line(&format!("Expires: {}", times::full(end)))?;
    }
    if let Some(parent) = key["parent"].as_str() {
        terminal.line(&format!("Parent: {parent}"))?;
    }
    terminal.line("Permissions:")?;
    for name in ["admin", "create_user", "create_key", "manage", "read", "write"] {
        let value = &key["permissions"][name];
        let shown = match value.as_array() {
            Some(targets) => targets.iter().map(text).collect::<Vec<_>>().join(", "),
            None => value.to_string(),
        };
        terminal.line(format!("  {name}: {shown}").trim_end())?;
    }
    Ok(())
}

/// All keys, a line each.
fn all(server: &mut Server, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = server.ask("GET", "/keys?include_keys=true", b"")?.json()?;
    if terminal.is_json() {
        return terminal.json(&answer);
    }
    let heads = ["KEY", "LABEL", "EXPIRES", "PERMITS"];
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut rows: Vec<Vec<Cell>> = vec![heads.iter().map(head).collect()];
    for key in answer["keys"].as_array().into_iter().flatten() {
        let end = key["expires"].as_f64().map_or_else(|| "-".into(), times::full);
        rows.push(vec![
            text(&key["key"]).into(),
            text(&key["label"]).into(),
            end.into(),
            permits(&key["permissions"]).into(),
        ]);
    }
    terminal.table(&rows, &[])
}

/// Permissions in the words in which they are given.
fn permits(permissions: &Value) -> String {
    let flags = [("admin", "+a"), ("create_user", "+u"), ("create_key", "+k")];
    let flags = flags.iter().filter(|(name, _)| permissions[*name] == json!(true));
    let mut words: Vec<String> = flags.map(|(_, word)| (*word).to_owned()).collect();
    for (name, letter) in [("manage", 'm'), ("write", 'w'), ("read", 'r')] {
        let targets = permissions[name].as_array().into_iter().flatten();
        words.extend(targets.map(|target| match text(target).as_str() {
            "*" => format!("+{letter}"),
            target => format!("{target}+{letter}"),
        }));
    }
    if words.is_empty() {
        "-".into()
    } else {
        words.join(" ")
    }
}

/// `gaffer key:create PERM...`: a new one, told once.
pub fn create(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut body = Map::new();
    body.insert("permissions".into(), permissions(&invocation.words)?);
    for (flag, member) in [("label", "label"), ("parent", "parent")] {
        if let Some(said) = invocation.value(flag) {
            body.insert(member.into(), json!(said));
        }
    }
    if let Some(said) = invocation.value("expires") {
        let seconds = times::length(said).ok_or_else(|| {
            Failure::usage(format!(
                "--expires: {said:?} is no length of time such as 90s, 12h or 30d"
            ))
        })?;
        body.insert("expires_in".into(), json!(seconds));
    }
    if let Some(path) = invocation.value("certificate") {
        body.insert("certificate".into(), json!(fingerprint(path)?));
    }
    let mut server = connect::server(invocation)?;
    if !terminal.agrees("Create the key")? {
        return Ok(());
    }
    let body = Value::Object(body).to_string();
    let made = server.ask("POST", "/keys", body.as_bytes())?.json()?;
    if terminal.is_json() {
        return terminal.json(&made);
    }
    let secret = text(&made["api_key"]);
    terminal.line(&format!("The key '{secret}' has been created."))?;
    let id = text(&made["id"]);
    terminal.remark(&format!("it is not told again; from now on it is called '{id}'"));
    Ok(())
}

/// Permissions as they are written: `+a`, `+u`, `+k`, `+m`, `session+rwm`, `session.job+r`.
fn permissions(words: &[String]) -> Result<Value, Failure> {
    let mut permissions = json!({"manage": [], "write": [], "read": []});
    if words.is_empty() {
        return Err(Failure::usage("PERM is missing: +a, +u, +k, +m or SESSION[.JOB]+rwm"));
    }
    for word in words {
        let wrong = || {
            Failure::usage(format!(
                "{word:?} is no permission: expected +a (admin), +u (create users), +k (create keys), \
                 +m, +w, +r (on all jobs) or SESSION[.JOB]+ with letters of rwm"
            ))
        };
        let (target, letters) = word.rsplit_once('+').ok_or_else(wrong)?;
        if letters.is_empty() {
            return Err(wrong());
        }
        for letter in letters.chars() {
            let flag = match letter {
                'a' if target.is_empty() => "admin",
                'u' if target.is_empty() => "create_user",
                'k' if target.is_empty() => "create_key",
                'm' | 'w' | 'r' => {
                    let name = match letter {
                        'm' => "manage",
                        'w' => "write",
                        _ => "read",
                    };
                    let target = if target.is_empty() { "*" } else { target };
                    if let Some(list) = permissions[name].as_array_mut() {
                        list.push(json!(target));
                    }
                    continue;
                }
                _ => return Err(wrong()),
            };
            permissions[flag] = json!(true);
        }
    }
    Ok(permissions)
}

/// The SHA-256 of the first certificate in a file of PEM.
fn fingerprint(path: &str) -> Result<String, Failure> {
    let fault = |why: &str| Failure::failed(format!("{path}: {why}"));
    let file = fs::read_to_string(path).map_err(|error| fault(&error.to_string()))?;
    let begin = "-----BEGIN CERTIFICATE-----";
    let body = file.split_once(begin).and_then(|(_, rest)| rest.split_once("-----END"));
    let (body, _) = body.ok_or_else(|| fault("there is no certificate in it"))?;
    let packed: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = BASE64.decode(packed.as_bytes()).map_err(|_| fault("its certificate is damaged"))?;
    Ok(HEXLOWER.encode(&Sha256::digest(&der)))
}

/// `gaffer key:delete K`.
pub fn delete(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("KEY")?.to_owned();
    let mut server = connect::server(invocation)?;
    if !terminal.agrees(&format!("Delete the key '{name}'"))? {
        return Ok(());
    }
    found(server.ask("DELETE", &format!("/keys/{}", in_path(&name)), b"")?, "key", &name)?;
    terminal.line(&format!("The key '{name}' has been deleted."))
}

/// What was asked for, which may not be there.
pub(super) fn found(reply: Reply, what: &str, name: &str) -> Result<Value, Failure> {
    if reply.status == 404 {
        return Err(Failure::failed(format!("{what} '{name}' not found")));
    }
    Ok(reply.json()?)
}

/// A name as a segment of a path.
pub(super) fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    name.bytes().map(encode).collect()
}

/// A text of JSON; without its quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Value, Failure> {
        permissions(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn permissions_are_read_as_the_originals_and_shown_so() {
        let all = read(&["+uk", "app+rm", "other.web+w", "+r"]).expect("sound");
        assert_eq!(
            all,
            json!({"create_user": true, "create_key": true, "manage": ["app"],
                "write": ["other.web"], "read": ["app", "*"]})
        );
        assert_eq!(permits(&all), "+u +k app+m other.web+w app+r +r");
        assert_eq!(read(&["+a"]).expect("sound")["admin"], json!(true));
        assert_eq!(permits(&json!({"manage": []})), "-");
        for bad in [&[][..], &["app"], &["app+"], &["app+x"], &["app+a"], &["+"]] {
            assert_eq!(read(bad).expect_err("no permission").code(), 2, "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(in_path("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
