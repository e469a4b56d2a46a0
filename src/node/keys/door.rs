//! The door: who is let in, as whom. It has all keys and users, knows whether a key is asked for, and
//! notes what of them changed, so that it is written down and those who lost their key are sent away.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::attempts::{place_of, Attempts, Source};
use super::caller::Caller;
use super::key::{Key, KeyId};
use super::secrets::Secrets;
use super::store::{Keys, NotMade};
use super::user::User;
use super::users::Users;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::front::passwords::Task;
use crate::front::peer::Peer;

/// How the door is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Whether a key is asked for over TCP.
    pub require_key: bool,
    /// The users of this machine who need none on the unix socket.
    pub owners: SortedSet<u32>,
    /// Whether the daemon is root, so that a job for which nobody else is named runs as that.
    pub root: bool,
}

/// The door.
pub struct Door {
    /// How it is kept.
    pub keeping: Keeping,
    /// All keys.
    pub keys: Keys,
    /// All users.
    pub users: Users,
    /// Makes new ones.
    pub secrets: Secrets,
    attempts: Attempts,
    changes: Changes,
    /// Whose passwords are being hashed, and what is to be done then.
    waiting: SortedMap<u64, (ConnId, Then)>,
    last_ticket: u64,
}

/// What changed since it was asked for.
#[derive(Debug, Default)]
pub struct Changes {
    /// Keys that are new, or gone.
    pub keys: SortedSet<KeyId>,
    /// Users that changed.
    pub users: SortedSet<String>,
    /// Keys that are gone.
    pub gone: Vec<KeyId>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// He said no key (401).
    Nobody,
    /// What he said is none (403).
    Stranger,
}

/// What is done when a password is hashed or held against its hash.
#[derive(Clone)]
pub enum Then {
    /// Log in.
    Login {
        /// As this user.
        name: String,
        /// For a better hash than the one that is kept.
        password: String,
        /// What it is held against: it counts only while it is his.
        stored: Option<String>,
        /// From here.
        from: Source,
    },
    /// Take a user in, or change him.
    Put(Box<Put>),
    /// Keep a better hash of a password, and tell nobody.
    Upgrade {
        /// Of this user.
        name: String,
        /// In the place of this one, and of no other that he has got meanwhile.
        old: String,
    },
}

/// What becomes of a user once his password is hashed. Until then much may happen: whoever asked may have
/// lost his key, and the user may be another one, or have rights that he had not when it was asked.
#[derive(Clone)]
pub struct Put {
    /// Who asked.
    pub by: Caller,
    /// The user's name.
    pub name: String,
    /// What he was when it was asked; `None` for nobody.
    pub before: Option<User>,
    /// What he is to be; `None` for what he is, with another password.
    pub after: Option<User>,
}

/// Why a user is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPut {
    /// Whoever asked is nobody any more.
    Stranger,
    /// There is no such user any more.
    Gone,
    /// There is one of this name already.
    There,
    /// There are as many as there may be.
    TooMany,
    /// He has other rights than when it was asked.
    Changed,
}

impl Door {
    /// One that knows nobody. The seed makes keys, and is as secret as they are.
    pub fn new(keeping: Keeping, seed: [u8; 32]) -> Self {
        Self {
            keeping,
            keys: Keys::default(),
            users: Users::default(),
            secrets: Secrets::seeded(seed),
            attempts: Attempts::default(),
            changes: Changes::default(),
            waiting: SortedMap::new(),
            last_ticket: 0,
        }
    }

