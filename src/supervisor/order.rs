//! From a specification to a spawn order: everything the kernel must be told to start one process,
//! with environment merged, arguments expanded and accounts resolved. The host's facts it needs
//! come through [`Host`], so that this stays pure.

use std::fmt;
use std::rc::Rc;

use super::expand::{expand, ExpandError};
use super::hearer::Hearer;
use super::name::JobName;
use super::spec::{Command, JobSpec};
use crate::base::environment::{Environment, Variables};
use crate::base::ids::Pid;
use crate::base::order::{Account, Identity, SpawnOrder, Unfit, Wiring};
use crate::base::sorted::SortedMap;

/// What an order needs to know of the host.
pub struct Host {
    /// The daemon's own environment.
    pub environ: Rc<Variables>,
    /// The users and groups of the system.
    pub accounts: Rc<dyn Accounts>,
    /// Names this node's processes among all on the machine; part of `GAFFER_RUN`.
    pub node: String,
}

/// The system's users and groups.
pub trait Accounts {
    /// Who a process of this account is; `Ok(None)` for who the daemon is.
    ///
    /// # Errors
    /// An unknown name, or a change that the daemon may not make.
    fn resolve(&self, account: &Account<'_>) -> Result<Option<Identity>, Unfit>;
}

/// Which process of which job an order is for.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// The job.
    pub name: &'a JobName,
    /// Its place there, from 1.
    pub number: u32,
    /// Its own number.
    pub pid: Pid,
    /// Further variables for this process alone.
    pub extra: &'a SortedMap<String, String>,
}

/// Why no order can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An argument cannot be expanded.
    Argument {
        /// The argument as it was written.
        argument: String,
        /// Why.
        error: ExpandError,
    },
    /// A user or group cannot be had.
    Account(Unfit),
    /// The instance's `PORT` would be above 65535.
    Port(u32),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { argument, error } => write!(f, "argument {argument:?}: {error}"),
            Self::Account(unfit) => unfit.fmt(f),
            Self::Port(port) => write!(f, "port: this instance's PORT would be {port}"),
        }
    }
}

/// The variable that tells which run of which node a process belongs to. It is what finds the
/// descendants of a process that has gone, and the processes of a daemon that was killed.
pub const RUN_VARIABLE: &str = "GAFFER_RUN";

impl Host {
    /// The value of [`RUN_VARIABLE`] for a process of this node.
    pub fn run_mark(&self, pid: Pid) -> String {
        format!("{}:{pid}", self.node)
    }

    /// Makes the order for one process.
    ///
    /// # Errors
    /// An argument names a variable that is not there, or the account is unknown or not to be had.
    pub fn order(&self, spec: &JobSpec, seat: Seat<'_>) -> Result<SpawnOrder, OrderError> {
        let order = self.order_as(spec, seat, None)?;
        let identity = self.accounts.resolve(&spec.account()).map_err(OrderError::Account)?;
        Ok(SpawnOrder { identity, ..order })
    }

    /// Makes the order for one process that is to be him. It is the same whenever it is made.
    ///
    /// # Errors
    /// An argument names a variable that is not there, or there is no such port.
    pub(super) fn order_as(
        &self,
        spec: &JobSpec,
        seat: Seat<'_>,
        identity: Option<Identity>,
    ) -> Result<SpawnOrder, OrderError> {
        let env = self.environment(spec, seat)?;
        let (program, args) = match &spec.command {
            Command::Shell(line) => ("sh".to_owned(), vec!["-c".to_owned(), line.to_string()]),
            Command::Program(words) => (words.program().to_owned(), expanded(words.args(), &env)?),
        };
        let wired = |label: Option<&String>| {
            if label.is_some() || !spec.detach {
                Wiring::Pipe
            } else {
                Wiring::Null
            }
        };
        Ok(SpawnOrder {
            program,
            args,
            env,
            cwd: spec.cwd.clone(),
            identity,
            capabilities: spec.capabilities,
            no_new_privs: spec.no_new_privs,
            umask: spec.umask,
            rlimits: spec.rlimits.clone(),
            nice: spec.nice,
            stdin: if spec.redirect_input || !spec.listen.is_empty() {
                Wiring::Pipe
            } else {
                Wiring::Null
            },
            stdout: wired(spec.redirect_output.first()),
            stderr: if spec.merges_stderr() {
                Wiring::Stdout
            } else {
                wired(spec.redirect_output.get(1))
            },
            custom: u16::try_from(spec.custom_streams.len()).unwrap_or(u16::MAX),
            listener: spec.listener.clone(),
        })
    }

