//! Where a password comes from that somebody gives to a command: a file, standard input, the terminal. On
//! a command line everybody could read it.

use std::fs;
use std::io::{self, Read as _};

use crate::base::limits;
use crate::sys::prompt::Prompt;

/// Reads a password from a file, or from standard input if that is `-`: its first line.
///
/// # Errors
/// It cannot be read, or there is none in it.
pub fn from_file(path: &str) -> Result<String, String> {
    let most = u64::try_from(limits::PASSWORD + 2).unwrap_or(u64::MAX);
    let mut text = String::new();
    let read = if path == "-" {
        io::stdin().take(most).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.map_err(|error| format!("{path}: {error}"))?;
    check(text.lines().next().unwrap_or_default()).map_err(|error| format!("{path}: {error}"))
}

/// Asks for a new password, twice, until both are the same.
///
/// # Errors
/// Nobody answers.
pub fn ask_twice(prompt: &mut Prompt) -> Result<String, String> {
    loop {
        let first = answered(prompt.secret("password: "))?;
        let first = match check(&first) {
            Ok(first) => first,
            Err(error) => {
                told(prompt.tell(&error))?;
                continue;
            }
        };
        if answered(prompt.secret("confirm password: "))? == first {
            return Ok(first);
        }
        told(prompt.tell("the two are not the same; once more"))?;
    }
}

/// What somebody answered, who has to.
///
/// # Errors
/// He did not.
pub fn answered(answer: io::Result<Option<String>>) -> Result<String, String> {
    match answer {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("nothing was answered".into()),
        Err(error) => Err(format!("the terminal: {error}")),
    }
}

fn told(told: io::Result<()>) -> Result<(), String> {
    told.map_err(|error| format!("the terminal: {error}"))
}

fn check(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > limits::PASSWORD {
        return Err(format!("a password has 1 to {} bytes", limits::PASSWORD));
    }
    Ok(password.to_owned())
}
