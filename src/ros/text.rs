//! Text on its way into ROS. Some of it comes from peers, and r2r panics at a NUL: a C string
//! cannot hold one.

/// The text without control characters, line breaks and tabs excepted.
pub(super) fn ros_text(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The text as one part of a topic name: `eth0.100` becomes `eth0_100`.
pub(super) fn name_part(text: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let part: String = text.chars().map(legal).collect();
    if part.starts_with(|c: char| c.is_ascii_digit()) || part.is_empty() {
        format!("_{part}")
    } else {
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_ros() {
        assert_eq!(ros_text("a\0b\u{1b}[2Jc\nd"), "a\u{fffd}b\u{fffd}[2Jc\nd");
    }

    #[test]
    fn any_interface_gets_a_legal_name() {
        assert_eq!(name_part("eth0.100"), "eth0_100");
        assert_eq!(name_part("br-lan"), "br_lan");
        assert_eq!(name_part("6in4"), "_6in4");
        assert_eq!(name_part("wlan0"), "wlan0");
    }
}
