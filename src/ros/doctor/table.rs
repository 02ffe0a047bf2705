//! Findings as text: a section each, a line for each finding, and what would help beneath it.

use std::fmt::Write;

use crate::net::examine::{Finding, Mark};

/// Width of the column of marks.
const MARK: usize = 7;

/// Widest column of subjects; longer ones push the text of their line aside.
const WIDEST_SUBJECT: usize = 40;

/// Writes all findings, and how many problems there are.
pub(super) fn text(findings: &[Finding]) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = write(findings, &mut out);
    out
}

fn write(findings: &[Finding], out: &mut String) -> std::fmt::Result {
    for section in findings.chunk_by(|one, other| one.section == other.section) {
        let subjects = section.iter().map(|finding| finding.subject.chars().count());
        let width = subjects.filter(|width| *width <= WIDEST_SUBJECT).max().unwrap_or(0);
        if let Some(first) = section.first() {
            writeln!(out, "{}", first.section)?;
        }
        for Finding { mark, subject, text, remedy, .. } in section {
            writeln!(out, "  {mark:MARK$}  {subject:width$}  {text}")?;
            if let Some(remedy) = remedy {
                writeln!(out, "  {:MARK$}  {:width$}  -> {remedy}", "", "")?;
            }
        }
        writeln!(out)?;
    }
    let count = |mark| findings.iter().filter(|finding| finding.mark == mark).count();
    let counted = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (problems, notes) = (count(Mark::Problem), count(Mark::Note));
    writeln!(out, "{}, {}", counted(problems, "problem"), counted(notes, "note"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::examine::Section;

    fn finding(section: Section, mark: Mark, subject: &str, remedy: Option<&str>) -> Finding {
        let (subject, remedy) = (subject.to_owned(), remedy.map(str::to_owned));
        Finding { section, mark, subject, text: "some text".to_owned(), remedy }
    }

    #[test]
    fn each_section_is_a_table_and_remedies_stand_beneath_their_line() {
        let findings = [
            finding(Section::Interfaces, Mark::Ok, "lo", None),
            finding(Section::Interfaces, Mark::Note, "wlan0", Some("wait")),
            finding(Section::Topics, Mark::Problem, "odom", Some("install it")),
        ];
        let expected = "\
Network interfaces
  ok       lo     some text
  note     wlan0  some text
                  -> wait

Topics
  PROBLEM  odom  some text
                 -> install it

1 problem, 1 note
";
        assert_eq!(text(&findings), expected);
    }

    #[test]
    fn a_long_subject_does_not_widen_the_column() {
        let long = "x".repeat(WIDEST_SUBJECT + 1);
        let findings = [
            finding(Section::IceServers, Mark::Ok, &long, None),
            finding(Section::IceServers, Mark::Ok, "short", None),
        ];
        let text = text(&findings);
        assert!(text.contains(&format!("{long}  some text")), "{text}");
        assert!(text.contains("short  some text"), "{text}");
        assert!(text.ends_with("\n0 problems, 0 notes\n"), "{text}");
    }
}
