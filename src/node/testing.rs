//! A node for tests that look into it: without users, state and clients.

use std::rc::Rc;
use std::time::{Instant, UNIX_EPOCH};

use super::gaffer::Setup;
use crate::base::clock::Now;
use crate::base::order::{Account, Identity, Unfit};
use crate::supervisor::order::{Accounts, Host};

/// A system without users.
struct Nobody;

impl Accounts for Nobody {
    fn resolve(&self, _: &Account<'_>) -> Result<Option<Identity>, Unfit> {
        Ok(None)
    }
}

/// A time to count from.
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
pub(super) fn now() -> Now {
    Now { mono: Instant::now(), wall: UNIX_EPOCH }
}

/// What such a node is told of its world.
pub(super) fn setup() -> Setup {
    let accounts = Rc::new(Nobody);
    Setup {
        host: Host { environ: Rc::default(), accounts, node: "node".into() },
        seed: 1,
        access: Default::default(),
        memory: 1 << 30,
        clients: 16,
        channel: Default::default(),
        stats_history: Default::default(),
        console: Default::default(),
        log_level: None,
        boot_id: "boot".into(),
        registration: Default::default(),
        extensions: Default::default(),
        keeping: Default::default(),
        webhooks: Default::default(),
        plugins: Vec::new(),
        secret: [0; 32],
    }
}
