//! What there is of TLS in a build without it: the same names, of which none can exist, so that nobody
//! above has to know.

use std::io::{self, Write};
use std::time::SystemTime;

use super::{Fault, Heard, Served, Trusted, UNSPOKEN};

/// No server can be.
#[derive(Clone)]
pub enum Acceptor {}

/// No client can be.
#[derive(Clone)]
pub enum Connector {}

/// No session can be.
pub enum Session {}

impl Acceptor {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this build speaks no TLS.
    pub fn new(_: &Served, _: SystemTime, _: &mut Vec<String>) -> Result<Self, String> {
        Err(UNSPOKEN.into())
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn session(&self) -> Result<Session, String> {
        match *self {}
    }
}

impl Connector {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this build speaks no TLS.
    pub fn new(_: &Trusted) -> Result<Self, String> {
        Err(UNSPOKEN.into())
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn session(&self, _: &str) -> Result<Session, String> {
        match *self {}
    }
}

impl Session {
    /// There is none.
    pub fn is_open(&self) -> bool {
        match *self {}
    }

    /// There is none.
    pub fn has_ended(&self) -> bool {
        match *self {}
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn receive(&mut self, _: &[u8], _: &mut dyn FnMut(Heard<'_>)) -> Result<(), Fault> {
        match *self {}
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn write(&mut self, _: &[u8], _: &mut impl Write) -> io::Result<usize> {
        match *self {}
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn flush(&mut self, _: &mut impl Write) -> io::Result<bool> {
        match *self {}
    }

    /// There is none.
    pub fn end(&mut self) {
        match *self {}
    }
}
