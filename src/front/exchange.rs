//! One HTTP connection of ours: requests go out on a link one after the other, each with its patience, and
//! answers come back whole, or, where they go on, line by line. What is said and what that means is for
//! those who own it.

use std::time::{Duration, Instant};

use super::links::Links;
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::wire::http::{AnswerHead, AnswerReader, Broken};
use crate::VERSION;

/// A connection.
pub struct Exchange {
    link: LinkId,
    host: String,
    state: State,
    /// What came and is not read yet.
    input: Vec<u8>,
    /// Longest answer, and longest line of one that goes on.
    longest: usize,
    /// When the patience ends.
    due: Option<Instant>,
    /// Whether the other end has said that it takes no more requests here.
    spent: bool,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked for: a path, and its query.
    pub target: &'a str,
    /// Further fields of the head, each with the end of its line.
    pub fields: &'a str,
    /// The body, which is JSON.
    pub body: &'a str,
}

enum State {
    Dialling,
    /// Nothing is asked.
    Idle,
    /// An answer is awaited.
    Asked(Asked),
    /// One goes on, and is read line by line.
    Lines(AnswerReader, Vec<u8>),
}

struct Asked {
    reader: AnswerReader,
    head: Option<AnswerHead>,
    body: Vec<u8>,
    /// Whether it goes on, if it is a good one.
    goes_on: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// In how many seconds it wishes to be asked again (RFC 9110 section 10.2.3), if it says so in seconds.
    pub retry_after: Option<u64>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What came of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// There is more to come.
    Nothing,
    /// The answer.
    Whole(Reply),
    /// Lines of one that goes on.
    Lines(Vec<Vec<u8>>),
    /// The last lines of one that went on.
    End(Vec<Vec<u8>>),
}

impl Exchange {
    /// One over a link that is dialled now, and has so long to come about.
    pub fn new(link: LinkId, host: String, longest: usize, until: Instant) -> Self {
        let (state, due) = (State::Dialling, Some(until));
        Self { link, host, state, input: Vec::new(), longest, due, spent: false }
    }

    /// Its link.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Whether something may be asked.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether nothing more can be asked here, though it is idle: the other end has said so.
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// When the patience with it ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The link is there.
    pub fn opened(&mut self) {
        if matches!(self.state, State::Dialling) {
            self.state = State::Idle;
            self.due = None;
        }
    }

    /// Asks for something whose whole answer may take so long. Only when it is idle.
    pub fn ask(
        &mut self,
        (target, body): (&str, &str),
        patience: Duration,
        links: &mut Links,
        now: Now,
    ) {
        self.send(Question { target, fields: "", body }, self.longest, links);
        self.due = Some(now.mono + patience);
    }

    /// Asks for something of whose answer the head counts: a body that is too long, or that does not come
    /// to its end, ends the connection, and what is known is still to be had by [`Self::so_far`].
    pub fn tell(
        &mut self,
        question: Question<'_>,
        patience: Duration,
        links: &mut Links,
        now: Now,
    ) {
        self.send(question, usize::MAX, links);
        self.due = Some(now.mono + patience);
    }

    /// Asks for something whose answer goes on for ever, but has to begin within so long.
    pub fn follow(
        &mut self,
        (target, body): (&str, &str),
        patience: Duration,
        links: &mut Links,
        now: Now,
    ) {
        self.ask((target, body), patience, links, now);
        if let State::Asked(asked) = &mut self.state {
            // However much it is in all: each line of it has its length.
            asked.reader = AnswerReader::new("POST", usize::MAX);
            asked.goes_on = true;
        }
    }

