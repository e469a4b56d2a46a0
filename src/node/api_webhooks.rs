//! Endpoints about webhooks. One is named by its id: its address may be a secret, and paths are told in the
//! log. What signs its messages is told once, when it is made.

use serde_json::{json, Map, Value};

use super::ctx::{Answer, Call, Ctx};
use super::reply::{self, bad_request};
use super::webhooks::{event_name, Denied, Wish};
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::front::response::Response;
use crate::wire::webhook::{Secret, Url};

/// `GET /webhooks`: how it stands with each.
pub fn all(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(reply::value(&json!({ "webhooks": ctx.webhooks.view_all(ctx.now) })).into())
}

/// `GET /webhooks/HOOK`: how it stands with one.
pub fn show(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let view = ctx.webhooks.view(call.part(0), ctx.now);
    Ok(reply::value(&view.ok_or_else(|| Response::error(404, None))?).into())
}

/// `POST /webhooks`: events go to an address, beside those that do so already.
pub fn add(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let mut body = call.object()?;
    let url = text(&mut body, "url")?.ok_or_else(|| bad_request("url: where do events go?"))?;
    let url = Url::read(&url).map_err(|error| bad_request(&format!("url: {error}")))?;
    let secret = secret(&mut body)?;
    let events = events(&mut body)?;
    only(&body)?;
    let added = ctx.webhooks.add(Wish { url, events, secret }, ctx.now.wall);
    let (id, secret) = added.map_err(denied)?;
    Ok(told_once(&id, secret).with("Location", format!("/webhooks/{id}")).into())
}

/// `DELETE /webhooks/HOOK`: nothing goes there any more, or with `?event=NAME` no events of that name.
pub fn delete(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let event = call.query("event")?.map(|event| event_of(&event)).transpose()?;
    ctx.webhooks.remove(call.part(0), event.as_deref()).map_err(denied)?;
    Ok(reply::ok(200).into())
}

/// `POST /webhooks/HOOK/secret`: another secret, given or made.
pub fn renew(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let id = call.part(0);
    let mut body = match call.request.body.is_empty() {
        true => Map::new(),
        false => call.object()?,
    };
    let secret = secret(&mut body)?;
    only(&body)?;
    let secret = ctx.webhooks.renew(id, secret, ctx.now.wall).map_err(denied)?;
    Ok(told_once(id, secret).into())
}

/// What a webhook is called, and its secret if that was made just now.
fn told_once(id: &str, secret: Option<String>) -> Response {
    match secret {
        Some(secret) => reply::value(&json!({"ok": true, "id": id, "secret": secret}))
            .with("Cache-Control", "no-store"),
        None => reply::value(&json!({"ok": true, "id": id})),
    }
}

/// `POST /webhooks/HOOK/test`: sends a test there, and tells what came of it.
pub fn test(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::TestWebhook(call.part(0).to_owned()))
}

fn denied(denied: Denied) -> Response {
    let most = |count: usize, of: &str| format!("there are {count} {of}, and no more may be");
    let detail = match denied {
        Denied::TooMany => most(limits::WEBHOOKS, "webhooks"),
        Denied::TooManyEvents => most(limits::WEBHOOK_EVENTS, "names of events for this address"),
        Denied::Filed(place) => format!("that stands in {place}: take it away there"),
        Denied::Nothing | Denied::Busy => return Response::error(404, None),
    };
    Response::error(409, Some(&detail))
}

fn text(body: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Response> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_request(&format!("{name}: expected a text"))),
    }
}

fn secret(body: &mut Map<String, Value>) -> Result<Option<Secret>, Response> {
    let said = text(body, "secret")?;
    let secret = said.map(|text| Secret::read(&text)).transpose();
    secret.map_err(|error| bad_request(&format!("secret: {error}")))
}

fn event_of(text: &str) -> Result<String, Response> {
    event_name(text).map_err(|error| bad_request(&format!("event: {error}")))
}

/// One name, or a list of them.
fn events(body: &mut Map<String, Value>) -> Result<SortedSet<String>, Response> {
    let one = text(body, "event")?;
    let list = match body.remove("events") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad_request("events: expected a list of names")),
    };
    let named = list.iter().map(|event| event.as_str().unwrap_or_default());
    let all = one.as_deref().into_iter().chain(named).map(event_of);
    let events: SortedSet<String> = all.collect::<Result<_, _>>()?;
    if events.is_empty() {
        return Err(bad_request("event: which events go there? . for all"));
    }
    Ok(events)
}

/// Refuses what nobody knows: a slip in a name would else be a wish that is not granted.
fn only(body: &Map<String, Value>) -> Result<(), Response> {
    match body.keys().next() {
        Some(name) => Err(bad_request(&format!("{name}: there is no such member"))),
        None => Ok(()),
    }
}
