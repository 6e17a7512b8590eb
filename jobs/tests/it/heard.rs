//! What jobs warn of.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

/// The warnings of this thread from its making on, one line each: ` name=value` for each field.
pub(crate) struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Heard {
    pub(crate) fn from_now() -> Self {
        let lines = Arc::default();
        let ear = Ear(Arc::clone(&lines));
        let subscriber = Registry::default().with(ear);
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// What was heard since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

struct Ear(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").unwrap();
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
