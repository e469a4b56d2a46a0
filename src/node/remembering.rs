//! What the node takes over from the daemon before it, and the deaths that it writes down for the next.

use log::info;
use serde_json::Value;

use super::gaffer::{Gaffer, Legacy};
use crate::base::clock::Now;
use crate::supervisor::effect::Running;
use crate::supervisor::former::Obituary;

impl Gaffer {
    /// Takes over what is on record, but for the jobs: those are loaded, in their order.
    pub(super) fn take_over(&mut self, legacy: &mut Legacy, now: Now) {
        for running in &legacy.running {
            self.state.restore_running(running);
        }
        for (key, value) in &legacy.jobs {
            self.state.restore_job(key.clone(), value.clone());
        }
        for (id, value) in std::mem::take(&mut legacy.keys) {
            if self.door.restore_key(&value) {
                self.state.restore_key(id, value);
            }
        }
        for (name, value) in std::mem::take(&mut legacy.users) {
            if self.door.restore_user(&name, &value) {
                self.state.restore_user(name, value);
            }
        }
        for (id, value) in std::mem::take(&mut legacy.webhooks) {
            if self.webhooks.restore(&id, &value) {
                self.state.restore_webhook(id, value);
            }
        }
        for (key, body) in std::mem::take(&mut legacy.deliveries) {
            if body.is_string() && self.webhooks.restore_delivery(&key) {
                self.state.restore_delivery(key, body);
            }
        }
        self.take_over_deaths(
            std::mem::take(&mut legacy.deaths),
            std::mem::take(&mut legacy.vanished),
            now,
        );
    }

    /// Deaths of the lives before, and processes of which nobody has seen the end.
    fn take_over_deaths(&mut self, deaths: Vec<(String, Value)>, vanished: Vec<Running>, now: Now) {
        for (name, death) in self.state.restore_deaths(deaths) {
            self.supervisor.remember(name, death);
        }
        for running in vanished {
            info!("{}.{}: {} ended unseen", running.job, running.number, running.os_pid);
            self.supervisor.vanished(running, now);
        }
    }

    /// Writes down which deaths there were, and which are to be forgotten.
    pub(super) fn write_obituaries(&mut self) {
        for obituary in self.supervisor.take_obituaries() {
            match obituary {
                Obituary::Death(name, death) => {
                    self.state.death((&name, &death), &mut self.effects);
                }
                Obituary::Forget(name) => self.state.forget_deaths(&name, &mut self.effects),
            }
        }
    }
}
