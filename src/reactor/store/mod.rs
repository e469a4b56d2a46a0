//! The output of processes on disk.

use crate::base::ids::{InstanceId, StreamNo};
use crate::logs::view::Book;

/// All books.
#[derive(Default)]
pub struct Store;

impl Store {
    /// The books in which something of a job stands, or of one of its instances, with all that is known by now
    /// in their indices.
    pub fn books(&mut self, _job: &str, _instance: Option<u32>) -> Vec<Book> {
        Vec::new()
    }

    /// The number of what was written last of a stream to its book; `None` where it has none, or that cannot be
    /// written at present and never could.
    pub fn written(&self, _id: InstanceId, _stream: StreamNo) -> Option<u64> {
        None
    }
}
