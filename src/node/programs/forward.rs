//! Requests that a program answers: each goes over a connection of its own to the program's socket, and what
//! comes back goes to the client as it comes, no faster than that takes it. A program that does not answer,
//! or answers what is no HTTP, is told as that; nobody else waits for it.

use std::rc::Rc;
use std::time::Instant;

use log::warn;

use super::{Known, SESSION};
use crate::base::address::Address;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, LinkId};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;
use crate::front::refusals::wrong_method;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::router::Found;
use crate::node::ctx::{Answer, Call};
use crate::node::gaffer::Gaffer;
use crate::node::keys::caller::Caller;
use crate::node::machine::Effect;
use crate::node::plugins::PREFIX;
use crate::supervisor::name::JobName;
use crate::wire::http::{AnswerHead, AnswerReader, Broken, Headers, Method};

/// Below the path of a plugin, what its program answers.
pub const API: &str = "api";

/// A request for a program, as it goes there.
pub struct Forwarding {
    plugin: String,
    socket: std::path::PathBuf,
    method: Method,
    /// The whole request.
    bytes: Vec<u8>,
    /// Who makes room for it, where there are as many as may be.
    instead_of: Option<LinkId>,
}

/// All requests that programs are answering.
#[derive(Default)]
pub struct Forwards {
    by_link: SortedMap<LinkId, Forward>,
    by_conn: SortedMap<ConnId, LinkId>,
    /// Until when the head of an answer has to be there.
    patience: Timers<LinkId>,
}

/// A request that a program is answering.
struct Forward {
    conn: ConnId,
    plugin: String,
    method: Method,
    reader: AnswerReader,
    /// What came and is not read yet.
    input: Vec<u8>,
    /// The head of an answer that is short, and is told with its length once it is whole.
    head: Option<Response>,
    /// How long its body is, if it says so.
    length: Option<u64>,
    /// When the client took something last.
    moved: Instant,
    /// The client has the head, and what follows goes to it.
    goes_on: bool,
    /// What of the body the client has no room for yet.
    body: Vec<u8>,
    /// The answer is whole.
    is_whole: bool,
}

/// How far a forward has come.
enum Step {
    /// More has to come, or the client has to take some.
    Rest,
    /// The whole answer is this.
    Whole(Response),
    /// The answer begins with this, and goes on, to this length if that is known.
    Begins(Response, Option<u64>),
    /// The client has all of it but the end.
    Ends,
}

impl Forwards {
    /// Whether a link is one of these.
    pub fn owns(&self, link: LinkId) -> bool {
        self.by_link.contains_key(&link)
    }

    /// Whether a client waits for a program.
    pub fn serves(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn)
    }

    /// How many there are.
    pub fn waiting(&self) -> usize {
        self.by_link.len()
    }

    /// When somebody has waited enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.patience.next()
    }

    /// Whether more of an answer is taken now.
    pub fn wants_input(&self, link: LinkId) -> bool {
        let held = self.by_link.get(&link).map_or(0, |f| f.body.len() + f.input.len());
        held <= limits::FORWARD_BUFFER
    }

    fn count(&self, plugin: &str) -> usize {
        self.by_link.values().filter(|forward| forward.plugin == plugin).count()
    }

    /// Whoever has taken nothing for longest of what there is for him, if that is long.
    fn stalled(&self, plugin: &str, now: Now) -> Option<LinkId> {
        let owed = self.by_link.iter().filter(|(_, forward)| {
            forward.plugin == plugin && forward.goes_on && !forward.body.is_empty()
        });
        let (link, slowest) = owed.min_by_key(|(_, forward)| forward.moved)?;
        (slowest.moved + limits::FORWARD_STALLED <= now.mono).then_some(*link)
    }

    /// Those whose answers have not begun.
    fn waiting_for<'a>(
        &'a self,
        plugin: &'a str,
    ) -> impl Iterator<Item = (LinkId, ConnId)> + use<'a> {
        let waits = move |(link, forward): (&LinkId, &Forward)| {
            (forward.plugin == plugin && !forward.goes_on).then_some((*link, forward.conn))
        };
        self.by_link.iter().filter_map(waits)
    }

    fn remove(&mut self, link: LinkId) -> Option<Forward> {
        self.patience.cancel(link);
        let forward = self.by_link.remove(&link)?;
        self.by_conn.remove(&forward.conn);
        Some(forward)
    }

    /// Checks that every one has a client.
    ///
    /// # Errors
    /// The first that has none, in words.
    pub(in crate::node) fn sweep(&self, is_there: impl Fn(ConnId) -> bool) -> Result<(), String> {
        let clients: SortedSet<ConnId> = self.by_link.values().map(|f| f.conn).collect();
        let known: SortedSet<ConnId> = self.by_conn.keys().copied().collect();
        let gone = clients.iter().find(|conn| !is_there(**conn)).copied();
        match gone {
            _ if clients != known => Err("a request to a plugin is nobody's".into()),
            Some(conn) => Err(format!("{conn:?} is gone, and a plugin still answers it")),
            None => Ok(()),
        }
    }
}

