//! Users of a node: `gaffer user` and those beside it, in the original's words; and `gaffer login`, which
//! keeps a key for a name and a password. No password is shown, and none has to stand on a command line.

use std::fs;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::keys::{found, in_path, text};
use super::terminal::{Cell, Paint, Terminal};
use super::user_config;
use crate::client::Server;
use crate::daemon::passwords::{answered, ask_twice, from_file};
use crate::sys::prompt::Prompt;

/// `gaffer user [U]`: one user, or all.
pub fn user(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let Some(name) = invocation.words.first() else { return all(&mut server, terminal) };
    let user = found(server.ask("GET", &target(name, ""), b"")?, "user", name)?;
    if terminal.is_json() {
        return terminal.json(&user);
    }
    terminal.line(&format!("User '{name}' found"))?;
    terminal.line(&format!("API Key: {}", or_none(&user["key"])))
}

/// All users, a line each.
fn all(server: &mut Server, terminal: &mut Terminal) -> Result<(), Failure> {
    let answer = server.ask("GET", "/users?include_user=true", b"")?.json()?;
    if terminal.is_json() {
        return terminal.json(&answer);
    }
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut rows: Vec<Vec<Cell>> = vec![["USER", "TYPE", "KEY"].iter().map(head).collect()];
    for user in answer["users"].as_array().into_iter().flatten() {
        let kind = if user["user_type"] == json!(0) { "admin" } else { "app" };
        rows.push(vec![text(&user["username"]).into(), kind.into(), or_none(&user["key"]).into()]);
    }
    terminal.table(&rows, &[])
}

fn or_none(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".into(), str::to_owned)
}

fn target(name: &str, rest: &str) -> String {
    format!("/users/{}{rest}", in_path(name))
}

/// Somebody to ask, where that may be.
fn prompt(invocation: &Invocation, what: &str) -> Result<Prompt, Failure> {
    let missing =
        || Failure::usage(format!("{what} is missing, and there is no terminal to ask on"));
    if invocation.has("no-input") {
        return Err(missing());
    }
    Prompt::open().map_err(|_| missing())
}

/// The name that was said, or that somebody types.
fn name(invocation: &Invocation) -> Result<String, Failure> {
    match invocation.words.first() {
        Some(name) => Ok(name.clone()),
        None => answered(prompt(invocation, "USER")?.line("username: ")).map_err(Failure::Failed),
    }
}

/// A password from a file, from the terminal, or from the command line if somebody wants that.
fn password(invocation: &Invocation, terminal: &mut Terminal) -> Result<String, Failure> {
    if let Some(path) = invocation.value("password-file") {
        return from_file(path).map_err(Failure::Failed);
    }
    if let Some(said) = invocation.value("password") {
        terminal.remark("whoever lists processes could read --password; use --password-file FILE");
        return Ok(said.to_owned());
    }
    let mut prompt = prompt(invocation, "the password (--password-file FILE, - for stdin)")?;
    ask_twice(&mut prompt).map_err(Failure::Failed)
}

/// `gaffer user:add [U]`.
pub fn add(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let name = name(invocation)?;
    let asks = invocation.words.is_empty();
    let password = password(invocation, terminal)?;
    let said = |flag: &str, question: &str| -> Result<Option<String>, Failure> {
        match invocation.value(flag) {
            Some(said) => Ok(Some(said.to_owned())),
            None if asks => {
                let answer = prompt(invocation, flag)?.line(question);
                Ok(Some(answered(answer).map_err(Failure::Failed)?).filter(|text| !text.is_empty()))
            }
            None => Ok(None),
        }
    };
    let key = said("key", "api key: ")?;
    let kind = said("type", "type [1]: ")?.unwrap_or_else(|| "1".into());
    let kind: u64 = kind
        .parse()
        .map_err(|_| Failure::usage(format!("--type: expected 0 (admin) or 1, found {kind:?}")))?;
    if asks {
        terminal.line(&format!("username: {name}"))?;
        terminal.line(&format!("api key: {}", key.as_deref().unwrap_or("-")))?;
        terminal.line(&format!("type: {kind}"))?;
    }
    if !terminal.agrees(&format!("Confirm the creation of the user '{name}'"))? {
        return Ok(());
    }
    let body = json!({"username": name, "password": password, "user_type": kind, "key": key});
    let reply = server.ask("POST", "/users", body.to_string().as_bytes())?;
    if reply.status == 409 {
        return Err(Failure::failed(format!("User '{name}' already exists")));
    }
    reply.json()?;
    terminal.line(&format!("User '{name}' created"))
}

/// `gaffer user:import FILE`: users of the original, with the hashes of their passwords.
pub fn import(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let path = invocation.only("FILE")?.to_owned();
    let file =
        fs::read_to_string(&path).map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    let users: Vec<Value> = match serde_json::from_str(&file) {
        Ok(Value::Array(users)) => users,
        Ok(one @ Value::Object(_)) => vec![one],
        Ok(_) | Err(_) => {
            return Err(Failure::failed(format!("{path}: expected a JSON list of users")));
        }
    };
    let mut server = connect::server(invocation)?;
    let mut done = 0;
    for (number, user) in (1..).zip(&users) {
        let at = |why: String| {
            Failure::failed(format!("{path}: user {number}: {why} ({done} imported)"))
        };
        let body = imported(user).map_err(at)?;
        let reply = server.ask("POST", "/users", body.to_string().as_bytes())?;
        reply.json().map_err(|error| at(error.to_string()))?;
        done += 1;
    }
    terminal.line(&format!("{done} users imported"))
}

