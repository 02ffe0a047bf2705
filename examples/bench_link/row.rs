//! The figures, as `scripts/bench.py` takes them and as people read them.

use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) case: String,
    /// What was measured: `rover_link`, `str0m`, or one as a multiple of the other.
    pub(crate) policy: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A figure without a target.
    pub(crate) fn new(
        name: &'static str,
        case: String,
        policy: &'static str,
        metric: &'static str,
        value: f64,
        unit: &'static str,
    ) -> Self {
        Self { name, case, policy, metric, value, unit, target: None, met: None }
    }

    /// It has to be so much at least.
    pub(crate) fn at_least(self, target: f64) -> Self {
        let met = Some(self.value >= target);
        Self { target: Some(target), met, ..self }
    }

    /// It may be so much at most.
    pub(crate) fn at_most(self, target: f64) -> Self {
        let met = Some(self.value <= target);
        Self { target: Some(target), met, ..self }
    }
}

/// Prints all figures to standard output, one JSON object a line, and as a table to standard error.
pub(crate) fn print(rows: &[Row]) -> anyhow::Result<()> {
    for row in rows {
        println!("{}", serde_json::to_string(row)?);
        let target = row.target.map(|target| format!("{target:.2}")).unwrap_or_default();
        let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
        let (value, unit) = readable(row.value, row.unit);
        let Row { name, case, policy, metric, .. } = row;
        eprintln!(
            "{name:<11}{case:<26}{policy:<18}{metric:<15}{value:>9.2} {unit:<6}{target:>6}{met:>5}"
        );
    }
    Ok(())
}

fn readable(value: f64, unit: &str) -> (f64, String) {
    match unit {
        "s/MB" => (value * 1e3, "ms/MB".to_owned()),
        "B" | "B/s" => (value / 1e6, format!("M{unit}")),
        "1" => (value, String::new()),
        _ => (value, unit.to_owned()),
    }
}

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}
