//! `gaffer log-level`: what is in the node's log.

use serde_json::json;

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::keys::text;
use super::terminal::Terminal;

/// `gaffer log-level [LEVEL]`: tells it, or sets it until the node ends.
pub fn log_level(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let answer = match invocation.words.first() {
        None => server.ask("GET", "/log-level", b"")?,
        Some(level) => {
            let body = json!({"level": level}).to_string();
            server.ask("PUT", "/log-level", body.as_bytes())?
        }
    };
    let answer = answer.json()?;
    if terminal.is_json() {
        return terminal.json(&answer);
    }
    let level = text(&answer["level"]);
    match answer["before"].as_str() {
        Some(before) => terminal.line(&format!("{level} (was {before})")),
        None => terminal.line(&level),
    }
}