    /// Who asks, by the key that he says and by where he comes from.
    ///
    /// # Errors
    /// A key is asked for, and he has none.
    pub fn caller(
        &self,
        said: Option<&str>,
        peer: Peer,
        now: SystemTime,
    ) -> Result<Rc<Caller>, Refused> {
        let known = said.and_then(|secret| self.keys.of_secret(secret));
        if let Some(caller) = known.and_then(|id| self.of_key(id, now)) {
            return Ok(caller);
        }
        // What he shows stands for a key only where he says none.
        let shown = peer.certificate().filter(|_| said.is_none());
        let shown = shown.and_then(|certificate| self.keys.of_certificate(&certificate.0));
        if let Some(caller) = shown.and_then(|id| self.of_key(id, now)) {
            return Ok(caller);
        }
        let refused = if said.is_some() { Refused::Stranger } else { Refused::Nobody };
        match peer {
            Peer::Unix { uid: Some(uid) } if self.keeping.owners.contains(&uid) => {
                Ok(Caller::owner(uid))
            }
            Peer::Unix { .. } => Err(refused),
            Peer::Tcp { .. } if self.keeping.require_key => Err(refused),
            Peer::Tcp { .. } => Ok(Caller::anybody()),
        }
    }

    /// Whoever has this key, while it is good.
    fn of_key(&self, id: &KeyId, now: SystemTime) -> Option<Rc<Caller>> {
        self.keys.chain(id, now).map(|chain| Caller::of_key(id, &chain))
    }

    /// Whether a caller is still what he was: his key is good, or he is one of those who need none.
    pub fn is_good(&self, caller: &Caller, now: SystemTime) -> bool {
        match (&caller.key, caller.uid) {
            (Some(id), _) => self.keys.chain(id, now).is_some(),
            (None, Some(uid)) => self.keeping.owners.contains(&uid),
            (None, None) => !caller.is_anybody() || !self.keeping.require_key,
        }
    }

    /// Whether a key belongs to a user: it is his own, or that of a login of his.
    pub fn belongs(&self, caller: &Caller, name: &str) -> bool {
        let own = self.users.get(name).and_then(|user| user.key.as_ref());
        let is_own = caller.key.is_some() && caller.key.as_ref() == own;
        is_own || caller.login.as_deref() == Some(name)
    }

    /// Takes a new key in, and gives its secret, which nobody will know again.
    ///
    /// # Errors
    /// Why there is none.
    pub fn mint(
        &mut self,
        now: SystemTime,
        make: impl FnOnce(super::key::Hash) -> Key,
    ) -> Result<(KeyId, String), NotMade> {
        if self.keys.len() >= limits::KEYS {
            self.clear(now);
        }
        let secret = self.secrets.key();
        let id = self.keys.add(make(super::key::hash(&secret)))?;
        self.changes.keys.insert(id.clone());
        Ok((id, secret))
    }

    /// Takes keys away with all that came from them; whether there was one.
    pub fn revoke(&mut self, ids: &[KeyId]) -> bool {
        let gone: SortedSet<KeyId> = self.keys.remove(ids).into_iter().collect();
        let found = !gone.is_empty();
        self.changes.users.extend(self.users.lose(&gone));
        self.changes.keys.extend(gone.iter().cloned());
        self.changes.gone.extend(gone);
        found
    }

    /// Does what was asked for a user, now that his password is hashed. It ends his logins.
    ///
    /// # Errors
    /// Why it is not done any more.
    pub fn put(&mut self, put: Put, password: String, now: SystemTime) -> Result<(), NotPut> {
        let Put { by, name, before, after } = put;
        if !self.is_good(&by, now) {
            return Err(NotPut::Stranger);
        }
        let there = self.users.get(&name);
        let user = match (before, there) {
            (None, Some(_)) => return Err(NotPut::There),
            (None, None) if !self.users.has_room() => return Err(NotPut::TooMany),
            (Some(_), None) => return Err(NotPut::Gone),
            (Some(was), Some(is)) if (was.kind, &was.key) != (is.kind, &is.key) => {
                return Err(NotPut::Changed);
            }
            (None, None) | (Some(_), Some(_)) => after.or_else(|| there.cloned()),
        };
        let user = user.ok_or(NotPut::Gone)?;
        self.put_user(&name, User { password, ..user });
        self.end_logins(&name);
        Ok(())
    }

    /// Puts a user in the place of him or of nobody. A key that is gone is none.
    pub fn put_user(&mut self, name: &str, user: User) {
        let key = user.key.filter(|key| self.keys.get(key).is_some());
        self.users.put(name, User { key, ..user });
        self.changes.users.insert(name.to_owned());
    }

