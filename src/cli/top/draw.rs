//! The whole screen, from the model: a head, the table, a lower part, and a line of keys or a question.

use ratatui::buffer::Buffer;

use super::canvas::{wrapped, Canvas};
use super::dialog::{Mode, Page, What, SIGNALS};
use super::facts::{History, Shown, Totals};
use super::follow::From;
use super::listing;
use super::model::{Bad, Link, Model, Pane};
use crate::base::clock::Now;
use crate::base::sorted::SortedMap;
use crate::cli::terminal::{size, Paint};

/// A terminal with fewer rows has no lower part,
const PANE_FROM: u16 = 12;
/// and one with fewer only one line of head.
const TOTALS_FROM: u16 = 8;
/// A narrower one does not say where the node is.
const ADDRESS_FROM: u16 = 60;
/// Below this nothing sensible can be shown.
const LEAST: (u16, u16) = (10, 3);
/// Most bars of what all processes use together.
const TOTAL_BARS: u16 = 24;

/// Draws everything.
pub fn draw(model: &mut Model, now: Now) -> Buffer {
    let mut canvas = Canvas::new(model.size, model.look);
    if model.size.0 < LEAST.0 || model.size.1 < LEAST.1 {
        canvas.put((0, 0), model.size.0, "too small", Paint::Plain);
        return canvas.cells;
    }
    let all = model.all_rows(now);
    let rows = model.shown(all.clone());
    let last = canvas.rows() - 1;
    if let Mode::Page(page) = &model.mode {
        draw_page(&mut canvas, model, page);
    } else {
        let head = draw_head(&mut canvas, model, &all);
        let (table, pane) = parts(model, &rows, last - head - 1);
        model.settle(&rows, usize::from(table));
        listing::draw(&mut canvas, model, &rows, head, table);
        if pane > 0 {
            draw_pane(&mut canvas, model, &rows, (last - pane, pane - 1));
        }
    }
    draw_foot(&mut canvas, model, last);
    canvas.cells
}

/// How many rows the table has without its head, and how many the lower part with its title.
fn parts(model: &Model, rows: &[Shown], height: u16) -> (u16, u16) {
    if model.pane == Pane::None || model.size.1 < PANE_FROM {
        return (height, 0);
    }
    let wanted = u16::try_from(rows.len()).unwrap_or(u16::MAX).max(1);
    let table = wanted.clamp(1, height - (height / 3).max(4));
    (table, height - table)
}

/// Draws the head; gives the line below it.
fn draw_head(canvas: &mut Canvas, model: &Model, rows: &[Shown]) -> u16 {
    let columns = canvas.columns();
    let x = canvas.put((0, 0), columns, "gaffer top", Paint::Bold) + 2;
    match model.nodes.first().map(|node| (node, &node.link)) {
        Some((node, Link::Down { since, why })) if !model.is_of_many() => {
            let since = (model.look.time)(*since);
            let text = format!("disconnected since {since}, trying again");
            canvas.put((x, 0), columns, &text, Paint::Bad);
            if model.size.1 >= TOTALS_FROM {
                let text = format!("{}: {why}", node.address);
                canvas.put((0, 1), columns, &text, Paint::Bad);
            }
        }
        Some((node, _)) if !model.is_of_many() => {
            let x = match columns {
                ADDRESS_FROM.. => canvas.put((x, 0), columns, &node.address, Paint::Plain) + 2,
                _ => x,
            };
            canvas.put((x, 0), columns, &counts(model, rows), Paint::Plain);
        }
        Some(_) | None => {
            let count = model.nodes.len();
            let lost = (0..count).filter(|node| !model.is_up(*node)).count();
            let plural = if count == 1 { "" } else { "s" };
            let mut x = canvas.put((x, 0), columns, &format!("{count} node{plural}"), Paint::Plain);
            if lost > 0 {
                x = canvas.put((x, 0), columns, &format!(", {lost} lost"), Paint::Bad);
            }
            let x = x + 2;
            canvas.put((x, 0), columns, &counts(model, rows), Paint::Plain);
        }
    }
    if model.size.1 < TOTALS_FROM {
        return 1;
    }
    if !model.is_of_many() && !model.is_up(0) {
        return 2;
    }
    let x = draw_totals(canvas, model, rows) + 2;
    let mut how = Vec::new();
    if !model.filter.is_empty() {
        how.push(format!("filter {:?}", model.filter));
    }
    if let Some(column) = model.sort {
        how.push(format!("by {}", column.name()));
    }
    canvas.put_right((x, 1), columns.saturating_sub(x), &how.join("  "), Paint::Busy);
    2
}

