//! A program in the form execve(2) wants: where it may be, its arguments and environment as arrays
//! of C strings. Made in full before the child is, because the child shares our memory and may not
//! allocate. The lookup is that of execvp(3), in the `PATH` that the *child* will have.

use std::ffi::c_char;
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
    pub(super) candidates: Vec<*const c_char>,
    /// Its arguments, from its own name, with a null pointer at the end.
    pub(super) argv: Vec<*const c_char>,
    /// The same for the shell that reads it as a script; the null pointer at index 1 is the place
    /// for the file.
    pub(super) script_argv: Vec<*const c_char>,
    /// Its environment, with a null pointer at the end.
    pub(super) envp: Vec<*const c_char>,
    /// What the pointers point to.
    _texts: Vec<u8>,
}

impl Program {
    /// # Errors
    /// A text of the order holds a NUL byte, which no C string can (EINVAL).
    pub(super) fn new(order: &SpawnOrder) -> Result<Self, (Stage, Errno)> {
        let path = order.env.get("PATH").unwrap_or(DEFAULT_PATH);
        let files = candidates(&order.program, path);
        let of_env = order.env.iter().map(|(name, value)| name.len() + value.len() + 2);
        let of_words = [&order.program].into_iter().chain(&order.args).chain(&files);
        let room = of_env.sum::<usize>() + of_words.map(|word| word.len() + 1).sum::<usize>();
        let mut texts = Texts::with_room(room);
        for file in &files {
            texts.add(&[file])?;
        }
        for word in [&order.program].into_iter().chain(&order.args) {
            texts.add(&[word])?;
        }
        for (name, value) in order.env.iter() {
            texts.add(&[name, "=", value])?;
        }
        let (texts, mut candidates) = texts.pointers();
        let mut argv = candidates.split_off(files.len());
        let mut envp = argv.split_off(1 + order.args.len());
        let mut script_argv = vec![SHELL.as_ptr(), ptr::null()];
        script_argv.extend(argv.iter().skip(1));
        for array in [&mut argv, &mut script_argv, &mut envp] {
            array.push(ptr::null());
        }
        Ok(Self { candidates, argv, script_argv, envp, _texts: texts })
    }
}

/// C strings, one behind the other in one piece of memory: there are some forty of them for each start.
struct Texts {
    bytes: Vec<u8>,
    begins: Vec<usize>,
}

impl Texts {
    fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), begins: Vec::new() }
    }

    /// Adds one that is put together of these.
    fn add(&mut self, parts: &[&str]) -> Result<(), (Stage, Errno)> {
        let begin = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        if memchr::memchr(0, &self.bytes[begin..]).is_some() {
            return Err((Stage::Exec, Errno(libc::EINVAL)));
        }
        self.bytes.push(0);
        self.begins.push(begin);
        Ok(())
    }

    /// The memory, and where in it each of them is.
    fn pointers(self) -> (Vec<u8>, Vec<*const c_char>) {
        let at = |begin: usize| self.bytes.as_ptr().wrapping_add(begin).cast();
        let pointers = self.begins.iter().map(|begin| at(*begin)).collect();
        (self.bytes, pointers)
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