    /// Takes a user away with his logins; whether there was one.
    pub fn remove_user(&mut self, name: &str) -> bool {
        let found = self.users.remove(name).is_some();
        if found {
            self.changes.users.insert(name.to_owned());
            self.end_logins(name);
        }
        found
    }

    /// Ends all logins of a user.
    pub fn end_logins(&mut self, name: &str) {
        let logins = self.keys.logins(name);
        self.revoke(&logins);
    }

    /// Takes those away whose time is over: they would take the place of others.
    fn clear(&mut self, now: SystemTime) {
        let over = self.keys.over(now);
        self.revoke(&over);
    }

    /// Makes a key for a login, with what the user's own key permits: its secret, or `None` if he has no
    /// key.
    pub fn login(&mut self, name: &str, now: SystemTime) -> Option<String> {
        self.clear(now);
        let parent = self.users.get(name)?.key.clone()?;
        let chain = self.keys.chain(&parent, now)?;
        let permissions = chain.first()?.permissions.clone();
        let logins = self.keys.logins(name);
        let most = limits::LOGINS - 1;
        let too_many = logins.len().saturating_sub(most);
        self.revoke(logins.get(..too_many).unwrap_or_default());
        let made = self.mint(now, |hash| Key {
            hash,
            label: format!("login of {name}"),
            permissions,
            parent: Some(parent),
            created: now,
            expires: now.checked_add(limits::LOGIN_LIFE),
            certificate: None,
            login: Some(name.to_owned()),
            extra: Map::new(),
        });
        made.ok().map(|(_, secret)| secret)
    }

    /// Whether somebody may try to log in, which then counts as a failure until it is none. Whoever is at
    /// this machine counts for himself alone: strangers who fail as a user do not keep him out there.
    ///
    /// # Errors
    /// How long he has to wait.
    pub fn try_login(&mut self, name: &str, from: &Source, now: Now) -> Result<(), Duration> {
        let mut sources = vec![from.clone()];
        if !matches!(from, Source::Local(_)) {
            sources.push(Source::User(name.to_owned()));
        }
        let pauses = sources.iter().filter_map(|source| self.attempts.pause(source, now.mono));
        if let Some(pause) = pauses.max() {
            return Err(pause);
        }
        sources.into_iter().for_each(|source| self.attempts.count(source, now.mono));
        Ok(())
    }

    /// A login succeeded.
    pub fn forgive(&mut self, name: &str, from: &Source) {
        self.attempts.forgive(from);
        self.attempts.forgive(&Source::User(name.to_owned()));
    }

    /// Has something done when a password is hashed; `None` if too many wait for that.
    pub fn wait(&mut self, conn: ConnId, then: Then) -> Option<u64> {
        if self.is_busy() {
            return None;
        }
        self.last_ticket += 1;
        self.waiting.insert(self.last_ticket, (conn, then));
        Some(self.last_ticket)
    }

    /// What is to be done now.
    pub fn hashed(&mut self, ticket: u64) -> Option<(ConnId, Then)> {
        self.waiting.remove(&ticket)
    }

    /// Whether so many passwords wait to be hashed that another one could not.
    pub fn is_busy(&self) -> bool {
        self.waiting.len() >= limits::PASSWORDS_WAITING
    }

