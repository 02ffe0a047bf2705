//! The figures of a scenario as a table: a line for each figure, this project first, then its
//! target, then the baselines.

use std::io::Write;

use crate::sim::metric::Metric;
use crate::sim::policy::Policy;
use crate::sim::summary::Row;

/// Prints the figures of one scenario: all, or those that have a target.
pub(crate) fn print(rows: &[Row], only_targets: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let policies: Vec<Policy> = Policy::ALL
        .into_iter()
        .filter(|policy| rows.iter().any(|row| row.policy == *policy))
        .collect();
    let mut lines: Vec<(&str, Metric)> = Vec::new();
    for row in rows.iter().filter(|row| row.target.is_some() || !only_targets) {
        if !lines.contains(&(&row.case, row.metric)) {
            lines.push((&row.case, row.metric));
        }
    }
    let Some(first) = rows.first() else { return Ok(()) };
    write!(out, "{:<42}{:>13}{:>7}", first.name, "target", "met")?;
    for policy in &policies {
        write!(out, "{:>13}", policy.name())?;
    }
    writeln!(out)?;
    for (case, metric) in lines {
        let of = |policy: Policy| {
            let is_it = |row: &&Row| (&*row.case, row.metric, row.policy) == (case, metric, policy);
            rows.iter().find(is_it)
        };
        let own = of(Policy::RoverLink);
        let target = own.and_then(|row| row.target);
        let met = own.and_then(|row| row.met).map_or("", |met| if met { "yes" } else { "NO" });
        let target = target.map(|target| text(metric, Some(target))).unwrap_or_default();
        let what = format!("{case} {}", metric.name());
        write!(out, "  {what:<40}{target:>13}{met:>7}")?;
        for policy in &policies {
            write!(out, "{:>13}", text(metric, of(*policy).and_then(|row| row.value)))?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}

fn text(metric: Metric, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match metric.unit() {
        "s" if value < 10.0 => format!("{:.1} ms", value * 1e3),
        "s" => format!("{value:.2} s"),
        "ratio" => format!("{:.2} %", value * 1e2),
        "B" | "B/s" => format!("{:.1} kB", value / 1e3) + metric.unit().trim_start_matches('B'),
        _ => format!("{value}"),
    }
}
