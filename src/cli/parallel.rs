//! The same done to several things at once, each over a connection of its own, and told in their order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::failure::Failure;
use crate::client::Server;

/// Most at a time: enough that nobody waits for each in turn, and few enough for any node.
const AT_ONCE: usize = 16;

/// Does something to each item, several at a time, and hands each result on in the order of the items.
///
/// # Errors
/// The first of `tell`; what is not begun then is left.
pub fn each<T: Sync, R: Send>(
    server: &Server,
    items: &[T],
    act: impl Fn(&mut Server, &T) -> R + Sync,
    mut tell: impl FnMut(&T, R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..items.len().min(AT_ONCE) {
            let (done, mut server) = (done.clone(), server.another());
            let (next, act) = (&next, &act);
            scope.spawn(move || {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = act(&mut server, item);
                    if done.send((index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (index, result) in results {
            early.insert(index, result);
            while let Some(result) = early.remove(&told) {
                let said = tell(&items[told], result);
                if said.is_err() {
                    next.store(items.len(), Ordering::Relaxed);
                    return said;
                }
                told += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Address;

    #[test]
    fn results_come_in_order_however_they_are_done() {
        let server = Server::new(Address::default());
        let items: Vec<u32> = (0..100).collect();
        let mut told = Vec::new();
        each(
            &server,
            &items,
            |_, item| item * 2,
            |item, double| {
                told.push((*item, double));
                Ok(())
            },
        )
        .expect("all");
        assert_eq!(told, items.iter().map(|item| (*item, item * 2)).collect::<Vec<_>>());
    }

    #[test]
    fn many_are_done_at_once() {
        let server = Server::new(Address::default());
        let (send, receive) = mpsc::channel();
        let begun = std::sync::Barrier::new(AT_ONCE);
        let act = |_: &mut Server, _: &usize| {
            // Only if all of them are here at the same time does any go on.
            begun.wait();
        };
        let items: Vec<usize> = (0..AT_ONCE).collect();
        each(&server, &items, act, |item, ()| {
            send.send(*item).expect("it is read");
            Ok(())
        })
        .expect("all");
        drop(send);
        assert_eq!(receive.iter().collect::<Vec<_>>(), items);
    }

    #[test]
    fn nothing_new_is_begun_after_a_failure() {
        let server = Server::new(Address::default());
        let items: Vec<usize> = (0..10_000).collect();
        let begun = AtomicUsize::new(0);
        let act = |_: &mut Server, _: &usize| begun.fetch_add(1, Ordering::Relaxed);
        let result = each(&server, &items, act, |_, _| Err(Failure::NotRunning));
        assert!(matches!(result, Err(Failure::NotRunning)));
    }
}
