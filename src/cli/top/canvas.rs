//! Cells to draw on: texts in their places, cut to their room and free of whatever would steer the
//! terminal, with a colour by what it means.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::model::Look;
use crate::cli::printable;
use crate::cli::terminal::Paint;

/// A screen that is drawn.
pub struct Canvas {
    /// Its cells.
    pub cells: Buffer,
    look: Look,
}

/// Levels of a bar.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The same for a terminal that knows no more than ASCII.
const PLAIN_BARS: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

impl Canvas {
    /// An empty one.
    pub fn new((columns, rows): (u16, u16), look: Look) -> Self {
        Self { cells: Buffer::empty(Rect::new(0, 0, columns, rows)), look }
    }

    /// Its columns.
    pub fn columns(&self) -> u16 {
        self.cells.area.width
    }

    /// Its rows.
    pub fn rows(&self) -> u16 {
        self.cells.area.height
    }

    /// Puts a text, cut to this many columns; gives the column behind it.
    pub fn put(&mut self, (x, y): (u16, u16), width: u16, text: &str, paint: Paint) -> u16 {
        if y >= self.rows() || x >= self.columns() {
            return x;
        }
        let width = width.min(self.columns() - x);
        let text = fit(&self.clean(text), width, self.look.unicode);
        let (x, _) = self.cells.set_stringn(x, y, text, usize::from(width), self.style(paint));
        x
    }

    /// Puts a text at the right of this many columns.
    pub fn put_right(&mut self, (x, y): (u16, u16), width: u16, text: &str, paint: Paint) {
        let room = width.saturating_sub(width_of(&self.clean(text)));
        self.put((x.saturating_add(room), y), width - room, text, paint);
    }

    /// Puts the last of these values as a bar for each, the newest at the right.
    pub fn put_bars(
        &mut self,
        (x, y): (u16, u16),
        values: impl Iterator<Item = f64>,
        full: f64,
        paint: Paint,
    ) {
        let bars = if self.look.unicode { BARS } else { PLAIN_BARS };
        let text: String = values.map(|value| bars[level(value, full)]).collect();
        // These are no texts of others.
        self.cells.set_stringn(x, y, text, usize::from(self.columns() - x), self.style(paint));
    }

    /// Fills a line, as a title.
    pub fn rule(&mut self, y: u16, title: &str) {
        let line = if self.look.unicode { "─" } else { "-" };
        let columns = self.columns();
        let all = line.repeat(usize::from(columns));
        if y < self.rows() {
            self.cells.set_stringn(0, y, all, usize::from(columns), self.style(Paint::Dim));
            let room = columns.saturating_sub(4);
            self.put((2, y), room, &format!(" {title} "), Paint::Bold);
        }
    }

    /// Shows a line the other way round.
    pub fn reverse(&mut self, y: u16) {
        let line = Rect::new(0, y, self.columns(), 1).intersection(self.cells.area);
        self.cells.set_style(line, Style::default().add_modifier(Modifier::REVERSED));
    }

    /// Empties a line.
    pub fn clear(&mut self, y: u16) {
        let blank = " ".repeat(usize::from(self.columns()));
        if y < self.rows() {
            self.cells.set_stringn(0, y, blank, usize::from(self.columns()), Style::reset());
        }
    }

    /// A text of others as it is shown.
    pub fn clean(&self, text: &str) -> String {
        printable::line(text, self.look.unicode)
    }

    fn style(&self, paint: Paint) -> Style {
        let style = Style::default();
        if !self.look.color {
            return style;
        }
        match paint {
            Paint::Good => style.fg(Color::Green),
            Paint::Busy => style.fg(Color::Cyan),
            Paint::Warn => style.fg(Color::Yellow),
            Paint::Bad => style.fg(Color::Red),
            Paint::Dim => style.add_modifier(Modifier::DIM),
            Paint::Bold => style.add_modifier(Modifier::BOLD),
            Paint::Plain => style,
        }
    }
}

/// How high a bar is, of 8 levels.
fn level(value: f64, full: f64) -> usize {
    let share = if full > 0.0 { (value / full).clamp(0.0, 1.0) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let level = (share * 7.0).round() as usize;
    level.min(7)
}

/// How many columns a text takes.
pub fn width_of(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// A text cut to so many columns, and marked where it is.
pub fn fit(text: &str, width: u16, unicode: bool) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let (mark, room) = (if unicode { '…' } else { '~' }, width.saturating_sub(1));
    let mut cut = start(text, room).to_owned();
    if width > 0 {
        cut.push(mark);
    }
    cut
}

/// As much of the beginning of a text as takes no more than so many columns.
fn start(text: &str, width: u16) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += width_of(c.encode_utf8(&mut [0; 4]));
        if used > width {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// A text in lines of so many columns.
pub fn wrapped(text: &str, width: u16) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = start(rest, width.max(2));
        // A character wider than everything is left out rather than tried for ever.
        let line = if line.is_empty() { rest } else { line };
        lines.push(line);
        rest = rest.get(line.len()..).unwrap_or_default();
    }
    if lines.is_empty() {
        lines.push("");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns() {
        for (text, width, cut) in [
            ("hello", 5, "hello"),
            ("hello!", 5, "hell…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("x", 0, ""),
        ] {
            assert_eq!(fit(text, width, true), cut, "{text} {width}");
        }
        assert_eq!(fit("hello!", 5, false), "hell~");
        assert_eq!(wrapped("日本語x", 4), ["日本", "語x"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn bars_have_eight_levels() {
        let levels: Vec<usize> = [0.0, 1.0, 50.0, 100.0, 1000.0].map(|v| level(v, 100.0)).into();
        assert_eq!(levels, [0, 0, 4, 7, 7]);
        assert_eq!(level(0.0, 0.0), 0);
    }
}
