//! A terminal of our own, with a program on it: what it shows is what a terminal would show.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};

use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcgetattr, tcsetwinsize, Termios, Winsize};

use super::node::KILL;
use super::procs;
use super::until::{until, until_some};

/// A terminal, and the program that runs on it.
pub(crate) struct Pty {
    master: Option<File>,
    /// Its modes before the program.
    pub(crate) before: Termios,
    /// So that the terminal stays when the program has ended.
    slave: OwnedFd,
    shown: vt100::Parser,
    /// How many bytes were written to it.
    pub(crate) written: usize,
    /// All of them, for a failing test to tell.
    bytes: Vec<u8>,
    child: Child,
}

impl Pty {
    /// Starts a command line in a session of its own on a new terminal, which is 80 columns wide and 24
    /// rows high and shows a line already.
    #[expect(clippy::disallowed_methods, reason = "what is tested is no child of gaffer's")]
    pub(crate) fn start(folder: &Path, line: &[&str], env: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let master = master.expect("a pty");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        rustix::io::ioctl_fionbio(&master, true).expect("it does not wait");
        set_size(&master, (80, 24));
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let options = File::options().read(true).write(true).open(name.to_str().expect("text"));
        let mut slave = options.expect("its other side");
        slave.write_all(b"before\r\n").expect("written");
        let before = tcgetattr(&slave).expect("a terminal");
        let own = || slave.try_clone().expect("a descriptor is free");
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(line).current_dir(folder);
        command.env_remove("LC_ALL").env_remove("LC_CTYPE").env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").envs(env.iter().copied());
        command.stdin(own()).stdout(own()).stderr(own());
        let child = command.spawn().expect("setsid runs");
        Self {
            master: Some(master.into()),
            before,
            slave: slave.into(),
            shown: vt100::Parser::new(24, 80, 0),
            written: 0,
            bytes: Vec::new(),
            child,
        }
    }

    /// What it shows.
    pub(crate) fn screen(&mut self) -> &vt100::Screen {
        let mut buffer = [0; 4096];
        while let Some(master) = &mut self.master {
            match master.read(&mut buffer) {
                Ok(count) => {
                    self.shown.process(&buffer[..count]);
                    self.written += count;
                    self.bytes.extend_from_slice(&buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.shown.screen()
    }

    /// Its lines, as text.
    pub(crate) fn text(&mut self) -> String {
        self.screen().contents()
    }

    /// Waits until this can be read on it.
    pub(crate) fn until_shown(&mut self, what: &str) {
        until(what, || self.text().contains(what));
    }

    /// Waits until the other screen is there, or the first one again.
    pub(crate) fn until_on_other_screen(&mut self, other: bool) {
        until("it changes screens", || self.screen().alternate_screen() == other);
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        let master = self.master.as_mut().expect("it is there");
        master.write_all(keys.as_bytes()).expect("there is room");
    }

    /// Makes it another size, of which its programs are told.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen();
        self.shown.set_size(rows, columns);
        set_size(self.master.as_ref().expect("it is there"), (columns, rows));
    }

    /// Its modes.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(self.slave.as_fd()).expect("a terminal")
    }

    /// Everything that was written to it.
    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.screen();
        &self.bytes
    }

    /// The number of the program.
    pub(crate) fn os_pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Waits for the program's end, and gives its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        until_some("it ends", || {
            self.screen();
            self.child.try_wait().expect("it is our child")
        })
        .code()
    }

    /// Takes the terminal away from its programs.
    pub(crate) fn take_away(&mut self) {
        self.screen();
        self.master = None;
    }
}

/// What of modes is told apart.
pub(crate) fn flags(modes: &Termios) -> impl PartialEq + std::fmt::Debug {
    (modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes)
}

fn set_size(master: impl std::os::fd::AsFd, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("a terminal");
}

impl Drop for Pty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the terminal showed ---\n{}", self.text());
        }
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let below = procs::children(self.os_pid());
            below.into_iter().for_each(|pid| procs::kill(pid, KILL));
            procs::kill(self.os_pid(), KILL);
            let _ = self.child.wait();
        }
    }
}
