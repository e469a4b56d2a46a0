//! Measures process groups, in passes, of which each answers all who asked before it began. A pass
//! walks over all processes of the system; or, for who asks again and again, over the known members
//! of the groups alone, whose files it has open. It has a share of each turn and goes on in the next.
//!
//! A file that is open tells of its own process for ever, so nobody who has its pid later is taken
//! for it. What belongs to a group is found out by a walk over the system, once a second while
//! somebody samples. Nothing happens by itself: who does not ask causes no work and no wake-up.

use std::fs::File;
use std::io;
use std::time::Instant;

use crate::base::ids::OsPid;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::node::machine::{Pss, Usage};
use crate::sys::procfs::{self, Pids, Stat, StatReader};
use crate::sys::startup;

/// The groups being measured.
pub struct Sampler {
    waiting: Vec<Asked>,
    pass: Option<Pass>,
    /// Groups measured again and again, and when that was asked for last.
    groups: SortedMap<i32, Instant>,
    /// Their members: by group and pid.
    members: SortedMap<(i32, i32), Member>,
    /// How many of these have their file open,
    files: usize,
    /// and may have.
    most_files: usize,
    /// When the last pass over the system began that found out about the members.
    refreshed: Option<Instant>,
    /// Passes over the system so far.
    passes: u64,
    reader: StatReader,
    ticks: u64,
    /// How many processes this turn may still look at.
    left: usize,
}

/// Measurements, with the ticket under which they were asked for.
pub type Answer = (u64, Vec<Option<Usage>>);

struct Asked {
    ticket: u64,
    targets: Vec<OsPid>,
    /// How.
    how: How,
}

/// How groups are measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// It will be asked again soon: what it takes to measure them again is held ready.
    pub keep: bool,
    /// With their proportional share of memory. Only a pass over the system finds that out.
    pub pss: bool,
}

struct Member {
    /// `None` for one more than may be open.
    file: Option<File>,
    start_time: u64,
    fds: u64,
    /// The pass over the system that saw it last.
    pass: u64,
}

struct Pass {
    asked: Vec<Asked>,
    /// The groups to measure, in their order.
    usages: Vec<(i32, Usage)>,
    /// Those of them whose proportional share of memory is wanted.
    shares: SortedSet<i32>,
    walk: Walk,
    /// Not all could be looked at, for want of descriptors: better no numbers than wrong ones.
    blind: bool,
}

enum Walk {
    /// Over all processes there are.
    System(Pids),
    /// Over the known members of the groups: the next group's place, and its next pid.
    Members(usize, i32),
}

impl Default for Sampler {
    fn default() -> Self {
        let nofile = startup::nofile().map(|(soft, _)| soft);
        Self {
            waiting: Vec::new(),
            pass: None,
            groups: SortedMap::new(),
            members: SortedMap::new(),
            files: 0,
            most_files: most_files(nofile),
            refreshed: None,
            passes: 0,
            reader: StatReader::default(),
            ticks: procfs::clock_ticks_per_second(),
            left: limits::SAMPLE_SHARE,
        }
    }
}

/// Descriptors are for jobs and clients, too: no more than a quarter of them is for this.
fn most_files(nofile: Option<u64>) -> usize {
    let quarter = nofile.map_or(u64::MAX, |most| most / 4);
    usize::try_from(quarter).unwrap_or(usize::MAX).min(limits::SAMPLE_FILES)
}

impl Sampler {
    /// A new turn with its share.
    pub fn begin_turn(&mut self) {
        self.left = limits::SAMPLE_SHARE;
    }

    /// Asks for what the groups of these leaders use.
    pub fn ask(&mut self, ticket: u64, targets: Vec<OsPid>, how: How) {
        self.waiting.push(Asked { ticket, targets, how });
    }

    /// Nobody asks again and again any more: closes all files. What was asked for is still answered.
    pub fn stop(&mut self) {
        self.groups.clear();
        self.members.clear();
        (self.files, self.refreshed) = (0, None);
        if let Some(Pass { asked, .. }) = self.pass.take_if(|pass| pass.walk.is_over_members()) {
            self.waiting.splice(..0, asked);
        }
        for asked in &mut self.waiting {
            asked.how.keep = false;
        }
    }

