//! The kinds of events by supervisor's names. They are a tree: who asks for one hears all below it, and the
//! name of each begins with that of the one above.

use crate::base::similar;

/// What all events are.
pub const EVENT: &str = "EVENT";
/// What processes write. It is heard by who asks for it by one of its own names.
pub const LOG: &str = "PROCESS_LOG";

/// All kinds that there are here, each behind the one above it.
pub const KINDS: [&str; 23] = [
    EVENT,
    "PROCESS_STATE",
    "PROCESS_STATE_STARTING",
    "PROCESS_STATE_RUNNING",
    "PROCESS_STATE_BACKOFF",
    "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_EXITED",
    "PROCESS_STATE_STOPPED",
    "PROCESS_STATE_FATAL",
    "PROCESS_STATE_UNKNOWN",
    LOG,
    "PROCESS_LOG_STDOUT",
    "PROCESS_LOG_STDERR",
    "PROCESS_GROUP",
    "PROCESS_GROUP_ADDED",
    "PROCESS_GROUP_REMOVED",
    "SUPERVISOR_STATE_CHANGE",
    "SUPERVISOR_STATE_CHANGE_RUNNING",
    "SUPERVISOR_STATE_CHANGE_STOPPING",
    "TICK",
    "TICK_5",
    "TICK_60",
    "TICK_3600",
];

/// The kinds that nothing here can bring about, with what to do instead.
const ABSENT: [(&str, &str); 2] = [
    (
        "PROCESS_COMMUNICATION",
        "marks in the output of processes are not looked for; PROCESS_LOG tells all of their output",
    ),
    (
        "REMOTE_COMMUNICATION",
        "there is no XML-RPC by which it would come; write to a process's stdin, or send it a signal",
    ),
];

/// Why a name is not one of a kind that can be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoKind {
    /// There is no such kind.
    Unknown {
        /// What was probably meant.
        meant: Option<&'static str>,
    },
    /// Supervisor has it, and nothing here brings it about. What to do instead.
    Absent(&'static str),
}

/// The kind of this name. Case is of no matter, as with supervisor.
///
/// # Errors
/// There is none, or none that ever comes.
pub fn kind(name: &str) -> Result<&'static str, NoKind> {
    let name = name.to_ascii_uppercase();
    if let Some(known) = KINDS.iter().find(|known| **known == name) {
        return Ok(known);
    }
    let below = |(absent, _): &&(&str, &str)| is_below(&name, absent);
    match ABSENT.iter().find(below) {
        Some((_, cure)) => Err(NoKind::Absent(cure)),
        None => Err(NoKind::Unknown { meant: similar::nearest(&name, KINDS) }),
    }
}

/// Whether who asked for one kind hears events of another. Output is told only to who asked for it by its own
/// name: supervisor, too, makes events of it only where a program's options say so.
pub fn hears(asked: &str, kind: &str) -> bool {
    is_below(kind, asked) || (asked == EVENT && !is_output(kind))
}

/// Whether events of this kind tell what processes write.
pub fn is_output(kind: &str) -> bool {
    is_below(kind, LOG)
}

fn is_below(kind: &str, above: &str) -> bool {
    let rest = kind.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_kind_hears_all_below_it_and_output_only_by_its_name() {
        for (asked, told, heard) in [
            ("PROCESS_STATE", "PROCESS_STATE_EXITED", true),
            ("PROCESS_STATE_EXITED", "PROCESS_STATE_EXITED", true),
            ("PROCESS_STATE_EXITED", "PROCESS_STATE_FATAL", false),
            ("TICK_5", "TICK_60", false),
            ("TICK", "TICK_3600", true),
            ("EVENT", "SUPERVISOR_STATE_CHANGE_RUNNING", true),
            ("EVENT", "PROCESS_LOG_STDOUT", false),
            ("PROCESS_LOG", "PROCESS_LOG_STDERR", true),
        ] {
            assert_eq!(hears(asked, told), heard, "{asked} {told}");
        }
    }

    #[test]
    fn a_name_that_nothing_is_called_by_finds_the_nearest_or_a_cure() {
        assert_eq!(kind("process_state_Exited"), Ok("PROCESS_STATE_EXITED"));
        let meant = |name: &str| match kind(name) {
            Err(NoKind::Unknown { meant }) => meant,
            Ok(_) | Err(NoKind::Absent(_)) => None,
        };
        assert_eq!(meant("PROCES_STATE"), Some("PROCESS_STATE"));
        assert_eq!(meant("exit"), None);
        for absent in ["PROCESS_COMMUNICATION_STDERR", "REMOTE_COMMUNICATION"] {
            assert!(matches!(kind(absent), Err(NoKind::Absent(_))), "{absent}");
        }
    }
}
