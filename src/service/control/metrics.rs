//! The counters as Prometheus takes them, in its text format 0.0.4, with the last line that OpenMetrics wants.
//!
//! OpenMetrics 1.0 would have a counter's type under its name without `_total`, which `promtool check metrics` calls a metric
//! without help. Prometheus reads this form in either way.

use std::fmt::Display;
use std::fmt::Write as _;

use super::view::{View, seconds};

/// Metrics that are being written.
#[derive(Default)]
struct Metrics(String);

/// The metrics of a service.
pub(super) fn metrics(view: &View) -> String {
    let counts = &view.counts;
    let mut metrics = Metrics::default();
    metrics.gauge(
        "ucspi_open_connections",
        "Connections that are open.",
        view.open,
    );
    metrics.gauge(
        "ucspi_limit_connections",
        "Connections that may be open.",
        view.limit,
    );
    metrics.gauge(
        "ucspi_sources",
        "Sources that are remembered.",
        view.sources,
    );
    metrics.gauge(
        "ucspi_bans",
        "Prefixes that are banned by tcpctl.",
        view.bans.len(),
    );
    metrics.gauge(
        "ucspi_uptime_seconds",
        "Time since the server began.",
        seconds(view.age),
    );
    metrics.counter(
        "ucspi_accepted_total",
        "Connections that were accepted.",
        counts.accepted,
    );
    metrics.counter(
        "ucspi_served_total",
        "Connections that were let in.",
        counts.served,
    );
    metrics.counter(
        "ucspi_ended_total",
        "Connections that were served to their end.",
        counts.ended,
    );
    metrics.counter(
        "ucspi_failed_total",
        "Connections that ended otherwise than with exit code 0.",
        counts.failed,
    );
    metrics.counter(
        "ucspi_dropped_total",
        "Connections that were given up because of what the system said.",
        counts.dropped,
    );
    metrics.counter(
        "ucspi_program_cpu_seconds_total",
        "Processor time of programs that have ended.",
        seconds(counts.cpu),
    );
    metrics.head(
        "ucspi_refused_total",
        "counter",
        "Connections that were refused, by reason.",
    );
    for (reason, count) in view.refused() {
        metrics.sample(
            &format!("ucspi_refused_total{{reason=\"{reason}\"}}"),
            count,
        );
    }
    metrics.0.push_str("# EOF\n");
    metrics.0
}

impl Metrics {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, value);
    }
}
