//! The table of instances, as wide as the terminal lets it be.

use super::canvas::{width_of, Canvas};
use super::facts::Shown;
use super::model::Model;
use crate::cli::rows::{Column, Row};
use crate::cli::terminal::{size, span, Paint};

/// Columns of a state: its symbol, and its longest word.
const STATE: u16 = 10;
/// Most columns of a node's name.
const NODE: u16 = 16;
/// From so many columns on, numbers are shown,
const NUMBERS_FROM: u16 = 56;
/// bars beside them,
const BARS_FROM: u16 = 72;
/// and long ones.
const LONG_BARS_FROM: u16 = 110;

/// Where what stands.
struct Places {
    /// Of the node, if there are several; blanks behind it included.
    node: u16,
    name: u16,
    state: u16,
    restarts: u16,
    cpu: u16,
    mem: u16,
    up: u16,
    note: u16,
    /// How long bars are.
    bars: u16,
    numbers: bool,
}

impl Places {
    fn of(columns: u16, longest: u16, node: u16) -> Self {
        let columns = columns.saturating_sub(node);
        let bars = match columns {
            LONG_BARS_FROM.. => 12,
            BARS_FROM.. => 6,
            _ => 0,
        };
        let numbers = columns >= NUMBERS_FROM;
        let most = if numbers { columns / 4 } else { columns.saturating_sub(STATE + 2) };
        let name = longest.clamp(4, most.max(8));
        let bar = if bars > 0 { bars + 1 } else { 0 };
        let state = 1 + node + name + 1;
        let restarts = state + STATE + 1;
        let cpu = restarts + 5;
        let mem = cpu + 6 + bar;
        let up = mem + 6 + bar;
        let note = if numbers { up + 8 } else { restarts };
        Self { node, name, state, restarts, cpu, mem, up, note, bars, numbers }
    }
}

/// Draws the rows from this line on, with a head above them.
pub fn draw(canvas: &mut Canvas, model: &Model, rows: &[Shown], y: u16, height: u16) {
    let mut of_jobs = rows.iter().filter(|shown| !shown.name.is_empty());
    let first = of_jobs.next();
    let one_app = of_jobs.all(|shown| first.is_some_and(|first| first.row.app == shown.row.app));
    let name = |row: &Row| {
        let name = row.name();
        let own = name.strip_prefix(&row.app).and_then(|rest| rest.strip_prefix('.'));
        own.filter(|_| one_app).map_or(name.clone(), str::to_owned)
    };
    let longest = rows.iter().map(|shown| width_of(&name(&shown.row))).max().unwrap_or(0);
    let nodes = model.nodes.iter().filter_map(|node| node.label.as_deref());
    let node = nodes.map(|label| width_of(label).clamp(4, NODE) + 1).max().unwrap_or(0);
    let places = Places::of(canvas.columns(), longest, node);
    heads(canvas, model, &places, y);
    let seen = rows.iter().enumerate().skip(model.first).take(usize::from(height));
    for ((index, shown), y) in seen.zip(y + 1..) {
        let is_selected = index == model.index;
        let marker = if is_selected { ">" } else { " " };
        canvas.put((0, y), 1, marker, Paint::Plain);
        if places.node > 0 {
            let label = shown.row.node.as_deref().unwrap_or_default();
            canvas.put((1, y), places.node - 1, label, Paint::Plain);
        }
        let name = if shown.name.is_empty() { String::new() } else { name(&shown.row) };
        canvas.put((1 + places.node, y), places.name, &name, Paint::Plain);
        if model.is_up(shown.node) {
            row(canvas, model, &places, shown, y);
        } else if places.node == 0 {
            canvas.put((places.state, y), STATE, "? unknown", Paint::Dim);
        } else {
            canvas.put((places.state, y), STATE, "? lost", Paint::Bad);
            canvas.put((places.restarts + 1, y), canvas.columns(), &shown.row.note, Paint::Bad);
        }
        if is_selected {
            canvas.reverse(y);
        }
    }
    if rows.is_empty() {
        let count: usize = model.nodes.iter().map(|node| node.facts.count()).sum();
        let none = match (model.filter.is_empty(), count) {
            (false, 1..) => "no row has the filter in it; Esc ends that",
            _ => "no jobs",
        };
        canvas.put((1, y + 1), canvas.columns(), none, Paint::Dim);
    }
}