    fn send(&mut self, question: Question<'_>, longest: usize, links: &mut Links) {
        debug_assert!(self.is_idle(), "one thing at a time");
        let Question { target, fields, body } = question;
        let (host, length) = (&self.host, body.len());
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: gaffer/{VERSION}\r\n\
             Content-Type: application/json\r\n{fields}Content-Length: {length}\r\n\r\n"
        );
        links.say(self.link, head.as_bytes());
        links.say(self.link, body.as_bytes());
        let reader = AnswerReader::new("POST", longest);
        let (head, goes_on) = (None, false);
        self.state = State::Asked(Asked { reader, head, body: Vec::new(), goes_on });
    }

    /// What is known of an answer that does not come to its end: its head, and what came of its body.
    pub fn so_far(&mut self) -> Option<Reply> {
        let State::Asked(asked) = &mut self.state else { return None };
        asked.reply()
    }

    /// Bytes came.
    ///
    /// # Errors
    /// They are no answer, in words.
    pub fn received(&mut self, bytes: &[u8]) -> Result<Came, String> {
        self.input.extend_from_slice(bytes);
        let came = match &mut self.state {
            State::Dialling | State::Idle => {
                return Err("it says something without being asked".into());
            }
            State::Asked(asked) => {
                if asked.head.is_none() {
                    let head = asked.reader.head(&mut self.input).map_err(unread)?;
                    let Some(head) = head else { return Ok(Came::Nothing) };
                    self.spent = !head.persistent;
                    let goes_on = asked.goes_on && head.status == 200;
                    asked.head = Some(head);
                    if goes_on {
                        self.due = None;
                        let next = AnswerReader::new("POST", self.longest);
                        let reader = std::mem::replace(&mut asked.reader, next);
                        self.state = State::Lines(reader, Vec::new());
                        return self.received(&[]);
                    }
                }
                let done = asked.reader.body(&mut self.input, &mut asked.body).map_err(unread)?;
                if asked.body.len() > self.longest {
                    return Err(unread(Broken::BodyLong(self.longest)));
                }
                if !done {
                    return Ok(Came::Nothing);
                }
                asked.reply().map_or(Came::Nothing, Came::Whole)
            }
            State::Lines(reader, text) => {
                let done = reader.body(&mut self.input, text).map_err(unread)?;
                let lines = take_lines(text);
                if text.len() > self.longest {
                    return Err(format!("it tells a line of more than {} bytes", self.longest));
                }
                if !done {
                    return Ok(Came::Lines(lines));
                }
                Came::End(lines)
            }
        };
        self.due = None;
        self.state = State::Idle;
        Ok(came)
    }
}

impl Asked {
    fn reply(&mut self) -> Option<Reply> {
        let head = self.head.as_ref()?;
        let retry_after = head.headers.get("retry-after").and_then(|text| text.trim().parse().ok());
        Some(Reply { status: head.status, retry_after, body: std::mem::take(&mut self.body) })
    }
}

fn unread(broken: Broken) -> String {
    format!("its answer cannot be read: {broken}")
}

