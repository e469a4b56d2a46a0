//! Endpoints about keys (the protocol, section 2.4). A key is named by its id; its secret is told once,
//! when it is made.

use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use serde_json::{json, Map, Value};

use super::ctx::{Answer, Call, Ctx};
use super::keys::key::{time_of, Hash, Key, KeyId};
use super::keys::store::NotMade;
use super::reply::{self, bad_request};
use crate::base::limits;
use crate::front::response::Response;
use crate::front::rights::Permissions;

/// `GET /keys`: the ids of all, or with `?include_keys=true` all that is told of them.
pub fn all(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let keys = ctx.door.keys.all();
    let list: Vec<Value> = if includes(call, "include_keys")? {
        keys.map(|(_, key)| key.view()).collect()
    } else {
        keys.map(|(id, _)| json!(id.to_string())).collect()
    };
    Ok(reply::value(&json!({ "keys": list })).into())
}

/// Whether the query wishes for more.
pub(super) fn includes(call: &Call<'_>, name: &str) -> Result<bool, Response> {
    match call.query(name)?.as_deref() {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1" | "") => Ok(true),
        Some(_) => Err(bad_request(&format!("{name}: expected true or false"))),
    }
}

/// `POST /keys`: a new one, which permits no more than the key that asks.
pub fn create(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    if call.request.body.len() > limits::KEY_SIZE {
        return Err(bad_request(&format!("a key has at most {} bytes", limits::KEY_SIZE)));
    }
    let wish = Wish::read(call.object()?, ctx.now.wall)?;
    if !ctx.caller.covers(&wish.permissions) {
        return Err(forbidden("a key permits no more than the one that makes it"));
    }
    let parent = parent(ctx, wish.parent.as_deref())?;
    let now = ctx.now.wall;
    let made = ctx.door.mint(now, |hash| Key {
        hash,
        label: wish.label,
        permissions: wish.permissions,
        parent,
        created: now,
        expires: wish.expires,
        certificate: wish.certificate,
        login: None,
        extra: wish.extra,
    });
    let (id, secret) = made.map_err(not_made)?;
    let body = json!({"ok": true, "api_key": secret, "id": id.to_string()});
    let answer = reply::value(&body).with("X-Api-Key", &*secret);
    Ok(answer.with("Location", format!("/keys/{id}")).with("Cache-Control", "no-store").into())
}

/// What is said of a new key.
struct Wish {
    label: String,
    permissions: Permissions,
    parent: Option<String>,
    expires: Option<SystemTime>,
    certificate: Option<Hash>,
    extra: Map<String, Value>,
}

impl Wish {
    fn read(mut body: Map<String, Value>, now: SystemTime) -> Result<Self, Response> {
        // Nobody chooses his own.
        body.remove("key");
        for ours in ["created", "login"] {
            body.remove(ours);
        }
        let mut take = |name: &str| body.remove(name).filter(|value| !value.is_null());
        let label = match take("label") {
            None => String::new(),
            Some(Value::String(label)) if label.len() <= limits::KEY_LABEL => label,
            Some(_) => {
                let most = limits::KEY_LABEL;
                return Err(bad_request(&format!(
                    "label: expected a text of at most {most} bytes"
                )));
            }
        };
        let permissions = match take("permissions") {
            None => Permissions::default(),
            Some(value) => Permissions::read(&value).map_err(|error| bad_request(&error))?,
        };
        let parent = match take("parent") {
            None => None,
            Some(Value::String(parent)) => Some(parent),
            Some(_) => return Err(bad_request("parent: expected the id of a key")),
        };
        let expires = expires(take("expires"), take("expires_in"), now)?;
        let certificate = match take("certificate") {
            None => None,
            Some(value) => Some(fingerprint(&value).ok_or_else(|| {
                bad_request("certificate: expected the SHA-256 of one as 64 hexadecimal digits")
            })?),
        };
        Ok(Self { label, permissions, parent, expires, certificate, extra: body })
    }
}

/// As people and programs write it: with colons or without, in either case.
fn fingerprint(value: &Value) -> Option<Hash> {
    let text: String = value.as_str()?.to_ascii_lowercase().chars().filter(|c| *c != ':').collect();
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Until when a key is good: a time, or so many seconds from now.
fn expires(
    at: Option<Value>,
    within: Option<Value>,
    now: SystemTime,
) -> Result<Option<SystemTime>, Response> {
    let end = match (at, within) {
        (None, None) => return Ok(None),
        (Some(at), None) => {
            time_of(&at).ok_or_else(|| bad_request("expires: expected seconds since 1970"))?
        }
        (None, Some(within)) => {
            let seconds = within.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
            let end = seconds.and_then(|seconds| now.checked_add(seconds));
            end.ok_or_else(|| bad_request("expires_in: expected seconds"))?
        }
        (Some(_), Some(_)) => {
            return Err(bad_request("expires and expires_in say the same; leave one away"));
        }
    };
    if end <= now {
        return Err(bad_request("expires: that is over already"));
    }
    Ok(Some(end))
}

/// The key before a new one: who is no administrator makes only keys that come from his own.
fn parent(ctx: &Ctx<'_>, said: Option<&str>) -> Result<Option<KeyId>, Response> {
    let Some(said) = said else {
        return Ok(ctx.caller.key.clone().filter(|_| !ctx.caller.is_admin()));
    };
    let parent = ctx.door.keys.named(said).cloned();
    let parent = parent.ok_or_else(|| bad_request("parent: there is no such key"))?;
    if reaches(ctx, &parent) {
        Ok(Some(parent))
    } else {
        Err(forbidden("the parent is not your key, nor did it come from that"))
    }
}

/// Whether a key is somebody's to see and to take away.
fn reaches(ctx: &Ctx<'_>, id: &KeyId) -> bool {
    let own = ctx.caller.key.as_ref();
    ctx.caller.is_admin() || own.is_some_and(|own| ctx.door.keys.is_below(id, own))
}

fn not_made(reason: NotMade) -> Response {
    let detail = match reason {
        NotMade::TooMany => format!("there are {} keys, and no more may be", limits::KEYS),
        NotMade::TooDeep => "this key comes from too many others".into(),
        NotMade::Certificate => "another key has this certificate".into(),
    };
    Response::error(409, Some(&detail))
}

/// A refusal with its reason.
pub(super) fn forbidden(detail: &str) -> Response {
    Response::error(403, Some(detail))
}

/// The key in the path, if it may be seen.
fn named(ctx: &Ctx<'_>, call: &Call<'_>) -> Result<KeyId, Response> {
    let id = ctx.door.keys.named(call.part(0)).filter(|id| reaches(ctx, id)).cloned();
    id.ok_or_else(|| Response::error(404, None))
}

/// `GET /keys/K`: one key, and with `?include_keys=true` those that came from it.
pub fn show(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let id = named(ctx, call)?;
    let key = ctx.door.keys.get(&id).ok_or_else(|| Response::error(404, None))?;
    let mut view = key.view();
    if includes(call, "include_keys")? {
        let children = ctx.door.keys.all().filter(|(_, key)| key.parent.as_ref() == Some(&id));
        view["keys"] = children.map(|(_, key)| key.view()).collect::<Vec<_>>().into();
    }
    Ok(reply::value(&view).into())
}

/// `DELETE /keys/K`: it is good no more, nor is any that came from it.
pub fn delete(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let id = named(ctx, call)?;
    ctx.door.revoke(&[id]);
    Ok(reply::ok(200).into())
}
