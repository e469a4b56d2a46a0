//! Questions to the person at the terminal, over that itself and not over standard input and output, which
//! may be something else.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;

use super::terminal::Modes;

/// A terminal to ask on.
pub struct Prompt {
    terminal: BufReader<File>,
}

impl Prompt {
    /// The terminal that controls us (/dev/tty, tty(4)).
    ///
    /// # Errors
    /// There is none: nobody can be asked.
    pub fn open() -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        Ok(Self { terminal: BufReader::new(terminal) })
    }

    /// Asks for a line; `None` at its end (^D).
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn line(&mut self, question: &str) -> io::Result<Option<String>> {
        self.say(question)?;
        self.answer()
    }

    /// The same for what nobody should see: nothing that is typed is shown.
    ///
    /// # Errors
    /// As [`Self::line`], or the terminal cannot be told to show nothing.
    pub fn secret(&mut self, question: &str) -> io::Result<Option<String>> {
        self.say(question)?;
        let before = Modes::of(self.terminal.get_ref().as_fd())?;
        before.without_echo().set(self.terminal.get_ref().as_fd())?;
        let answer = self.answer();
        before.set(self.terminal.get_ref().as_fd())?;
        self.say("\n")?;
        answer
    }

    /// Says something on a line of its own.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn tell(&mut self, text: &str) -> io::Result<()> {
        self.say(&format!("{text}\n"))
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let terminal = self.terminal.get_mut();
        terminal.write_all(text.as_bytes())?;
        terminal.flush()
    }

    fn answer(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.terminal.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }
}
