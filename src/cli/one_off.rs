//! `gaffer dev:run`: one command in the environment of the application, in our place: terminal,
//! signals and exit code are its own.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::args::Invocation;
use super::failure::Failure;
use super::loading;
use super::terminal::Terminal;
use crate::base::error::Errno;
use crate::daemon::host;

/// What a process finds in `PORT` if nobody says otherwise.
const PORT: &str = "5000";

/// `gaffer dev:run`.
pub fn run(invocation: &mut Invocation, _: &mut Terminal) -> Result<(), Failure> {
    let environ = host::environment();
    let application = loading::surroundings(invocation)?;
    let (mut variables, _) = application.environment(&environ).map_err(Failure::Failed)?;
    if !environ.contains_key("PORT") {
        variables.entry("PORT".into()).or_insert_with(|| PORT.into());
    }
    let mut command = match invocation.words.as_slice() {
        [] => return Err(Failure::usage("gaffer dev:run CMD...: the command is missing")),
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