/// A row of the original's table `auth`, as a user of ours. His key is not there yet, or is another one.
fn imported(row: &Value) -> Result<Value, String> {
    let named = |names: &[&str]| names.iter().find_map(|name| row.get(*name)?.as_str());
    let name = named(&["username", "user"]).ok_or("it has no username")?;
    let hash = named(&["password", "pwd", "password_hash"]).ok_or("it has no password")?;
    let mut body = Map::new();
    // What else was kept of him is kept; as text it is JSON.
    let extra = match row.get("extra") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(extra) => extra.clone(),
        None => Value::Null,
    };
    body.extend(extra.as_object().cloned().unwrap_or_default());
    body.insert("username".into(), json!(name));
    body.insert("password_hash".into(), json!(hash));
    body.insert("user_type".into(), row.get("user_type").cloned().unwrap_or(json!(1)));
    Ok(Value::Object(body))
}

/// `gaffer user:del U`.
pub fn delete(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("USER")?.to_owned();
    let mut server = connect::server(invocation)?;
    if !terminal.agrees(&format!("Delete the user '{name}'"))? {
        return Ok(());
    }
    found(server.ask("DELETE", &target(&name, ""), b"")?, "user", &name)?;
    terminal.line(&format!("User '{name}' deleted"))
}

/// `gaffer user:setpassword U`.
pub fn set_password(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("USER")?.to_owned();
    let mut server = connect::server(invocation)?;
    let body = json!({"password": password(invocation, terminal)?}).to_string();
    found(server.ask("PUT", &target(&name, "/password"), body.as_bytes())?, "user", &name)?;
    terminal.line(&format!("{name}'s password changed"))
}

/// `gaffer user:setkey U`.
pub fn set_key(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("USER")?.to_owned();
    let mut server = connect::server(invocation)?;
    let key = match invocation.value("key") {
        Some(key) => key.to_owned(),
        None => {
            answered(prompt(invocation, "--key")?.line("api key: ")).map_err(Failure::Failed)?
        }
    };
    let body = json!({"key": Some(key).filter(|key| !key.is_empty())}).to_string();
    found(server.ask("PUT", &target(&name, "/key"), body.as_bytes())?, "user", &name)?;
    terminal.line(&format!("{name}'s key changed"))
}

/// `gaffer login [U]`: a key for a name and a password, kept for this node from now on. With
/// `--bootstrap` an administrator is made first, which needs none on the node's unix socket.
pub fn login(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let name = name(invocation)?;
    if invocation.has("bootstrap") {
        let password = password(invocation, terminal)?;
        let key = json!({"label": "admin key", "permissions": {"admin": true}}).to_string();
        let made = server.ask("POST", "/keys", key.as_bytes())?.json()?;
        let user =
            json!({"username": name, "password": password, "user_type": 0, "key": made["id"]});
        let reply = server.ask("POST", "/users", user.to_string().as_bytes())?;
        if reply.status != 200 {
            // A key of nobody would open the door to whoever finds it.
            server.ask("DELETE", &format!("/keys/{}", text(&made["id"])), b"")?;
        }
        reply.json()?;
        terminal.line(&format!("User '{name}' created."))?;
        return terminal.line(&format!("API Key: {}", text(&made["api_key"])));
    }
    let password = match invocation.value("password-file") {
        Some(path) => from_file(path).map_err(Failure::Failed)?,
        None => {
            let mut prompt =
                prompt(invocation, "the password (--password-file FILE, - for stdin)")?;
            answered(prompt.secret("password: ")).map_err(Failure::Failed)?
        }
    };
    let Some(key) = server.login(&name, &password)? else {
        return Err(Failure::failed(format!("'{name}' has no key, and so may do nothing")));
    };
    if invocation.has("print") {
        return terminal.line(&key);
    }
    let address = server.address().to_string();
    let path = user_config::keep_key(&address, Some(&key))?;
    terminal
        .line(&format!("'{name}' is logged in at {address}; the key is kept in {}", path.display()))
}

/// `gaffer logout`: the key that is kept for this node is good no more, and kept no more.
pub fn logout(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let address = server.address().to_string();
    let Some(key) = user_config::kept_key(server.address())? else {
        return Err(Failure::failed(format!("there is no key for {address}")));
    };
    let reply = server.ask("DELETE", &format!("/keys/{}", in_path(&key)), b"")?;
    // One that is not good any more is no reason to keep it.
    if !matches!(reply.status, 401 | 403 | 404) {
        reply.json()?;
    }
    user_config::keep_key(&address, None)?;
    terminal.line(&format!("logged out of {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_original_is_a_user() {
        let row = json!({"user": "joe", "pwd": "PBKDF2-256$a:1$00", "user_type": 0, "key": "old",
            "extra": "{\"mail\": \"x\"}"});
        let body = json!({"username": "joe", "password_hash": "PBKDF2-256$a:1$00", "user_type": 0,
            "mail": "x"});
        assert_eq!(imported(&row), Ok(body));
        assert!(imported(&json!({"user": "joe"})).is_err());
    }
}
