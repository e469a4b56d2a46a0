//! What the loop does in a turn, so that everybody has his turn soon.

use std::time::Duration;

/// The buffer into which everything is read: what a pipe holds.
pub const READ_BUFFER: usize = 64 * 1024;
/// What one client may send in a turn before the others have theirs,
pub const CONN_READ_SHARE: usize = 64 * 1024;
/// where many do, at least this,
pub const CONN_READ_LEAST: usize = 4 * 1024;
/// and all clients together: some ten milliseconds' work where it is many small messages. The last read
/// may go beyond it by less than its buffer.
pub const CONNS_READ_SHARE: usize = 512 * 1024;
/// What one client may be sent in a turn,
pub const CONN_WRITE_SHARE: usize = 64 * 1024;
/// and all together: with what is served on the way some ten milliseconds' work where it is many answers.
pub const CONNS_WRITE_SHARE: usize = 1024 * 1024;
/// What is read of one stream of a child in a turn,
pub const PIPE_SHARE: usize = 256 * 1024;
/// How much is read of a pipe at once, where there is so much.
pub const PIPE_READ: usize = 256 * 1024;
/// A pipe that is found full has room for so much from then on, so that whoever fills it waits less for us.
pub const PIPE_ROOM: usize = 512 * 1024;
/// What a pipe holds before that (pipe(7)).
pub const PIPE_SMALL: usize = 64 * 1024;
/// How long a stream rests that is written to often and in small pieces, while nobody follows it: what it holds in
/// that time is far less than fits.
pub const PIPE_REST: Duration = Duration::from_millis(50);
/// What is no small piece: a stream that brings so much at once does not rest.
pub const PIPE_REST_MOST: usize = 16 * 1024;
/// and of all streams together, about a millisecond's work: the others have theirs in the next turn,
/// and clients theirs before. The last read may go beyond it by less than its buffer.
pub const PIPES_SHARE: usize = 2 * 1024 * 1024;
/// What is read of a stream when its process has ended: all that a pipe can hold, and then some,
/// but not for ever, where somebody else still writes into it.
pub const LAST_WORDS: usize = 1024 * 1024;
/// What is written to one stream of a child in a turn, as much as a pipe holds,
pub const INPUT_SHARE: usize = 64 * 1024;
/// and to all of them: about a millisecond of copying.
pub const INPUT_SHARE_OF_ALL: usize = 4 * 1024 * 1024;
/// Processes measured in a turn: under a millisecond with files that are open, and three where they
/// have to be opened and descriptors counted.
pub const SAMPLE_SHARE: usize = 256;
/// As how many of them one counts whose proportional share of memory is asked for: the kernel adds that up
/// page by page, which takes a tenth of a millisecond for a small one, and some for one of a gigabyte.
pub const SAMPLE_PSS: usize = 32;
/// Of a larger process, in bytes, it is not read: the kernel would take longer than a turn has, in one piece.
pub const PSS_LARGEST: u64 = 4 * 1024 * 1024 * 1024;
/// Clients accepted in a turn.
pub const ACCEPT_SHARE: usize = 64;
/// Clients whose time is over that are seen to in a turn: some ten milliseconds' work, and ten thousand can
/// have come at the same moment.
pub const DUE_SHARE: usize = 256;
/// How long after no client could be accepted, for want of descriptors or memory, it is tried again:
/// nothing says when there are some, and to ask all the time would cost a processor.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Processes started in a turn: each costs a tenth of a millisecond to a whole one, as its program
/// is small or large.
pub const SPAWN_SHARE: usize = 16;
/// How long a turn goes on with that: where the processors are busy, with the first steps of those just started for
/// example, the kernel lets each of the next wait for its turn (vfork(2)).
pub const SPAWN_TIME: Duration = Duration::from_millis(10);
/// Events taken from the kernel in a turn,
pub const EVENTS: usize = 256;
/// and children reaped: each takes a few system calls, and others wait.
pub const REAP_SHARE: usize = 128;
/// Rounds of effects and their results in a turn.
pub const EFFECT_ROUNDS: usize = 16;
/// A turn longer than this is told in the log.
pub const SLOW_TURN: Duration = Duration::from_millis(50);
/// How long the end of the daemon waits for clients to take their last answers.
pub const FAREWELL: Duration = Duration::from_secs(1);
