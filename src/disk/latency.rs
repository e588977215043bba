//! How long do writes and reads take? Of a hundred thousand or of three.

use std::time::Duration;

use serde::Serialize;

/// How long each of several operations took.
#[derive(Clone, Debug, Default)]
pub struct Latency(Vec<Duration>);

/// The numbers that matter of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: usize,
    /// In milliseconds, as the others.
    pub min_ms: f64,
    /// Half of them were not slower.
    pub median_ms: f64,
    /// 99 of 100 were not slower.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Latency {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// Of all of them; none of none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let millis = |length: Duration| length.as_secs_f64() * 1e3;
        let of = |share: usize| millis(sorted[(sorted.len() * share).div_ceil(100).max(1) - 1]);
        Some(Summary {
            count: sorted.len(),
            min_ms: millis(min),
            median_ms: of(50),
            p99_ms: of(99),
            max_ms: millis(max),
        })
    }

    /// How many took at most so long and longer than the row before: each row twice the one before,
    /// from 0.125 ms on, without empty ones at either end.
    #[must_use]
    pub fn histogram(&self) -> Vec<(Duration, usize)> {
        let bound = |row: u32| Duration::from_micros(125 << row);
        let row = |took: &Duration| (0..ROWS).find(|row| *took <= bound(*row)).unwrap_or(ROWS);
        let mut counts = [0; ROWS as usize + 1];
        for took in &self.0 {
            counts[row(took) as usize] += 1;
        }
        let used = |count: &usize| *count > 0;
        let first = counts.iter().position(used).unwrap_or(0);
        let end = counts.iter().rposition(used).map_or(0, |last| last + 1);
        let rows = (0..).map(bound).zip(counts);
        rows.take(end).skip(first).collect()
    }
}

/// The last bound is 65.5 s; what is slower is in the row after it.
const ROWS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Latency {
        Latency(millis.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn the_numbers_of_a_hundred() {
        let summary = of((1..=100).rev()).summary().unwrap();
        let Summary {
            count,
            min_ms,
            median_ms,
            p99_ms,
            max_ms,
        } = summary;
        assert_eq!(
            (count, min_ms, median_ms, p99_ms, max_ms),
            (100, 1.0, 50.0, 99.0, 100.0)
        );
        let one = of([7]).summary().unwrap();
        assert_eq!(
            (one.min_ms, one.median_ms, one.p99_ms, one.max_ms),
            (7.0, 7.0, 7.0, 7.0)
        );
        assert_eq!(of([]).summary(), None);
    }

    #[test]
    fn rows_are_bounded_and_none_is_lost() {
        let rows = of([1, 1, 2, 5, 1_000_000]).histogram();
        assert_eq!(rows[0], (Duration::from_millis(1), 2));
        assert_eq!(rows[1], (Duration::from_millis(2), 1));
        assert_eq!(rows[2], (Duration::from_millis(4), 0));
        assert_eq!(rows[3], (Duration::from_millis(8), 1));
        assert_eq!(rows.last().unwrap().1, 1);
        assert_eq!(rows.iter().map(|(_, count)| count).sum::<usize>(), 5);
        assert_eq!(of([]).histogram(), []);
    }
}