impl Forward {
    /// Goes on with what has come.
    ///
    /// # Errors
    /// It is no answer, in words.
    fn step(&mut self) -> Result<Step, String> {
        if self.goes_on {
            if !self.is_whole {
                let done = self.reader.body(&mut self.input, &mut self.body).map_err(unread)?;
                self.is_whole = done;
            }
            return Ok(if self.is_whole && self.body.is_empty() { Step::Ends } else { Step::Rest });
        }
        let mut is_short = true;
        let mut response = match self.head.take() {
            Some(head) => head,
            None => {
                let Some(head) = self.reader.head(&mut self.input).map_err(unread)? else {
                    return Ok(Step::Rest);
                };
                match head.status {
                    200..600 => {}
                    101 => return Err("it switches to a protocol that is not passed on".into()),
                    other => {
                        return Err(format!("its answer has the status {other}, which is none"))
                    }
                }
                let length = head.headers.get("content-length").and_then(|text| text.parse().ok());
                self.length = length;
                let most = u64::try_from(limits::FORWARD_BUFFER).unwrap_or(0);
                is_short = length.is_some_and(|length| length <= most);
                told(&head, &self.plugin)
            }
        };
        if self.method == Method::Head && matches!(response.status, 204 | 304) {
            return Ok(Step::Whole(response));
        }
        if self.method == Method::Head {
            return Ok(Step::Begins(response, self.length));
        }
        let done = self.reader.body(&mut self.input, &mut self.body).map_err(unread)?;
        self.is_whole |= done;
        if done {
            response.body = std::mem::take(&mut self.body);
            return Ok(Step::Whole(response));
        }
        if !done && is_short {
            self.head = Some(response);
            return Ok(Step::Rest);
        }
        self.goes_on = true;
        Ok(Step::Begins(response, self.length))
    }
}

fn unread(broken: Broken) -> String {
    format!("its answer cannot be read: {broken}")
}

/// The fields of an answer that are passed on. Whom a page may be framed by, and who else may read an answer,
/// is not for a plugin to say.
const PASSED_ON: [&str; 16] = [
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Referrer-Policy",
    "Retry-After",
    "Set-Cookie",
    "Vary",
];

fn told(head: &AnswerHead, plugin: &str) -> Response {
    let mut response = Response::empty(head.status);
    for (name, value) in head.headers.iter() {
        let known = PASSED_ON.iter().find(|known| known.eq_ignore_ascii_case(name));
        let Some(known) = known else { continue };
        let is_own_path = value.starts_with('/') && !value.starts_with("//");
        response.headers.push(match *known {
            // It knows its own paths only.
            "Location" if is_own_path => (known, format!("/{PREFIX}/{plugin}/{API}{value}")),
            known => (known, value.to_owned()),
        });
    }
    response
}

