//! The keys of a running program: read at the start, and again whenever the key file changes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use envelope::{KeyFile, KeyRing, ProofKey, SealingRing};
use manifest::Manifest;
use reporting::{Event, Sentry};
use scheduling::{ProducerKeys, RenewKeys};
use values::{Clock, Source, hex};

use crate::clock::SystemClock;
use crate::home::Home;

/// How often the key file is looked at to check proofs; a key that nobody knows is looked for at
/// once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keys in the forms in which they are used.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The key file.
    pub file: KeyFile,
    /// Checks proofs: keys of the file and of the manifest.
    pub ring: Arc<KeyRing>,
    /// Opens configuration.
    pub sealing: Arc<SealingRing>,
    /// Eight hexadecimal digits over the ids of the file's keys.
    pub fingerprint: String,
}

/// Puts the keys of the file and of the manifest into one ring.
///
/// # Errors
/// The file cannot be read, is wrong, or has a key id that the manifest gives the same source.
pub fn read_keys(home: &Home, manifest: &Manifest) -> Result<Keys> {
    let file = home.read_keys()?;
    let mut ring = file.ring();
    for (source, rules) in &manifest.sources {
        for row in &rules.keys {
            let mut key = ProofKey::ed25519(&row.id, source.clone(), &row.public_key_text())
                .with_context(|| format!("key `{}` of source `{source}`", row.id))?;
            key.expires_at = row.expires_at;
            ring.add(key).with_context(|| {
                format!(
                    "source `{source}` has the key id `{}` in worker.toml and in the key file",
                    row.id
                )
            })?;
        }
    }
    let sealing = Arc::new(file.sealing_ring());
    let fingerprint = fingerprint(&file);
    Ok(Keys { file, ring: Arc::new(ring), sealing, fingerprint })
}

fn fingerprint(file: &KeyFile) -> String {
    let view = file.public_view();
    let proof = view.proof.iter().map(|key| format!("{} {}\n", key.source, key.id));
    let sealing = view.sealing.iter().map(|key| format!("{}\n", key.id));
    let text: String = proof.chain(sealing).collect();
    hex(&digest(&SHA256, text.as_bytes()).as_ref()[..4])
}

/// The newest keys, shared by everything that proves, checks and opens; cheap to clone.
#[derive(Clone)]
pub struct KeyStore {
    shared: Arc<Shared>,
}

struct Shared {
    home: Home,
    manifest: Arc<Manifest>,
    sentry: Sentry,
    state: Mutex<State>,
}

struct State {
    keys: Arc<Keys>,
    /// The file as it was when it was read, if it could be looked at.
    read: Option<Seen>,
    looked: Instant,
    /// Whether the file cannot be used at the moment, and that was told.
    broken: bool,
}

