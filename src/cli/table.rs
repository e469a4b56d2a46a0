//! Every command and every flag. Nothing else says what there is.

use super::args::Invocation;
use super::failure::Failure;
use super::terminal::Terminal;
use super::{
    check, deaths, events, export, help, jobs, keys, loading, log_level, logs, lookups, one_off,
    plugins, ps, start, stats, status, streams, users, webhooks,
};

/// A flag.
pub struct Flag {
    /// Its letter.
    pub short: Option<char>,
    /// Its name.
    pub long: &'static str,
    /// What its value is called, if it has one.
    pub value: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

/// What a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// This machine.
    Here,
    /// One node.
    Node,
    /// One node, or with lookupds all that they know.
    Nodes,
    /// Lookupds themselves.
    Lookupds,
}

/// A command.
pub struct Command {
    /// Its names: the one that is listed, then those that mean the same.
    pub names: &'static [&'static str],
    /// Its arguments, as help shows them. Behind the first word for a `CMD` everything is of that command, flags too.
    pub args: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its own flags.
    pub flags: &'static [Flag],
    /// What it works on.
    pub on: On,
    /// Does it.
    pub run: fn(&mut Invocation, &mut Terminal) -> Result<(), Failure>,
}

const fn flag(short: Option<char>, long: &'static str, help: &'static str) -> Flag {
    Flag { short, long, value: None, help }
}

const fn takes(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag { short, long, value: Some(value), help }
}

/// The flags that every command has.
#[rustfmt::skip]
pub const GLOBAL: &[Flag] = &[
    takes(Some('g'), "gafferd-http-address", "URL", "the node: http://HOST:PORT, https://HOST:PORT or unix:PATH (default: $GAFFER_URL, the unix socket if it answers, else http://127.0.0.1:5000)"),
    takes(Some('L'), "lookupd-address", "URL", "all nodes that this gaffer_lookupd knows, instead of one: http://HOST:PORT, https://HOST:PORT or unix:PATH (repeatable; for lookup commands and --node: $GAFFER_LOOKUPD, or lookupd_address in gaffer.ini)"),
    takes(None, "node", "NAME", "of these nodes only those of this name or origin, or that fit a pattern with * and ? (repeatable)"),
    takes(Some('a'), "app", "NAME", "the application (default: the Procfile's folder, if there is one here)"),
    takes(Some('f'), "procfile", "FILE", "the Procfile (default: Procfile)"),
    takes(Some('d'), "root", "DIR", "the folder of the application (default: this one)"),
    takes(Some('e'), "env", "FILE", "its environment; later files go over earlier ones (repeatable; default: .env beside the Procfile)"),
    flag(None, "json", "print JSON"),
    flag(None, "no-color", "no colours, as with NO_COLOR"),
    flag(None, "no-input", "never ask"),
    flag(Some('h'), "help", "print help for a command and exit"),
    flag(None, "version", "print the version and exit"),
];

const NUMBERS: Flag = takes(
    Some('c'),
    "concurrency",
    "NAME=N",
    "how many of each process type, comma-separated; all=N for those not named (repeatable)",
);
const FROM_FILE: Flag = takes(None, "from-file", "FILE", "the jobs of this JSON file");
const VERBOSE: Flag =
    flag(Some('v'), "verbose", "for those who are used to it: output is always printed");
const NO_WAIT: Flag = flag(None, "no-wait", "do not wait until it is done");
const COMMIT_GRACE: Flag = takes(
    None,
    "graceful-timeout",
    "SECONDS",
    "of a job: its time between the stop signal and KILL",
);
const COMMIT_ENV: Flag =
    takes(Some('p'), "param", "NAME=VALUE", "of a job: a variable of its environment (repeatable)");
const PASSWORD_FILE: Flag = takes(
    None,
    "password-file",
    "FILE",
    "the first line is the password; - is stdin (asked for without it)",
);
const PASSWORD: Flag =
    takes(Some('p'), "password", "TEXT", "the password, which everybody sees who lists processes");
