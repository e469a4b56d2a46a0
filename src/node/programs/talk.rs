//! What a program that extends the node says and is told: the messages of the channel, a line each, over its
//! stdout and its stdin. To the channel it is a session as any, that is told who it is and follows the events
//! of its manifest from the beginning. A program that reads nothing loses what is published, is told how
//! much, and loses nothing else; one that speaks no protocol, or asks without ever reading, is killed, and
//! comes back by the rules of its job.

use std::rc::Rc;
use std::time::{Duration, Instant};

use log::warn;
use serde_json::json;

use crate::base::clock::Now;
use crate::base::ids::{InstanceId, SessionId, StreamNo};
use crate::base::limits;
use crate::base::process::Signal;
use crate::front::peer::Peer;
use crate::node::admission::Guest;
use crate::node::gaffer::Gaffer;
use crate::node::stdins::Full;
use crate::supervisor::hearer::Hearer;
use crate::wire::channel::{error, Invalid};
use crate::wire::json::text;
use crate::VERSION;

/// One run of a program, as it talks.
pub(super) struct Talk {
    plugin: String,
    session: SessionId,
    input: Lines,
    /// The next message, for which its stdin has no room.
    held: Option<Rc<str>>,
    /// No more of its stdout was taken when it was looked at last.
    was_behind: bool,
    /// Lines of this run that were no messages.
    invalid: u64,
    /// How much it says.
    pace: Pace,
    /// The run is over; what it said last may still be done.
    is_over: bool,
}

/// How much a program says: so much at once, and so much a second beside that. Whoever says more is heard no
/// faster, so that everybody else is.
struct Pace {
    /// What it has said beyond what it may say in a second.
    ahead: usize,
    at: Instant,
    /// It is not heard before this.
    rests_until: Option<Instant>,
    /// That is told.
    is_told: bool,
}

impl Pace {
    fn new(now: Now) -> Self {
        Self { ahead: 0, at: now.mono, rests_until: None, is_told: false }
    }

    /// It says so much; whether it is told now that this is too much.
    fn says(&mut self, bytes: usize, now: Now) -> bool {
        let passed = now.mono.saturating_duration_since(self.at).as_millis();
        let rate = u128::try_from(limits::PLUGIN_RATE).unwrap_or(1);
        let regained = usize::try_from(passed * rate / 1000).unwrap_or(usize::MAX);
        self.ahead = self.ahead.saturating_sub(regained) + bytes;
        self.at = now.mono;
        let Some(surplus) = self.ahead.checked_sub(limits::SOCKJS_MESSAGE + limits::PLUGIN_RATE)
        else {
            return false;
        };
        let millis = (surplus + limits::PLUGIN_RATE / 10) * 1000 / limits::PLUGIN_RATE;
        let rest = Duration::from_millis(u64::try_from(millis).unwrap_or(1000));
        self.rests_until = Some(now.mono + rest);
        !std::mem::replace(&mut self.is_told, true)
    }
}

impl Talk {
    /// Until when it is not heard.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.pace.rests_until
    }

    /// Whether its run is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

/// What comes, in lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    /// The line is too long, and goes.
    skips: bool,
}

/// A line that came.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(String),
    /// It is no message; why not.
    Invalid(&'static str),
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.add(&bytes[..end], &mut lines);
            bytes = &bytes[end + 1..];
            let skipped = std::mem::take(&mut self.skips);
            let line = std::mem::take(&mut self.begun);
            if skipped || line.trim_ascii().is_empty() {
                continue;
            }
            lines.push(match String::from_utf8(line) {
                Ok(text) => Line::Text(text),
                Err(_) => Line::Invalid("it is not UTF-8"),
            });
        }
        self.add(bytes, &mut lines);
        lines
    }

    fn add(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
        if self.skips {
            return;
        }
        if self.begun.len() + bytes.len() > limits::SOCKJS_MESSAGE {
            self.skips = true;
            self.begun = Vec::new();
            return lines.push(Line::Invalid("it is too long"));
        }
        self.begun.extend_from_slice(bytes);
    }
}