    /// Whether nobody waits for an answer.
    pub fn is_idle(&self) -> bool {
        self.pass.is_none() && self.waiting.is_empty()
    }

    /// Whether there is something to do in this turn.
    pub fn may_work(&self) -> bool {
        self.left > 0 && !self.is_idle()
    }

    /// Goes on, up to what is left of this turn's share; gives what is measured.
    pub fn work(&mut self, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        while self.may_work() {
            let mut pass = match self.pass.take() {
                Some(pass) => pass,
                None => self.begin(now),
            };
            let done = match pass.walk {
                Walk::System(_) => self.look_at_system(&mut pass),
                Walk::Members(..) => self.look_at_members(&mut pass),
            };
            if done {
                answers.extend(pass.answers());
            } else {
                self.pass = Some(pass);
            }
        }
        answers
    }

    /// Begins a pass for all who wait.
    fn begin(&mut self, now: Instant) -> Pass {
        let asked = std::mem::take(&mut self.waiting);
        let again = asked.iter().filter(|asked| asked.how.keep);
        self.groups.extend(again.flat_map(Asked::groups).map(|group| (group, now)));
        self.forget(now);
        let mut wanted: Vec<i32> = asked.iter().flat_map(Asked::groups).collect();
        let fresh = |at| now.saturating_duration_since(at) < limits::SAMPLE_REFRESH;
        let open = |asked: &Asked| asked.how.keep && !asked.how.pss;
        let all_known = asked.iter().all(open) && self.refreshed.is_some_and(fresh);
        let (mut walk, mut blind) = (Walk::Members(0, 0), false);
        if !all_known && !wanted.is_empty() {
            wanted.extend(self.groups.keys());
            self.passes += 1;
            self.refreshed = (!self.groups.is_empty()).then_some(now);
            match procfs::pids() {
                Some(pids) => walk = Walk::System(pids),
                None => (walk, blind) = (Walk::Members(wanted.len(), 0), true),
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        let usages = wanted.into_iter().map(|group| (group, Usage::default())).collect();
        let shares = asked.iter().filter(|asked| asked.how.pss).flat_map(Asked::groups).collect();
        Pass { asked, usages, shares, walk, blind }
    }

    /// Lets go of the groups that nobody has asked for any more.
    fn forget(&mut self, now: Instant) {
        let old = |at: Instant| now.saturating_duration_since(at) > limits::SAMPLE_KEEP;
        let before = self.groups.len();
        self.groups.retain(|_, at| !old(*at));
        if self.groups.len() < before {
            let groups = &self.groups;
            self.members.retain(|(group, _), _| groups.contains_key(group));
            self.count_files();
        }
    }

    fn count_files(&mut self) {
        self.files = self.members.values().filter(|member| member.file.is_some()).count();
    }

    /// A group of which nobody is known may be new: takes in its leader. Other members are found by the
    /// next pass over the system.
    fn admit(&mut self, group: i32) -> Option<(Stat, u64)> {
        let file = procfs::open_stat(OsPid(group)).ok()?;
        let stat = self.reader.read(&file).ok().filter(|stat| stat.pgrp == group)?;
        let fds = fds(stat.os_pid);
        self.note(&stat, fds, file);
        Some((stat, fds))
    }

    /// Notes a member that was seen.
    fn note(&mut self, stat: &Stat, fds: u64, file: File) {
        let key = (stat.pgrp, stat.os_pid.0);
        let before = self.members.remove(&key);
        self.files -= usize::from(before.as_ref().is_some_and(|member| member.file.is_some()));
        // What is open already stays so: a file of another process of that pid would not do.
        let open = before.filter(|member| member.start_time == stat.start_time);
        let file = open.and_then(|member| member.file).unwrap_or(file);
        let file = (self.files < self.most_files).then_some(file);
        self.files += usize::from(file.is_some());
        let member = Member { file, start_time: stat.start_time, fds, pass: self.passes };
        self.members.insert(key, member);
    }

    /// Whether the pass has come to its end.
    fn look_at_system(&mut self, pass: &mut Pass) -> bool {
        let Walk::System(pids) = &mut pass.walk else { return true };
        while self.left > 0 {
            let Some(os_pid) = pids.next() else {
                if pass.blind {
                    self.refreshed = None;
                } else {
                    let passes = self.passes;
                    self.members.retain(|_, member| member.pass == passes);
                    self.count_files();
                }
                return true;
            };
            self.left -= 1;
            let opened = procfs::open_stat(os_pid);
            let read = opened.and_then(|file| Ok((self.reader.read(&file)?, file)));
            let (stat, file) = match read {
                Ok(read) => read,
                Err(error) => {
                    pass.blind |= procfs::is_starved(&error);
                    continue;
                }
            };
            let place = pass.usages.binary_search_by_key(&stat.pgrp, |(group, _)| *group);
            let Some((group, usage)) = place.ok().and_then(|at| pass.usages.get_mut(at)) else {
                continue;
            };
            let fds = fds(os_pid);
            add(usage, &stat, fds, self.ticks);
            if pass.shares.contains(group) {
                let is_small = stat.rss_bytes <= limits::PSS_LARGEST;
                usage.pss = usage.pss.plus(is_small.then(|| procfs::pss(os_pid)).flatten());
                self.left = self.left.saturating_sub(limits::SAMPLE_PSS - 1);
            }
            if self.groups.contains_key(group) {
                self.note(&stat, fds, file);
            }
        }
        false
    }

    /// Whether the pass has come to its end.
    fn look_at_members(&mut self, pass: &mut Pass) -> bool {
        let Walk::Members(at, next) = &mut pass.walk else { return true };
        let mut gone = Vec::new();
        while let Some((group, usage)) = pass.usages.get_mut(*at) {
            if self.left == 0 {
                break;
            }
            let (mut known, mut all) = (*next > 0, true);
            for (key, member) in self.members.range_mut((*group, *next)..=(*group, i32::MAX)) {
                if self.left == 0 {
                    all = false;
                    break;
                }
                known = true;
                self.left -= 1;
                *next = key.1.saturating_add(1);
                match member.read(key.1, &mut self.reader) {
                    Ok(stat) if (stat.pgrp, stat.start_time) == (*group, member.start_time) => {
                        add(usage, &stat, member.fds, self.ticks);
                    }
                    Err(error) if procfs::is_starved(&error) => pass.blind = true,
                    // It has ended, or has left the group.
                    Ok(_) | Err(_) => gone.push(*key),
                }
            }
            if !all {
                break;
            }
            if !known {
                self.left -= 1;
                if let Some((stat, fds)) = self.admit(*group) {
                    add(usage, &stat, fds, self.ticks);
                }
            }
            (*at, *next) = (*at + 1, 0);
        }
        let done = pass.usages.get(*at).is_none();
        for key in gone {
            let member = self.members.remove(&key);
            self.files -= usize::from(member.is_some_and(|member| member.file.is_some()));
        }
        done
    }
}

impl Asked {
    fn groups(&self) -> impl Iterator<Item = i32> + '_ {
        self.targets.iter().map(|target| target.0)
    }
}

impl Pass {
    fn answers(self) -> Vec<Answer> {
        let Self { asked, usages, blind, .. } = self;
        let of = |leader: &OsPid, how: How| {
            let at = usages.binary_search_by_key(&leader.0, |(group, _)| *group).ok()?;
            let usage = usages.get(at)?.1;
            // Others who asked for the same group may have wanted more to be known.
            let pss = if how.pss { usage.pss } else { Pss::NotAsked };
            (usage.processes > 0 && !blind).then_some(Usage { pss, ..usage })
        };
        let answer = |asked: Asked| {
            let usages = asked.targets.iter().map(|leader| of(leader, asked.how));
            (asked.ticket, usages.collect())
        };
        asked.into_iter().map(answer).collect()
    }
}

impl Walk {
    fn is_over_members(&self) -> bool {
        match self {
            Self::Members(..) => true,
            Self::System(_) => false,
        }
    }
}

impl Member {
    fn read(&self, pid: i32, reader: &mut StatReader) -> io::Result<Stat> {
        match &self.file {
            Some(file) => reader.read(file),
            None => reader.read(&procfs::open_stat(OsPid(pid))?),
        }
    }
}

fn add(usage: &mut Usage, stat: &Stat, fds: u64, ticks: u64) {
    usage.rss += stat.rss_bytes;
    usage.vms += stat.vms_bytes;
    usage.cpu_time += seconds(stat.cpu_ticks, ticks);
    usage.threads += u64::from(stat.threads);
    usage.processes += 1;
    usage.fds += fds;
}

/// What this process uses, without those it started.
pub fn own() -> Option<Usage> {
    let os_pid = OsPid(i32::try_from(std::process::id()).ok()?);
    let mut usage = Usage::default();
    add(&mut usage, &procfs::stat(os_pid)?, fds(os_pid), procfs::clock_ticks_per_second());
    Some(usage)
}

fn fds(os_pid: OsPid) -> u64 {
    procfs::count_fds(os_pid).and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 ticks, which are millions of years"
)]
fn seconds(ticks: u64, per_second: u64) -> f64 {
    ticks as f64 / per_second.max(1) as f64
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "real processes, and an instant to count from")]
mod tests {
    use super::*;
    use crate::base::process::Signal;
    use crate::sys::reap;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::time::Duration;

