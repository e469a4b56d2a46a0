//! `GET /auth`: a key for a user's name and password (the protocol, section 2.3).

use data_encoding::BASE64;
use serde_json::json;

use super::ctx::{Answer, Call, Ctx, Hashing};
use super::keys::door::{source_of, Then};
use super::reply;
use crate::base::limits;
use crate::front::passwords::Task;
use crate::front::response::Response;

/// The endpoint. The answer comes when the password is held against its hash.
pub fn login(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    if !ctx.door.keeping.require_key {
        return Err(Response::error(404, Some("no key is asked for on this node")));
    }
    let said = call.request.headers.get("authorization").and_then(basic);
    let (name, password) = said.ok_or_else(|| {
        Response::error(401, Some("expected a user's name and password as basic authentication"))
    })?;
    if ctx.door.is_busy() {
        // It is not tried, and so does not count.
        return Err(busy());
    }
    let from = source_of(call.peer);
    ctx.door.try_login(&name, &from, ctx.now).map_err(|pause| {
        let detail = "too many logins have failed; try again later";
        // Whole seconds, and never too few.
        let seconds = pause.as_secs() + 1;
        Response::error(429, Some(detail)).with("Retry-After", seconds.to_string())
    })?;
    let stored = ctx.door.users.get(&name).map(|user| user.password.clone());
    let task = Task::Check { password: password.clone(), stored: stored.clone() };
    Ok(Answer::Hash(Hashing { task, then: Then::Login { name, password, stored, from } }))
}

/// The name and the password in a header of basic authentication (RFC 7617).
fn basic(field: &str) -> Option<(String, String)> {
    let (scheme, word) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(word.trim().as_bytes()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    // Nobody has a longer one, and those that fail are remembered.
    let fit = name.len() <= limits::USER_NAME && password.len() <= limits::PASSWORD;
    fit.then(|| (name.to_owned(), password.to_owned()))
}

/// The answer while so many passwords are being hashed.
pub fn busy() -> Response {
    let detail = "too many passwords wait to be checked";
    Response::error(503, Some(detail)).with("Retry-After", "1")
}

/// The answer to a login that succeeded: the key, if there is one.
pub fn logged_in(key: Option<&str>) -> Response {
    reply::value(&json!({"api_key": key}))
        .with("X-Api-Key", key.unwrap_or_default())
        .with("Cache-Control", "no-store")
}

/// The answer to one that did not.
pub fn not_logged_in() -> Response {
    Response::error(401, Some("there is no such user, or he has another password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_split_at_its_first_colon() {
        let told = |text: &str| basic(&format!("Basic {}", BASE64.encode(text.as_bytes())));
        assert_eq!(told("joe:a:b"), Some(("joe".into(), "a:b".into())));
        assert_eq!(told(":"), Some((String::new(), String::new())));
        assert_eq!(told("joe"), None);
        assert_eq!(basic("basic am9lOng="), Some(("joe".into(), "x".into())));
        for bad in ["", "Basic", "Basic !", "Bearer am9lOng=", "Basic /w=="] {
            assert_eq!(basic(bad), None, "{bad}");
        }
        let long = |count| told(&format!("joe:{}", "x".repeat(count))).is_some();
        assert!(long(limits::PASSWORD) && !long(limits::PASSWORD + 1));
        let named = |count| told(&format!("{}:x", "n".repeat(count))).is_some();
        assert!(named(limits::USER_NAME) && !named(limits::USER_NAME + 1));
    }
}
