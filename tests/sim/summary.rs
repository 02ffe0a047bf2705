//! Many runs of one scenario in figures, each beside its target.

use serde::Serialize;

use super::metric::Metric;
use super::outcome::{ClassOutcome, Outcome};
use super::policy::Policy;
use super::scenario::{Publisher, Scenario};

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    /// The scenario.
    pub(crate) name: String,
    /// What was measured within it: a class of messages, a path, or `run`.
    pub(crate) case: String,
    pub(crate) policy: Policy,
    pub(crate) metric: Metric,
    /// `None` if it could not be measured.
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    /// Only this project has targets.
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
}

/// The figures of the runs of one scenario.
pub(crate) fn summarize(scenario: &Scenario, policy: Policy, outcomes: &[Outcome]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |case: &str, metric: Metric, value: Option<f64>, target: Option<&f64>| {
        let target = target.copied().filter(|_| policy == Policy::RoverLink);
        rows.push(Row {
            name: scenario.name.clone(),
            case: case.to_owned(),
            policy,
            metric,
            value,
            unit: metric.unit(),
            target,
            met: target.map(|target| value.is_some_and(|value| metric.is_met(value, target))),
        });
    };
    for (index, sample) in outcomes.first().map_or(&[][..], |of| &of.classes).iter().enumerate() {
        let traffic = &scenario.traffic[sample.class];
        let case = case(&traffic.name, traffic.from, sample.from);
        let targets = scenario.targets.classes.get(&traffic.name);
        let runs: Vec<_> = outcomes.iter().map(|outcome| &outcome.classes[index]).collect();
        let capacity = scenario.paths.first().map_or(0.0, |path| path.conditions.rate);
        for (metric, value) in class_figures(&runs, capacity) {
            let target = targets.and_then(|targets| targets.get(&metric));
            if target.is_some() || !is_shown_on_demand(metric) || traffic.rate <= 0.0 {
                add(&case, metric, value, target);
            }
        }
    }
    for (index, sample) in outcomes.first().map_or(&[][..], |of| &of.flows).iter().enumerate() {
        let tcp = &scenario.tcp[sample.tcp];
        let case = case(&tcp.name, tcp.from, sample.from);
        let targets = scenario.targets.classes.get(&tcp.name);
        let path = scenario.path_index(&tcp.path).map(|path| &scenario.paths[path]);
        let capacity = path.map_or(0.0, |path| path.conditions.rate);
        let runs = outcomes.iter().map(|outcome| outcome.flows[index].goodput).collect();
        for (metric, value) in goodput_figures(runs, capacity) {
            add(&case, metric, value, targets.and_then(|targets| targets.get(&metric)));
        }
    }
    for (metric, value) in run_figures(scenario, outcomes) {
        add("run", metric, value, scenario.targets.run.get(&metric));
    }
    for (index, sample) in outcomes.first().map_or(&[][..], |of| &of.paths).iter().enumerate() {
        let case = format!("{} {}", scenario.paths[sample.path].name, direction(sample.from));
        let bytes = outcomes.iter().map(|outcome| outcome.paths[index].bytes as f64);
        add(&case, Metric::Bytes, percentile(bytes.collect(), 0.99), None);
    }
    rows
}

/// Figures that say something only where messages go as fast as they can, or where asked for.
fn is_shown_on_demand(metric: Metric) -> bool {
    metric.is_goodput() || metric == Metric::LostRatio
}