    /// How many passwords wait to be hashed.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A task that makes a hash of a password.
    pub fn hashing(&mut self, password: String) -> Task {
        Task::Make { password, salt: self.secrets.salt() }
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Takes a key or a user as the last daemon kept it; false if that is none.
    pub fn restore_key(&mut self, value: &Value) -> bool {
        let key = Key::from_value(value);
        key.map(|key| self.keys.restore(key)).is_some()
    }

    /// The same for a user.
    pub fn restore_user(&mut self, name: &str, value: &Value) -> bool {
        let user = User::from_value(value);
        user.map(|user| self.users.put(name, user)).is_some()
    }
}

/// Where a login comes from.
pub fn source_of(peer: Peer) -> Source {
    match peer {
        Peer::Tcp { remote, .. } => Source::Place(place_of(remote.ip())),
        Peer::Unix { uid } => uid.map_or(Source::Place(IpAddr::from([0; 4])), Source::Local),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::front::peer::{Fingerprint, Tls};
    use crate::front::rights::{Need, Permissions};
    use crate::node::keys::user::APPLICATION;
    use std::net::SocketAddr;
    use std::time::{Instant, UNIX_EPOCH};

    fn door(require_key: bool) -> Door {
        let owners = SortedSet::from([0, 7]);
        Door::new(Keeping { require_key, owners, root: false }, [1; 32])
    }

    fn tcp() -> Peer {
        Peer::Tcp { remote: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: None }
    }

    fn minted(
        door: &mut Door,
        parent: Option<KeyId>,
        expires: Option<SystemTime>,
    ) -> (KeyId, String) {
        let key = |hash| Key {
            hash,
            label: "k".into(),
            permissions: Permissions::all_jobs(),
            parent,
            created: UNIX_EPOCH,
            expires,
            certificate: None,
            login: None,
            extra: Map::new(),
        };
        door.mint(UNIX_EPOCH, key).expect("room")
    }

    #[test]
    fn who_is_let_in_depends_on_what_he_says_and_where_he_comes_from() {
        let mut closed = door(true);
        let (_, secret) = minted(&mut closed, None, Some(UNIX_EPOCH + Duration::from_secs(9)));
        let who = |door: &Door, said: Option<&str>, peer, at| {
            let now = UNIX_EPOCH + Duration::from_secs(at);
            door.caller(said, peer, now).map(|caller| (caller.is_admin(), caller.is_anybody()))
        };
        let unix = |uid| Peer::Unix { uid };
        assert_eq!(who(&closed, None, tcp(), 0), Err(Refused::Nobody));
        assert_eq!(who(&closed, Some("x"), tcp(), 0), Err(Refused::Stranger));
        assert_eq!(who(&closed, Some(&secret), tcp(), 0), Ok((false, false)));
        assert_eq!(who(&closed, Some(&secret), tcp(), 9), Err(Refused::Stranger));
        assert_eq!(who(&closed, None, unix(Some(7)), 0), Ok((true, false)));
        for other in [unix(Some(8)), unix(None)] {
            assert_eq!(who(&closed, None, other, 0), Err(Refused::Nobody));
            assert_eq!(who(&closed, Some(&secret), other, 0), Ok((false, false)));
        }
        let open = door(false);
        for said in [None, Some("x")] {
            assert_eq!(who(&open, said, tcp(), 0), Ok((true, true)));
        }
        assert_eq!(who(&open, None, unix(Some(8)), 0), Err(Refused::Nobody));
        assert_eq!(who(&open, None, unix(Some(0)), 0), Ok((true, false)));
    }

    #[test]
    fn a_certificate_stands_for_its_key_where_none_is_said() {
        let mut door = door(true);
        let key = |hash, certificate| Key {
            hash,
            label: "c".into(),
            permissions: Permissions::all_jobs(),
            parent: None,
            created: UNIX_EPOCH,
            expires: None,
            certificate,
            login: None,
            extra: Map::new(),
        };
        let (id, _) = door.mint(UNIX_EPOCH, |hash| key(hash, Some([5; 32]))).expect("room");
        let with = |shown: [u8; 32]| Peer::Tcp {
            remote: SocketAddr::from(([127, 0, 0, 1], 40_000)),
            tls: Some(Tls { certificate: Some(Fingerprint(shown)) }),
        };
        let who = |door: &Door, said: Option<&str>, peer| {
            door.caller(said, peer, UNIX_EPOCH).map(|caller| caller.key.clone())
        };
        assert_eq!(who(&door, None, with([5; 32])), Ok(Some(id.clone())));
        assert_eq!(who(&door, None, with([6; 32])), Err(Refused::Nobody));
        assert_eq!(who(&door, Some("wrong"), with([5; 32])), Err(Refused::Stranger));
        door.revoke(&[id]);
        assert_eq!(who(&door, None, with([5; 32])), Err(Refused::Nobody));
    }

    #[test]
    fn a_login_has_what_the_users_key_has_and_goes_with_it() {
        let mut door = door(true);
        let (own, _) = minted(&mut door, None, None);
        let user = User {
            kind: APPLICATION,
            key: Some(own.clone()),
            password: String::new(),
            extra: Map::new(),
        };
        door.put_user("joe", user);
        let secrets: Vec<String> = (0..20)
            .filter_map(|n| door.login("joe", UNIX_EPOCH + Duration::from_secs(n)))
            .collect();
        assert_eq!((secrets.len(), door.keys.logins("joe").len()), (20, limits::LOGINS));
        let last = secrets.last().expect("there are some");
        let caller = door.caller(Some(last), tcp(), UNIX_EPOCH).expect("let in");
        assert!(caller.may(&Need::All(crate::front::rights::Right::Manage)));
        assert!(door.belongs(&caller, "joe") && !door.belongs(&caller, "jo"));
        let late = UNIX_EPOCH + limits::LOGIN_LIFE + Duration::from_secs(30);
        assert!(door.caller(Some(last), tcp(), late).is_err());
        door.take_changes();
        assert!(door.revoke(&[own]));
        assert_eq!(door.take_changes().gone.len(), limits::LOGINS + 1);
        assert!(!door.is_good(&caller, UNIX_EPOCH));
        assert_eq!(door.users.get("joe").and_then(|user| user.key.clone()), None);
        assert_eq!(door.login("joe", UNIX_EPOCH), None);
    }

    #[test]
    fn tries_are_counted_for_the_place_and_for_the_user() {
        let (mut door, mono) = (door(true), Instant::now());
        let now = Now { mono, wall: UNIX_EPOCH };
        let place = source_of(tcp());
        for n in 0..limits::LOGIN_BURST {
            assert_eq!(door.try_login(&format!("u{n}"), &place, now), Ok(()));
        }
        assert!(door.try_login("u", &place, now).is_err());
        let other = Source::Local(1);
        assert_eq!(door.try_login("u1", &other, now), Ok(()));
        door.forgive("u0", &place);
        assert_eq!(door.try_login("u", &place, now), Ok(()));
    }

    #[test]
    fn strangers_who_fail_as_a_user_do_not_keep_him_out_at_this_machine() {
        let (mut door, mono) = (door(true), Instant::now());
        let now = Now { mono, wall: UNIX_EPOCH };
        let from = |n: u32| Source::Place(IpAddr::from(n.to_be_bytes()));
        for n in 0..limits::LOGIN_BURST {
            assert_eq!(door.try_login("joe", &from(n), now), Ok(()));
        }
        assert!(door.try_login("joe", &from(limits::LOGIN_BURST), now).is_err());
        let local = Source::Local(1000);
        for _ in 0..limits::LOGIN_BURST {
            assert_eq!(door.try_login("joe", &local, now), Ok(()));
        }
        assert!(door.try_login("joe", &local, now).is_err(), "he may not try for ever either");
    }

    #[test]
    fn so_many_passwords_wait_and_no_more() {
        let mut door = door(true);
        let conn = ConnId(crate::base::arena::Key { index: 0, generation: 0 });
        let upgrade = || Then::Upgrade { name: "joe".into(), old: String::new() };
        let tickets: Vec<u64> =
            (0..limits::PASSWORDS_WAITING).filter_map(|_| door.wait(conn, upgrade())).collect();
        assert_eq!(tickets.len(), limits::PASSWORDS_WAITING);
        assert!(door.is_busy());
        assert_eq!(door.wait(conn, upgrade()), None);
        assert!(door.hashed(tickets[0]).is_some() && door.hashed(tickets[0]).is_none());
        assert!(door.wait(conn, upgrade()).is_some());
    }
}