const KEY: Flag = takes(Some('k'), "key", "KEY", "whose rights the user gets");
const SECRET_FILE: Flag = takes(
    None,
    "secret-file",
    "FILE",
    "the first line signs what is posted: 16 characters or more; - is stdin (made without it)",
);
const WATCH: Flag = flag(Some('w'), "watch", "show it again whenever it changes, until ^C");

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command { names: &["start", "up", "dev:start"], args: "[NAME...]", about: "run this folder's Procfile here, without a node, until ^C or until a process ends",
        flags: &[NUMBERS, takes(None, "only", "NAMES", "these process types only, comma-separated"), takes(Some('p'), "port", "PORT", "where the ports begin (default: PORT of .env or the environment, else 5000)"),
            flag(None, "restart", "start again what ends"), flag(None, "exit-on-failure", "stop the others only when a process fails"), VERBOSE], on: On::Here, run: start::start },
    Command { names: &["dev:run"], args: "CMD...", about: "run a command in the environment of this folder's application, in our place", flags: &[VERBOSE], on: On::Here, run: one_off::here },
    Command { names: &["check"], args: "[FILE...]", about: "tell what is wrong with Procfiles, .env, INI and JSON files (- reads stdin; default: the Procfile and the .env here)", flags: &[], on: On::Here, run: check::check },
    Command { names: &["apps"], args: "", about: "list the applications of the node", flags: &[], on: On::Node, run: ps::apps },
    Command { names: &["load"], args: "[FILE]", about: "load this folder's Procfile, or a JSON file of jobs (- reads it from stdin)",
        flags: &[NUMBERS, flag(None, "nostart", "load without starting")], on: On::Node, run: loading::load },
    Command { names: &["unload"], args: "[JOB...]", about: "unload jobs, or the application", flags: &[NO_WAIT, FROM_FILE], on: On::Node, run: jobs::unload },
    Command { names: &["reload"], args: "[JOB...]", about: "replace all processes of jobs, or of the application", flags: &[NO_WAIT, FROM_FILE], on: On::Nodes, run: jobs::reload },
    Command { names: &["ps"], args: "[JOB...]", about: "list instances, with why and what next",
        flags: &[takes(Some('o'), "output", "FORM", "wide, json, tsv or name"), takes(None, "sort", "COLUMN", "sort by app, job, state, up, restarts, cpu or mem"), WATCH], on: On::Nodes, run: ps::ps },
    Command { names: &["stats"], args: "[JOB...]", about: "what processes use: CPU, memory, threads and descriptors of each with its group",
        flags: &[flag(Some('w'), "watch", "show it again every second, until ^C")], on: On::Nodes, run: stats::stats },
    #[cfg(feature = "top")]
    Command { names: &["top"], args: "[JOB...]", about: "the node on all of the terminal, as it is: ? tells the keys (after kill -9, reset puts the terminal right)",
        flags: &[takes(None, "sort", "COLUMN", "sort by app, job, state, up, restarts, cpu or mem")], on: On::Nodes, run: super::top::top },
    Command { names: &["ps:info", "info"], args: "JOB|PID", about: "everything the node tells of a job or a process", flags: &[], on: On::Node, run: status::info },
    Command { names: &["status"], args: "JOB", about: "state, instances and last deaths of a job, with their last lines", flags: &[], on: On::Node, run: status::status },
    Command { names: &["why"], args: "JOB", about: "why a job is in the state it is in", flags: &[], on: On::Node, run: status::why },
    Command { names: &["deaths"], args: "[JOB...]", about: "how runs ended: when, why, after how long, and what they had used",
        flags: &[takes(Some('n'), "number", "N", "the last N (default 20)"), flag(Some('v'), "last-words", "each with the last lines that it wrote")], on: On::Nodes, run: deaths::deaths },
    Command { names: &["ps:scale", "scale"], args: "NAME=N|NAME+N|NAME-N...", about: "change how many instances run", flags: &[], on: On::Nodes, run: jobs::scale },
    Command { names: &["ps:start", "start-job"], args: "[JOB...]", about: "start jobs, or the application", flags: &[NO_WAIT], on: On::Nodes, run: jobs::start },
    Command { names: &["ps:stop", "stop"], args: "[JOB|PID...]", about: "stop jobs or processes, or the application", flags: &[NO_WAIT], on: On::Nodes, run: jobs::stop },
    Command { names: &["ps:kill", "kill"], args: "JOB|PID SIGNAL", about: "send a signal to a process, or to all of a job", flags: &[], on: On::Nodes, run: jobs::kill },
    Command { names: &["ps:restart", "restart"], args: "[JOB...]", about: "restart instances one after the other", flags: &[NO_WAIT, flag(None, "rolling", "one node after the other, up to the first on which they do not come back")], on: On::Nodes, run: jobs::restart },
    Command { names: &["run"], args: "JOB|CMD...", about: "start a process more of a job of the node, not kept alive; or, if it has no such job, run a command here as dev:run does", flags: &[COMMIT_GRACE, COMMIT_ENV], on: On::Node, run: one_off::run },
    Command { names: &["commit"], args: "JOB", about: "start a process more of a job, not kept alive", flags: &[COMMIT_GRACE, COMMIT_ENV], on: On::Node, run: jobs::commit },
    Command { names: &["logs"], args: "[JOB...]", about: "what processes wrote, as far as it is kept, also of jobs that are unloaded, and with -f what they write",
        flags: &[flag(Some('f'), "follow", "go on until ^C"), takes(Some('n'), "lines", "N", "the last N lines that fit the rest, however far back (default 100); all for all that is kept"), takes(None, "since", "TIME", "not older than this: 90s, 10m, 1h30m, or 2026-11-28T21:50:22Z"),
            takes(None, "until", "TIME", "older than this"), takes(None, "grep", "RE", "lines that match this regular expression"), takes(None, "stream", "LABEL", "of this stream only; out and err are stdout and stderr, whatever they are called"), flag(None, "err", "stderr only"), flag(Some('t'), "timestamps", "the time in front of each line"),
            flag(None, "du", "instead, what is kept takes on the disk"), flag(None, "clear", "remove what is kept of these jobs"), flag(None, "rotate", "put their log files aside and begin new ones"), flag(None, "reopen", "open all log files of the node again, where they were moved away")], on: On::Nodes, run: logs::logs },
    Command { names: &["send"], args: "PID [DATA...]", about: "write a line to a process (- copies stdin)",
        flags: &[takes(Some('s'), "stream", "LABEL", "to this stream (default: stdin)"), flag(None, "close", "and tell it that no more will come")], on: On::Node, run: streams::send },
    Command { names: &["recv"], args: "PID [STREAM]", about: "print what a process writes, until it ends or ^C", flags: &[], on: On::Node, run: streams::recv },
    Command { names: &["attach"], args: "PID|JOB", about: "be the terminal of a process, both ways, until it ends or ^C", flags: &[], on: On::Node, run: streams::attach },
    Command { names: &["export"], args: "[JOB...]", about: "print jobs as configuration",
        flags: &[takes(None, "format", "FORM", "ini (default) or json"), takes(None, "out", "FILE", "write it there")], on: On::Node, run: export::export },
    Command { names: &["events"], args: "[PREFIX]", about: "print what happens, until ^C",
        flags: &[takes(None, "since", "SEQ", "begin behind this event; 0 for all that are kept")], on: On::Nodes, run: events::events },
    Command { names: &["lookup"], args: "", about: "print what changes on the nodes that lookupds know, until ^C, beginning with all that is", flags: &[], on: On::Lookupds, run: lookups::follow },
    Command { names: &["lookup:nodes"], args: "", about: "list the nodes that lookupds know", flags: &[], on: On::Lookupds, run: lookups::nodes },
    Command { names: &["lookup:jobs"], args: "", about: "list all jobs, and which nodes have them", flags: &[], on: On::Lookupds, run: lookups::jobs },
    Command { names: &["lookup:job"], args: "JOB", about: "which nodes have a job, with its processes there", flags: &[], on: On::Lookupds, run: lookups::job },
    Command { names: &["lookup:sessions"], args: "[NODE]", about: "list all sessions with their jobs, or those on nodes of this name", flags: &[], on: On::Lookupds, run: lookups::sessions },
    Command { names: &["lookup:session"], args: "SESSION", about: "list the jobs of a session, and which nodes have them", flags: &[], on: On::Lookupds, run: lookups::session },
    Command { names: &["login"], args: "[USER]", about: "keep a key for this node, got for a name and a password; or make its first administrator, over the unix socket",
        flags: &[PASSWORD_FILE, PASSWORD, flag(None, "print", "print the key instead of keeping it"), flag(None, "bootstrap", "make an administrator USER and print his key")], on: On::Node, run: users::login },
    Command { names: &["logout"], args: "", about: "the key that is kept for this node is good no more", flags: &[], on: On::Node, run: users::logout },
    Command { names: &["key"], args: "[KEY]", about: "list keys, or tell what one permits", flags: &[], on: On::Node, run: keys::key },
    Command { names: &["key:create"], args: "PERM...", about: "make a key: +a (admin), +u (create users), +k (create keys), +m, +w, +r (on all jobs), SESSION+rwm, SESSION.JOB+r",
        flags: &[takes(Some('l'), "label", "TEXT", "what people call it"), takes(None, "expires", "SPAN", "it is good for so long: 12h, 30d"), takes(None, "parent", "KEY", "with this key it goes"), takes(None, "certificate", "FILE", "this client certificate stands for it")], on: On::Node, run: keys::create },
    Command { names: &["key:delete"], args: "KEY", about: "a key, and those that came from it, are good no more", flags: &[], on: On::Node, run: keys::delete },
    Command { names: &["user"], args: "[USER]", about: "list users, or show one", flags: &[], on: On::Node, run: users::user },
    Command { names: &["user:add"], args: "[USER]", about: "make a user", flags: &[PASSWORD_FILE, PASSWORD, KEY, takes(Some('t'), "type", "N", "0 is an administrator, 1 an application (default)")], on: On::Node, run: users::add },
    Command { names: &["user:del"], args: "USER", about: "a user is gone, and his logins with him", flags: &[], on: On::Node, run: users::delete },
    Command { names: &["user:setpassword"], args: "USER", about: "give a user another password", flags: &[PASSWORD_FILE, PASSWORD], on: On::Node, run: users::set_password },
    Command { names: &["user:setkey"], args: "USER", about: "give a user another key, or none", flags: &[KEY], on: On::Node, run: users::set_key },
    Command { names: &["user:import"], args: "FILE", about: "take users of the original over, with the hashes of their passwords (a JSON list)", flags: &[], on: On::Node, run: users::import },
    Command { names: &["webhook:ls", "webhook"], args: "", about: "list webhooks: which events are posted where, and how it stands with that", flags: &[], on: On::Node, run: webhooks::list },
    Command { names: &["webhook:add"], args: "URL EVENT...", about: "post events to an address: those of this name or whose names begin so, as job.web, or . for all", flags: &[SECRET_FILE], on: On::Node, run: webhooks::add },
    Command { names: &["webhook:rm"], args: "HOOK [EVENT]", about: "post nothing to a webhook any more, or no events of this name; HOOK is its id or its whole address", flags: &[], on: On::Node, run: webhooks::remove },
    Command { names: &["webhook:secret"], args: "HOOK", about: "give a webhook another secret", flags: &[SECRET_FILE], on: On::Node, run: webhooks::renew },
    Command { names: &["webhook:test"], args: "HOOK", about: "post a test to a webhook, and tell what it answers", flags: &[], on: On::Node, run: webhooks::test },
    Command { names: &["plugins"], args: "", about: "list plugins: where the site of each is, how it stands with its program, and what is wrong with it", flags: &[], on: On::Node, run: plugins::list },
    Command { names: &["log-level"], args: "[LEVEL]", about: "tell what is in the node's own log, or set it until the node ends: critical, error, warning, info, debug or trace", flags: &[], on: On::Node, run: log_level::log_level },
    Command { names: &["ping"], args: "", about: "whether a node answers", flags: &[], on: On::Node, run: status::ping },
    Command { names: &["version"], args: "", about: "the versions of this program and of the node", flags: &[], on: On::Node, run: status::version },
    Command { names: &["completion"], args: "bash|zsh|fish", about: "print the completions of a shell", flags: &[], on: On::Here, run: help::completion },
    Command { names: &["help"], args: "[COMMAND...]", about: "print this, or help for a command (--man prints a manual page)",
        flags: &[flag(None, "man", "as a manual page")], on: On::Here, run: help::command },
];

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.names.contains(&name))
}
