//! An nginx of one worker with a file, which is what answers cost that are the same for everybody.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// How it is started, where it listens then, and the folder that it needs.
pub(crate) struct Nginx {
    pub(crate) command: Command,
    pub(crate) at: String,
    pub(crate) _folder: tempfile::TempDir,
}

impl Nginx {
    /// One with a file of this length, `/file`, if there is one on this machine.
    pub(crate) fn of(length: usize) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"];
        let program = program.into_iter().find(|path| Path::new(path).exists())?;
        let folder = tempfile::tempdir().expect("a folder");
        // Workers of root's nginx are another user, who has to come to the file.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
        let (at, path) = (port.expect("a port").to_string(), folder.path().display());
        fs::write(folder.path().join("file"), vec![b'x'; length]).expect("writable");
        let config = format!(
            "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;\n\
             open_file_cache max=10; server {{ listen {at}; root {path}; }} }}\n"
        );
        let conf = folder.path().join("conf");
        fs::write(&conf, config).expect("writable");
        let mut command = Command::new(program);
        command.arg("-c").arg(conf).arg("-p").arg(folder.path()).stderr(Stdio::null());
        Some(Self { command, at, _folder: folder })
    }
}
