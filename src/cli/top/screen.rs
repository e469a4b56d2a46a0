//! The terminal as a screen: taken whole, written to where it changed, and given back as it was, whatever
//! ends us, so long as we are asked: a panic too, and every signal but KILL.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

use crate::sys::fds::becomes_writable;
use crate::sys::terminal::{self, Modes};

/// To the other screen, where pasted text comes marked and no cursor is shown (xterm's "Control
/// Sequences", DEC private modes).
const TAKE: &[u8] = b"\x1b[?1049h";
const PREPARE: &[u8] = b"\x1b[?2004h\x1b[?25l\x1b[m\x1b[2J";
/// Back, behind whatever was written in part: ESC ends that. A console without another screen is at least
/// empty.
const GIVE_BACK: &[u8] = b"\x1b[m\x1b[2J\x1b[H\x1b[?2004l\x1b[?1049l\x1b[?25h";
/// How long a terminal that takes nothing is waited for when it is given back.
const PATIENCE: Duration = Duration::from_millis(500);
/// Cells without a size: a terminal that tells none.
const UNKNOWN: (u16, u16) = (80, 24);

type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send + 'static>;

/// A terminal, and how it was.
pub struct Held {
    terminal: File,
    before: Modes,
    taken: AtomicBool,
}

/// A screen that is ours.
pub struct Screen {
    held: Arc<Held>,
    /// What it shows, once that is written.
    shown: Option<Buffer>,
    owed: Vec<u8>,
}

impl Held {
    /// A terminal as it is now.
    ///
    /// # Errors
    /// It is none.
    pub fn new(terminal: File) -> io::Result<Self> {
        let before = Modes::of(terminal.as_fd())?;
        Ok(Self { terminal, before, taken: AtomicBool::new(false) })
    }

