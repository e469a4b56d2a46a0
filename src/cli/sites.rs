//! On which nodes a command works: on one, as ever, or with `-L` or `--node` on those that lookupds know and
//! that have what is meant. A node of many has a name in front of all that is said of it, as short as it may
//! be without being another's.

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names::{self, Missing};
use super::table::{Command, On};
use super::terminal::Terminal;
use super::user_config::UserConfig;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::client::{Address, Answer, LocatedJob, Lookup, Node, Server, Silent};

/// The colours of nodes, in turn. Red is for what is wrong.
const COLORS: [u8; 6] = [36, 33, 32, 35, 34, 96];

/// A node that a command works on.
pub struct Site {
    /// It, not asked yet.
    pub server: Server,
    /// What it is called, where there may be several.
    pub label: Option<String>,
}

/// All of them.
pub struct Sites {
    all: Vec<Site>,
    /// The columns of the longest name.
    width: usize,
    across: bool,
}

/// Which nodes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// All.
    All,
    /// Those that have the jobs which these words mean, or without words the application.
    WithJobs(&'a [String]),
    /// Those that have the jobs which these words mean, or without words all.
    WithJobsOrAll(&'a [String]),
}

/// Whether a command is to work on all nodes that lookupds know. That lookupds are named elsewhere than on
/// the command line is not enough: what changes one node today would change all of them tomorrow.
pub fn is_across(invocation: &Invocation) -> bool {
    invocation.has("lookupd-address") || invocation.has("node")
}

/// Refuses `-L` and `--node` where they mean nothing.
///
/// # Errors
/// They do.
pub fn within(command: &Command, invocation: &Invocation) -> Result<(), Failure> {
    let name = command.names.first().copied().unwrap_or_default();
    let Some(flag) = ["lookupd-address", "node"].into_iter().find(|flag| invocation.has(flag))
    else {
        return Ok(());
    };
    if invocation.has("gafferd-http-address") {
        return Err(Failure::usage(format!(
            "-g is one node, and --{flag} means those that lookupds know: say one of them"
        )));
    }
    match command.on {
        On::Nodes => Ok(()),
        On::Lookupds if flag == "lookupd-address" && !invocation.has("node") => Ok(()),
        On::Lookupds => Err(Failure::usage(format!("--node means nothing to gaffer {name}"))),
        On::Node => Err(Failure::usage(format!(
            "gaffer {name} works on one node: say which with -g instead of --{flag}"
        ))),
        On::Here => Err(Failure::usage(format!(
            "gaffer {name} works on this machine: --{flag} means nothing to it"
        ))),
    }
}

impl Sites {
    /// The nodes that a command is to work on.
    ///
    /// # Errors
    /// No lookupd answers, or there is no such node.
    pub fn of(
        invocation: &Invocation,
        terminal: &mut Terminal,
        wanted: Wanted<'_>,
    ) -> Result<Self, Failure> {
        if !is_across(invocation) {
            let site = Site { server: connect::server(invocation)?, label: None };
            return Ok(Self { all: vec![site], width: 0, across: false });
        }
        let config = UserConfig::of_user(&connect::variable)?;
        let lookup = connect::lookup(invocation, config.as_ref())?;
        let answer = lookup.nodes()?;
        let lookup = lookup.without(&answer.silent);
        let nodes = told(answer, terminal);
        let labels = labels(&nodes);
        let mut chosen = chosen(&nodes, &labels, invocation.values("node"))?;
        if chosen.is_empty() {
            return Err(Failure::failed("no node is registered with the lookupds"));
        }
        let words = match wanted {
            Wanted::WithJobs(words) => Some(words),
            Wanted::WithJobsOrAll(words) => Some(words).filter(|words| !words.is_empty()),
            Wanted::All => None,
        };
        let pid = words.into_iter().flatten().find(|word| names::is_pid(word));
        match (words, pid) {
            (Some(_), Some(pid)) if chosen.len() > 1 => {
                return Err(Failure::usage(format!(
                    "{pid} is a process of one node: say which with --node"
                )));
            }
            // Whether it has that process is for the node to say.
            (Some(_), Some(_)) | (None, _) => {}
            (Some(words), None) => {
                let app = names::application(invocation);
                let having = having(&lookup, (&app, words), &nodes, &chosen)?;
                chosen.retain(|index| having.contains(index));
            }
        }
        let mut all = Vec::new();
        for index in chosen {
            let (Some(node), Some(label)) = (nodes.get(index), labels.get(index)) else { continue };
            let address: Address = node.origin.parse()?;
            let endpoint = connect::endpoint(config.as_ref(), address)?;
            all.push(Site { server: Server::at(endpoint), label: Some(label.clone()) });
        }
        let keyed = all.iter().any(|site| site.server.endpoint().has_key());
        if let Some(warning) = config.and_then(|config| config.warning()).filter(|_| keyed) {
            terminal.remark(&warning);
        }
        let width = all.iter().filter_map(|site| site.label.as_ref());
        let width = width.map(|label| label.chars().count()).max().unwrap_or(0);
        Ok(Self { all, width, across: true })
    }

    /// All of them.
    pub fn all(&self) -> &[Site] {
        &self.all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether they are those that lookupds know, each with a name.
    pub fn are_named(&self) -> bool {
        self.across
    }

    /// What a node is called, if it has to be said.
    pub fn label(&self, index: usize) -> Option<&str> {
        self.all.get(index).and_then(|site| site.label.as_deref())
    }

    /// What stands in front of a line of a node.
    pub fn prefix(&self, index: usize, color: bool) -> String {
        let Some(label) = self.label(index) else { return String::new() };
        let width = self.width;
        if !color {
            return format!("{label:width$} | ");
        }
        let code = COLORS[index % COLORS.len()];
        format!("\x1b[{code}m{label:width$} |\x1b[0m ")
    }

    /// What stands in front of a remark about a node.
    pub fn in_front(&self, index: usize) -> String {
        self.label(index).map(|label| format!("{label} | ")).unwrap_or_default()
    }

    /// The names of some of them, one after the other.
    pub fn labels(&self, of: impl Iterator<Item = usize>) -> String {
        of.filter_map(|index| self.label(index)).collect::<Vec<_>>().join(", ")
    }
}

/// What was found, with those that did not answer told.
pub fn told<T>(answer: Answer<T>, terminal: &mut Terminal) -> T {
    answer.silent.iter().map(Silent::to_string).for_each(|silent| terminal.remark(&silent));
    answer.found
}

/// The jobs that words may mean, wherever they are; without words, those of the application.
///
/// # Errors
/// No lookupd answers.
pub fn located(lookup: &Lookup, app: &str, words: &[String]) -> Result<Vec<LocatedJob>, Failure> {
    let mut sessions = SortedSet::from([app.to_owned()]);
    for word in words {
        let whole = names::whole(word, app);
        let session = whole.split('.').next().unwrap_or_default();
        // A pattern may be of any application.
        if session.contains(['*', '?']) {
            return Ok(lookup.jobs()?.found);
        }
        sessions.insert(session.to_owned());
    }
    let mut jobs = Vec::new();
    for session in sessions {
        jobs.extend(lookup.session(&session)?.found);
    }
    Ok(jobs)
}

/// Which of the chosen nodes have what the words mean.
fn having(
    lookup: &Lookup,
    (app, words): (&str, &[String]),
    nodes: &[Node],
    chosen: &[usize],
) -> Result<SortedSet<usize>, Failure> {
    let mut jobs = located(lookup, app, words)?;
    let is_chosen = |node: &Node| {
        chosen.iter().filter_map(|index| nodes.get(*index)).any(|known| same(known, node))
    };
    for job in &mut jobs {
        job.sources.retain(|source| is_chosen(&source.node));
    }
    jobs.retain(|job| !job.sources.is_empty());
    let all: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let meant = match words {
        [] => names::of_application(app, &all),
        words => names::among(&all, app, words, Missing::Fails)?,
    };
    if meant.is_empty() {
        return Err(Failure::failed(format!("'{app}' not loaded: no job of it is on any node")));
    }
    let meant: SortedSet<&str> = meant.iter().map(|place| place.job.as_str()).collect();
    let sources = jobs.iter().filter(|job| meant.contains(job.name.as_str()));
    let sources: Vec<_> = sources.flat_map(|job| &job.sources).collect();
    let has = |index: &usize| {
        let node = nodes.get(*index);
        node.is_some_and(|node| sources.iter().any(|source| same(&source.node, node)))
    };
    Ok(chosen.iter().copied().filter(has).collect())
}

fn same(one: &Node, other: &Node) -> bool {
    (&one.name, &one.origin) == (&other.name, &other.origin)
}

/// Which nodes `--node` means; without it, all.
fn chosen(nodes: &[Node], labels: &[String], said: &[String]) -> Result<Vec<usize>, Failure> {
    let all: Vec<usize> = (0..nodes.len()).collect();
    if said.is_empty() {
        return Ok(all);
    }
    let mut chosen = SortedSet::new();
    for word in said {
        let fits = |index: &usize| {
            let (Some(node), Some(label)) = (nodes.get(*index), labels.get(*index)) else {
                return false;
            };
            let mut known = forms(node).into_iter().chain([label.clone()]);
            known.any(|known| names::matches(word, &known))
        };
        let fitting: Vec<usize> = all.iter().copied().filter(fits).collect();
        if fitting.is_empty() {
            let there = match labels {
                [] => "no node is registered".to_owned(),
                labels => format!("there are {}", labels.join(", ")),
            };
            return Err(Failure::failed(format!("no node fits {word:?}; {there}")));
        }
        chosen.extend(fitting);
    }
    Ok(chosen.into_iter().collect())
}

/// How a node may be called, shortest first; its origin at last.
fn forms(node: &Node) -> [String; 6] {
    let Node { name, origin, .. } = node;
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let short = name.split('.').next().filter(|short| !is_address && !short.is_empty());
    let short = short.unwrap_or(name).to_owned();
    let place = origin.split_once("://").map_or(origin.as_str(), |(_, place)| place);
    let port = place.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.contains(']'));
    let with_port = |name: &str| port.map_or(name.to_owned(), |port| format!("{name}:{port}"));
    let whole = (with_port(&short), with_port(name));
    [short, name.clone(), whole.0, whole.1, place.to_owned(), origin.clone()]
}

/// What each node is called: the shortest form that no other has.
fn labels(nodes: &[Node]) -> Vec<String> {
    let all: Vec<[String; 6]> = nodes.iter().map(forms).collect();
    let mut counts: SortedMap<(usize, &str), usize> = SortedMap::new();
    for (level, form) in all.iter().flat_map(|forms| forms.iter().enumerate()) {
        *counts.entry((level, form)).or_default() += 1;
    }
    let label = |forms: &[String; 6]| {
        let is_own = |(level, form): &(usize, &String)| {
            counts.get(&(*level, form.as_str())).is_some_and(|count| *count == 1)
        };
        let own = forms.iter().enumerate().find(is_own);
        // Two of one origin differ in their names.
        let both = || format!("{} at {}", forms[1], forms[5]);
        own.map_or_else(both, |(_, form)| form.clone())
    };
    all.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{self, Parsed};

    fn nodes(all: &[(&str, &str)]) -> Vec<Node> {
        let node = |(name, origin): &(&str, &str)| {
            let (name, origin) = ((*name).to_owned(), (*origin).to_owned());
            Node { name, origin, version: "0.1".into(), last_seen: None }
        };
        all.iter().map(node).collect()
    }

    #[test]
    fn nodes_are_called_as_shortly_as_they_can_be_told_apart() {
        for (all, expected) in [
            (
                &[("n1.x.org", "http://n1.x.org:5000"), ("n2.x.org", "http://n2.x.org:5000")][..],
                &["n1", "n2"][..],
            ),
            (&[("n.x.org", "http://n.x.org:1"), ("n.x.org", "http://n.x.org:2")], &["n:1", "n:2"]),
            (
                &[("n.x.org", "http://n:1"), ("n.y.org", "http://m:1"), ("k", "http://k:1")],
                &["n.x.org", "n.y.org", "k"],
            ),
            (
                &[("10.0.0.1", "http://10.0.0.1:1"), ("10.0.0.2", "http://10.0.0.2:1")],
                &["10.0.0.1", "10.0.0.2"],
            ),
            (&[("n", "http://[::1]"), ("n", "http://[::2]")], &["[::1]", "[::2]"]),
            (&[("n", "http://a:1"), ("n", "https://a:1")], &["http://a:1", "https://a:1"]),
        ] {
            assert_eq!(labels(&nodes(all)), expected, "{all:?}");
        }
    }

    #[test]
    fn nodes_are_chosen_by_any_of_their_names() {
        let all = nodes(&[
            ("n.x.org", "http://n.x.org:1"),
            ("n.x.org", "http://n.x.org:2"),
            ("m.x.org", "http://m.x.org:1"),
        ]);
        let labels = labels(&all);
        let of = |said: &[&str]| {
            let said: Vec<String> = said.iter().map(|word| (*word).to_owned()).collect();
            chosen(&all, &labels, &said).map_err(|failure| failure.message().map(str::to_owned))
        };
        assert_eq!(of(&[]), Ok(vec![0, 1, 2]));
        assert_eq!(of(&["n"]), Ok(vec![0, 1]), "two nodes of this host");
        assert_eq!(of(&["n:2", "m.x.org"]), Ok(vec![1, 2]));
        assert_eq!(of(&["http://n.x.org:1"]), Ok(vec![0]));
        assert_eq!(of(&["*.org:1"]), Ok(vec![0, 2]));
        let none = "no node fits \"o\"; there are n:1, n:2, m".to_owned();
        assert_eq!(of(&["n", "o"]), Err(Some(none)));
    }

    #[test]
    fn lookupds_are_refused_where_they_mean_nothing() {
        for (line, start) in [
            ("ps -L l", None),
            ("ps --node n", None),
            ("lookup:jobs -L l", None),
            ("lookup:jobs -L l --node n", Some("--node means nothing to gaffer lookup:jobs")),
            ("load -L l", Some("gaffer load works on one node: say which with -g")),
            ("start --node n", Some("gaffer start works on this machine")),
            ("ps -L l -g http://n", Some("-g is one node, and --lookupd-address means")),
            ("load -g http://n", None),
        ] {
            let words = line.split(' ').map(std::ffi::OsString::from).collect();
            let Ok(Parsed::Run(command, invocation)) = args::parse(words) else {
                panic!("{line} is no command");
            };
            let said = within(command, &invocation);
            match start {
                None => assert!(said.is_ok(), "{line}"),
                Some(start) => {
                    let failure = said.expect_err(line);
                    assert_eq!(failure.code(), 2, "{line}");
                    let said = failure.message().unwrap_or_default();
                    assert!(said.starts_with(start), "{line}: {said}");
                }
            }
        }
    }
}
