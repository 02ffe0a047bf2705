//! The clock of the driver. It goes on while the machine is suspended, as the clocks of its peers
//! do: what waited meanwhile has grown old, and all paths were silent for so long.
//!
//! The clock behind [`Instant::now`] stands still in suspension. The moments of this one are
//! written as [`Instant`] too, which is what the core calculates with.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The same moment by both clocks.
static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), since_boot()));

/// The present moment.
pub fn now() -> Instant {
    let (instant, booted) = *START;
    instant + since_boot().saturating_sub(booted)
}

/// Time of a processor that this thread has had. It says what something costs, however many others
/// want the processor too.
pub fn thread_time() -> Duration {
    time(ClockId::ThreadCPUTime)
}

/// Time since the machine was started, suspension included.
fn since_boot() -> Duration {
    time(ClockId::Boottime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_has_no_time_of_a_processor() {
        let (began, spent) = (Instant::now(), thread_time());
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err());
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(thread_time() - spent < Duration::from_millis(200));
        let spent = thread_time();
        while thread_time() == spent {}
    }

    #[test]
    fn it_goes_with_the_common_clock_and_never_back() {
        let (common, first) = (Instant::now(), now());
        let mut last = first;
        while common.elapsed() < Duration::from_millis(50) {
            let next = now();
            assert!(next >= last);
            last = next;
        }
        // A machine that has other things to do may let some time pass between the two.
        let passed = last - first;
        assert!(
            passed > Duration::from_millis(40) && passed < Duration::from_secs(20),
            "{passed:?}"
        );
    }
}
