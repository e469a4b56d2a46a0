//! What is kept of output on disk, without the disk: where it goes, how it is laid out in files, and how it is
//! found again in them.
//!
//! A *book* is what is written to one path: its file, and those that it was before (`NAME.7`, or `NAME.7.gz`),
//! each of which is a *segment* with a growing number. Files hold the bytes of processes and nothing else, so
//! that any tool reads them. What there is to know besides, which run wrote a part of it when, stands in an
//! index beside the store, one a segment ([`index`]).

pub mod backlog;
pub mod index;
pub mod names;
pub mod reading;
pub mod sink;
pub mod stamped;
pub mod view;
