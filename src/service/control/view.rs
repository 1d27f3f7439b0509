//! The state of a service, as it is printed: text for people, JSON for programs. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::Json;
use crate::service::list::Row;
use crate::service::sources::{Ban, Seen};
use crate::service::tally::{Counts, Reason, SPAN, Span};

/// All that can be told of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The program's name.
    pub(super) name: &'static str,
    /// Its process.
    pub(super) pid: i32,
    /// Where it listens.
    pub(super) address: String,
    /// How long it has run.
    pub(super) age: Duration,
    /// Connections that are open, and how many may be.
    pub(super) open: u32,
    pub(super) limit: u32,
    pub(super) counts: Counts,
    /// The last ten minutes.
    pub(super) spans: Vec<Span>,
    /// Connections that are open, the oldest first; perhaps not all.
    pub(super) rows: Vec<Row>,
    /// Sources of most interest.
    pub(super) top: Vec<Seen>,
    /// How many sources are known.
    pub(super) sources: usize,
    pub(super) bans: Vec<Ban>,
}

impl View {
    /// `status` for people.
    pub(super) fn status(&self) -> String {
        let Self {
            name,
            pid,
            address,
            age,
            open,
            limit,
            sources,
            ..
        } = self;
        let mut text = format!(
            "{name}, process {pid}, serves {address} for {}\n{open} of {limit} connections, {sources} sources known\n",
            span(*age)
        );
        for Ban { prefix, left } in &self.bans {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "banned: {prefix} for {}", span(*left));
        }
        text
    }

    /// `status` for programs.
    pub(super) fn status_json(&self) -> Json {
        let bans = self.bans.iter().map(|ban| {
            Json::default()
                .text("prefix", ban.prefix.to_string().as_bytes())
                .value("seconds", seconds(ban.left))
        });
        Json::default()
            .text("name", self.name.as_bytes())
            .value("pid", self.pid)
            .text("address", self.address.as_bytes())
            .value("seconds", seconds(self.age))
            .value("open", self.open)
            .value("limit", self.limit)
            .value("sources", self.sources)
            .list("bans", bans)
    }

    /// The counters, each with its name and its number.
    fn counters_named(&self) -> impl Iterator<Item = (String, u64)> {
        let Counts {
            accepted,
            served,
            ended,
            failed,
            dropped,
            ..
        } = self.counts;
        let plain = [
            ("accepted", accepted),
            ("served", served),
            ("ended", ended),
            ("failed", failed),
            ("dropped", dropped),
        ];
        let plain = plain.map(|(name, count)| (name.to_owned(), count));
        let refused = self
            .refused()
            .map(|(word, count)| (format!("refused {word}"), count));
        plain.into_iter().chain(refused)
    }

    /// Refusals, each with the word for its reason.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = Reason::ALL.map(Reason::word);
        words.into_iter().zip(self.counts.refused)
    }

    /// `counters` for people.
    pub(super) fn counters(&self) -> String {
        let lines = self
            .counters_named()
            .map(|(name, count)| format!("{name} {count}\n"));
        let mut text: String = lines.collect();
        let _ = writeln!(text, "cpu {} s", seconds(self.counts.cpu));
        text
    }

    /// `counters` for programs.
    pub(super) fn counters_json(&self) -> Json {
        let Counts {
            accepted,
            served,
            ended,
            failed,
            dropped,
            cpu,
            ..
        } = self.counts;
        let by_reason = self.refused();
        let refused = by_reason.fold(Json::default(), |json, (word, count)| {
            json.value(word, count)
        });
        Json::default()
            .value("accepted", accepted)
            .value("served", served)
            .value("ended", ended)
            .value("failed", failed)
            .value("dropped", dropped)
            .value("refused", refused.done())
            .value("cpu_ms", cpu.as_millis())
    }

    /// `list` for people.
    pub(super) fn list(&self) -> String {
        let mut table = Table::of(&["NUMBER", "AGE", "LOCAL", "REMOTE", "HOST", "INFO", "RULE"]);
        for row in &self.rows {
            let number = row.number.map(|number| number.to_string());
            let text = |text: &Option<Vec<u8>>| text.as_deref().map_or("-".into(), printable);
            table.row([
                number.unwrap_or("-".into()),
                span(row.arrived.elapsed()),
                row.local.clone().unwrap_or("-".into()),
                row.remote.clone(),
                text(&row.host),
                text(&row.info),
                text(&row.rule),
            ]);
        }
        let mut text = table.text();
        let left = (self.open as usize).saturating_sub(self.rows.len());
        if left > 0 {
            let _ = writeln!(text, "and {left} more");
        }
        text
    }

    /// `list` for programs.
    pub(super) fn list_json(&self) -> impl Iterator<Item = Json> {
        self.rows.iter().map(|row| {
            Json::default()
                .number("number", row.number)
                .value("ms", row.arrived.elapsed().as_millis())
                .known("local", row.local.as_ref().map(String::as_bytes))
                .text("remote", row.remote.as_bytes())
                .known("host", row.host.as_deref())
                .known("info", row.info.as_deref())
                .known("rule", row.rule.as_deref())
        })
    }

    /// `top` for people.
    pub(super) fn top(&self) -> String {
        let mut table = Table::of(&["SOURCE", "OPEN", "SERVED", "REFUSED", "PENALTY"]);
        for seen in &self.top {
            table.row([
                seen.prefix.to_string(),
                seen.open.to_string(),
                seen.entered.to_string(),
                seen.refused.to_string(),
                format!("{:.1}", seen.penalty),
            ]);
        }
        table.text()
    }

    /// `top` for programs.
    pub(super) fn top_json(&self) -> impl Iterator<Item = Json> {
        self.top.iter().map(|seen| {
            Json::default()
                .text("source", seen.prefix.to_string().as_bytes())
                .value("open", seen.open)
                .value("served", seen.entered)
                .value("refused", seen.refused)
                .value("penalty", format_args!("{:.3}", seen.penalty))
        })
    }

    /// Everything, for programs.
    pub(super) fn overview(&self) -> Json {
        let history = self.spans.iter().map(|span| {
            Json::default()
                .value("served", span.served)
                .value("refused", span.refused)
        });
        Json::default()
            .value("status", self.status_json().done())
            .value("counters", self.counters_json().done())
            .list("connections", self.list_json())
            .list("top", self.top_json())
            .value("span_seconds", SPAN.as_secs())
            .list("history", history)
    }
}

/// Rows of words, each column as wide as its widest.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn of(head: &[&str]) -> Self {
        let head = head.iter().map(|&word| word.to_owned()).collect();
        Self { rows: vec![head] }
    }

    fn row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    fn text(&self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let words = row
                .iter()
                .zip(&widths)
                .map(|(word, width)| format!("{word:<width$}"));
            let line = words.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Foreign bytes for a terminal: what could steer it, or look like two words, is a question mark; and not too many.
fn printable(text: &[u8]) -> String {
    const LONGEST: usize = 64;
    let clean = |&byte: &u8| {
        if byte.is_ascii_graphic() {
            char::from(byte)
        } else {
            '?'
        }
    };
    text.iter().take(LONGEST).map(clean).collect()
}

/// A time for people: `1 d 2 h`, `3 h 4 min`, `5 min 6 s`, `7.8 s`.
pub(super) fn span(time: Duration) -> String {
    let all = time.as_secs();
    let (days, hours, minutes, seconds) = (all / 86_400, all / 3600 % 24, all / 60 % 60, all % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A time for programs.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}