/// The fields of a request that are not passed on: those of the connection (RFC 9110 section 7.6.1), and what
/// says who asks, which is a secret.
const KEPT_BACK: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request as it goes to a program: its path is what follows that of the program.
fn written(request: &Request, skipped: usize, plugin: &str, caller: &Caller) -> Vec<u8> {
    let rest = request.path.splitn(skipped + 2, '/').nth(skipped + 1).unwrap_or_default();
    let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    // Of an answer to GET nothing but the head is told to who asks for that.
    let method = if request.method == Method::Head { Method::Get } else { request.method };
    let mut head = format!(
        "{} /{rest}{query} HTTP/1.1\r\nHost: {plugin}\r\nConnection: close\r\n",
        method.name()
    );
    let named = |headers: &Headers, name: &str| headers.contains_token("connection", name);
    for (name, value) in request.headers.iter() {
        // With an underscore it would be taken for another by programs that know it as a variable (RFC 3875).
        let is_ours = name.starts_with("x-gaffer-") || name == "x-api-key" || name.contains('_');
        if !is_ours && !KEPT_BACK.contains(&name) && !named(&request.headers, name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let who: String = caller.who.chars().map(visible).collect();
    head.push_str(&format!("X-Gaffer-Caller: {who}\r\n"));
    if !request.body.is_empty() || !matches!(request.method, Method::Get | Method::Head) {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), &request.body].concat()
}

/// What is said where a program does not answer.
fn unanswered(status: u16, plugin: &str, why: &str) -> Response {
    Response::error(status, Some(&format!("the plugin {plugin}: {why}")))
}

impl Gaffer {
    /// Where a request leads whose path is below that of a program; `None` for another.
    ///
    /// # Errors
    /// The answer to give instead.
    pub(in crate::node) fn route_program(
        &self,
        (request, peer): (&Request, crate::front::peer::Peer),
        segments: &[String],
        asks: &mut Option<Rc<Caller>>,
        now: Now,
    ) -> Option<Result<Answer, Response>> {
        let below = segments.strip_prefix(self.prefix.as_slice())?;
        let [plugins, plugin, api, rest @ ..] = below else { return None };
        if plugins != PREFIX || api != API || !self.programs.has(plugin) {
            return None;
        }
        let rest: Vec<String> = match rest {
            // A path that ends here, with or without a slash, is the root of what the program answers.
            [only] if only.is_empty() => Vec::new(),
            rest => rest.to_vec(),
        };
        // What the pattern means has to be what the program takes the path for, however it reads that.
        let leaves =
            |part: &String| matches!(part.as_str(), "." | "..") || part.contains(['/', '\\']);
        if rest.iter().any(leaves) {
            let detail = "a path has no \"..\", and no slashes within its parts";
            return Some(Err(Response::error(403, Some(detail))));
        }
        let known = self.programs.known.get(plugin)?;
        let (number, open) = match self.programs.find(plugin, request.method, &rest) {
            Found::Endpoint(number, open) => (*number, open),
            Found::WrongMethod(allowed) => return Some(Err(wrong_method(request, &allowed))),
            Found::Nothing => return Some(Err(Response::error(404, None))),
        };
        let needs = known.program.manifest.routes.get(number)?.needs();
        let call = Call { request, peer, open, doc: None };
        let caller = match self.let_by(&call, needs, asks, now) {
            Ok(caller) => caller,
            Err(refused) => return Some(Err(refused)),
        };
        Some(self.forwarding((request, &caller), plugin, known, now).map(Answer::Forward))
    }

    /// Who makes room for another where there are as many as may be: somebody who has ended his side and
    /// perhaps is gone, or who takes nothing of his answer.
    fn in_the_way(&self, plugin: &str, now: Now) -> Option<LinkId> {
        let ended = |(_, conn): &(LinkId, ConnId)| {
            self.clients.get(*conn).is_none_or(|client| client.conn.has_ended())
        };
        let gone = self.forwards.waiting_for(plugin).find(ended).map(|(link, _)| link);
        gone.or_else(|| self.forwards.stalled(plugin, now))
    }

    fn forwarding(
        &self,
        (request, caller): (&Request, &Caller),
        plugin: &str,
        known: &Known,
        now: Now,
    ) -> Result<Forwarding, Response> {
        let later = |why: &str| unanswered(503, plugin, why).with("Retry-After", "1");
        let Some(socket) = known.program.socket.clone() else {
            return Err(unanswered(503, plugin, "without a state directory it has no socket"));
        };
        let job = JobName::new(SESSION, plugin).ok();
        let running = job.and_then(|job| self.supervisor.live_instances(&job).ok());
        if running.is_none_or(|running| running.is_empty()) {
            return Err(later("it does not run at present"));
        }
        let is_full = self.forwards.count(plugin) >= limits::FORWARDS;
        let instead_of = if is_full { self.in_the_way(plugin, now) } else { None };
        if is_full && instead_of.is_none() {
            return Err(later("it is answering as many requests as it may"));
        }
        // Those before the rest: the prefix, where plugins are, which, and that of its program.
        let skipped = self.prefix.len() + 3;
        let bytes = written(request, skipped, plugin, caller);
        let (plugin, method) = (plugin.to_owned(), request.method);
        Ok(Forwarding { plugin, socket, method, bytes, instead_of })
    }

    /// Passes a request on, whose client waits from now on.
    pub(in crate::node) fn forward(&mut self, conn: ConnId, forwarding: Forwarding, now: Now) {
        let Forwarding { plugin, socket, method, bytes, instead_of } = forwarding;
        if let Some(Forward { conn, .. }) = instead_of.and_then(|slow| self.drop_forward(slow)) {
            self.clients.change(conn, |conn| conn.give_up());
        }
        let link = self.links.dial();
        self.effects.push(Effect::Dial { link, address: Address::Unix(socket) });
        self.links.say(link, &bytes);
        self.programs.note(&plugin, |tally| tally.requests += 1);
        let reader = AnswerReader::new("GET", usize::MAX);
        let (input, head, length, goes_on) = (Vec::new(), None, None, false);
        let (body, is_whole, moved) = (Vec::new(), false, now.mono);
        let forward = Forward {
            conn,
            plugin,
            method,
            reader,
            input,
            head,
            length,
            moved,
            goes_on,
            body,
            is_whole,
        };
        self.forwards.by_link.insert(link, forward);
        self.forwards.by_conn.insert(conn, link);
        self.forwards.patience.set(link, now.mono + limits::FORWARD_PATIENCE);
    }

    /// A program said something.
    pub(in crate::node) fn hear_forward(&mut self, link: LinkId, bytes: &[u8], now: Now) {
        if let Some(forward) = self.forwards.by_link.get_mut(&link) {
            forward.input.extend_from_slice(bytes);
            self.go_on_forward(link, now);
        }
    }

    /// A client has taken something of an answer.
    pub(in crate::node) fn go_on_for(&mut self, conn: ConnId, now: Now) {
        if let Some(link) = self.forwards.by_conn.get(&conn).copied() {
            self.go_on_forward(link, now);
        }
    }

    /// The connection to a program has ended, or did not come about.
    pub(in crate::node) fn end_forward(&mut self, link: LinkId, reason: &str, now: Now) {
        let Some(forward) = self.forwards.by_link.get_mut(&link) else { return };
        // What came last may not have been looked at yet, while the client had no room for what came before.
        if forward.goes_on && !forward.is_whole {
            match forward.reader.body(&mut forward.input, &mut forward.body) {
                Ok(done) => forward.is_whole = done,
                Err(broken) => return self.fail_forward(link, 502, &unread(broken), now),
            }
        }
        if forward.is_whole {
            return self.go_on_forward(link, now);
        }
        match forward.reader.ended() {
            Ok(()) => {
                forward.is_whole = true;
                self.go_on_forward(link, now);
            }
            Err(_) => self.fail_forward(link, 502, reason, now),
        }
    }

    fn go_on_forward(&mut self, link: LinkId, now: Now) {
        loop {
            let Some(forward) = self.forwards.by_link.get_mut(&link) else { return };
            let conn = forward.conn;
            if forward.goes_on && !forward.body.is_empty() {
                let room = self.clients.get(conn).is_some_and(|client| client.conn.has_room());
                if !room {
                    return;
                }
                let body = std::mem::take(&mut forward.body);
                forward.moved = now.mono;
                let is_sized = forward.length.is_some();
                self.clients.change(conn, |conn| match is_sized {
                    true => conn.send_piece(body, now),
                    false => conn.stream(&[&body], now),
                });
                // More of it is taken again.
                self.links.touch(link);
                continue;
            }
            match forward.step() {
                Ok(Step::Rest) if forward.goes_on && !forward.body.is_empty() => {}
                Ok(Step::Rest) => return,
                Ok(Step::Whole(response)) => {
                    self.drop_forward(link);
                    return self.answer(conn, response, now);
                }
                Ok(Step::Begins(response, length)) => {
                    self.forwards.patience.cancel(link);
                    let goes_on = self.begin_answer(conn, response, length, now);
                    if !goes_on {
                        self.drop_forward(link);
                        return self.serve(conn, now);
                    }
                }
                Ok(Step::Ends) => {
                    self.drop_forward(link);
                    // One of known length has ended with its last byte.
                    self.clients.change(conn, |conn| conn.end_stream(now));
                    return self.serve(conn, now);
                }
                Err(why) => return self.fail_forward(link, 502, &why, now),
            }
        }
    }

    fn fail_forward(&mut self, link: LinkId, status: u16, why: &str, now: Now) {
        let Some(forward) = self.drop_forward(link) else { return };
        let Forward { conn, plugin, goes_on, .. } = forward;
        warn!("the plugin {plugin} does not answer a request: {why}");
        self.programs.note(&plugin, |tally| {
            tally.failed += 1;
            tally.error = Some(why.to_owned());
        });
        if goes_on {
            // The end of the answer is missing, and it is not to look as if it were there.
            self.clients.change(conn, |conn| conn.give_up());
        } else {
            self.answer(conn, unanswered(status, &plugin, why), now);
        }
    }

    fn drop_forward(&mut self, link: LinkId) -> Option<Forward> {
        let forward = self.forwards.remove(link)?;
        self.links.forget(link);
        Some(forward)
    }

    /// A client is gone: what a program still answers is for nobody.
    pub(in crate::node) fn forget_forward(&mut self, conn: ConnId) {
        if let Some(link) = self.forwards.by_conn.get(&conn).copied() {
            self.drop_forward(link);
        }
    }

    /// Time has passed for those who wait for a program.
    pub(in crate::node) fn pass_forward_time(&mut self, now: Now) {
        while let Some(link) = self.forwards.patience.pop_due(now.mono) {
            let seconds = limits::FORWARD_PATIENCE.as_secs();
            let why = format!("it has not answered within {seconds} seconds");
            self.fail_forward(link, 504, &why, now);
        }
    }
}
