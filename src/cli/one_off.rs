//! `gaffer run`: a process more of a job of the node, or else one command in the environment of the
//! application here, in our place: terminal, signals and exit code are its own.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::args::{self, Invocation, Parsed};
use super::failure::Failure;
use super::terminal::Terminal;
use super::{connect, jobs, loading, names};
use crate::base::error::Errno;
use crate::daemon::host;

/// What a process finds in `PORT` if nobody says otherwise.
const PORT: &str = "5000";

/// `gaffer run`: its first word is a job of the node, if there is one of that name and nothing but flags is
/// behind it. Otherwise it is a command.
pub fn run(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let Some((first, behind)) = invocation.words.split_first() else {
        return Err(Failure::usage("a job or a command is missing"));
    };
    let mut server = connect::server(invocation)?;
    let app = names::application(invocation);
    let known = server.jobs().map(|all| names::named(first, &app, &all).is_some());
    if let Ok(true) = known {
        let words = ["commit".to_owned()].into_iter().chain(invocation.words.iter().cloned());
        if let Ok(Parsed::Run(_, mut commit)) = args::parse(words.map(OsString::from).collect()) {
            if commit.words.len() == 1 {
                commit.absorb(std::mem::take(invocation));
                terminal.obey(&commit);
                return jobs::commit(&mut commit, terminal);
            }
        }
    }
    let alone = behind.is_empty();
    let failure = here(invocation, terminal);
    if alone && matches!(failure, Err(Failure::Code(127))) {
        terminal.remark(&match known {
            Ok(_) => format!("there is no job of that name at {} either", server.address()),
            Err(error) => error.to_string(),
        });
    }
    failure
}

/// `gaffer dev:run`: the command, here.
pub fn here(invocation: &mut Invocation, _: &mut Terminal) -> Result<(), Failure> {
    let environ = host::environment();
    let application = loading::surroundings(invocation)?;
    let (mut variables, _) = application.environment(&environ).map_err(Failure::Failed)?;
    if !environ.contains_key("PORT") {
        variables.entry("PORT".into()).or_insert_with(|| PORT.into());
    }
    let mut command = match invocation.words.as_slice() {
        [] => return Err(Failure::usage("the command is missing")),
        // One word with blanks in it is a line for a shell.
        [line] if line.contains(char::is_whitespace) => {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            command
        }
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args);
            command
        }
    };
    let error = command.envs(&variables).current_dir(&application.root).exec();
    let program = command.get_program().to_string_lossy();
    let mut stderr = std::io::stderr();
    // If even that cannot be written, the code says it.
    let _ = writeln!(stderr, "gaffer: cannot run {program}: {}", Errno::of(&error));
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    Err(Failure::Code(if missing { 127 } else { 126 }))
}
