//! The streams of a process by the names that clients use for them.

use super::feeds::Channel;
use crate::base::ids::{InstanceId, Pid, StreamNo};
use crate::supervisor::hearer::Hearer;
use crate::supervisor::spec::JobSpec;
use crate::supervisor::Supervisor;

/// What writes to its standard input.
pub const STDIN: &str = "stdin";

/// Why there is nothing to read or to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoStream {
    /// No such process.
    Process,
    /// Its job does not publish its output, or takes no input.
    NotRedirected,
    /// It has no stream of this name.
    Label(String),
}

/// The output stream of a process: the one of this label, or its first.
///
/// # Errors
/// There is none.
pub fn output(supervisor: &Supervisor, pid: Pid, label: Option<&str>) -> Result<Channel, NoStream> {
    let (id, spec) = run(supervisor, pid)?;
    let found = |stream, label: &str| Channel { id, pid, stream, label: label.to_owned() };
    if let Some(label) = label {
        if let Some(stream) = custom(spec, label) {
            return Ok(found(stream, label));
        }
    }
    // Where stdout is for the node, it is no stream of anybody's.
    let first = usize::from(spec.hearer() != Hearer::Readers);
    let Some(default) = spec.redirect_output.get(first) else {
        return Err(NoStream::NotRedirected);
    };
    let label = label.unwrap_or(default);
    match spec.redirect_output.iter().skip(first).position(|known| known == label) {
        Some(at) if at + first == 0 => Ok(found(StreamNo::STDOUT, label)),
        Some(_) => Ok(found(StreamNo::STDERR, label)),
        None => Err(NoStream::Label(label.to_owned())),
    }
}

/// Where a client's bytes go that it writes to this label: to a custom stream both ways, else to
/// standard input.
///
/// # Errors
/// There is nothing to write to.
pub fn input(
    supervisor: &Supervisor,
    pid: Pid,
    label: Option<&str>,
) -> Result<(InstanceId, StreamNo), NoStream> {
    let (id, spec) = run(supervisor, pid)?;
    if let Some(stream) = label.and_then(|label| custom(spec, label)) {
        return Ok((id, stream));
    }
    match label {
        None => {}
        Some(STDIN) => {}
        Some(label) if spec.redirect_output.iter().any(|known| known == label) => {}
        Some(label) => return Err(NoStream::Label(label.to_owned())),
    }
    // What is told to a plugin is the node's to say.
    if !spec.redirect_input || spec.hearer() == Hearer::Plugins {
        return Err(NoStream::NotRedirected);
    }
    Ok((id, StreamNo::STDIN))
}

fn run(supervisor: &Supervisor, pid: Pid) -> Result<(InstanceId, &JobSpec), NoStream> {
    let id = supervisor.live_instance(pid).map_err(|_| NoStream::Process)?;
    let run = supervisor.instance(id).and_then(|instance| instance.run.as_ref());
    Ok((id, &run.ok_or(NoStream::Process)?.spec))
}

fn custom(spec: &JobSpec, label: &str) -> Option<StreamNo> {
    let custom = (StreamNo::FIRST_CUSTOM.0..).zip(&spec.custom_streams);
    custom.into_iter().find(|(_, known)| *known == label).map(|(number, _)| StreamNo(number))
}
