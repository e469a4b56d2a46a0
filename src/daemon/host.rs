//! What every node is told of the machine it runs on, whatever program it is in: a daemon with its
//! listeners and its state directory, or one that runs in the foreground and has neither.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::rc::Rc;

use super::legacy;
use crate::base::order::{Account, Identity, Unfit};
use crate::base::sorted::SortedMap;
use crate::node::gaffer::Setup;
use crate::supervisor::order::{Accounts, Host};
use crate::sys::hostname::hostname;
use crate::sys::{entropy, procfs, users};

/// The environment as text. What is none is left out: no job could name it.
pub fn environment() -> SortedMap<String, String> {
    let text = |part: OsString| String::from_utf8(part.into_vec()).ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// What a service manager tells the daemon alone: sockets that it hands over, whom to say that all is well,
/// where its log and its secrets are (systemd.exec(5), sd_notify(3)). A job that finds it would answer in
/// the daemon's place.
const DAEMONS_OWN: [&str; 11] = [
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A node on this machine that nobody talks to and that tells nothing by itself. `node` is the word
/// its processes carry.
///
/// # Errors
/// The kernel has no random numbers.
pub fn setup(mut environ: SortedMap<String, String>, node: String) -> Result<Setup, String> {
    environ.retain(|name, _| !DAEMONS_OWN.contains(&name.as_str()));
    let (mut seed, mut secret) = ([0; 8], [0; 32]);
    entropy::random_bytes(&mut seed)
        .and_then(|()| entropy::random_bytes(&mut secret))
        .map_err(|errno| format!("no random numbers: {errno}"))?;
    Ok(Setup {
        host: Host { environ: Rc::new(environ), accounts: Rc::new(SystemAccounts), node },
        seed: u64::from_le_bytes(seed),
        access: Default::default(),
        memory: procfs::physical_memory(),
        clients: 0,
        channel: Default::default(),
        stats_history: Default::default(),
        console: Default::default(),
        log_level: None,
        boot_id: String::new(),
        registration: Default::default(),
        extensions: Default::default(),
        keeping: Default::default(),
        webhooks: Default::default(),
        plugins: Vec::new(),
        secret,
    })
}

/// What this host is called in full.
///
/// # Errors
/// It has no name.
pub(super) fn name() -> Result<String, String> {
    let own = hostname().map_err(|errno| format!("this host has no name: {errno}"))?;
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    Ok(full_name(&own, &hosts))
}

/// What this host is called in full, as far as it knows itself: its own name, or the first of its names
/// in `hosts` (/etc/hosts) that has a domain. No name server is asked: it might not answer.
pub(super) fn full_name(own: &str, hosts: &str) -> String {
    if own.contains('.') {
        return own.to_owned();
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut named = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let full = named.find_map(|names| {
        let ours = names.iter().any(|name| name.eq_ignore_ascii_case(own));
        names.into_iter().find(|name| ours && name.contains('.'))
    });
    full.unwrap_or(own).to_owned()
}

/// The word of a node that no later one continues.
pub fn passing_word() -> String {
    format!("{}-{}", legacy::word(), legacy::word())
}

struct SystemAccounts;

impl Accounts for SystemAccounts {
    fn resolve(&self, account: &Account<'_>) -> Result<Option<Identity>, Unfit> {
        users::resolve(account)
    }
}
