//! A program on a terminal of its own: `script` (of util-linux) opens one and copies what is typed and shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long anything is waited for.
const DEADLINE: Duration = Duration::from_secs(30);

/// A program on its terminal.
pub(crate) struct OnTerminal {
    script: Child,
    typed: Option<ChildStdin>,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl OnTerminal {
    /// Starts a shell line there.
    pub(crate) fn start(line: &str, with: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("script");
        command.args(["-qefc", line, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        with(&mut command);
        #[expect(clippy::disallowed_methods, reason = "the program under test goes on beside us")]
        let mut script = command.spawn().expect("script of util-linux is there");
        let mut output = script.stdout.take().expect("piped");
        let (tell, shown) = mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "a reader that waits for what is shown")]
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if tell.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let typed = script.stdin.take();
        Self { script, typed, shown, text: String::new() }
    }

    /// Types something.
    pub(crate) fn types(&mut self, text: &str) {
        let typed = self.typed.as_mut().expect("it goes on");
        typed.write_all(text.as_bytes()).expect("it is taken");
        typed.flush().expect("it is taken");
    }

    /// Waits until this is shown, and forgets all up to its end.
    pub(crate) fn shows(&mut self, what: &str) {
        loop {
            if let Some(at) = self.text.find(what) {
                self.text.drain(..at + what.len());
                return;
            }
            match self.shown.recv_timeout(DEADLINE) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("{what:?} is not shown: {error}; but {:?}", self.text),
            }
        }
    }

    /// How it ends, with what it shows up to then.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        while let Ok(bytes) = self.shown.recv_timeout(DEADLINE) {
            self.text += &String::from_utf8_lossy(&bytes);
        }
        let status = self.script.wait().expect("it is ours");
        (status, std::mem::take(&mut self.text))
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // Its end hangs the terminal up, which ends what runs there.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