/// How many jobs there are, and how many instances in which states.
fn counts(model: &Model, rows: &[Shown]) -> String {
    let mut states: SortedMap<&str, usize> = SortedMap::new();
    for shown in rows.iter().filter(|shown| shown.row.number.is_some()) {
        *states.entry(&shown.row.state).or_default() += 1;
    }
    let jobs: usize = model.nodes.iter().map(|node| node.facts.count()).sum();
    let plural = if jobs == 1 { "" } else { "s" };
    let each: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let colon = if each.is_empty() { "" } else { ": " };
    format!("{jobs} job{plural}{colon}{}", each.join(", "))
}

fn draw_totals(canvas: &mut Canvas, model: &Model, rows: &[Shown]) -> u16 {
    let columns = canvas.columns();
    let bars = (columns / 8).min(TOTAL_BARS);
    let sums = model.nodes.iter().map(|node| node.facts.sums());
    let (cpu, rss) = sums.fold((0.0, 0.0), |(cpu, rss), (c, r)| (cpu + c, rss + r));
    let x = canvas.put((0, 1), columns, "cpu ", Paint::Dim);
    let values = together(model, usize::from(bars), |totals| &totals.cpu);
    let full = values.iter().copied().fold(100.0, f64::max);
    canvas.put_bars((x, 1), values.into_iter(), full, Paint::Busy);
    canvas.put_right((x + bars, 1), 7, &format!("{}%", listing::percent(cpu)), Paint::Plain);
    let x = canvas.put((x + bars + 9, 1), columns, "mem ", Paint::Dim);
    let values = together(model, usize::from(bars), |totals| &totals.rss);
    let full = values.iter().copied().fold(0.0, f64::max) * 2.0;
    canvas.put_bars((x, 1), values.into_iter(), full, Paint::Busy);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let bytes = rss as u64;
    canvas.put_right((x + bars, 1), 6, &size(bytes), Paint::Plain);
    let restarts: u64 = rows.iter().map(|shown| shown.row.restarts).sum();
    canvas.put((x + bars + 8, 1), columns, &format!("restarts {restarts}"), Paint::Plain)
}

/// What the processes of all nodes used, the last so many measurements.
fn together(model: &Model, count: usize, of: fn(&Totals) -> &History) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for node in &model.nodes {
        let values: Vec<f64> = of(node.facts.totals()).last(count).collect();
        while sums.len() < values.len() {
            sums.insert(0, 0.0);
        }
        // The last of each are of now.
        for (sum, value) in sums.iter_mut().rev().zip(values.iter().rev()) {
            *sum += value;
        }
    }
    sums
}

/// What happened on all nodes, in the order of its time.
fn happened(model: &Model) -> Vec<(f64, String)> {
    let mut all = Vec::new();
    for (index, node) in model.nodes.iter().enumerate() {
        let front = model.in_front(index);
        all.extend(node.facts.happened().map(|(at, text)| (at, format!("{front}{text}"))));
    }
    if model.nodes.len() > 1 {
        all.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }
    all
}

/// Draws the lower part: a title, and lines below it.
fn draw_pane(canvas: &mut Canvas, model: &Model, rows: &[Shown], (y, height): (u16, u16)) {
    if model.pane == Pane::Events {
        canvas.rule(y, "events");
        let happened = happened(model);
        let skip = happened.len().saturating_sub(usize::from(height));
        for ((at, text), y) in happened.iter().skip(skip).zip(y + 1..) {
            let x = canvas.put((0, y), 9, &(model.look.time)(*at), Paint::Dim) + 1;
            canvas.put((x, y), canvas.columns(), text, Paint::Plain);
        }
        return;
    }
    let Some(wanted) = model.follow.wanted() else { return canvas.rule(y, "output") };
    let what = if model.only_err { "errors" } else { "output" };
    let front = model.in_front(wanted.node);
    canvas.rule(y, &format!("{front}{what} of {}", wanted.shown()));
    let lines = output(model, None, height, model.wraps, canvas);
    if lines.is_empty() {
        let none = match model.selected_row(rows).and_then(|shown| shown.row.pid) {
            Some(_) => "nothing yet",
            None => "no process; d tells how its last runs ended",
        };
        canvas.put((2, y + 1), canvas.columns(), none, Paint::Dim);
    }
    draw_output(canvas, &lines, y + 1);
}

/// The last lines of the output before this number as they fit into so many rows.
fn output(
    model: &Model,
    before: Option<u64>,
    height: u16,
    wraps: bool,
    canvas: &Canvas,
) -> Vec<(From, String)> {
    let shown = |from: From| !model.only_err || from != From::Out;
    let behind = before.map_or(0, |before| {
        let numbers = model.follow.numbers(false);
        numbers.len() - numbers.partition_point(|number| *number < before)
    });
    let mut lines = Vec::new();
    for (from, text) in model.follow.lines().rev().skip(behind).filter(|(from, _)| shown(*from)) {
        let text = canvas.clean(text);
        let width = canvas.columns().saturating_sub(2);
        let parts = if wraps { wrapped(&text, width) } else { vec![text.as_str()] };
        lines.extend(parts.into_iter().rev().map(|part| (from, part.to_owned())));
        if lines.len() >= usize::from(height) {
            break;
        }
    }
    lines.truncate(usize::from(height));
    lines.reverse();
    lines
}

