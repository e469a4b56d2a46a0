//! The loop: keys of the terminal, words of nodes, signals and time go into the model, and what it wants is
//! done. One thread; only a connection that is lost comes about in another, for that may wait.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook_mio::v1_0::Signals;

use super::draw;
use super::keys::Keys;
use super::model::{Changed, Model, Wish};
use super::screen::Screen;
use crate::base::clock::Now;
use crate::cli::failure::Failure;
use crate::client::{Endpoint, Error, Hearing, Live};
use crate::reactor::clock::Clock;
use crate::sys::terminal;

const TERMINAL: Token = Token(0);
const SIGNALS: Token = Token(1);
const WAKER: Token = Token(2);
/// Of the first node; the others follow.
const NODES: usize = 3;

/// How long the rest of a key's bytes may take.
const KEY: Duration = Duration::from_millis(50);
/// What comes within this time is drawn at once,
const GATHER: Duration = Duration::from_millis(40);
/// and the next of it no sooner than this after.
const PAUSE: Duration = Duration::from_millis(200);
/// What is heard of the node before keys and signals are looked at again.
const SHARE: usize = 500;

/// A connection to a node that came about, or why it did not.
type Opened = (usize, Result<Live, Error>);

/// The way to a node.
struct Way {
    endpoint: Endpoint,
    live: Option<Live>,
    /// It has said more than was heard.
    more: bool,
}

/// How it ends.
enum End {
    /// Somebody wants to leave.
    Quit,
    /// By this signal.
    Signal(i32),
    /// The terminal is gone.
    Gone,
}

/// All that the loop has.
pub struct Shell {
    model: Model,
    ways: Vec<Way>,
    screen: Screen,
    poll: Poll,
    signals: Signals,
    clock: Clock,
    keys: Keys,
    /// When the last bytes of a key came that is not whole.
    key_at: Option<Instant>,
    /// Where connections come in, and how.
    opener: Sender<Opened>,
    opened: Receiver<Opened>,
    waker: Arc<Waker>,
    drawn_at: Option<Instant>,
    draw_at: Option<Instant>,
}

impl Shell {
    /// A loop for a model of these nodes, which takes the terminal. Those that are not connected yet come
    /// about while it turns.
    ///
    /// # Errors
    /// The terminal, or a signal, is not to be had.
    pub fn new(model: Model, nodes: Vec<(Endpoint, Option<Live>)>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut signals =
            Signals::new([SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let screen = Screen::take(terminal::open()?)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&screen.as_raw_fd()), TERMINAL, both)?;
        let (opener, opened) = channel();
        let (endpoints, lives): (Vec<Endpoint>, Vec<Option<Live>>) = nodes.into_iter().unzip();
        let way = |endpoint| Way { endpoint, live: None, more: false };
        let mut shell = Self {
            model,
            ways: endpoints.into_iter().map(way).collect(),
            screen,
            poll,
            signals,
            clock: Clock::default(),
            keys: Keys::default(),
            key_at: None,
            opener,
            opened,
            waker,
            drawn_at: None,
            draw_at: None,
        };
        let now = shell.clock.tick();
        for (node, live) in lives.into_iter().enumerate() {
            match live {
                Some(live) => shell.take_live(node, Ok(live), now),
                None => shell.model.begins(node, now),
            }
        }
        shell.model.resize(shell.screen.size());
        Ok(shell)
    }

    /// Turns until somebody or something ends it.
    ///
    /// # Errors
    /// How it ended, if nobody wanted to leave.
    pub fn run(mut self) -> Result<(), Failure> {
        let end = self.turns();
        self.screen.give_back();
        match end? {
            End::Quit => Ok(()),
            End::Signal(signal) => Err(Failure::Code(u8::try_from(128 + signal).unwrap_or(1))),
            End::Gone => Err(Failure::Code(u8::try_from(128 + SIGHUP).unwrap_or(1))),
        }
    }