/// Takes the whole lines out of a text.
fn take_lines(text: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let Some(last) = text.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let rest = text.split_off(last + 1);
    let whole = std::mem::replace(text, rest);
    let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn exchange() -> (Exchange, Links, Now) {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut links = Links::default();
        let link = links.dial();
        let until = now.mono + Duration::from_secs(1);
        let mut exchange = Exchange::new(link, "e:1".into(), 20, until);
        assert_eq!((exchange.is_idle(), exchange.deadline()), (false, Some(until)));
        exchange.opened();
        assert_eq!((exchange.is_idle(), exchange.deadline()), (true, None));
        (exchange, links, now)
    }

    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn answers_come_whole_and_each_has_its_patience() {
        let (mut exchange, mut links, now) = exchange();
        for _ in 0..2 {
            exchange.ask(("/x", "{}"), Duration::from_secs(5), &mut links, now);
            assert_eq!(exchange.deadline(), Some(now.mono + Duration::from_secs(5)));
            let owed = links.owed(exchange.link()).to_vec();
            let text = String::from_utf8(owed.clone()).expect("text");
            assert!(text.starts_with("POST /x HTTP/1.1\r\nHost: e:1\r\n"), "{text}");
            assert!(text.ends_with("Content-Length: 2\r\n\r\n{}"), "{text}");
            links.sent(exchange.link(), owed.len());
            let answer = b"HTTP/1.1 404 x\r\nContent-Length: 3\r\n\r\nabc";
            for byte in &answer[..answer.len() - 1] {
                assert_eq!(exchange.received(&[*byte]), Ok(Came::Nothing));
            }
            let whole = Reply { status: 404, retry_after: None, body: b"abc".to_vec() };
            let whole = Came::Whole(whole);
            assert_eq!(exchange.received(b"c"), Ok(whole));
            assert_eq!((exchange.is_idle(), exchange.deadline()), (true, None));
        }
        assert!(exchange.received(b"HTTP").is_err(), "nothing was asked");
        let (mut exchange, mut links, now) = self::exchange();
        exchange.ask(("/x", "{}"), Duration::ZERO, &mut links, now);
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n";
        assert!(exchange.received(long).is_err_and(|why| why.contains("more than 20 bytes")));
    }

    #[test]
    fn of_an_answer_whose_head_counts_that_is_known_whatever_becomes_of_its_body() {
        let question = Question { target: "/x", fields: "A: b\r\n", body: "{}" };
        let heads = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n", 200, None, false),
            ("HTTP/1.1 503 x\r\nRetry-After: 7\r\nConnection: close\r\n\r\n", 503, Some(7), true),
            ("HTTP/1.0 200 OK\r\nRetry-After: Fri, 31 Dec\r\n\r\n", 200, None, true),
        ];
        for (head, status, retry_after, spent) in heads {
            let (mut exchange, mut links, now) = exchange();
            exchange.tell(question, Duration::from_secs(5), &mut links, now);
            let owed = String::from_utf8_lossy(links.owed(exchange.link())).into_owned();
            assert!(owed.contains("\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"), "{owed}");
            assert_eq!(exchange.so_far(), None);
            assert_eq!(exchange.received(head.as_bytes()), Ok(Came::Nothing));
            assert_eq!((exchange.is_idle(), exchange.is_spent()), (false, spent));
            assert!(exchange.received(&[b'x'; 21]).is_err(), "too long");
            let known = exchange.so_far().expect("its head is there");
            assert_eq!((known.status, known.retry_after), (status, retry_after));
        }
    }

    #[test]
    fn what_goes_on_comes_line_by_line_up_to_its_end() {
        let (mut exchange, mut links, now) = exchange();
        exchange.follow(("/w", "{}"), Duration::from_secs(5), &mut links, now);
        assert_eq!(exchange.received(CHUNKED), Ok(Came::Lines(vec![])));
        assert_eq!(exchange.deadline(), None, "from now on it may be silent");
        assert_eq!(exchange.received(b"3\r\na\nb\r\n"), Ok(Came::Lines(vec![b"a".to_vec()])));
        let rest = exchange.received(b"4\r\nc\n\nd\r\n");
        assert_eq!(rest, Ok(Came::Lines(vec![b"bc".to_vec()])));
        let end = exchange.received(b"1\r\n\n\r\n0\r\n\r\n");
        assert_eq!(end, Ok(Came::End(vec![b"d".to_vec()])));
        exchange.follow(("/w", "{}"), Duration::from_secs(5), &mut links, now);
        let line = [CHUNKED, b"14\r\n", &[b'x'; 20], b"\r\n"].concat();
        assert_eq!(exchange.received(&line), Ok(Came::Lines(vec![])));
        assert!(exchange.received(b"1\r\nx\r\n").is_err_and(|why| why.contains("a line")));
    }

    #[test]
    fn a_refusal_of_what_would_go_on_comes_whole() {
        let (mut exchange, mut links, now) = exchange();
        exchange.follow(("/w", "{}"), Duration::from_secs(5), &mut links, now);
        let refused = b"HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\nno";
        let whole = Came::Whole(Reply { status: 500, retry_after: None, body: b"no".to_vec() });
        assert_eq!(exchange.received(refused), Ok(whole));
        exchange.follow(("/w", "{}"), Duration::from_secs(5), &mut links, now);
        let long = b"HTTP/1.1 500 x\r\nContent-Length: 99\r\n\r\n123456789012345678901";
        assert!(exchange.received(long).is_err_and(|why| why.contains("more than 20 bytes")));
    }
}
