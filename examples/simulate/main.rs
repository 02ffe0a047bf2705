//! Plays scenarios in virtual time and prints what came out, beside the targets and the baselines:
//! `cargo run --release --example simulate -- tests/scenarios/*.toml --seeds 20`.

#[path = "../../tests/sim/mod.rs"]
mod sim;

mod plot;
mod table;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};

use sim::outcome::Outcome;
use sim::policy::Policy;
use sim::scenario::Scenario;
use sim::summary::{Row, summarize};

/// Plays scenarios of what happens to a link, in virtual time, and measures what the link makes
/// of it.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// Scenario files; their format is described in tests/scenarios/README.md
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Runs of each scenario, unless it asks for fewer itself
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Plays each scenario for so long instead of as long as it says, s
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    duration: Option<Duration>,
    /// Writes all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws delay and chosen path over time, of the first seed, into this directory
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// Plays only these [default: rover_link and the baselines that the scenario names]
    #[arg(long, value_delimiter = ',', value_enum)]
    policy: Vec<PolicyName>,
    /// Runs that go on at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Prints only the figures that have a target
    #[arg(long)]
    targets: bool,
    /// Fails if a target is missed
    #[arg(long)]
    check: bool,
}

/// A policy, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum PolicyName {
    RoverLink,
    #[value(name = "str0m")]
    Str0m,
    IceFast,
    IceRestart,
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::RoverLink => Self::RoverLink,
            PolicyName::Str0m => Self::Str0m,
            PolicyName::IceFast => Self::IceFast,
            PolicyName::IceRestart => Self::IceRestart,
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    env_logger::init();
    let arguments = Arguments::parse();
    // The message of a scenario's error names its source already.
    let mut scenarios = arguments
        .files
        .iter()
        .map(|file| Scenario::read(file).map_err(|error| anyhow::anyhow!("{error}")))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(duration) = arguments.duration {
        scenarios.iter_mut().for_each(|scenario| scenario.duration = duration);
    }
    if let Some(directory) = &arguments.plot {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut rows: Vec<Row> = Vec::new();
    for scenario in &scenarios {
        let mut of_scenario = Vec::new();
        for policy in policies(&arguments, scenario) {
            let outcomes = play(scenario, policy, &arguments);
            of_scenario.extend(summarize(scenario, policy, &outcomes));
            if let (Some(directory), Some(first)) = (&arguments.plot, outcomes.first()) {
                let file = directory.join(format!("{}-{}.svg", scenario.name, policy.name()));
                std::fs::write(&file, plot::draw(scenario, policy, first))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
        table::print(&of_scenario, arguments.targets)?;
        rows.extend(of_scenario);
    }
    if let Some(path) = &arguments.json {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer_pretty(file, &rows)?;
    }
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    let judged = rows.iter().filter(|row| row.met.is_some()).count();
    eprintln!("{} of {judged} targets are met", judged - missed);
    Ok(if arguments.check && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn policies(arguments: &Arguments, scenario: &Scenario) -> Vec<Policy> {
    if !arguments.policy.is_empty() {
        return arguments.policy.iter().map(|name| Policy::from(*name)).collect();
    }
    [Policy::RoverLink].into_iter().chain(scenario.baselines.iter().copied()).collect()
}

/// Plays a scenario with each seed; several at the same time.
fn play(scenario: &Scenario, policy: Policy, arguments: &Arguments) -> Vec<Outcome> {
    let seeds = arguments.seeds.min(scenario.seeds.unwrap_or(u64::MAX));
    let next = AtomicU64::new(0);
    let worker = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return outcomes;
            }
            outcomes.push((seed, sim::world::run(scenario, policy, seed)));
            eprint!("\r{} {}: seed {} of {seeds}  ", scenario.name, policy.name(), seed + 1);
        }
    };
    let mut outcomes = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.min(seeds)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a run does not panic"))
            .collect::<Vec<_>>()
    });
    eprint!("\r\x1b[K");
    outcomes.sort_unstable_by_key(|(seed, _)| *seed);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
