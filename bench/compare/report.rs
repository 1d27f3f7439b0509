//! The tables and the plot.

use crate::limits::Limit;
use crate::scale::Scale;
use crate::works::{Target, Work};

/// What was measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    work: &'static Work,
    ours: f64,
    original: f64,
    /// Sorted, ours to the original's.
    ratios: Vec<f64>,
}

impl Row {
    fn is_met(&self) -> &'static str {
        let is_met = match self.work.target {
            Target::AtLeast(ratio) => median(&self.ratios) >= ratio,
            Target::AtMost(ratio) => median(&self.ratios) <= ratio,
            Target::Ours(most) => self.ours <= most,
            Target::Open => return "",
        };
        if is_met { "yes" } else { "no" }
    }

    fn target(&self) -> String {
        match self.work.target {
            Target::AtLeast(ratio) => format!(">= {ratio}"),
            Target::AtMost(ratio) => format!("<= {ratio}"),
            Target::Ours(most) => format!("ours <= {}", self.work.unit.show(most)),
            Target::Open => String::new(),
        }
    }

    /// How many times better ours is.
    fn factor(&self) -> f64 {
        match self.work.target {
            Target::AtLeast(_) | Target::Open => median(&self.ratios),
            Target::AtMost(_) | Target::Ours(_) => 1.0 / median(&self.ratios),
        }
    }
}

/// The middle one of sorted numbers.
fn median(numbers: &[f64]) -> f64 {
    numbers[numbers.len() / 2]
}

/// The middle one of numbers.
pub(crate) fn median_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    median(&numbers)
}

impl Report {
    /// Adds one work: the numbers of each round, ours and the original's.
    pub(crate) fn add(&mut self, work: &'static Work, rounds: &[(f64, f64)]) {
        let mut ratios: Vec<f64> = rounds.iter().map(|(ours, its)| ours / its).collect();
        ratios.sort_by(f64::total_cmp);
        self.rows.push(Row {
            work,
            ours: median_of(rounds.iter().map(|round| round.0).collect()),
            original: median_of(rounds.iter().map(|round| round.1).collect()),
            ratios,
        });
    }

    /// Prints the works, as a table in Markdown.
    pub(crate) fn print(&self) {
        println!("\n| Work | Ours | Original | Ratio, median | Lowest to highest | Target | Met |");
        println!("|---|---|---|---|---|---|---|");
        for row in &self.rows {
            let show = |number| row.work.unit.show(number);
            println!(
                "| {} | {} | {} | {:.2} | {:.2} to {:.2} | {} | {} |",
                row.work.name,
                show(row.ours),
                show(row.original),
                median(&row.ratios),
                row.ratios[0],
                row.ratios[row.ratios.len() - 1],
                row.target(),
                row.is_met(),
            );
        }
    }

    /// Prints one bare limit, as a row of a table.
    pub(crate) fn print_limit(&self, limit: &Limit, number: f64) {
        let bounded = limit.bounds.and_then(|name| {
            let row = self.rows.iter().find(|row| row.work.name == name)?;
            let show = |number| limit.unit.show(number);
            Some(format!(
                "{name}: {}, original {}",
                show(row.ours),
                show(row.original)
            ))
        });
        let bounded = bounded.unwrap_or_default();
        println!(
            "| {} | {} | {bounded} |",
            limit.name,
            limit.unit.show(number)
        );
    }

    /// The medians as bars, as SVG: each bar is how many times better ours is.
    pub(crate) fn plot(&self) -> String {
        const LINE: usize = 26;
        let height = LINE * self.rows.len() + 40;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"20\">times better than the original (1 is equal; logarithmic)</text>\n"
        );
        for (index, row) in self.rows.iter().enumerate() {
            let factor = row.factor();
            // 40 times fills the width.
            let width = (factor.max(1.0).log2() / 40_f64.log2() * 320.0).min(320.0);
            let y = 34 + index * LINE;
            let name = row.work.name.replace('<', "&lt;");
            svg += &format!(
                "<text x=\"360\" y=\"{}\" text-anchor=\"end\">{name}</text>\n\
                 <rect x=\"370\" y=\"{y}\" width=\"{width:.0}\" height=\"18\" fill=\"#4477aa\"/>\n\
                 <text x=\"{:.0}\" y=\"{}\">{factor:.1}</text>\n",
                y + 14,
                width + 376.0,
                y + 14
            );
        }
        svg + "</svg>\n"
    }
}

/// The first line of the table of bare limits.
pub(crate) const LIMITS_HEAD: &str =
    "\n| Bare limit | It reaches | Of the same kind |\n|---|---|---|";

/// Prints what was measured at sizes, as tables in Markdown; `numbers` has for each size those of each row, ours and the
/// original's.
pub(crate) fn print_scale(scale: &Scale, numbers: &[(Vec<f64>, Vec<f64>)]) {
    for (index, (name, unit)) in scale.rows.iter().enumerate() {
        let row = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
        let sizes = scale.sizes.iter().map(u32::to_string);
        println!();
        row([(*name).to_owned()].into_iter().chain(sizes).collect());
        println!("|---|{}", "---|".repeat(scale.sizes.len()));
        let ours = numbers.iter().map(|pair| unit.show(pair.0[index]));
        row(["ours".to_owned()].into_iter().chain(ours).collect());
        let its = numbers.iter().map(|pair| unit.show(pair.1[index]));
        row(["original".to_owned()].into_iter().chain(its).collect());
    }
}
