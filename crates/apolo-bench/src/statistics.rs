//! Medians, spreads and percentiles.

use std::fmt;
use std::time::Duration;

/// A few measurements of one thing: their median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The least of them.
    pub(crate) least: f64,
    /// The one in the middle.
    pub(crate) median: f64,
    /// The most of them.
    pub(crate) most: f64,
}

impl Spread {
    /// Of some measurements, in any order; zero of none.
    pub(crate) fn of(measured: &[f64]) -> Self {
        let mut sorted = measured.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { least: percentile(&sorted, 0), median: percentile(&sorted, 50), most: percentile(&sorted, 100) }
    }

    /// Of the ratios of measurements made in pairs.
    pub(crate) fn of_ratios(ours: &[f64], floor: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(floor).map(|(ours, floor)| ours / floor).collect();
        Self::of(&ratios)
    }
}

/// `1.52 (1.48 to 1.60)`
impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

/// How long many things of a kind took, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Times {
    /// How many.
    pub(crate) count: usize,
    /// Half of them took no longer.
    pub(crate) p50: f64,
    /// 99 of a hundred took no longer.
    pub(crate) p99: f64,
    /// None took longer.
    pub(crate) worst: f64,
}

impl Times {
    /// Of some times, in any order.
    pub(crate) fn of(times: Vec<Duration>) -> Self {
        let mut sorted: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |percent| percentile(&sorted, percent);
        Self { count: sorted.len(), p50: at(50), p99: at(99), worst: at(100) }
    }

    /// As cells of a table: name, p50, p99, worst, the ratio of its p50 to that of another, goal.
    pub(crate) fn row(&self, name: &str, floor: Option<&Self>, goal: String) -> Vec<String> {
        let figure = |time: f64| format!("{time:.1}");
        let ratio = floor.map(|floor| format!("{:.2}", self.p50 / floor.p50)).unwrap_or_default();
        vec![name.to_owned(), figure(self.p50), figure(self.p99), figure(self.worst), ratio, goal]
    }
}

/// The value below which that many in a hundred lie, of sorted ones; zero of none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_middle_and_both_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0 });
        assert_eq!(Spread::of_ratios(&[2.0, 9.0], &[1.0, 3.0]).most, 3.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 99), percentile(&[], 50)), (100.0, 0.0));
    }
}
