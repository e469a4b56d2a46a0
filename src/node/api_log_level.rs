//! Endpoints for what is in the node's log.

use log::info;
use serde_json::{json, Value};

use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use super::machine::Effect;
use super::reply::{self, bad_request};
use crate::base::level::Level;
use crate::front::response::Response;
use crate::wire::json;

/// `GET /log-level`: what is in the log.
pub fn show(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::LogLevel(None))
}

/// `PUT /log-level`: what is in the log from now on, as `{"level": "debug"}` or as the word alone.
pub fn set(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let body = call.request.body.trim_ascii();
    let word = match body.first() {
        // A word, in quotes or bare; a string is not what it looks like before it is read.
        Some(b'{') => member(call)?,
        Some(b'"') => match json::parse(body) {
            Ok(Value::String(word)) => word,
            Ok(_) | Err(_) => String::from_utf8_lossy(body).into_owned(),
        },
        Some(_) | None => String::from_utf8_lossy(body).into_owned(),
    };
    let level = Level::parse(&word);
    let level = level.ok_or_else(|| bad_request(&format!("level: expected {}", Level::WORDS)))?;
    Ok(Answer::LogLevel(Some(level)))
}

fn member(call: &Call<'_>) -> Result<String, Response> {
    let mut body = call.object()?;
    let level = body.remove("level");
    if let Some(other) = body.keys().next() {
        return Err(bad_request(&format!("unknown member {other:?}; expected level alone")));
    }
    match level {
        Some(Value::String(word)) => Ok(word),
        // No level has this name, and so the answer is that of one that is unknown.
        Some(_) | None => Ok(String::new()),
    }
}

impl Gaffer {
    /// What is in the log, and was before it was set to this.
    pub(super) fn ask_log_level(&mut self, wish: Option<Level>) -> Response {
        let Some(before) = self.log_level else {
            let reason = "the node runs inside another program, and the log is that program's";
            return Response::json(409, &json!({"error": "conflict", "reason": reason}));
        };
        let Some(level) = wish else { return reply::value(&json!({"level": before.word()})) };
        self.set_log_level(level);
        reply::value(&json!({"level": level.word(), "before": before.word()}))
    }

    /// Has this much in the log from now on, if it is ours.
    pub(super) fn set_log_level(&mut self, level: Level) {
        let Some(before) = self.log_level.filter(|before| *before != level) else { return };
        info!("the log tells {} from now on, and {} before", level.word(), before.word());
        self.log_level = Some(level);
        self.effects.push(Effect::SetLogLevel(level));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::gaffer::Setup;
    use crate::node::machine::{Configuration, Machine as _};
    use crate::node::testing;

    fn node(log_level: Option<Level>) -> Gaffer {
        Gaffer::new(Setup { log_level, ..testing::setup() })
    }

    fn set(gaffer: &mut Gaffer) -> Vec<Level> {
        let set = |effect| if let Effect::SetLogLevel(level) = effect { Some(level) } else { None };
        gaffer.take_effects().into_iter().filter_map(set).collect()
    }

    #[test]
    fn the_log_of_a_host_program_is_left_alone() {
        let mut gaffer = node(None);
        for wish in [None, Some(Level::Debug)] {
            assert_eq!(gaffer.ask_log_level(wish).status, 409);
        }
        assert_eq!(set(&mut gaffer), []);
    }

    #[test]
    fn a_configuration_sets_the_level_only_where_it_changed_there() {
        let (mut gaffer, now) = (node(Some(Level::Info)), testing::now());
        assert_eq!(gaffer.ask_log_level(Some(Level::Debug)).status, 200);
        assert_eq!(set(&mut gaffer), [Level::Debug]);
        gaffer.reconfigured(Ok(Configuration::default()), now);
        assert_eq!((set(&mut gaffer), gaffer.log_level), (vec![], Some(Level::Debug)));
        let log_level = Some(Level::Warning);
        gaffer.reconfigured(Ok(Configuration { log_level, ..Configuration::default() }), now);
        assert_eq!((set(&mut gaffer), gaffer.log_level), (vec![Level::Warning], log_level));
        gaffer.ask_log_level(log_level);
        assert_eq!(set(&mut gaffer), [], "it is so already");
    }
}
