//! Endpoints about users (the protocol, section 2.5). Who makes or changes a user gives him no more than
//! he has himself.

use serde_json::{json, Map, Value};

use super::api_keys::{forbidden, includes};
use super::ctx::{Answer, Call, Ctx, Hashing};
use super::keys::door::{Put, Then};
use super::keys::key::KeyId;
use super::keys::user::{User, ADMIN, APPLICATION};
use super::keys::users::check_name;
use super::reply::{self, bad_request};
use crate::base::limits;
use crate::front::passwords;
use crate::front::response::Response;

/// `GET /users`: the names of all, or with `?include_user=true` all that is told of them.
pub fn all(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let users = ctx.door.users.all();
    let list: Vec<Value> = if includes(call, "include_user")? {
        users.map(|(name, user)| user.view(name)).collect()
    } else {
        users.map(|(name, _)| json!(name)).collect()
    };
    Ok(reply::value(&json!({ "users": list })).into())
}

/// What is said of a user.
struct Wish {
    password: Password,
    user: User,
}

/// How a password is said.
enum Password {
    /// As it was typed.
    Plain(String),
    /// As it was kept elsewhere.
    Hash(String),
}

impl Wish {
    /// Reads it. What is not said of the kind and the key is as it is of nobody.
    fn read(ctx: &Ctx<'_>, mut body: Map<String, Value>) -> Result<Self, Response> {
        body.remove("username");
        let mut take = |name: &str| body.remove(name).filter(|value| !value.is_null());
        let kind = match take("user_type") {
            None => APPLICATION,
            Some(value) => value.as_u64().ok_or_else(|| {
                bad_request("user_type: expected 0 (administrator) or 1 (application)")
            })?,
        };
        if kind == ADMIN && !ctx.caller.is_admin() {
            return Err(forbidden("only an administrator makes another one"));
        }
        let key = match take("key") {
            None => None,
            Some(value) => Some(key(ctx, &value)?),
        };
        let password = match (take("password"), take("password_hash")) {
            (Some(value), None) => Password::Plain(password(&value)?),
            (None, Some(Value::String(hash))) if passwords::is_known(&hash) => {
                if !ctx.caller.is_admin() {
                    return Err(forbidden("only an administrator brings hashes along"));
                }
                Password::Hash(hash)
            }
            (None, Some(_)) => {
                return Err(bad_request("password_hash: expected $argon2id$… or PBKDF2-256$…"));
            }
            (Some(_), Some(_)) => {
                return Err(bad_request("password and password_hash: leave one away"));
            }
            (None, None) => return Err(bad_request("password is missing")),
        };
        let user = User { kind, key, password: String::new(), extra: body };
        Ok(Self { password, user })
    }

    /// Does it at once, or when the password is hashed.
    fn go(self, ctx: &mut Ctx<'_>, name: String, before: Option<User>) -> Answer {
        match self.password {
            Password::Plain(plain) => {
                let by = ctx.caller.clone();
                put(ctx, plain, Put { by, name, before, after: Some(self.user) })
            }
            Password::Hash(hash) => {
                ctx.door.put_user(&name, User { password: hash, ..self.user });
                ctx.door.end_logins(&name);
                reply::ok(200).into()
            }
        }
    }
}

fn put(ctx: &mut Ctx<'_>, password: String, put: Put) -> Answer {
    let task = ctx.door.hashing(password);
    Answer::Hash(Hashing { task, then: Then::Put(Box::new(put)) })
}

fn password(value: &Value) -> Result<String, Response> {
    let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= limits::PASSWORD);
    text.map(str::to_owned).ok_or_else(|| {
        bad_request(&format!("password: expected a text of 1 to {} bytes", limits::PASSWORD))
    })
}