    /// Gives it back as it was, if it is taken. Who is in the background by now writes, but leaves the
    /// modes to whoever set them since.
    pub fn give_back(&self) {
        if !self.taken.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut rest = GIVE_BACK;
        while !rest.is_empty() && becomes_writable(self.terminal.as_fd(), PATIENCE) {
            match (&self.terminal).write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It is gone: nobody is left to give it back to.
                Err(_) => break,
            }
        }
        if terminal::is_foreground(self.terminal.as_fd()) {
            // As above.
            let _ = self.before.set(self.terminal.as_fd());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What is done at a panic: first the terminal is given back, then it is told as before.
pub fn panic_hook(held: Arc<Held>, next: PanicHook) -> PanicHook {
    Box::new(move |info| {
        held.give_back();
        next(info);
    })
}

impl Screen {
    /// Takes a terminal, and has panics give it back.
    ///
    /// # Errors
    /// It is none.
    pub fn take(terminal: File) -> io::Result<Self> {
        let held = Arc::new(Held::new(terminal)?);
        let hook = panic_hook(Arc::clone(&held), std::panic::take_hook());
        std::panic::set_hook(hook);
        let mut screen = Self { held, shown: None, owed: Vec::new() };
        screen.take_again()?;
        Ok(screen)
    }

    /// Takes it again after it was given back, or sets it anew after others had it.
    ///
    /// # Errors
    /// It is gone.
    pub fn take_again(&mut self) -> io::Result<()> {
        self.held.before.for_keys().set(self.held.terminal.as_fd())?;
        self.shown = None;
        // Twice taken, the place of the cursor on the first screen would be lost.
        if !self.held.taken.swap(true, Ordering::SeqCst) {
            self.owed = TAKE.to_vec();
        }
        self.owed.extend_from_slice(PREPARE);
        Ok(())
    }

    /// Gives it back.
    pub fn give_back(&mut self) {
        self.held.give_back();
    }

    /// Whether it is ours to take.
    pub fn is_foreground(&self) -> bool {
        terminal::is_foreground(self.held.terminal.as_fd())
    }

    /// Its columns and rows.
    pub fn size(&self) -> (u16, u16) {
        terminal::size(self.held.terminal.as_fd()).unwrap_or(UNKNOWN)
    }

    /// What has been typed; 0 bytes if the terminal is gone.
    ///
    /// # Errors
    /// Nothing has, or the terminal is gone.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.held.terminal, bytes)
    }

    /// Forgets what it shows: all of it is drawn anew.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// Has these cells shown. Nothing is written for what is shown already.
    pub fn show(&mut self, cells: Buffer) {
        let empty = Buffer::empty(cells.area);
        let shown = self.shown.take().filter(|shown| shown.area == cells.area);
        if shown.is_none() {
            self.owed.extend_from_slice(b"\x1b[m\x1b[2J");
        }
        let changes = encoded(&shown.unwrap_or(empty).diff(&cells));
        self.owed.extend_from_slice(&changes);
        self.shown = Some(cells);
    }

    /// Whether something is still to be written.
    pub fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.owed.is_empty() {
            match (&self.held.terminal).write(&self.owed) {
                Ok(count) => drop(self.owed.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsRawFd for Screen {
    fn as_raw_fd(&self) -> RawFd {
        self.held.terminal.as_raw_fd()
    }
}

/// Cells as a terminal is told of them (ECMA-48): where, how, and what.
fn encoded(changes: &[(u16, u16, &Cell)]) -> Vec<u8> {
    let mut text = String::new();
    let mut next = None;
    let mut style = String::new();
    for (x, y, cell) in changes {
        if next != Some((*x, *y)) {
            text.push_str(&format!("\x1b[{};{}H", y + 1, x + 1));
        }
        let wanted = rendition(cell);
        if wanted != style {
            text.push_str(&format!("\x1b[{wanted}m"));
            style = wanted;
        }
        text.push_str(cell.symbol());
        let width = u16::try_from(Span::raw(cell.symbol()).width()).unwrap_or(1);
        next = Some((x + width, *y));
    }
    if !style.is_empty() {
        text.push_str("\x1b[m");
    }
    text.into_bytes()
}

/// How a cell is shown (SGR); empty for plainly.
fn rendition(cell: &Cell) -> String {
    let modifiers = [(Modifier::BOLD, 1), (Modifier::DIM, 2), (Modifier::REVERSED, 7)];
    let colors = [(Color::Red, 31), (Color::Green, 32), (Color::Yellow, 33), (Color::Cyan, 36)];
    let modified = modifiers.iter().filter(|(known, _)| cell.modifier.contains(*known));
    let colored = colors.iter().filter(|(known, _)| cell.fg == *known);
    let codes = modified.map(|(_, code)| code).chain(colored.map(|(_, code)| code));
    let codes: Vec<String> = codes.map(u8::to_string).collect();
    if codes.is_empty() {
        return String::new();
    }
    format!("0;{}", codes.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;
    use ratatui::style::Style;
    use std::io::Read as _;
    use std::panic::{catch_unwind, set_hook, take_hook};

    /// All that was written to a terminal up to this.
    fn until(master: &mut File, end: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            let mut bytes = [0; 256];
            let count = master.read(&mut bytes).expect("the other side is open");
            all.extend_from_slice(&bytes[..count]);
        }
        all
    }

    fn modes(terminal: &File) -> Modes {
        Modes::of(terminal.as_fd()).expect("a terminal")
    }

    #[test]
    fn a_screen_is_given_back_as_it_was() {
        let (mut master, terminal) = testing::pty();
        let before = modes(&terminal);
        let held = Arc::new(Held::new(terminal.try_clone().expect("a descriptor")).expect("one"));
        let mut screen = Screen { held, shown: None, owed: Vec::new() };
        screen.take_again().expect("taken");
        screen.flush().expect("written");
        assert_ne!(modes(&terminal), before);
        screen.give_back();
        assert_eq!(modes(&terminal), before);
        let all = until(&mut master, GIVE_BACK);
        assert_eq!(all, [TAKE, PREPARE, GIVE_BACK].concat());
        screen.give_back();
        screen.take_again().expect("taken");
        screen.take_again().expect("set anew");
        screen.flush().expect("written");
        let twice = until(&mut master, &[PREPARE, PREPARE].concat());
        assert_eq!(twice, [TAKE, PREPARE, PREPARE].concat(), "once");
        drop(screen);
        assert_eq!(modes(&terminal), before);
        assert_eq!(until(&mut master, GIVE_BACK), GIVE_BACK);
    }

    #[test]
    fn a_panic_gives_the_screen_back_before_it_is_told() {
        let name = "cli::top::screen::tests::a_panic_gives_the_screen_back_before_it_is_told";
        testing::alone(name, || {
            let (mut master, terminal) = testing::pty();
            let before = modes(&terminal);
            let (ours, theirs) = (terminal.try_clone(), terminal.try_clone());
            let (ours, theirs) = (ours.expect("a descriptor"), theirs.expect("a descriptor"));
            let usual = take_hook();
            set_hook(Box::new(move |_| theirs_says(&mut theirs.try_clone().expect("one"))));
            let mut screen = Screen::take(ours).expect("taken");
            screen.flush().expect("written");
            assert_ne!(modes(&terminal), before);
            // The screen outlives the panic, as it does where nothing is unwound.
            let panicked = catch_unwind(|| panic!("of purpose"));
            assert!(panicked.is_err());
            assert_eq!(modes(&terminal), before);
            set_hook(usual);
            let all = until(&mut master, b"told");
            assert_eq!(all, [TAKE, PREPARE, GIVE_BACK, b"told"].concat());
            drop(screen);
        });
    }

    fn theirs_says(terminal: &mut File) {
        terminal.write_all(b"told").expect("written");
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_given_back_all_the_same() {
        let (_master, terminal) = testing::pty();
        let before = modes(&terminal);
        rustix::io::ioctl_fionbio(&terminal, true).expect("it does not wait");
        let held = Arc::new(Held::new(terminal.try_clone().expect("a descriptor")).expect("one"));
        let mut screen = Screen { held, shown: None, owed: Vec::new() };
        screen.take_again().expect("taken");
        while !screen.owes() || screen.flush().is_ok_and(|()| !screen.owes()) {
            screen.forget();
            screen.show(Buffer::filled(ratatui::layout::Rect::new(0, 0, 80, 24), Cell::new("x")));
        }
        assert_ne!(modes(&terminal), before);
        screen.give_back();
        assert_eq!(modes(&terminal), before);
    }

    #[test]
    fn only_what_changed_is_written() {
        let (mut master, terminal) = testing::pty();
        let held = Arc::new(Held::new(terminal).expect("a terminal"));
        let mut screen = Screen { held, shown: None, owed: Vec::new() };
        let mut cells = Buffer::with_lines(["ab日c ", "     "]);
        screen.show(cells.clone());
        let written = screen.owed.clone();
        assert_eq!(String::from_utf8_lossy(&written), "\x1b[m\x1b[2J\x1b[1;1Hab日c");
        screen.flush().expect("written");
        assert_eq!(until(&mut master, b"c"), written);
        screen.show(cells.clone());
        assert!(!screen.owes(), "nothing changed");
        cells.set_string(1, 1, "x", Style::default().fg(Color::Red).add_modifier(Modifier::BOLD));
        cells.set_string(2, 1, "y", Style::default());
        screen.show(cells.clone());
        assert_eq!(String::from_utf8_lossy(&screen.owed), "\x1b[2;2H\x1b[0;1;31mx\x1b[my");
        screen.owed.clear();
        screen.forget();
        screen.show(cells);
        assert!(screen.owed.starts_with(b"\x1b[m\x1b[2J"), "all of it");
    }
}
