//! Compressing what was put aside, on a thread of its own: into a new file, through to the disk, and only then
//! under its name, in the place of the plain one. At every moment one of the two is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::write::GzEncoder;
use flate2::Compression;
use mio::Waker;

use super::Store;
use crate::base::clock::Now;
use crate::base::ids::BookId;
use crate::reactor::work::Worker;

/// What is to be compressed.
pub(super) struct Pack {
    book: BookId,
    number: u32,
    plain: PathBuf,
    fresh: PathBuf,
    packed: PathBuf,
}

/// What was.
pub(super) struct Packed {
    book: BookId,
    number: u32,
    result: io::Result<u64>,
    packed: PathBuf,
}

pub(super) struct Packer {
    worker: Worker<Pack, Packed>,
}

impl Packer {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { worker: Worker::modest(waker, |pack| Some(perform(pack))) }
    }
}

impl Store {
    /// Has all of a book compressed that is put aside and is not: a daemon before this one may have been about to.
    pub(super) fn pack_rest(&mut self, id: BookId) {
        let Some(book) = self.books.get(id).filter(|book| book.keeping.compress) else { return };
        let plain = book.segments.iter().filter(|aside| !aside.packed && !aside.packing);
        let numbers: Vec<u32> = plain.map(|aside| aside.view.number).collect();
        for number in numbers {
            self.pack(id, number);
        }
    }

    /// Has a segment compressed.
    pub(super) fn pack(&mut self, book: BookId, number: u32) {
        let Some(found) = self.books.get_mut(book) else { return };
        let place = &found.place;
        let pack = Pack {
            book,
            number,
            plain: place.segment(number),
            fresh: place.packing(number),
            packed: place.packed(number),
        };
        let aside = found.segments.iter_mut().find(|aside| aside.view.number == number);
        let Some(aside) = aside else { return };
        match self.packer.worker.give(pack) {
            Ok(()) => aside.packing = true,
            Err(error) => {
                log::warn!("{number} of {} is not compressed: {error}", place.data.display())
            }
        }
    }

    /// Waits until all is compressed that is to be.
    #[cfg(test)]
    pub(super) fn packer_rests(&mut self, now: Now) {
        self.packer.worker.finish();
        self.take_packed(now);
    }

    /// Takes what was compressed.
    pub fn take_packed(&mut self, now: Now) {
        for done in self.packer.worker.take_done() {
            let Packed { book: id, number, result, packed } = done;
            let book = self.books.get_mut(id);
            let aside = book.and_then(|book| {
                let data = book.place.data.clone();
                let found = book.segments.iter_mut().find(|aside| aside.view.number == number);
                found.map(|aside| (data, aside, book.managed, book.job.clone()))
            });
            let Some((data, aside, managed, job)) = aside else {
                // It was removed meanwhile.
                let _ = fs::remove_file(packed);
                continue;
            };
            aside.packing = false;
            match result {
                Ok(bytes) => {
                    let index = aside.view.index;
                    let before = std::mem::replace(&mut aside.bytes, bytes + index);
                    aside.packed = true;
                    if managed {
                        let bytes = bytes + index;
                        self.bytes = (self.bytes + bytes).saturating_sub(before);
                        let of = self.bytes_of.entry(job).or_default();
                        *of = (*of + bytes).saturating_sub(before);
                    }
                }
                Err(error) => {
                    log::warn!("{}.{number} is not compressed: {error}", data.display());
                }
            }
            self.retain_parts(id);
            self.retain(id, now);
        }
    }
}

fn perform(pack: Pack) -> Packed {
    let Pack { book, number, plain, fresh, packed } = pack;
    let result = compress(&plain, &fresh).and_then(|bytes| {
        fs::rename(&fresh, &packed)?;
        fs::remove_file(&plain)?;
        Ok(bytes)
    });
    if result.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    Packed { book, number, result, packed }
}

fn compress(plain: &PathBuf, fresh: &PathBuf) -> io::Result<u64> {
    // Nothing but what we have put there, and never waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut from = OpenOptions::new().read(true).custom_flags(flags).open(plain)?;
    if !from.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // What lies there is half done.
    let _ = fs::remove_file(fresh);
    let mut options = OpenOptions::new();
    let into = options.write(true).create_new(true).mode(0o640).open(fresh)?;
    let mut encoder = GzEncoder::new(into, Compression::fast());
    io::copy(&mut from, &mut encoder)?;
    let mut into = encoder.finish()?;
    into.flush()?;
    into.sync_all()?;
    Ok(into.metadata()?.len())
}