impl Gaffer {
    /// A process has started: if it is a program that extends us, it is one who may talk.
    pub(in crate::node) fn begin_talk(&mut self, id: InstanceId, now: Now) {
        let instance = self.supervisor.instance(id);
        let speaks = instance.and_then(|i| i.run.as_ref()).map(|run| run.spec.hearer());
        let instance = instance.filter(|_| speaks == Some(Hearer::Plugins));
        let job = instance.and_then(|instance| self.supervisor.job(instance.job));
        let Some(plugin) = job.and_then(|job| self.programs.of_job(&job.name)).map(str::to_owned)
        else {
            return;
        };
        if let Some(before) = self.programs.talks.remove(&id) {
            self.channel.take_back(before.session, now);
        }
        let session = self.channel.lend();
        let caller = self.programs.caller(&plugin);
        self.peers.insert(session, Peer::Unix { uid: None });
        self.guests.come(Guest::Session(session), Some(caller), now);
        let Some(known) = self.programs.known.get(&plugin) else { return };
        let manifest = &known.program.manifest;
        let hello = json!({"event": "gaffer:hello", "data": {
            "plugin": plugin,
            "node": self.node(),
            "version": VERSION,
            "asks": manifest.permissions.to_value(),
            "granted": known.program.granted.to_value(),
        }});
        for prefix in &manifest.events {
            let topic = match prefix.as_str() {
                "" => "EVENTS".to_owned(),
                prefix => format!("EVENTS:{prefix}"),
            };
            let wish = json!({"event": "SUB", "data": {"topic": topic}});
            self.channel.brought(session, text(&wish));
        }
        let input = Lines::default();
        let (held, was_behind, invalid, is_over) = (None, false, 0, false);
        let pace = Pace::new(now);
        let talk = Talk { plugin, session, input, held, was_behind, invalid, pace, is_over };
        self.programs.talks.insert(id, talk);
        self.reply(session, text(&hello), now);
    }

    /// Takes what a program wrote.
    pub(in crate::node) fn hear_talk(&mut self, id: InstanceId, bytes: &[u8], now: Now) {
        let talk = self.programs.talks.get_mut(&id).filter(|talk| !talk.is_over);
        let Some(talk) = talk else { return };
        let (session, plugin) = (talk.session, talk.plugin.clone());
        let is_much = talk.pace.says(bytes.len(), now);
        // Looked at behind what it says: then it may go on.
        talk.was_behind = true;
        let (mut lines, mut unheard) = (talk.input.take(bytes), 0);
        if self.channel.waiting(session) >= limits::PLUGIN_BACKLOG {
            // Its leader is gone, and others of it go on.
            unheard = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            lines.clear();
        }
        for line in lines {
            match line {
                Line::Text(text) => self.channel.brought(session, text),
                Line::Invalid(why) => {
                    let detail = format!("the line is no message: {why}");
                    let invalid = Invalid { reason: "invalid_json", detail };
                    self.reply(session, error(&invalid), now);
                    self.note_invalid(session, &invalid.detail, now);
                }
            }
        }
        if is_much {
            let most = limits::PLUGIN_RATE / 1024;
            let why = format!("it says more than {most} KiB a second, and is heard no faster");
            warn!("the plugin {plugin}: {why}");
            self.programs.note(&plugin, |tally| tally.error = Some(why));
        }
        self.programs.note(&plugin, |tally| tally.untold += unheard);
    }

    /// A session said something that is no message. A program that does so again and again is killed.
    pub(in crate::node) fn note_invalid(&mut self, session: SessionId, why: &str, now: Now) {
        let mine = |talk: &Talk| talk.session == session && !talk.is_over;
        let talk = (&mut self.programs.talks).into_iter().find(|(_, talk)| mine(talk));
        let Some((id, talk)) = talk else { return };
        let (id, plugin) = (*id, talk.plugin.clone());
        talk.invalid += 1;
        let count = talk.invalid;
        if count == 1 {
            warn!("the plugin {plugin} says what is no message: {why}");
        }
        self.programs.note(&plugin, |tally| {
            tally.invalid += 1;
            tally.error = Some(why.to_owned());
        });
        if count == limits::PLUGIN_INVALID {
            self.give_up_talk(id, &format!("{count} of its lines were no messages"), now);
        }
    }

    /// A session is over: if it was that of a program that runs, it has asked for too much without reading.
    pub(in crate::node) fn note_session_over(&mut self, session: SessionId, now: Now) {
        let talks = &self.programs.talks;
        let talk = talks.iter().find(|(_, talk)| talk.session == session && !talk.is_over);
        if let Some(id) = talk.map(|(id, _)| *id) {
            self.give_up_talk(id, "it does not read the answers to what it asks", now);
        }
    }

