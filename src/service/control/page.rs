//! The state of a service as one page for a browser: nothing is loaded from elsewhere, and nothing needs a script.

use std::fmt::Write as _;

use super::view::{View, span};
use crate::service::tally::{SPAN, Span};

/// The page.
pub(super) fn page(view: &View) -> String {
    let mut page = Page(HEAD.replace("NAME", &escaped(view.name.as_bytes())));
    page.head(view);
    page.picture(&view.spans);
    page.refusals(view);
    page.sources(view);
    page.bans(view);
    page.connections(view);
    page.0.push_str("</main>\n");
    page.0
}

/// The page's beginning. It asks for itself again every ten seconds.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="10">
<title>NAME</title>
<style>
:root { --paper: #fbfaf7; --ink: #1d2327; --soft: #5d666d; --line: #dcd9d0; --good: #2f6f9f; --bad: #b4472f; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16191c; --ink: #e5e3dd; --soft: #99a1a7; --line: #343a3f; --good: #6fb1de; --bad: #e88a6d; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; color: var(--soft); }
.open { display: flex; align-items: baseline; gap: .5rem; margin-top: 1rem; }
.open b { font-size: 2.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
meter { width: 100%; height: .75rem; }
figure { margin: 0; }
svg { display: block; width: 100%; height: 8rem; border-bottom: 1px solid var(--line); }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; color: var(--soft); font-size: .85rem; }
.served { fill: var(--good); color: var(--good); }
.refused { fill: var(--bad); color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number, th.number { text-align: right; }
th:last-child, td:last-child { padding-right: 0; }
</style>
<main>
"#;

/// A page that is being written. Whatever is foreign goes through [`escaped`].
struct Page(String);

impl Page {
    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(text);
    }

    fn head(&mut self, view: &View) {
        let View {
            name,
            address,
            pid,
            open,
            limit,
            ..
        } = view;
        let [name, address] = [name, address.as_str()].map(|text| escaped(text.as_bytes()));
        let age = span(view.age);
        self.add(format_args!(
            "<h1>{name} at {address}</h1>\n<p>process {pid}, for {age}</p>\n\
             <div class=\"open\"><b>{open}</b> of {limit} connections</div>\n\
             <meter min=\"0\" max=\"{limit}\" high=\"{high}\" value=\"{open}\">{open} of {limit}</meter>\n",
            high = u64::from(*limit) * 9 / 10,
        ));
    }

    /// Bars, one a span, the served below the refused.
    fn picture(&mut self, spans: &[Span]) {
        let most = spans.iter().map(|span| span.served + span.refused).max();
        let most = most.unwrap_or(0).max(1);
        let (served, refused) = spans.iter().fold((0, 0), |(served, refused), span| {
            (served + span.served, refused + span.refused)
        });
        let minutes = SPAN.as_secs() * spans.len() as u64 / 60;
        self.add(format_args!(
            "<h2>The last {minutes} minutes</h2>\n<figure>\n\
             <svg viewBox=\"0 0 {width} 100\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{served} connections served, {refused} refused in {minutes} minutes\">\n",
            width = spans.len() * 10
        ));
        for (place, span) in spans.iter().enumerate() {
            let height = |count: u64| count * 1000 / most;
            let mut bar = |class, from: u64, count: u64| {
                if count > 0 {
                    let (tall, top) =
                        (height(count), 1000_u64.saturating_sub(height(from + count)));
                    self.add(format_args!(
                        "<rect class=\"{class}\" x=\"{}\" y=\"{}.{}\" width=\"8\" height=\"{}.{}\"/>\n",
                        place * 10 + 1, top / 10, top % 10, tall / 10, tall % 10
                    ));
                }
            };
            bar("served", 0, span.served);
            bar("refused", span.served, span.refused);
        }
        self.add(format_args!(
            "</svg>\n<figcaption><span><b class=\"served\">{served} served</b>, \
             <b class=\"refused\">{refused} refused</b></span> \
             <span>at most {most} in {} seconds</span></figcaption>\n</figure>\n",
            SPAN.as_secs()
        ));
    }

    fn refusals(&mut self, view: &View) {
        let counts = &view.counts;
        self.heading("Since the beginning");
        let numbers = [
            ("accepted", counts.accepted),
            ("served", counts.served),
            ("failed", counts.failed),
            ("dropped", counts.dropped),
        ];
        let refused = view
            .refused()
            .map(|(word, count)| (format!("refused: {word}"), count));
        let numbers = numbers.map(|(word, count)| (word.to_owned(), count));
        let rows = numbers
            .into_iter()
            .chain(refused)
            .map(|(word, count)| [word, count.to_string()]);
        self.table(&["connections", "#number"], rows);
    }

    fn sources(&mut self, view: &View) {
        self.heading("Sources");
        self.add(format_args!(
            "<p>{} are known; penalties are in seconds</p>\n",
            view.sources
        ));
        let rows = view.top.iter().map(|seen| {
            [
                seen.prefix.to_string(),
                seen.open.to_string(),
                seen.entered.to_string(),
                seen.refused.to_string(),
                format!("{:.1}", seen.penalty),
            ]
        });
        self.table(
            &["source", "#open", "#served", "#refused", "#penalty"],
            rows,
        );
    }

    fn bans(&mut self, view: &View) {
        if view.bans.is_empty() {
            return;
        }
        self.heading("Banned");
        let rows = view
            .bans
            .iter()
            .map(|ban| [ban.prefix.to_string(), span(ban.left)]);
        self.table(&["prefix", "#still"], rows);
    }

    fn connections(&mut self, view: &View) {
        self.heading("Open connections");
        if view.open == 0 {
            return self.add(format_args!("<p>none</p>\n"));
        }
        let known = |text: &Option<Vec<u8>>| text.as_deref().map(escaped).unwrap_or_default();
        let rows = view.rows.iter().map(|row| {
            [
                escaped(row.remote.as_bytes()),
                known(&row.host),
                known(&row.info),
                known(&row.rule),
                span(row.arrived.elapsed()),
                row.number
                    .map(|number| number.to_string())
                    .unwrap_or_default(),
            ]
        });
        self.table(
            &["remote", "name", "ident", "rule", "#for", "#process"],
            rows,
        );
        let left = (view.open as usize).saturating_sub(view.rows.len());
        if left > 0 {
            self.add(format_args!("<p>and {left} more</p>\n"));
        }
    }

    fn heading(&mut self, text: &str) {
        self.add(format_args!("<h2>{text}</h2>\n"));
    }

    /// A table; a column whose title begins with `#` is of numbers. The words in `rows` are HTML already.
    fn table<const N: usize>(&mut self, head: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
        let class = |title: &str| {
            if title.starts_with('#') {
                " class=\"number\""
            } else {
                ""
            }
        };
        self.add(format_args!("<div class=\"wide\"><table>\n<tr>"));
        for title in head {
            self.add(format_args!(
                "<th{}>{}</th>",
                class(title),
                title.trim_start_matches('#')
            ));
        }
        for row in rows {
            self.add(format_args!("</tr>\n<tr>"));
            for (title, word) in head.iter().zip(row) {
                self.add(format_args!("<td{}>{word}</td>", class(title)));
            }
        }
        self.add(format_args!("</tr>\n</table></div>\n"));
    }
}

/// Foreign bytes as HTML: no tag, no entity, no control byte.
fn escaped(text: &[u8]) -> String {
    let mut html = String::new();
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            c if c.is_control() => html.push('?'),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{View, page};
    use crate::service::list::Row;
    use crate::service::tally::Span;

    #[test]
    fn foreign_bytes_make_no_tag() {
        let nasty = Some(b"<script>\"&'\x00\xff</script>".to_vec());
        let row = Row {
            arrived: Instant::now(),
            number: Some(1),
            remote: "192.0.2.1:7".to_owned(),
            local: None,
            host: nasty.clone(),
            info: nasty.clone(),
            rule: nasty,
        };
        let page = page(&View {
            rows: vec![row],
            open: 1,
            ..View::default()
        });
        assert!(
            page.contains("&lt;script&gt;&quot;&amp;'?\u{fffd}&lt;/script&gt;"),
            "{page}"
        );
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn bars_stay_inside_the_picture() {
        let span = |served, refused| Span { served, refused };
        let spans = vec![span(0, 0), span(3, 1), span(0, 7), span(1_000_000, 999_999)];
        let page = page(&View {
            spans,
            ..View::default()
        });
        let heights = page.lines().filter(|line| line.starts_with("<rect"));
        for rect in heights {
            let number = |name: &str| -> f64 {
                let (_, rest) = rect.split_once(&format!(" {name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            };
            assert!(
                number("y") >= 0.0 && number("y") + number("height") <= 100.1,
                "{rect}"
            );
        }
    }
}