    fn turns(&mut self) -> io::Result<End> {
        let mut events = Events::with_capacity(8);
        loop {
            let now = self.clock.tick();
            self.model.tick(now);
            self.grant_wishes(now);
            if self.model.is_over() {
                return Ok(End::Quit);
            }
            self.draw(now);
            if self.screen.flush().is_err() {
                return Ok(End::Gone);
            }
            let timeout = self.timeout(now);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = self.clock.tick();
            let has = |token| events.iter().any(|event| event.token() == token);
            if has(SIGNALS) {
                if let Some(end) = self.hear_signals(now)? {
                    return Ok(end);
                }
            }
            if has(TERMINAL) && !self.read_keys(now) {
                return Ok(End::Gone);
            }
            self.press_keys(now);
            if has(WAKER) {
                while let Ok((node, result)) = self.opened.try_recv() {
                    self.take_live(node, result, now);
                }
            }
            for node in 0..self.ways.len() {
                let more = self.ways.get(node).is_some_and(|way| way.more);
                if more || has(Token(NODES + node)) {
                    self.hear(node, now);
                }
            }
        }
    }

    fn timeout(&self, now: Now) -> Option<Duration> {
        if self.ways.iter().any(|way| way.more) {
            return Some(Duration::ZERO);
        }
        // A terminal that takes nothing is not drawn for.
        let draw_at = self.draw_at.filter(|_| !self.screen.owes());
        let key_until = self.key_at.map(|at| at + KEY);
        let all = [self.model.deadline(), draw_at, key_until].into_iter().flatten();
        all.min().map(|at| at.saturating_duration_since(now.mono))
    }

    fn draw(&mut self, now: Now) {
        let due = match self.model.take_changed() {
            None => None,
            Some(Changed::Now) => Some(now.mono),
            Some(Changed::Soon) => {
                let pause = self.drawn_at.map_or(now.mono, |at| at + PAUSE);
                Some(pause.max(now.mono + GATHER))
            }
        };
        let both = [self.draw_at, due];
        self.draw_at = both.into_iter().flatten().min();
        if self.screen.owes() || self.draw_at.is_none_or(|at| at > now.mono) {
            return;
        }
        (self.draw_at, self.drawn_at) = (None, Some(now.mono));
        self.screen.show(draw::draw(&mut self.model, now));
    }

    fn hear_signals(&mut self, now: Now) -> io::Result<Option<End>> {
        let heard: Vec<i32> = self.signals.pending().collect();
        if let Some(end) = end_of(&heard) {
            return Ok(Some(end));
        }
        if heard.contains(&SIGTSTP) {
            let heard = self.suspend();
            return self.resume(heard, now);
        }
        if heard.contains(&SIGCONT) {
            // Somebody stopped us the hard way, and a shell had the terminal.
            return self.resume(Vec::new(), now);
        }
        if heard.contains(&SIGWINCH) {
            self.model.resize(self.screen.size());
        }
        Ok(None)
    }

    /// Gives the terminal back and stops until we are continued; gives the signals that were heard before.
    fn suspend(&mut self) -> Vec<i32> {
        self.screen.give_back();
        let mut heard = Vec::new();
        terminal::suspend(|| {
            heard.extend(self.signals.pending().filter(|signal| *signal != SIGCONT));
            end_of(&heard).is_none()
        });
        heard
    }

    /// Goes on, or ends, where that is what we were continued for. Continued in the background, it stops
    /// again: only then can a signal be heard there, which the kernel would stop us without.
    fn resume(&mut self, mut heard: Vec<i32>, now: Now) -> io::Result<Option<End>> {
        let mut suspended = false;
        loop {
            heard.extend(self.signals.pending());
            if let Some(end) = end_of(&heard) {
                return Ok(Some(end));
            }
            // Where nobody could continue us, we were not stopped.
            if self.screen.is_foreground() || (suspended && !heard.contains(&SIGCONT)) {
                break;
            }
            heard = self.suspend();
            suspended = true;
        }
        self.screen.take_again()?;
        self.model.resize(self.screen.size());
        for (node, way) in self.ways.iter().enumerate() {
            // What the node said meanwhile is still to be heard.
            if way.live.is_some() {
                self.model.alive(node, now);
            }
        }
        Ok(None)
    }

