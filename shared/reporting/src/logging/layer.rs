//! The one `tracing` layer: writes lines to a sink and keeps those of attempts.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use values::Clock;

use crate::attempt::{TASK_SPAN, TASK_TARGET, TaskContext};
use crate::logging::line::{Fields, Line, Reader};
use crate::logging::{LogLevel, Sink, format};
use crate::scrub::Scrubber;

/// Lines of attempts are kept down to this level even if the filter does not write them.
const KEPT_LEVEL: Level = Level::INFO;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Json,
    Pretty { colour: bool },
}

pub(crate) struct Lines {
    pub(crate) style: Style,
    pub(crate) filter: Targets,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) scrubber: Scrubber,
    pub(crate) sink: Sink,
}

impl Lines {
    fn writes(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.would_enable(metadata.target(), metadata.level())
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        is_task(metadata)
            || (metadata.is_event() && *metadata.level() <= KEPT_LEVEL)
            || self.writes(metadata)
    }

    /// Adds values to what a span carries, unless it is a task's, which carries typed ones.
    fn record<S>(&self, id: &Id, ctx: &Context<'_, S>, read: impl FnOnce(&mut Reader<'_>))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Some(span) = ctx.span(id).filter(|span| !is_task(span.metadata())) else {
            return;
        };
        let mut extensions = span.extensions_mut();
        if extensions.get_mut::<Fields>().is_none() {
            extensions.insert(Fields::default());
        }
        if let Some(fields) = extensions.get_mut::<Fields>() {
            read(&mut Reader { fields, scrubber: &self.scrubber });
        }
    }
}

fn is_task(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.name() == TASK_SPAN && metadata.target() == TASK_TARGET
}

/// Finds the attempt an event belongs to.
fn task_of<S>(event: &Event<'_>, ctx: &Context<'_, S>) -> Option<TaskContext>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    ctx.event_scope(event)?.find_map(|span| span.extensions().get::<TaskContext>().cloned())
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let written = <Targets as Layer<S>>::max_level_hint(&self.filter)?;
        Some(written.max(LevelFilter::from_level(KEPT_LEVEL)))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if !is_task(attributes.metadata()) {
            self.record(id, &ctx, |reader| attributes.record(reader));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        self.record(id, &ctx, |reader| values.record(reader));
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let writes = self.writes(event.metadata());
        let task = task_of(event, &ctx);
        if !writes && task.is_none() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut Reader { fields: &mut fields, scrubber: &self.scrubber });
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        let line = Line {
            at: self.clock.now(),
            level: LogLevel::from(*event.metadata().level()),
            target: event.metadata().target(),
            message: fields.message,
            fields: fields.values,
        };
        if let Some(task) = &task {
            task.log.keep(&line);
        }
        if writes {
            (self.sink)(&match self.style {
                Style::Json => format::json(&line, task.as_ref()),
                Style::Pretty { colour } => format::pretty(&line, task.as_ref(), colour),
            });
        }
    }
}