fn class_figures(runs: &[&ClassOutcome], capacity: f64) -> Vec<(Metric, Option<f64>)> {
    let each = |of: fn(&ClassOutcome) -> f64| runs.iter().map(|run| of(run)).collect::<Vec<_>>();
    let gaps = each(|run| run.measured.gap.as_secs_f64());
    let mut latencies: Vec<f64> = runs
        .iter()
        .flat_map(|run| &run.measured.deliveries)
        .map(|delivery| delivery.latency.into())
        .collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let sum = |of: fn(&ClassOutcome) -> f64| each(of).into_iter().sum::<f64>();
    let lost = sum(|run| run.measured.lost as f64);
    let published = sum(|run| run.measured.published as f64);
    let mut figures = vec![
        (Metric::GapP50, percentile(gaps.clone(), 0.5)),
        (Metric::GapP95, percentile(gaps.clone(), 0.95)),
        (Metric::GapP99, percentile(gaps.clone(), 0.99)),
        (Metric::GapMax, percentile(gaps, 1.0)),
        (Metric::LatencyP50, rank(&latencies, 0.5)),
        (Metric::LatencyP99, rank(&latencies, 0.99)),
        (Metric::LatencyP999, rank(&latencies, 0.999)),
        (Metric::LatencyMax, rank(&latencies, 1.0)),
        (Metric::Lost, Some(lost)),
        (Metric::LostRatio, (published > 0.0).then(|| lost / published)),
        (Metric::Duplicates, Some(sum(|run| run.measured.duplicates as f64))),
        (Metric::Reordered, Some(sum(|run| run.measured.reordered as f64))),
        (Metric::BurstMax, percentile(each(|run| run.measured.burst as f64), 1.0)),
    ];
    figures.extend(goodput_figures(each(|run| run.measured.goodput), capacity));
    figures
}

/// What arrived per second in each run, and which part of `capacity` that is.
fn goodput_figures(runs: Vec<f64>, capacity: f64) -> [(Metric, Option<f64>); 3] {
    let ratio = |rate: Option<f64>| rate.filter(|_| capacity > 0.0).map(|rate| rate / capacity);
    let (median, most) = (percentile(runs.clone(), 0.5), percentile(runs, 1.0));
    [
        (Metric::Goodput, median),
        (Metric::GoodputRatio, ratio(median)),
        (Metric::GoodputRatioMax, ratio(most)),
    ]
}

fn run_figures(scenario: &Scenario, outcomes: &[Outcome]) -> Vec<(Metric, Option<f64>)> {
    let setup = outcomes.iter().map(|of| of.setup.map(|setup| setup.as_secs_f64()));
    let switches = outcomes.iter().map(|of| of.switches as f64);
    let extra = outcomes.iter().map(|of| of.extra_bytes);
    let metered = outcomes.iter().map(|of| {
        let paths = of.paths.iter().filter(|of| scenario.paths[of.path].metered);
        paths.map(|of| of.bytes as f64).sum()
    });
    let reaction = outcomes.iter().map(|of| of.reaction.map(|time| time.as_secs_f64()));
    vec![
        (Metric::Setup, setup.collect::<Option<_>>().and_then(|all| percentile(all, 0.99))),
        (Metric::Switches, percentile(switches.collect(), 0.99)),
        (Metric::Reaction, reaction.collect::<Option<_>>().and_then(|all| percentile(all, 0.99))),
        (Metric::ExtraBytes, extra.collect::<Option<_>>().and_then(|all| percentile(all, 0.99))),
        (Metric::MeteredBytes, percentile(metered.collect(), 0.99)),
    ]
}

/// What was measured: with the direction, where there is more than one.
fn case(name: &str, from: Publisher, rover: usize) -> String {
    match from {
        Publisher::A | Publisher::B => name.to_owned(),
        Publisher::Both => format!("{name} {}", direction(rover)),
    }
}

/// From which rover to which.
fn direction(from: usize) -> &'static str {
    if from == 0 { "a_to_b" } else { "b_to_a" }
}

fn percentile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    rank(&values, part)
}

/// The smallest of the sorted values that so large a part does not exceed.
fn rank(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.99), Some(198.0));
        assert_eq!(percentile(values.clone(), 0.5), Some(100.0));
        assert_eq!(percentile(values, 1.0), Some(200.0));
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 0.99), Some(3.0));
        assert_eq!(percentile(Vec::new(), 0.99), None);
    }
}