    fn give_up_talk(&mut self, id: InstanceId, why: &str, now: Now) {
        let Some(talk) = self.programs.talks.get(&id) else { return };
        let plugin = talk.plugin.clone();
        log::error!("the plugin {plugin} is killed: {why}");
        // Whatever else it says is for nobody.
        let session = talk.session;
        self.channel.take_back(session, now);
        self.end_talk(id);
        self.programs.note(&plugin, |tally| tally.error = Some(why.to_owned()));
        let pid = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
        if let Some(pid) = pid.map(|run| run.pid) {
            // It may have ended just now.
            let _ = self.supervisor.kill(pid, Signal::KILL);
        }
    }

    /// The run of a process is over.
    pub(in crate::node) fn end_talk(&mut self, id: InstanceId) {
        if let Some(talk) = self.programs.talks.get_mut(&id) {
            talk.is_over = true;
        }
    }

    /// Whether more of what a process writes is taken now.
    pub(in crate::node) fn wants_talk(&self, id: InstanceId, stream: StreamNo) -> bool {
        let talk = self.programs.talks.get(&id).filter(|_| stream == StreamNo::STDOUT);
        let rests = |talk: &Talk| talk.pace.rests_until.is_some() && !talk.is_over;
        talk.is_none_or(|talk| !rests(talk) && !self.channel.is_behind(talk.session))
    }

    /// Time has passed for those who said too much.
    pub(in crate::node) fn pass_talk_time(&mut self, now: Now) {
        for talk in self.programs.talks.values_mut() {
            talk.pace.rests_until.take_if(|until| *until <= now.mono);
        }
    }

    /// Whoever runs may do what is asked for and granted now, and no more what was.
    pub(in crate::node) fn renew_talks(&mut self, now: Now) {
        for talk in self.programs.talks.values() {
            let caller = self.programs.caller(&talk.plugin);
            self.guests.come(Guest::Session(talk.session), Some(caller), now);
        }
    }

    /// The streams of which more is taken again, since the last call.
    pub(in crate::node) fn take_wanted_talks(&mut self) -> Vec<(InstanceId, StreamNo)> {
        std::mem::take(&mut self.programs.wanted)
    }

    /// Carries what programs are to be told to them, as far as there is room; whether there is more to do.
    pub(in crate::node) fn serve_talks(&mut self, now: Now) -> bool {
        let ids: Vec<InstanceId> = self.programs.talks.keys().copied().collect();
        let mut more = false;
        for id in ids {
            more |= self.serve_talk(id, now);
        }
        more
    }

    fn serve_talk(&mut self, id: InstanceId, now: Now) -> bool {
        let Some(talk) = self.programs.talks.get_mut(&id) else { return false };
        let (session, mut untold) = (talk.session, 0);
        while let Some(message) = talk.held.take().or_else(|| self.channel.carry(session)) {
            if talk.is_over {
                continue;
            }
            let line = format!("{message}\n");
            match self.stdins.push(id, StreamNo::STDIN, line.as_bytes()) {
                Ok(()) => {}
                Err(Full::Now) => {
                    talk.held = Some(message);
                    break;
                }
                Err(Full::TooLong | Full::Closed) => untold += 1,
            }
        }
        let behind = self.channel.is_behind(session) || talk.pace.rests_until.is_some();
        if std::mem::replace(&mut talk.was_behind, behind) && !behind {
            self.programs.wanted.push((id, StreamNo::STDOUT));
        }
        let ends = talk.is_over && !self.channel.is_behind(session);
        if untold > 0 {
            let plugin = talk.plugin.clone();
            self.programs.note(&plugin, |tally| tally.untold += untold);
        }
        if ends {
            self.channel.take_back(session, now);
            self.programs.talks.remove(&id);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_any_pieces_and_are_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"on"), []);
        assert_eq!(
            lines.take(b"e\r\n\n  \ntwo\nthr"),
            [Line::Text("one\r".into()), Line::Text("two".into()),]
        );
        assert_eq!(
            lines.take(b"\xff\nfour\n"),
            [Line::Invalid("it is not UTF-8"), Line::Text("four".into()),]
        );
        let most = vec![b'x'; limits::SOCKJS_MESSAGE];
        assert_eq!(lines.take(&most), []);
        assert!(matches!(lines.take(b"\n")[..], [Line::Text(_)]), "it is just short enough");
        assert_eq!(lines.take(&most), []);
        assert_eq!(lines.take(b"x"), [Line::Invalid("it is too long")]);
        assert_eq!(lines.take(&most), [], "once is told enough");
        assert_eq!(lines.take(b"xx\nnext\n"), [Line::Text("next".into())]);
        assert!(lines.begun.capacity() == 0);
    }
}