    /// Reads what was typed; whether the terminal is still there.
    fn read_keys(&mut self, now: Now) -> bool {
        let mut bytes = [0; 1024];
        loop {
            match self.screen.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.keys.push(&bytes[..count]);
                    self.key_at = Some(now.mono);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn press_keys(&mut self, now: Now) {
        while let Some(key) = self.keys.take() {
            self.model.key(&key, now);
        }
        if !self.keys.is_waiting() {
            self.key_at = None;
        } else if self.key_at.is_some_and(|at| at + KEY <= now.mono) {
            self.key_at = None;
            if let Some(key) = self.keys.expire() {
                self.model.key(&key, now);
            }
        }
    }

    fn hear(&mut self, node: usize, now: Now) {
        let Some(way) = self.ways.get_mut(node) else { return };
        way.more = false;
        let Some(mut live) = way.live.take() else { return };
        self.model.alive(node, now);
        let lost = 'heard: {
            for _ in 0..SHARE {
                match live.hear() {
                    Ok(Hearing::Said(said)) => self.model.heard(node, said, now),
                    Ok(Hearing::Nothing) => break 'heard live.flush().err().map(|e| e.to_string()),
                    Ok(Hearing::Over) => break 'heard Some("the node ended it".to_owned()),
                    Err(error) => break 'heard Some(error.to_string()),
                }
            }
            way.more = true;
            None
        };
        match lost {
            None => way.live = Some(live),
            Some(why) => self.model.lost(node, &why, now),
        }
    }

    fn grant_wishes(&mut self, now: Now) {
        for (node, wish) in self.model.take_wishes() {
            let Some(way) = self.ways.get_mut(node) else { continue };
            let said = match (wish, &mut way.live) {
                (Wish::Repaint, _) => {
                    self.screen.forget();
                    Ok(())
                }
                (Wish::Connect, _) => {
                    self.connect(node);
                    Ok(())
                }
                (Wish::HangUp, live) => {
                    *live = None;
                    Ok(())
                }
                (Wish::Subscribe(topic, wishes), Some(live)) => live.subscribe(&topic, &wishes),
                (Wish::Unsubscribe(topic), Some(live)) => live.unsubscribe(&topic),
                (Wish::Command(id, name, args), Some(live)) => live.command(&id, name, &args),
                (Wish::Subscribe(..) | Wish::Unsubscribe(_) | Wish::Command(..), None) => Ok(()),
            };
            if let Err(error) = said {
                if let Some(way) = self.ways.get_mut(node) {
                    way.live = None;
                }
                self.model.lost(node, &error.to_string(), now);
            }
        }
    }

    fn connect(&mut self, node: usize) {
        let Some(way) = self.ways.get(node) else { return };
        let (endpoint, sender) = (way.endpoint.clone(), self.opener.clone());
        let waker = Arc::clone(&self.waker);
        #[expect(clippy::disallowed_methods, reason = "a connection may take long to come about")]
        std::thread::spawn(move || {
            // Where nobody waits for it any more, all is over.
            let _ = sender.send((node, Live::open(&endpoint)));
            let _ = waker.wake();
        });
    }

    fn take_live(&mut self, node: usize, result: Result<Live, Error>, now: Now) {
        let both = Interest::READABLE | Interest::WRITABLE;
        let watched = result.and_then(|live| {
            let fd = live.as_fd().as_raw_fd();
            self.poll.registry().register(&mut SourceFd(&fd), Token(NODES + node), both)?;
            Ok(live)
        });
        match watched {
            Ok(live) => {
                if let Some(way) = self.ways.get_mut(node) {
                    (way.live, way.more) = (Some(live), true);
                }
                self.model.connected(node, now);
            }
            Err(error) => self.model.lost(node, &short(&error), now),
        }
    }
}

/// How these signals end us, if one of them does.
fn end_of(heard: &[i32]) -> Option<End> {
    let ends = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    heard.iter().find(|signal| ends.contains(signal)).map(|signal| End::Signal(*signal))
}

/// Why a node does not answer, in few words: how to start one is told to who has none yet.
fn short(error: &Error) -> String {
    match error {
        Error::NoNode { error, .. } => error.to_string(),
        Error::Address { .. }
        | Error::NoLookupd(_)
        | Error::Unsafe { .. }
        | Error::Broken(_)
        | Error::Strange(_)
        | Error::Refused { .. } => error.to_string(),
    }
}