fn draw_output(canvas: &mut Canvas, lines: &[(From, String)], y: u16) {
    for ((from, text), y) in lines.iter().zip(y..) {
        let (mark, paint) = match from {
            From::Out => (" ", Paint::Plain),
            From::Err => ("!", Paint::Warn),
            From::Us => ("-", Paint::Dim),
        };
        canvas.put((0, y), 1, mark, paint);
        canvas.put((2, y), canvas.columns(), text, paint);
    }
}

fn draw_page(canvas: &mut Canvas, model: &Model, page: &Page) {
    let front = match page.what {
        What::Help => String::new(),
        What::Log(_) | What::Deaths(_) | What::Info(_) => model.in_front(model.about),
    };
    canvas.rule(0, &format!("{front}{}", page.title()));
    let height = canvas.rows() - super::pages::AROUND;
    if matches!(page.what, What::Log(_)) {
        let before = (!page.follows).then_some(page.at);
        let lines = output(model, before, height, model.wraps, canvas);
        return draw_output(canvas, &lines, 1);
    }
    let skip = usize::try_from(page.at).unwrap_or(usize::MAX);
    for (text, y) in page.lines.iter().skip(skip).take(usize::from(height)).zip(1..) {
        canvas.put((0, y), canvas.columns(), text, Paint::Plain);
    }
}

/// Draws the last line, or more of them where there is a question.
fn draw_foot(canvas: &mut Canvas, model: &Model, y: u16) {
    let columns = canvas.columns();
    match &model.mode {
        Mode::Ask(act) => {
            let question = format!("{}{}", model.in_front(model.about), act.question());
            let lines = vec![question, act.answers().to_owned()];
            draw_question(canvas, &lines, y);
        }
        Mode::Signals(menu) => {
            let name = |(at, signal): (usize, &&str)| match at == menu.at {
                true => format!("[{signal}]"),
                false => format!(" {signal} "),
            };
            let signals: String = SIGNALS.iter().enumerate().map(name).collect();
            let target = match menu.target() {
                super::dialog::Target::Process(pid, what) => format!("process {pid} of {what}"),
                super::dialog::Target::Job(name) => format!("all processes of {name}"),
            };
            let front = model.in_front(model.about);
            let keys = "Left Right choose  Enter takes it  a process or all  Esc leave";
            draw_question(
                canvas,
                &[format!("{front}Signal to {target}:"), signals, keys.into()],
                y,
            );
        }
        Mode::Filter(_) => {
            canvas.clear(y);
            let x = canvas.put((0, y), columns, &format!("filter: {}", model.filter), Paint::Bold);
            canvas.put((x, y), 1, "_", Paint::Bold);
        }
        Mode::Table | Mode::Page(_) => draw_keys(canvas, model, y),
    }
}

fn draw_question(canvas: &mut Canvas, lines: &[String], last: u16) {
    let columns = canvas.columns();
    let lines: Vec<&str> =
        lines.iter().flat_map(|line| wrapped(line.trim_end(), columns)).collect();
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(last + 1);
    for (line, y) in lines.iter().zip(last + 1 - count..=last) {
        canvas.clear(y);
        canvas.put((0, y), columns, line, Paint::Bold);
        canvas.reverse(y);
    }
}

fn draw_keys(canvas: &mut Canvas, model: &Model, y: u16) {
    let columns = canvas.columns();
    if let Some((text, bad)) = &model.message {
        let paint = match bad {
            Bad::Yes => Paint::Bad,
            Bad::No => Paint::Good,
        };
        let mark = if *bad == Bad::Yes { "! " } else { "" };
        canvas.put((0, y), columns, &format!("{mark}{text}"), paint);
        return;
    }
    let keys = match &model.mode {
        Mode::Page(Page { what: What::Log(_), follows: true, .. }) => {
            "q back  Up PgUp the past  w wrap  e errors only  (following)"
        }
        Mode::Page(Page { what: What::Log(_), .. }) => {
            "q back  Up Down PgUp PgDn  f follow  w wrap  e errors only"
        }
        Mode::Page(_) => "q back  Up Down PgUp PgDn Home End",
        Mode::Table | Mode::Filter(_) | Mode::Ask(_) | Mode::Signals(_) => {
            "? help  q quit  r restart  x stop  S start  +- scale  t signal  / filter  s sort"
        }
    };
    canvas.put((0, y), columns, keys, Paint::Dim);
}
