//! A run as a picture: the latency of each message by class, and below it the path by which each
//! rover sent, over time.

use std::fmt::Write;

use crate::sim::outcome::Outcome;
use crate::sim::policy::Policy;
use crate::sim::scenario::Scenario;

const WIDTH: f64 = 1000.0;
/// Of the part that shows latency, and of the one that shows paths.
const LATENCY_HEIGHT: f64 = 320.0;
const PATH_HEIGHT: f64 = 60.0;
const MARGIN: f64 = 60.0;

/// The latency axis is logarithmic, from here to here, s.
const SHORTEST: f64 = 1e-3;
const LONGEST: f64 = 100.0;

/// A drawing wants no more points of one class than that.
const MAX_POINTS: usize = 20_000;

const COLOURS: [&str; 6] = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"];

/// Draws a run as SVG.
pub(crate) fn draw(scenario: &Scenario, policy: Policy, outcome: &Outcome) -> String {
    let duration = scenario.duration.as_secs_f64();
    let x = |seconds: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * seconds / duration;
    let y = |latency: f64| {
        let part =
            (latency.clamp(SHORTEST, LONGEST) / SHORTEST).log10() / (LONGEST / SHORTEST).log10();
        MARGIN + LATENCY_HEIGHT * (1.0 - part)
    };
    let height = 2.0 * MARGIN + LATENCY_HEIGHT + 2.0 * PATH_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"20\" font-size=\"15\">{}, {}</text>\n",
        scenario.name,
        policy.name(),
    );
    for exponent in -3..=2 {
        let latency = 10f64.powi(exponent);
        line(&mut svg, (x(0.0), y(latency)), (x(duration), y(latency)), "#dddddd");
        text(&mut svg, (4.0, y(latency) + 4.0), "black", &format!("{latency} s"));
    }
    for tick in 0..=10 {
        let at = duration * f64::from(tick) / 10.0;
        text(&mut svg, (x(at) - 8.0, height - 20.0), "black", &format!("{at:.1}"));
    }
    for event in &scenario.events {
        let at = x(event.at.as_secs_f64());
        line(&mut svg, (at, MARGIN), (at, height - MARGIN), "#888888");
    }
    for (index, class) in outcome.classes.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let name = &scenario.traffic[class.class].name;
        let label = format!("{name} from {}", ["a", "b"][class.from]);
        text(&mut svg, (MARGIN + 160.0 * index as f64, 44.0), colour, &label);
        let deliveries = &class.measured.deliveries;
        let stride = deliveries.len().div_ceil(MAX_POINTS).max(1);
        let _ = write!(svg, "<path stroke=\"{colour}\" stroke-width=\"2\" d=\"");
        for delivery in deliveries.iter().step_by(stride) {
            let (x, y) = (x(delivery.published.into()), y(delivery.latency.into()));
            let _ = write!(svg, "M{x:.1} {y:.1}h2");
        }
        svg.push_str("\"/>\n");
    }
    for rover in 0..2 {
        let top = MARGIN + LATENCY_HEIGHT + PATH_HEIGHT * rover as f64 + 12.0;
        text(&mut svg, (4.0, top + 20.0), "black", &format!("by {}", ["a", "b"][rover]));
        let step = (PATH_HEIGHT - 16.0) / scenario.paths.len() as f64;
        for pair in outcome.samples.windows(2) {
            let Some(path) = pair[0].selected[rover] else { continue };
            if pair[1].at > scenario.duration {
                continue;
            }
            let y = top + step * (path as f64 + 0.5);
            let (from, to) = (x(pair[0].at.as_secs_f64()), x(pair[1].at.as_secs_f64()));
            line(&mut svg, (from, y), (to, y), COLOURS[path % COLOURS.len()]);
        }
        for (path, of) in scenario.paths.iter().enumerate() {
            let y = top + step * (path as f64 + 0.5) + 4.0;
            let colour = COLOURS[path % COLOURS.len()];
            text(&mut svg, (WIDTH - MARGIN + 4.0, y), colour, &of.name);
        }
    }
    for (at, note) in &outcome.notes {
        let note = note.replace('&', "&amp;").replace('<', "&lt;");
        let at = x(at.as_secs_f64());
        let _ = writeln!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#d62728\"><title>{note}</title></circle>",
            MARGIN + LATENCY_HEIGHT,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
    );
}

fn text(svg: &mut String, at: (f64, f64), colour: &str, text: &str) {
    let (x, y) = at;
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{text}</text>");
}
