//! How much each link carries over loopback, and for how much CPU.

use clap::Args;

use super::ends::{End, pair};
use super::progress::{Figures, Timing};
use super::row::{Row, median, print};
use super::{Link, Role, start_signaling};

/// Goodput, as a multiple of str0m's, at least; CPU for a megabyte, at most.
const GOODPUT_TARGET: f64 = 0.9;
const CPU_TARGET: f64 = 1.2;

const MEGABYTE: f64 = 1e6;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Runs of each size and link, of which the medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Sizes of messages: bytes, KiB or MiB
    #[arg(long, value_delimiter = ',', default_value = "1KiB,16KiB,64KiB,256KiB,1MiB,4MiB",
          value_parser = size)]
    sizes: Vec<usize>,
    /// Measures these only; ratios need both
    #[arg(long, value_delimiter = ',', default_value = "rover_link,str0m")]
    links: Vec<Link>,
    #[command(flatten)]
    timing: Timing,
}

/// Measures; prints the figures.
pub(crate) fn measure(settings: &Settings) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for size in &settings.sizes {
        let mut figures: Vec<(Link, Figures)> = Vec::new();
        for run in 0..settings.runs {
            let mut links = settings.links.clone();
            // Neither of them is always the first.
            if run % 2 == 1 {
                links.reverse();
            }
            for link in links {
                let measured = measure_once(link, *size, settings.timing)?;
                eprintln!(
                    "{} {} run {run}: {:.1} MB/s, CPU {:.2} + {:.2} ms/MB",
                    case(*size),
                    link.name(),
                    goodput(&measured) / MEGABYTE,
                    1e3 * measured.sending_cpu / (measured.bytes / MEGABYTE),
                    1e3 * measured.receiving_cpu / (measured.bytes / MEGABYTE),
                );
                figures.push((link, measured));
            }
        }
        rows.extend(summary(case(*size), &figures));
    }
    print(&rows)
}

/// One run, with two new processes.
fn measure_once(link: Link, size: usize, timing: Timing) -> anyhow::Result<Figures> {
    let (url, _server) = start_signaling()?;
    let folder = tempfile::tempdir()?;
    let start = |role: Role, input| {
        let mut arguments = vec!["end".to_owned()];
        for (name, value) in [
            ("link", link.name().to_owned()),
            ("role", role.name().to_owned()),
            ("size", size.to_string()),
            ("seconds", timing.seconds.to_string()),
            ("warm-up", timing.warm_up.to_string()),
            ("url", url.clone()),
            ("folder", folder.path().display().to_string()),
        ] {
            arguments.push(format!("--{name}={value}"));
        }
        End::start(arguments, input)
    };
    let (to_receiver, to_sender) = pair()?;
    let _receiver = start(Role::Receive, to_sender)?;
    let mut sender = start(Role::Send, to_receiver)?;
    Ok(serde_json::from_str(&sender.answer()?)?)
}

/// The figures of one size: medians of each link, and of the ratios of each pair of runs.
fn summary(case: String, figures: &[(Link, Figures)]) -> Vec<Row> {
    let of = |link: Link| figures.iter().filter(move |(of, _)| *of == link).map(|(_, of)| of);
    let mut rows = Vec::new();
    for link in [Link::RoverLink, Link::Str0m] {
        if of(link).next().is_none() {
            continue;
        }
        let row = |metric, value, unit| {
            Row::new("throughput", case.clone(), link.name(), metric, value, unit)
        };
        rows.push(row("goodput", median(of(link).map(goodput)), "B/s"));
        rows.push(row("cpu", median(of(link).map(cpu)), "s/MB"));
    }
    let pairs: Vec<_> = of(Link::RoverLink).zip(of(Link::Str0m)).collect();
    if pairs.is_empty() {
        return rows;
    }
    let ratio = |metric, of: fn(&Figures) -> f64| {
        let value = median(pairs.iter().map(|(own, bare)| of(own) / of(bare)));
        Row::new("throughput", case.clone(), "rover_link/str0m", metric, value, "1")
    };
    rows.push(ratio("goodput_ratio", goodput).at_least(GOODPUT_TARGET));
    rows.push(ratio("cpu_ratio", cpu).at_most(CPU_TARGET));
    rows
}

/// Bytes per second.
fn goodput(figures: &Figures) -> f64 {
    figures.bytes / figures.seconds
}

/// Seconds of both ends for a megabyte.
fn cpu(figures: &Figures) -> f64 {
    (figures.sending_cpu + figures.receiving_cpu) / (figures.bytes / MEGABYTE)
}

fn case(size: usize) -> String {
    let text = match size {
        mebi if mebi % (1 << 20) == 0 => format!("{} MiB", mebi >> 20),
        kibi if kibi % (1 << 10) == 0 => format!("{} KiB", kibi >> 10),
        bytes => format!("{bytes} B"),
    };
    text + " reliable"
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|of: char| !of.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        unit => return Err(format!("`{unit}` is neither B, KiB nor MiB")),
    };
    let number: usize = digits.parse().map_err(|error| format!("{error}"))?;
    match number.checked_mul(unit) {
        Some(size @ 1..=0x100_0000) => Ok(size),
        _ => Err("messages have 1 B to 16 MiB".to_owned()),
    }
}