fn heads(canvas: &mut Canvas, model: &Model, places: &Places, y: u16) {
    let sorted = |column: Column| if model.sort == Some(column) { "*" } else { "" };
    if places.node > 0 {
        canvas.put((1, y), places.node - 1, "NODE", Paint::Dim);
    }
    let job = format!("JOB{}", sorted(Column::Job));
    canvas.put((1 + places.node, y), places.name, &job, Paint::Dim);
    canvas.put((places.state, y), STATE, &format!("STATE{}", sorted(Column::State)), Paint::Dim);
    if !places.numbers {
        return;
    }
    let restarts = format!("RST{}", sorted(Column::Restarts));
    canvas.put_right((places.restarts, y), 4, &restarts, Paint::Dim);
    canvas.put_right((places.cpu, y), 5, &format!("CPU%{}", sorted(Column::Cpu)), Paint::Dim);
    canvas.put_right((places.mem, y), 5, &format!("MEM{}", sorted(Column::Mem)), Paint::Dim);
    canvas.put_right((places.up, y), 6, &format!("UP{}", sorted(Column::Up)), Paint::Dim);
    canvas.put((places.note, y), canvas.columns(), "NOTE", Paint::Dim);
}

fn row(canvas: &mut Canvas, model: &Model, places: &Places, shown: &Shown, y: u16) {
    let row = &shown.row;
    let state = format!("{} {}", symbol(&row.state, model.look.unicode), row.state);
    canvas.put((places.state, y), STATE, &state, Paint::of_state(&row.state));
    if !places.numbers {
        return;
    }
    let restarts = if row.restarts > 0 { Paint::Warn } else { Paint::Dim };
    canvas.put_right((places.restarts, y), 4, &row.restarts.to_string(), restarts);
    let rest = canvas.columns();
    let Some(pid) = row.pid else {
        // Nothing is measured: there is room for why.
        canvas.put((places.cpu, y), rest, &row.note, Paint::Plain);
        return;
    };
    if let Some(cpu) = row.measured.cpu {
        canvas.put_right((places.cpu, y), 5, &percent(cpu), Paint::Plain);
    }
    if let Some(rss) = row.measured.rss {
        canvas.put_right((places.mem, y), 5, &size(rss), Paint::Plain);
    }
    let node = model.nodes.get(shown.node);
    if let Some(used) = node.and_then(|node| node.facts.used(pid)) {
        let bars = usize::from(places.bars);
        let cpu = used.cpu.last(bars);
        let full = cpu.clone().fold(100.0, f64::max);
        canvas.put_bars((places.cpu + 6, y), cpu, full, Paint::Busy);
        let rss = used.rss.last(bars);
        // What stays as it is is a line in the middle.
        let full = rss.clone().fold(0.0, f64::max) * 2.0;
        canvas.put_bars((places.mem + 6, y), rss, full, Paint::Busy);
    }
    if let Some(up) = row.up {
        canvas.put_right((places.up, y), 6, &span(up), Paint::Plain);
    }
    canvas.put((places.note, y), rest, &row.note, Paint::Plain);
}

/// Per cent in at most five columns.
pub fn percent(value: f64) -> String {
    if value < 999.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A state as one character.
pub fn symbol(state: &str, unicode: bool) -> &'static str {
    let (symbol, plain) = match state {
        "running" => ("●", "*"),
        "starting" => ("◐", ">"),
        "waiting" => ("○", "."),
        "stopping" => ("◑", "<"),
        "backoff" => ("↻", "~"),
        "failed" => ("✗", "!"),
        "exited" => ("✓", "="),
        "stopped" => ("■", "-"),
        _ => ("?", "?"),
    };
    if unicode {
        symbol
    } else {
        plain
    }
}