    /// The daemon's variables (with `os_env`), below the job's, below this process's own.
    fn environment(&self, spec: &JobSpec, seat: Seat<'_>) -> Result<Environment, OrderError> {
        // As the original did it, a job that says nothing of its environment has the daemon's.
        let inherits = spec.os_env || spec.env.is_empty();
        let below = if inherits { Rc::clone(&self.environ) } else { Rc::default() };
        let mut env = Environment::over(below);
        env.extend(&spec.env);
        env.extend(seat.extra);
        if let Some(base) = spec.port {
            let port = u32::from(base) + seat.number.saturating_sub(1);
            if port > u32::from(u16::MAX) {
                return Err(OrderError::Port(port));
            }
            env.insert("PORT", port.to_string());
        }
        if spec.hearer() == Hearer::Listening {
            let own = [&spec.env, seat.extra].iter().any(|env| env.contains_key(SERVER_URL));
            as_supervisor(&mut env, seat, own);
        }
        env.insert("GAFFER_SESSION", seat.name.session());
        env.insert("GAFFER_JOB", seat.name.label());
        env.insert("GAFFER_INSTANCE", seat.number.to_string());
        env.insert(RUN_VARIABLE, self.run_mark(seat.pid));
        Ok(env)
    }
}

/// Where event listeners of supervisor find its XML-RPC. Some look only whether there is this variable, to know
/// that they are one.
const SERVER_URL: &str = "SUPERVISOR_SERVER_URL";
/// There is no XML-RPC here: who tries finds a path that says so, on this machine and on every other.
const NO_SERVER: &str = "unix:///nonexistent/gafferd-has-no-xml-rpc";

/// Adds the variables by which a process knows that supervisor's protocol is spoken with it. An address of
/// its `own` for XML-RPC stays.
fn as_supervisor(env: &mut Environment, seat: Seat<'_>, own: bool) {
    env.insert("SUPERVISOR_ENABLED", "1");
    env.insert("SUPERVISOR_PROCESS_NAME", seat.name.process_name(seat.number));
    env.insert("SUPERVISOR_GROUP_NAME", seat.name.group_name());
    if !own {
        env.insert(SERVER_URL, NO_SERVER);
    }
}

fn expanded<'a>(
    args: impl Iterator<Item = &'a str>,
    env: &Environment,
) -> Result<Vec<String>, OrderError> {
    let lookup = |name: &str| env.get(name);
    let one = |argument: &str| {
        expand(argument, &lookup)
            .map_err(|error| OrderError::Argument { argument: argument.to_owned(), error })
    };
    args.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::spec_read;
    use serde_json::json;

    struct Nobody;

    impl Accounts for Nobody {
        fn resolve(&self, account: &Account<'_>) -> Result<Option<Identity>, Unfit> {
            let unknown = |name| Unfit { key: "uid", why: format!("there is no user {name:?}") };
            account.uid.map_or(Ok(None), |name| Err(unknown(name)))
        }
    }

    fn order(config: serde_json::Value) -> Result<SpawnOrder, OrderError> {
        let environ = SortedMap::from([("PATH".into(), "/bin".into()), ("A".into(), "os".into())]);
        let host = Host { environ: Rc::new(environ), accounts: Rc::new(Nobody), node: "n".into() };
        let spec = spec_read::read(config.as_object().expect("an object")).expect("valid");
        let name = JobName::parse("s.web").expect("valid");
        host.order(&spec, Seat { name: &name, number: 2, pid: Pid(7), extra: &SortedMap::new() })
    }

    #[test]
    fn the_jobs_environment_wins_and_the_seat_is_told() {
        let made = order(json!({
            "cmd": "echo $A $PORT", "env": {"A": "job"}, "os_env": true, "port": 5000
        }));
        let made = made.expect("valid");
        assert_eq!(made.args, ["job", "5001"]);
        assert_eq!(made.env.get("PATH"), Some("/bin"));
        assert_eq!(made.env.get("GAFFER_RUN"), Some("n:7"));
        let bare = order(json!({"cmd": "true", "env": {"B": "1"}})).expect("valid");
        assert_eq!(bare.env.get("PATH"), None, "os_env is off");
        let silent = order(json!({"cmd": "echo $A"})).expect("valid");
        assert_eq!(silent.args, ["os"]);
    }

    #[test]
    fn a_listener_of_supervisor_finds_what_it_knows_and_no_xml_rpc() {
        let url = |config: serde_json::Value| {
            let order = order(config).expect("valid");
            order.env.get("SUPERVISOR_SERVER_URL").map(str::to_owned)
        };
        let ear = |url: &str| json!({"cmd": "ear", "env": {(url): "http://mine"}, "listen": ["EVENT"], "listen_protocol": "supervisor"});
        assert_eq!(url(ear("OTHER")).as_deref(), Some(NO_SERVER));
        assert_eq!(url(ear("SUPERVISOR_SERVER_URL")).as_deref(), Some("http://mine"));
        assert_eq!(url(json!({"cmd": "ear", "listen": ["exit"]})), None);
        let made = order(ear("OTHER")).expect("valid");
        let told = ["ENABLED", "PROCESS_NAME", "GROUP_NAME"]
            .map(|name| made.env.get(&format!("SUPERVISOR_{name}")).map(str::to_owned));
        assert_eq!(told, [Some("1".into()), Some("web.2".into()), Some("s".into())]);
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let text = |config| order(config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            text(json!({"cmd": "echo $NOPE"})).starts_with("argument \"$NOPE\": $NOPE is not in")
        );
        assert_eq!(text(json!({"cmd": "a", "uid": "x"})), "uid: there is no user \"x\"");
    }
}
