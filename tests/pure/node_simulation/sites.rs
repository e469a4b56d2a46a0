//! A site whose disk is slow now and then: what is asked of it is told at once, or in the next turn.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use gaffer::base::error::Errno;
use gaffer::base::ids::ConnId;
use gaffer::node::machine::Machine as _;
use gaffer::node::plugins::file::{Unopened, What};
use gaffer::node::plugins::{Plugin, Site};
use gaffer::sys::beneath::Fault;

use super::node::World;

/// What the site is asked for and has not told.
#[derive(Default)]
pub(crate) struct SlowSite {
    asked: VecDeque<(ConnId, Ask)>,
    open: BTreeSet<ConnId>,
}

pub(super) enum Ask {
    Open,
    /// So many bytes.
    Read(usize),
}

/// The plugins that every life has.
pub(super) fn plugins() -> Vec<Plugin> {
    let (name, directory) = ("site".to_owned(), PathBuf::from("/plugins/site"));
    let (site, manifest, faults) = (Some(Site::Below), None, Vec::new());
    let program = None;
    vec![Plugin { name, directory, site, manifest, program, faults }]
}

impl World {
    /// Takes what is asked of the site for a connection.
    pub(super) fn ask_site(&mut self, conn: ConnId, ask: Ask) {
        match ask {
            Ask::Open => assert!(self.site.open.insert(conn), "{conn:?} has a file already"),
            Ask::Read(_) => assert!(self.site.open.contains(&conn), "{conn:?} has no file"),
        }
        self.site.asked.push_back((conn, ask));
        if self.random.below(2) == 0 {
            self.tell_of_site();
        }
    }

    /// Nothing more is told of a file.
    pub(super) fn close_of_site(&mut self, closed: ConnId) {
        self.site.open.remove(&closed);
        self.site.asked.retain(|(conn, _)| *conn != closed);
    }

    /// Tells all that was asked for.
    pub(super) fn tell_of_site(&mut self) {
        while let Some((conn, ask)) = self.site.asked.pop_front() {
            match ask {
                Ask::Open => {
                    let length = self.random.below(200_000);
                    let modified = self.now.wall - Duration::from_secs(1000);
                    let opened = match self.random.below(6) {
                        0 => Err(Unopened::Fault(Fault::Io(Errno(2)))),
                        1 => Err(Unopened::Folder),
                        _ => Ok(What { length, modified, inode: 1, gzip: false }),
                    };
                    self.node.file_opened(conn, opened, self.now);
                }
                Ask::Read(length) => {
                    self.node.file_read(conn, Ok(vec![b'x'; length]), self.now);
                }
            }
        }
    }

    /// Whoever is gone has no file open.
    pub(super) fn check_site(&self) {
        for conn in &self.site.open {
            assert!(self.node.clients().get(*conn).is_some(), "{conn:?} is gone and has a file");
        }
    }
}
