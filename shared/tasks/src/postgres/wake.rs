//! Who tells whom that there may be work: within this process at once, between processes by
//! notifications, and by polling what no notification reached.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use database::{Db, DbError, Query};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Between two notifications of a process: at most 20 a second, because the server takes one lock
/// for all of them.
const BETWEEN_NOTIFICATIONS: Duration = Duration::from_millis(50);
/// How long whoever ends waits until others were told.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long a listener waits before it looks whether its store is still there.
const LISTEN: Duration = Duration::from_secs(30);
/// Before a listener connects again: at first, and at the most.
const RECONNECT: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// A connection that breaks again before this time has passed is no news.
const NEWS_AFTER: Duration = Duration::from_mins(1);
/// What the channel's name begins with; the schema follows.
const CHANNEL: &str = "mw_wake_";

/// What has happened since leases were looked for.
#[derive(Debug, Default)]
pub(super) struct News {
    /// There may be tasks.
    pub(super) tasks: bool,
    /// Some may be in an earlier place than those that were taken.
    pub(super) back: bool,
    /// Leases have ended, so that limits leave room.
    pub(super) room: bool,
}

/// Rung when there may be work.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Notify,
    tasks: AtomicBool,
    back: AtomicBool,
    room: AtomicBool,
    /// For other processes.
    told: Notify,
    /// How many times something was to be told to other processes.
    owed: AtomicU64,
    /// Up to which of these times they were told.
    paid: watch::Sender<u64>,
}

impl Bell {
    /// Tells the leases of this process.
    pub(super) fn ring(&self, news: &News) {
        self.tasks.fetch_or(news.tasks, Ordering::AcqRel);
        self.back.fetch_or(news.back, Ordering::AcqRel);
        self.room.fetch_or(news.room, Ordering::AcqRel);
        if news.tasks || news.back || news.room {
            self.rung.notify_one();
        }
    }

    /// Tells other processes that there is something for them.
    pub(super) fn tell(&self) {
        self.owed.fetch_add(1, Ordering::AcqRel);
        self.told.notify_one();
    }

    /// Waits until other processes were told of everything there is now, for at most a second.
    pub(super) async fn all_told(&self) {
        let owed = self.owed.load(Ordering::Acquire);
        let mut paid = self.paid.subscribe();
        tokio::time::timeout(TOLD_WITHIN, paid.wait_for(|paid| *paid >= owed)).await.ok();
    }

    /// Waits until it is rung, unless it was rung since the news were taken.
    pub(super) async fn wait(&self) {
        self.rung.notified().await;
    }

    pub(super) fn take(&self) -> News {
        News {
            tasks: self.tasks.swap(false, Ordering::AcqRel),
            back: self.back.swap(false, Ordering::AcqRel),
            room: self.room.swap(false, Ordering::AcqRel),
        }
    }
}

/// Tells and hears other processes; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Wire {
    db: Db,
    bell: Arc<Bell>,
    channel: String,
    notifier: JoinHandle<()>,
    /// Of a store that leases; others have nothing to listen for.
    listener: OnceLock<JoinHandle<()>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.notifier.abort();
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

impl Wire {
    pub(super) async fn open(db: &Db, bell: &Arc<Bell>) -> Result<Self, DbError> {
        let row = db.first(Query::new("SELECT current_schema()::text")).await?;
        let schema: Option<String> = row.map_or(Ok(None), |row| row.get(0))?;
        let mut channel = format!("{CHANNEL}{}", schema.unwrap_or_default());
        channel.truncate(channel.floor_char_boundary(63));
        let (db, bell) = (db.clone(), Arc::clone(bell));
        let notifier = tokio::spawn(notify(db.clone(), Arc::clone(&bell), channel.clone()));
        Ok(Self { db, bell, channel, notifier, listener: OnceLock::new() })
    }

    /// Begins to listen, if it has not begun.
    pub(super) fn listen(&self) {
        self.listener.get_or_init(|| {
            tokio::spawn(listen(self.db.clone(), Arc::clone(&self.bell), self.channel.clone()))
        });
    }
}

/// Tells other processes, in transactions of its own; one notification stands for all before it.
async fn notify(db: Db, bell: Arc<Bell>, channel: String) {
    loop {
        bell.told.notified().await;
        let owed = bell.owed.load(Ordering::Acquire);
        if let Err(error) = db.notify(&channel).await {
            tracing::debug!(error = %error, "other workers were not told; they find it by polling");
        }
        bell.paid.send_replace(owed);
        tokio::time::sleep(BETWEEN_NOTIFICATIONS).await;
    }
}

/// Hears other processes; whenever the connection breaks, it looks at once and connects again.
async fn listen(db: Db, bell: Arc<Bell>, channel: String) {
    if !db.can_listen() {
        tracing::info!("no notifications through the pooler; work of others is found by polling");
        return;
    }
    let (mut pause, mut told, mut broke) = (RECONNECT[0], false, None::<Instant>);
    loop {
        let mut listener = match db.listen(&channel).await {
            Ok(Some(listener)) => listener,
            Ok(None) => return,
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(error = %error, "cannot listen; work of others is found by polling");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECONNECT[1]);
                continue;
            }
        };
        (pause, told) = (RECONNECT[0], false);
        // What was told while nobody listened.
        bell.ring(&News { tasks: true, back: true, room: true });
        let error = loop {
            match listener.wait(LISTEN).await {
                Ok(true) => bell.ring(&News { tasks: true, back: false, room: true }),
                Ok(false) => {}
                Err(error) => break error,
            }
        };
        if broke.replace(Instant::now()).is_none_or(|before| before.elapsed() >= NEWS_AFTER) {
            tracing::warn!(error = %error, "the connection that listens for work broke");
        } else {
            tracing::debug!(error = %error, "the connection that listens for work broke again");
        }
        bell.ring(&News { tasks: true, back: true, room: true });
        tokio::time::sleep(pause).await;
    }
}