    /// A shell that leads a group, and what it starts.
    struct Group {
        shell: Child,
        answers: BufReader<ChildStdout>,
    }

    impl Group {
        fn new() -> Self {
            let script = "while read -r word; do case $word in
                start) sleep 1000 & echo $! ;;
                stop) kill -9 $!; wait $! 2>/dev/null; echo $! ;;
            esac; done";
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).process_group(0);
            shell.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = shell.spawn().expect("it starts");
            let answers = BufReader::new(shell.stdout.take().expect("a pipe"));
            Self { shell, answers }
        }

        fn of(members: usize) -> Self {
            let mut group = Self::new();
            for _ in 1..members {
                group.tell("start");
            }
            group
        }

        fn leader(&self) -> OsPid {
            OsPid(i32::try_from(self.shell.id()).expect("a pid"))
        }

        /// Starts a member, or stops the last one; gives its pid.
        fn tell(&mut self, word: &str) -> i32 {
            let stdin = self.shell.stdin.as_mut().expect("a pipe");
            writeln!(stdin, "{word}").expect("it reads");
            let mut line = String::new();
            self.answers.read_line(&mut line).expect("it answers");
            line.trim().parse().expect("a pid")
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            reap::signal_group(self.leader(), Signal::KILL).expect("it is ours");
            self.shell.wait().expect("it is ours");
        }
    }

    struct Tester {
        sampler: Sampler,
        now: Instant,
        tickets: u64,
    }

    impl Tester {
        fn new() -> Self {
            Self { sampler: Sampler::default(), now: Instant::now(), tickets: 0 }
        }

        fn ask(&mut self, groups: &[&Group], keep: bool) {
            self.tickets += 1;
            let targets = groups.iter().map(|group| group.leader()).collect();
            self.sampler.ask(self.tickets, targets, How { keep, pss: false });
        }

        /// Works until all is answered, and says how many turns that took.
        fn finish(&mut self) -> (Vec<Answer>, usize) {
            let (mut answers, mut turns) = (Vec::new(), 0);
            while !self.sampler.is_idle() {
                self.sampler.begin_turn();
                answers.extend(self.sampler.work(self.now));
                turns += 1;
                assert!(turns < 1000, "it is never answered");
            }
            let open = self.sampler.members.values().filter(|m| m.file.is_some()).count();
            assert_eq!(open, self.sampler.files);
            (answers, turns)
        }

        /// The answer to what was asked for last, and how many turns it took.
        fn answer(&mut self) -> (Vec<Option<Usage>>, usize) {
            let (mut answers, turns) = self.finish();
            let (ticket, usages) = answers.pop().expect("an answer");
            assert_eq!((answers.len(), ticket), (0, self.tickets));
            (usages, turns)
        }

        /// How many processes the group of this leader has.
        fn count_of(&mut self, leader: i32) -> u64 {
            self.sampler.ask(0, vec![OsPid(leader)], KEPT);
            self.finish().0[0].1[0].map_or(0, |usage| usage.processes)
        }

        /// How many processes each group has.
        fn count(&mut self, groups: &[&Group]) -> Vec<u64> {
            self.ask(groups, true);
            let (usages, _) = self.answer();
            usages.iter().map(|usage| usage.map_or(0, |usage| usage.processes)).collect()
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
        }
    }

    const KEPT: How = How { keep: true, pss: false };
    const MOMENT: Duration = Duration::from_millis(100);

    #[test]
    fn all_members_of_a_group_count_as_one() {
        let (one, three) = (Group::of(1), Group::of(3));
        let mut tester = Tester::new();
        for keep in [false, true, true] {
            tester.ask(&[&three, &one], keep);
            let (usages, _) = tester.answer();
            let [Some(three), Some(one)] = usages[..] else { panic!("{usages:?}") };
            assert_eq!((three.processes, one.processes), (3, 1));
            assert_eq!((three.threads, one.threads), (3, 1));
            assert!(one.fds >= 3 && three.fds >= 9, "{} and {}", one.fds, three.fds);
            // How much is no promise: one that is just beginning its program has hardly anything.
            assert!(one.rss > 0 && three.rss > 0 && one.vms > 0 && three.vms > 0);
            assert_eq!(tester.sampler.files, if keep { 4 } else { 0 });
        }
        tester.sampler.ask(9, Vec::new(), How::default());
        tester.sampler.ask(10, vec![OsPid(i32::MAX), one.leader()], KEPT);
        let (answers, _) = tester.finish();
        assert_eq!((answers[0].0, answers[0].1.len()), (9, 0));
        assert_eq!(
            (answers[1].1[0], answers[1].1[1].map(|usage| usage.processes)),
            (None, Some(1))
        );
    }

    #[test]
    fn the_proportional_share_of_memory_is_read_for_who_asks_and_for_nobody_else() {
        let (group, other) = (Group::of(3), Group::of(1));
        let mut tester = Tester::new();
        let pss = How { keep: false, pss: true };
        tester.sampler.ask(1, vec![group.leader(), other.leader()], How::default());
        tester.sampler.ask(2, vec![group.leader()], pss);
        let (answers, turns) = tester.finish();
        assert!(answers[0].1.iter().flatten().all(|usage| usage.pss == Pss::NotAsked));
        let usage = answers[1].1[0].expect("it lives");
        let alone = procfs::pss(group.leader());
        match (usage.pss, alone) {
            (Pss::Bytes(all), Some(alone)) => {
                assert!(alone <= all && all <= usage.rss, "{alone}, {usage:?}");
            }
            // Some kernels tell it of nobody.
            (told, alone) => assert_eq!((told, alone), (Pss::Refused, None)),
        }
        // Each counts as many: another turn is needed for those behind them.
        let big = Group::of(limits::SAMPLE_SHARE / limits::SAMPLE_PSS + 1);
        tester.sampler.ask(3, vec![big.leader()], pss);
        let (_, more) = tester.finish();
        assert!(more > 1 && turns >= 1, "{more} turns");
        tester.ask(&[&group], true);
        assert_eq!(tester.answer().0[0].map(|usage| usage.pss), Some(Pss::NotAsked));
    }

    #[test]
    fn who_joins_is_seen_within_a_second_and_who_ends_is_gone_at_once() {
        let mut group = Group::of(1);
        let mut tester = Tester::new();
        assert_eq!(tester.count(&[&group]), [1]);
        group.tell("start");
        tester.pass(limits::SAMPLE_REFRESH - MOMENT);
        assert_eq!(tester.count(&[&group]), [1], "the system is not looked at so often");
        tester.pass(MOMENT);
        assert_eq!(tester.count(&[&group]), [2]);
        group.tell("stop");
        assert_eq!(tester.count(&[&group]), [1]);
        assert_eq!(tester.sampler.files, 1);
        let mut late = Group::of(1);
        late.tell("start");
        assert_eq!(tester.count(&[&group, &late]), [1, 1], "the leader of a new group is enough");
        tester.pass(limits::SAMPLE_REFRESH);
        assert_eq!(tester.count(&[&group, &late]), [1, 2]);
        let leader = group.leader();
        drop(group);
        assert_eq!(tester.count_of(leader.0), 0);
    }

    #[test]
    fn another_process_of_that_pid_is_not_taken_for_the_member() {
        let group = Group::of(2);
        let mut tester = Tester::new();
        assert_eq!(tester.count(&[&group]), [2]);
        for file in [true, false] {
            let leader = (group.leader().0, group.leader().0);
            let member = tester.sampler.members.get_mut(&leader).expect("it is known");
            member.start_time += 1;
            if !file {
                member.file = None;
                tester.sampler.files -= 1;
            }
            assert_eq!(tester.count(&[&group]), [1]);
            tester.pass(limits::SAMPLE_REFRESH);
            assert_eq!(tester.count(&[&group]), [2]);
        }
        // One that has left its group, as far as we know.
        let (_, member) = tester.sampler.members.pop_first().expect("one is known");
        let other = group.leader().0 + 1;
        tester.sampler.members.insert((other, group.leader().0), member);
        assert_eq!(tester.count_of(other), 0);
        assert_eq!(tester.finish().0, [], "nobody asks any more");
    }

    #[test]
    fn no_more_files_are_open_than_may_be() {
        let unlimited = u64::try_from(limits::SAMPLE_FILES).expect("few") * 4;
        assert_eq!(most_files(None), limits::SAMPLE_FILES);
        assert_eq!(most_files(Some(unlimited + 4)), limits::SAMPLE_FILES);
        assert_eq!(most_files(Some(unlimited - 1)), limits::SAMPLE_FILES - 1);
        assert_eq!(most_files(Some(40)), 10);
        let group = Group::of(4);
        let mut tester = Tester::new();
        tester.sampler.most_files = 2;
        for _ in 0..3 {
            assert_eq!(tester.count(&[&group]), [4]);
            assert_eq!(tester.count(&[&group]), [4]);
            assert_eq!(tester.sampler.files, 2);
            tester.pass(limits::SAMPLE_REFRESH);
        }
    }

    #[test]
    fn a_turn_measures_no_more_than_its_share() {
        let mut group = Group::of(limits::SAMPLE_SHARE);
        let mut tester = Tester::new();
        let known = |tester: &mut Tester, group: &Group, expected| {
            tester.pass(limits::SAMPLE_REFRESH);
            assert_eq!(tester.count(&[group]), [expected]);
            tester.ask(&[group], true);
            let (usages, turns) = tester.answer();
            assert_eq!(usages[0].map(|usage| usage.processes), Some(expected));
            turns
        };
        let share = u64::try_from(limits::SAMPLE_SHARE).expect("few");
        assert_eq!(known(&mut tester, &group, share), 1);
        group.tell("start");
        assert_eq!(known(&mut tester, &group, share + 1), 2);
        tester.ask(&[&group], false);
        let (_, turns) = tester.answer();
        assert!(turns >= 2, "the whole system has more processes than that");
        assert_eq!(tester.sampler.work(tester.now), [], "nobody asks");
    }

    #[test]
    fn files_are_closed_when_nobody_samples_any_more() {
        let (first, second) = (Group::of(2), Group::of(1));
        let mut tester = Tester::new();
        assert_eq!(tester.count(&[&first, &second]), [2, 1]);
        tester.pass(limits::SAMPLE_KEEP);
        assert_eq!(tester.count(&[&second]), [1]);
        assert_eq!(tester.sampler.files, 3, "it is not that long ago");
        tester.pass(MOMENT);
        assert_eq!(tester.count(&[&second]), [1]);
        assert_eq!(tester.sampler.files, 1);
        tester.sampler.stop();
        assert_eq!((tester.sampler.files, tester.sampler.members.len()), (0, 0));
        assert_eq!(tester.count(&[&first]), [2]);
        assert_eq!(tester.sampler.files, 2);
    }

    #[test]
    fn a_stop_in_the_middle_still_gives_the_answer() {
        let group = Group::of(3);
        let mut tester = Tester::new();
        for first in [false, true] {
            if first {
                tester.count(&[&group]);
            }
            tester.ask(&[&group], true);
            tester.sampler.left = 1;
            assert_eq!(tester.sampler.work(tester.now), []);
            assert!(!tester.sampler.is_idle() && !tester.sampler.may_work());
            tester.sampler.stop();
            let (usages, _) = tester.answer();
            assert_eq!(usages[0].map(|usage| usage.processes), Some(3));
            assert_eq!(tester.sampler.files, 0);
        }
    }
}
