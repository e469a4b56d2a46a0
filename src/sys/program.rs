//! A program in the form execve(2) wants: where it may be, its arguments and environment as arrays
//! of C strings. Made in full before the child is, because the child shares our memory and may not
//! allocate. The lookup is that of execvp(3), in the `PATH` that the *child* will have.

use std::ffi::{c_char, CString};
use std::ptr;

use crate::base::error::{Errno, Stage};
use crate::base::order::SpawnOrder;

/// Where programs are looked for if the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What runs a file that is executable, but that the kernel does not know how to run.
pub(super) const SHELL: &std::ffi::CStr = c"/bin/sh";

/// A program and all it is given.
pub(super) struct Program {
    /// The files to try, in order; never empty.
    pub(super) candidates: Vec<CString>,
    /// Its arguments, from its own name, with a null pointer at the end.
    pub(super) argv: Vec<*const c_char>,
    /// The same for the shell that reads it as a script; the null pointer at index 1 is the place
    /// for the file.
    pub(super) script_argv: Vec<*const c_char>,
    /// Its environment, with a null pointer at the end.
    pub(super) envp: Vec<*const c_char>,
    /// What the pointers point to.
    _strings: Vec<CString>,
}

impl Program {
    /// # Errors
    /// A text of the order holds a NUL byte, which no C string can (EINVAL).
    pub(super) fn new(order: &SpawnOrder) -> Result<Self, (Stage, Errno)> {
        let refused = |_| (Stage::Exec, Errno(libc::EINVAL));
        let mut strings = Vec::with_capacity(1 + order.args.len());
        strings.push(CString::new(order.program.as_str()).map_err(refused)?);
        for argument in &order.args {
            strings.push(CString::new(argument.as_str()).map_err(refused)?);
        }
        let arguments = strings.len();
        for (name, value) in order.env.iter() {
            // With room for the NUL: there are many of them, and nothing is moved.
            let mut variable = Vec::with_capacity(name.len() + value.len() + 2);
            for part in [name, "=", value] {
                variable.extend_from_slice(part.as_bytes());
            }
            strings.push(CString::new(variable).map_err(refused)?);
        }
        let mut argv: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        let mut envp = argv.split_off(arguments);
        let mut script_argv = vec![SHELL.as_ptr(), ptr::null()];
        script_argv.extend(argv.iter().skip(1));
        for array in [&mut argv, &mut script_argv, &mut envp] {
            array.push(ptr::null());
        }
        let path = order.env.get("PATH").unwrap_or(DEFAULT_PATH);
        let candidates = candidates(&order.program, path)
            .into_iter()
            .map(CString::new)
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        Ok(Self { candidates, argv, script_argv, envp, _strings: strings })
    }
}

/// The files that `program` may mean. An empty entry of the path is the working directory.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.is_empty() || program.contains('/') {
        return vec![program.to_owned()];
    }
    let in_directory = |directory: &str| match directory {
        "" => format!("./{program}"),
        directory => format!("{directory}/{program}"),
    };
    path.split(':').map(in_directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_without_a_slash_is_looked_up() {
        assert_eq!(candidates("a", "/x:/y"), ["/x/a", "/y/a"]);
        assert_eq!(candidates("a", "/x::"), ["/x/a", "./a", "./a"]);
        assert_eq!(candidates("a", ""), ["./a"]);
        assert_eq!(candidates("./a", "/x"), ["./a"]);
        assert_eq!(candidates("", "/x"), [""]);
    }
}