/// What changes when a file is written, replaced, or given to others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    fn look(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyStore").field("home", &self.shared.home).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Reads the keys.
    ///
    /// # Errors
    /// As [`read_keys`].
    pub fn open(home: Home, manifest: Arc<Manifest>, sentry: Sentry) -> Result<Self> {
        // Looked at before it is read: a change in between is found at the next look.
        let read = Seen::look(&home.keys_path());
        let keys = Arc::new(read_keys(&home, &manifest)?);
        let state = State { keys, read, looked: Instant::now(), broken: false };
        Ok(Self { shared: Arc::new(Shared { home, manifest, sentry, state: Mutex::new(state) }) })
    }

    /// The keys as they were a second ago or later.
    pub fn current(&self) -> Arc<Keys> {
        let mut state = self.state();
        if state.looked.elapsed() >= LOOK_EVERY {
            self.shared.look(&mut state);
        }
        Arc::clone(&state.keys)
    }

    /// The keys as they are now: to prove with, or for a key that was not among the current ones.
    pub fn newest(&self) -> Arc<Keys> {
        let mut state = self.state();
        // A file that is broken is not read once per task.
        if !state.broken || state.looked.elapsed() >= LOOK_EVERY {
            self.shared.look(&mut state);
        }
        Arc::clone(&state.keys)
    }

    /// Gives a producer of this source its newest keys, worked out once per change of the file.
    pub fn renewal(&self, source: Source) -> RenewKeys {
        let (store, made) = (self.clone(), Mutex::new(None::<(Arc<Keys>, Arc<ProducerKeys>)>));
        Arc::new(move || {
            // A follow-up that was proven with a key just withdrawn would be lost, so it looks.
            let keys = store.newest();
            let mut made = made.lock().expect("no one panics while holding it");
            if let Some((from, ready)) = &*made
                && Arc::ptr_eq(from, &keys)
            {
                return Some(Arc::clone(ready));
            }
            let ready = Arc::new(ProducerKeys {
                key: Arc::new(keys.file.signing_key(&source, SystemClock.now())?),
                keys: Some(Arc::clone(&keys.ring)),
                sealing: keys.file.newest_sealing_public(),
            });
            *made = Some((keys, Arc::clone(&ready)));
            Some(ready)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no one panics while holding it")
    }
}

impl Shared {
    /// Reads the file if it changed; one that cannot be used leaves the keys as they are.
    fn look(&self, state: &mut State) {
        state.looked = Instant::now();
        let seen = Seen::look(&self.home.keys_path());
        if seen == state.read && !state.broken {
            return;
        }
        match read_keys(&self.home, &self.manifest) {
            Ok(keys) => {
                state.keys = Arc::new(keys);
                state.broken = false;
                tracing::info!("keys read again");
            }
            Err(error) if state.broken => {
                tracing::debug!(error = format!("{error:#}"), "key file still not usable");
            }
            Err(error) => {
                state.broken = true;
                let message = format!("{error:#}; the keys read before stay in use");
                tracing::error!(error = %message, "changed key file not usable");
                let event =
                    Event::Alert { code: "keys_not_usable", job_name: None, message: &message };
                self.sentry.report(&event);
            }
        }
        state.read = seen;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use envelope::Algorithm;

    use super::*;

    fn opened(folder: &Path) -> (Home, KeyStore) {
        let home =
            Home::open(&folder.join("home"), &folder.join("home/main.db"), SystemClock.now())
                .unwrap();
        let names = contract::contract().names();
        let manifest = Manifest::parse(crate::app::BUILT_IN_MANIFEST, &names).unwrap();
        let sentry = Sentry::connect(None, "test", "1", reporting::Scrubber::new()).unwrap();
        let store = KeyStore::open(home.clone(), Arc::new(manifest), sentry).unwrap();
        (home, store)
    }

    fn add(home: &Home, id: &str) {
        let mut file = home.read_keys().unwrap();
        let api = "api".parse().unwrap();
        file.add_proof_key(&api, Algorithm::Mac, id, SystemClock.now()).unwrap();
        home.write_keys(&file).unwrap();
    }

    #[test]
    fn a_change_is_seen_at_once_if_asked_and_within_a_second_if_not() {
        let folder = tempfile::tempdir().unwrap();
        let (home, store) = opened(folder.path());
        let holds = |keys: &Keys, id| keys.file.public_view().proof.iter().any(|key| key.id == id);
        let first = store.current();
        assert!(Arc::ptr_eq(&first, &store.newest()), "nothing changed, nothing is read");
        add(&home, "new");
        assert!(holds(&store.newest(), "new"));
        assert_ne!(store.current().fingerprint, first.fingerprint);
        add(&home, "newer");
        assert!(!holds(&store.current(), "newer"), "the look before was less than a second ago");
        store.state().looked -= LOOK_EVERY;
        assert!(holds(&store.current(), "newer"));
    }

    #[test]
    fn a_broken_file_leaves_the_keys_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (home, store) = opened(folder.path());
        let good = fs::read(home.keys_path()).unwrap();
        let first = store.current();
        fs::write(home.keys_path(), b"{").unwrap();
        assert!(Arc::ptr_eq(&first, &store.newest()));
        assert!(store.state().broken);
        fs::remove_file(home.keys_path()).unwrap();
        store.state().looked -= LOOK_EVERY;
        assert!(Arc::ptr_eq(&first, &store.current()));
        fs::write(home.keys_path(), &good).unwrap();
        fs::set_permissions(home.keys_path(), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        store.state().looked -= LOOK_EVERY;
        assert!(!Arc::ptr_eq(&first, &store.current()), "it is read again");
        assert!(!store.state().broken);
    }

    #[test]
    fn a_producer_gets_the_newest_key_until_none_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (home, store) = opened(folder.path());
        add(&home, "one");
        let renew = store.renewal("api".parse().unwrap());
        let id = || renew().map(|keys| keys.key.id().to_owned());
        assert_eq!(id().as_deref(), Some("one"));
        assert!(Arc::ptr_eq(&renew().unwrap(), &renew().unwrap()));
        add(&home, "two");
        assert_eq!(id().as_deref(), Some("two"));
        let mut file = home.read_keys().unwrap();
        for id in ["one", "two"] {
            file.revoke(id, SystemClock.now()).unwrap();
        }
        home.write_keys(&file).unwrap();
        assert_eq!(id(), None);
    }
}
