//! How things are shown: colours only on a terminal and where nobody forbids them, rows that line up,
//! JSON where it is asked for, and a picture that is drawn again in its place.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;

use serde::Serialize;

use super::args::Invocation;
use super::failure::Failure;
use super::layout::{self, cut, Column, GAP};
use crate::sys::terminal;
use crate::wire::json;

/// Where a command prints.
pub struct Terminal {
    out: Box<dyn Write>,
    color: bool,
    json: bool,
    /// Columns, if it is a terminal.
    width: Option<usize>,
    /// Whether questions may be asked.
    asks: bool,
    /// Whether it takes commands, such as to go back to its first row.
    obeys: bool,
    /// What is printed into a frame, while one is made.
    frame: Option<Vec<u8>>,
    /// Whether a frame has been drawn.
    drawn: bool,
}

/// A colour by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// It is well.
    Good,
    /// It is on its way.
    Busy,
    /// It needs a look.
    Warn,
    /// It is broken.
    Bad,
    /// It does not matter much.
    Dim,
    /// It names something.
    Bold,
    /// None.
    Plain,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Busy => "36",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Plain => "0",
        }
    }

    /// The colour of a state's word.
    pub fn of_state(state: &str) -> Self {
        match state {
            "running" => Self::Good,
            "starting" | "waiting" | "stopping" => Self::Busy,
            "backoff" => Self::Warn,
            "failed" => Self::Bad,
            "exited" | "stopped" => Self::Dim,
            _ => Self::Plain,
        }
    }
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// In which colour.
    pub paint: Paint,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), paint: Paint::Plain }
    }
}

impl Terminal {
    /// Standard output.
    pub fn of_process() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let obeys = is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let color = obeys && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = is_terminal.then(columns);
        let asks = io::stdin().is_terminal();
        let out = Box::new(stdout);
        Self { out, color, json: false, width, asks, obeys, frame: None, drawn: false }
    }

    /// Takes what the flags say.
    pub fn obey(&mut self, invocation: &Invocation) {
        self.color &= !invocation.has("no-color");
        self.json = invocation.has("json");
        self.asks &= !invocation.has("no-input");
    }

    /// Whether JSON is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether people read it, and no program.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Whether there are colours.
    pub fn has_color(&self) -> bool {
        self.color
    }

    /// Prints a line.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.frame {
            Some(frame) => Ok(writeln!(frame, "{text}")?),
            None => Ok(writeln!(self.out, "{text}")?),
        }
    }

    /// Whether a picture can be drawn again in its place.
    pub fn has_frames(&self) -> bool {
        self.obeys && !self.json
    }

    /// Draws what `show` prints in the place of what it printed before. What was on the terminal before
    /// the first time is moved up, where the terminal keeps it. The window may have another size each time.
    ///
    /// # Errors
    /// Those of `show`, and nothing is drawn; or the terminal is gone.
    pub fn draw<T>(
        &mut self,
        show: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.width = Some(columns());
        self.frame = Some(Vec::new());
        let shown = show(self);
        let text = self.frame.take().unwrap_or_default();
        let shown = shown?;
        let rows = terminal::size(io::stdout().as_fd()).map_or(24, |(_, rows)| usize::from(rows));
        let up = if self.drawn { String::new() } else { "\r\n".repeat(rows) };
        let frame = layout::frame(&String::from_utf8_lossy(&text), rows);
        // In one piece, so that nobody sees half of it.
        self.out.write_all((up + &frame).as_bytes())?;
        self.out.flush()?;
        self.drawn = true;
        Ok(shown)
    }

    /// Says something beside what is printed, which may be read by a program.
    pub fn remark(&mut self, text: &str) {
        // The reader of stderr is not what this is done for.
        let _ = writeln!(io::stderr(), "gaffer: {text}");
    }

    /// Prints bytes as they are, at once.
    ///
    /// # Errors
    /// Nobody reads them any more.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(frame) = &mut self.frame {
            return Ok(frame.write_all(bytes)?);
        }
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// Prints a value as JSON, on one line.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&json::text(value))
    }

    /// A text in a colour, where there are colours.
    pub fn painted(&self, text: &str, paint: Paint) -> String {
        if self.color && paint != Paint::Plain {
            format!("\x1b[{}m{text}\x1b[0m", paint.code())
        } else {
            text.to_owned()
        }
    }

    /// Prints rows whose columns line up. Numbers in `right` stand at the right of their column. On a
    /// terminal the last column is cut where the line ends.
    ///
    /// # Errors
    /// Nobody reads them any more.
    pub fn table(&mut self, rows: &[Vec<Cell>], right: &[usize]) -> Result<(), Failure> {
        let columns = layout::as_they_are(&widths(rows), self.width);
        self.rows(rows, right, &columns)
    }

    /// The same in rows that fit the terminal: the columns in `spare` are left out where there is no room
    /// for them, the first of them first, and then long cells are cut.
    ///
    /// # Errors
    /// As [`Self::table`].
    pub fn fitted_table(
        &mut self,
        rows: &[Vec<Cell>],
        right: &[usize],
        spare: &[usize],
    ) -> Result<(), Failure> {
        let columns = layout::fitted(&widths(rows), spare, self.width);
        self.rows(rows, right, &columns)
    }

    fn rows(
        &mut self,
        rows: &[Vec<Cell>],
        right: &[usize],
        columns: &[Column],
    ) -> Result<(), Failure> {
        for row in rows {
            let mut line = String::new();
            for (at, column) in columns.iter().enumerate() {
                let Some(cell) = row.get(column.index) else { continue };
                let text = cut(&cell.text, column.width);
                let gap = column.width.saturating_sub(text.chars().count());
                let before = if right.contains(&column.index) { gap } else { 0 };
                line += &" ".repeat(before);
                line += &self.painted(&text, cell.paint);
                if at + 1 < columns.len() {
                    line += &" ".repeat(gap - before + GAP);
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Asks; without a terminal to ask on, or with `--no-input`, the answer is yes.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn agrees(&mut self, question: &str) -> Result<bool, Failure> {
        if !self.asks {
            return Ok(true);
        }
        loop {
            write!(self.out, "{question} [y]|n: ")?;
            self.out.flush()?;
            let mut answer = String::new();
            if io::stdin().read_line(&mut answer)? == 0 {
                return Ok(false);
            }
            match answer.trim().to_ascii_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.line("please enter y or n.")?,
            }
        }
    }
}

fn widths(rows: &[Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    (0..columns).map(width_of).collect()
}

/// How wide the terminal is; 80 where it does not say.
fn columns() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let has = terminal::columns;
    said.or_else(has).filter(|width| *width > 0).unwrap_or(80)
}

/// Seconds as people say them: `3.1s`, `12s`, `5m07s`, `2h03m`, `4d02h`.
pub fn span(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let seconds = seconds.round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d{:02}h", hours % 24),
        () if hours > 0 => format!("{hours}h{:02}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m{:02}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// Bytes as people say them: `84M`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes;
    for unit in ["B", "K", "M", "G", "T"] {
        if value < 1024 || unit == "T" {
            return format!("{value}{unit}");
        }
        value /= 1024;
    }
    unreachable!("the last unit takes all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        for (seconds, text) in [
            (0.0, "0.0s"),
            (3.12, "3.1s"),
            (9.96, "10s"),
            (59.0, "59s"),
            (307.0, "5m07s"),
            (7_380.0, "2h03m"),
            (352_800.0, "4d02h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(
            (size(0), size(1023), size(88_080_384)),
            ("0B".into(), "1023B".into(), "84M".into())
        );
    }
}
