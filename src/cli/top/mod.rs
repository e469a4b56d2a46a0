//! `gaffer top`: the node as it is, on all of the terminal, or many nodes.
//!
//! Read in this order: `model` (facts, keys and time in; wishes out), with `facts` (what the node said),
//! `follow` (the output of one process), `dialog` and `pressed` (what keys lead to) and `keys` (bytes to
//! keys); `draw` (the model on a screen of cells), with `canvas`, `listing` and `pages`; and the two that
//! touch the world: `screen` (the terminal, and giving it back) and `shell` (the loop).

pub mod canvas;
pub mod dialog;
pub mod draw;
pub mod facts;
pub mod follow;
pub mod keys;
pub mod listing;
pub mod model;
pub mod pages;
mod pressed;
pub mod screen;
pub mod shell;

use std::io::{self, IsTerminal as _};

use super::args::Invocation;
use super::failure::Failure;
use super::names;
use super::printable;
use super::rows::Column;
use super::sites::{Sites, Wanted};
use super::terminal::Terminal;
use super::times;
use crate::client::Live;
use facts::Scope;
use model::{Look, Model};
use shell::Shell;

/// `gaffer top`.
pub fn top(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let is_dumb = variable("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    if terminal.is_json() || is_dumb || !io::stdout().is_terminal() {
        return Err(Failure::usage(
            "top needs a terminal to draw on; gaffer ps -w and gaffer stats print lines, and JSON",
        ));
    }
    let sort = Column::of_flag(invocation)?;
    let sites = Sites::of(invocation, terminal, Wanted::WithJobsOrAll(&invocation.words))?;
    let scope = if names::means_everything(invocation) {
        Scope::default()
    } else {
        let app = names::application(invocation);
        let words = invocation.words.iter().map(|word| names::whole(word, &app));
        let mut patterns: Vec<String> = words.collect();
        if patterns.is_empty() {
            patterns.push(format!("{app}.*"));
        }
        Scope { patterns }
    };
    let look = Look {
        unicode: printable::takes_unicode(variable),
        color: terminal.has_color(),
        time: times::of_day,
    };
    let (mut named, mut nodes) = (Vec::new(), Vec::new());
    for site in sites.all() {
        let endpoint = site.server.endpoint().clone();
        // Of many nodes one that is not there is shown as that; a single one is an error.
        let live = match site.label {
            None => Some(Live::open(&endpoint)?),
            Some(_) => None,
        };
        named.push((site.label.clone(), site.server.address().to_string()));
        nodes.push((endpoint, live));
    }
    let mut model = Model::new(named, &scope, look);
    model.sort = sort;
    Shell::new(model, nodes)?.run()
}
