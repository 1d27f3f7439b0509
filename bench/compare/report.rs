//! The table and the plot.

use crate::works::{Better, Work};

/// What was measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    work: &'static Work,
    low: f64,
    median: f64,
    high: f64,
}

impl Report {
    /// Adds the ratios, ours to the original's, of the rounds of one work.
    pub(crate) fn add(&mut self, work: &'static Work, mut ratios: Vec<f64>) {
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        let median = ratios[ratios.len() / 2];
        println!("{}: {median:.3} ({low:.3} to {high:.3})", work.name);
        self.rows.push(Row {
            work,
            low,
            median,
            high,
        });
    }

    /// Prints the table, as Markdown.
    pub(crate) fn print(&self) {
        println!(
            "\n| work | ours / original, median | lowest to highest | target | met |\n|---|---|---|---|---|"
        );
        for row in &self.rows {
            let (sign, met) = match row.work.better {
                Better::More => (">=", row.median >= row.work.target),
                Better::Less => ("<=", row.median <= row.work.target),
            };
            let met = if met { "yes" } else { "no" };
            let Row {
                work,
                low,
                median,
                high,
            } = row;
            println!(
                "| {} | {median:.2} | {low:.2} to {high:.2} | {sign} {} | {met} |",
                work.name, work.target
            );
        }
    }

    /// The medians as bars, as SVG: each bar is how many times better ours is.
    pub(crate) fn plot(&self) -> String {
        const LINE: usize = 26;
        let height = LINE * self.rows.len() + 40;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"20\">times better than the original (1 is equal)</text>\n"
        );
        for (index, row) in self.rows.iter().enumerate() {
            let factor = match row.work.better {
                Better::More => row.median,
                Better::Less => 1.0 / row.median,
            };
            // Logarithmic: 40 times fills the width.
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