/// A key that somebody may give to a user.
fn key(ctx: &Ctx<'_>, value: &Value) -> Result<KeyId, Response> {
    let id = value.as_str().and_then(|text| ctx.door.keys.named(text));
    let id = id.ok_or_else(|| bad_request("key: there is no such key"))?;
    if reaches(ctx, Some(id)) {
        Ok(id.clone())
    } else {
        Err(forbidden("the key permits more than yours"))
    }
}

/// Whether a key, or none, permits nothing that the caller may not.
fn reaches(ctx: &Ctx<'_>, id: Option<&KeyId>) -> bool {
    let key = id.and_then(|id| ctx.door.keys.get(id));
    key.is_none_or(|key| ctx.caller.covers(&key.permissions))
}

/// The user in the path, if the caller may change him: he has no rights that the caller lacks.
fn named(ctx: &Ctx<'_>, call: &Call<'_>) -> Result<(String, User), Response> {
    let name = call.part(0).to_owned();
    let user = ctx.door.users.get(&name).ok_or_else(|| Response::error(404, None))?;
    let above = user.kind == ADMIN && !ctx.caller.is_admin();
    if (above || !reaches(ctx, user.key.as_ref())) && !ctx.door.belongs(ctx.caller, &name) {
        return Err(forbidden("this user has rights that you have not"));
    }
    Ok((name, user.clone()))
}

/// A body, no larger than what is kept may be.
fn body(call: &Call<'_>) -> Result<Map<String, Value>, Response> {
    if call.request.body.len() > limits::KEY_SIZE {
        return Err(bad_request(&format!("a user has at most {} bytes", limits::KEY_SIZE)));
    }
    call.object()
}

/// `POST /users`: a new one. The answer comes when his password is hashed.
pub fn create(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let body = body(call)?;
    let name = match body.get("username") {
        Some(Value::String(name)) => name.clone(),
        None | Some(Value::Null) => return Err(bad_request("username is missing")),
        Some(_) => return Err(bad_request("username: expected a text")),
    };
    check_name(&name).map_err(|error| bad_request(&error))?;
    let wish = Wish::read(ctx, body)?;
    if ctx.door.users.get(&name).is_some() {
        return Err(Response::error(409, Some("there is a user of this name")));
    }
    if !ctx.door.users.has_room() {
        return Err(Response::error(409, Some(&too_many_users())));
    }
    Ok(wish.go(ctx, name, None))
}

/// Why there is no room for one more.
pub(super) fn too_many_users() -> String {
    format!("there are {} users, and no more may be", limits::USERS)
}

/// `GET /users/U`: one user. His password is told to nobody.
pub fn show(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let user = ctx.door.users.get(call.part(0)).ok_or_else(|| Response::error(404, None))?;
    Ok(reply::value(&user.view(call.part(0))).into())
}

/// `PUT /users/U`: all of him anew.
pub fn replace(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let (name, user) = named(ctx, call)?;
    let wish = Wish::read(ctx, body(call)?)?;
    Ok(wish.go(ctx, name, Some(user)))
}

/// `DELETE /users/U`: he is gone, and his logins with him.
pub fn delete(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let (name, _) = named(ctx, call)?;
    ctx.door.remove_user(&name);
    Ok(reply::ok(200).into())
}

/// `PUT /users/U/password`: another password, which ends his logins.
pub fn set_password(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let (name, user) = named(ctx, call)?;
    let body = body(call)?;
    let value = body.get("password").ok_or_else(|| bad_request("password is missing"))?;
    let by = ctx.caller.clone();
    Ok(put(ctx, password(value)?, Put { by, name, before: Some(user), after: None }))
}

/// `PUT /users/U/key`: another key, or none; it ends his logins.
pub fn set_key(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let (name, user) = named(ctx, call)?;
    let body = body(call)?;
    let key = match body.get("key") {
        None => return Err(bad_request("key is missing")),
        Some(Value::Null) => None,
        Some(value) => Some(key(ctx, value)?),
    };
    ctx.door.put_user(&name, User { key, ..user });
    ctx.door.end_logins(&name);
    Ok(reply::ok(200).into())
}
