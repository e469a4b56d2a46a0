//! The same done to several things at once, each over a connection of its own, and told in their order.
//! What is on different nodes does not wait for each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::failure::Failure;
use crate::base::sorted::SortedMap;
use crate::client::Server;

/// Most at a time on a node: enough that nobody waits for each in turn, and few enough for any node.
const AT_ONCE: usize = 16;
/// Most at a time on all nodes together, but one on each.
const AT_ONCE_IN_ALL: usize = 512;

/// Does something to each item of each node, several at a time, and hands each result on with the node's
/// number: those of a node in the order of its items, those of different nodes as they come.
///
/// # Errors
/// The first of `tell`; what is not begun then is left.
pub fn each<T: Sync, R: Send>(
    work: &[(&Server, Vec<T>)],
    act: impl Fn(&mut Server, &T) -> R + Sync,
    mut tell: impl FnMut(usize, &T, R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let at_once = (AT_ONCE_IN_ALL / work.len().max(1)).clamp(1, AT_ONCE);
    let next: Vec<AtomicUsize> = work.iter().map(|_| AtomicUsize::new(0)).collect();
    let (done, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for ((site, (server, items)), next) in work.iter().enumerate().zip(&next) {
            for _ in 0..items.len().min(at_once) {
                let (done, mut server) = (done.clone(), server.another());
                let act = &act;
                scope.spawn(move || {
                    while let Some((index, item)) = {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        items.get(index).map(|item| (index, item))
                    } {
                        let result = act(&mut server, item);
                        if done.send((site, index, result)).is_err() {
                            return;
                        }
                    }
                });
            }
        }
        drop(done);
        let mut early = SortedMap::new();
        let mut told = vec![0; work.len()];
        for (site, index, result) in results {
            early.insert((site, index), result);
            while let Some(result) = early.remove(&(site, told[site])) {
                let said = tell(site, &work[site].1[told[site]], result);
                if said.is_err() {
                    next.iter().for_each(|next| next.store(usize::MAX / 2, Ordering::Relaxed));
                    return said;
                }
                told[site] += 1;
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
        let act = |_: &mut Server, item: &u32| item * 2;
        each(&[(&server, items.clone())], act, |_, item, double| {
            told.push((*item, double));
            Ok(())
        })
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
        each(&[(&server, items.clone())], act, |_, item, ()| {
            send.send(*item).expect("it is read");
            Ok(())
        })
        .expect("all");
        drop(send);
        assert_eq!(receive.iter().collect::<Vec<_>>(), items);
    }

    #[test]
    fn a_slow_node_does_not_hold_up_what_another_says() {
        let server = Server::new(Address::default());
        let other_is_told = std::sync::Barrier::new(2);
        let act = |_: &mut Server, slow: &bool| {
            if *slow {
                other_is_told.wait();
            }
        };
        let work = [(&server, vec![true]), (&server, vec![false])];
        let mut order = Vec::new();
        each(&work, act, |site, slow, ()| {
            order.push(site);
            if !slow {
                other_is_told.wait();
            }
            Ok(())
        })
        .expect("all");
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn nothing_new_is_begun_after_a_failure() {
        let server = Server::new(Address::default());
        let items: Vec<usize> = (0..10_000).collect();
        let begun = AtomicUsize::new(0);
        let act = |_: &mut Server, _: &usize| begun.fetch_add(1, Ordering::Relaxed);
        let result = each(&[(&server, items)], act, |_, _, _| Err(Failure::NotRunning));
        assert!(matches!(result, Err(Failure::NotRunning)));
    }
}
