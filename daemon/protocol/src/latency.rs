//! Times in buckets: log-linear ones for percentiles, and coarse ones that add up over a process's life.
//! Called by the ledger for every call that ends, and by its readers.
//! Must hold: a bucket covers its times without a gap, and percentiles never exceed the longest time.

/// Fine buckets: four to each power of two from 16 µs to 268 s, and one for what is shorter.
pub const FINE: usize = 1 + (LAST_POWER - FIRST_POWER + 1) * SHARES;

/// The power of two at which the second fine bucket begins.
const FIRST_POWER: usize = 4;
/// The power of two that the last buckets share; the very last has no end.
const LAST_POWER: usize = 27;
/// Buckets to a power of two.
const SHARES: usize = 4;

/// Upper bounds of the coarse buckets, in microseconds; one more holds what took longer.
pub const COARSE_US: [u64; 15] = [
    500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// Coarse buckets.
pub const COARSE: usize = COARSE_US.len() + 1;

/// The fine bucket of a time in microseconds.
#[must_use]
pub fn fine(us: u64) -> usize {
    if us < 1 << FIRST_POWER {
        return 0;
    }
    let power = us.ilog2() as usize;
    if power > LAST_POWER {
        return FINE - 1;
    }
    let share = (us >> (power - 2)) & 3;
    1 + (power - FIRST_POWER) * SHARES + usize::try_from(share).unwrap_or(0)
}

/// The shortest time of a fine bucket, in microseconds.
#[must_use]
pub fn shortest(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(1) else { return 0 };
    let power = FIRST_POWER + above / SHARES;
    let share = (above % SHARES) as u64;
    (4 + share) << (power - 2)
}

/// The coarse bucket of a time in microseconds.
#[must_use]
pub fn coarse(us: u64) -> usize {
    COARSE_US.partition_point(|bound| *bound < us)
}

/// The time that `share` of all calls (0 to 1) did not exceed, in microseconds: placed within its bucket as if the
/// times there lay evenly, and 0 in the first, where most took no time at all. `longest` is the longest of all; 0 where nothing was counted.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within a bucket is positive")]
pub fn percentile(counts: &[u64; FINE], share: f64, longest: u64) -> u64 {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return 0;
    }
    let rank = ((all as f64 * share).ceil() as u64).clamp(1, all);
    let mut below = 0;
    for (bucket, count) in counts.iter().enumerate() {
        if below + count >= rank {
            if bucket == 0 {
                return 0;
            }
            let from = shortest(bucket);
            let to = if bucket + 1 < FINE { shortest(bucket + 1) } else { longest.max(from) };
            let part = (rank - below) as f64 / *count as f64;
            return (from + ((to - from) as f64 * part) as u64).min(longest);
        }
        below += count;
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fine_buckets_follow_on_each_other_without_a_gap() {
        for bucket in 0..FINE {
            assert_eq!(fine(shortest(bucket)), bucket);
            if bucket + 1 < FINE {
                assert_eq!(fine(shortest(bucket + 1) - 1), bucket);
            }
        }
        assert_eq!(fine(u64::MAX), FINE - 1);
    }

    #[test]
    fn a_time_at_a_bound_belongs_to_the_bucket_that_ends_there() {
        for (bucket, bound) in COARSE_US.iter().enumerate() {
            assert_eq!((coarse(*bound), coarse(bound + 1)), (bucket, bucket + 1));
        }
    }

    #[test]
    fn nothing_counted_is_no_time() {
        assert_eq!(percentile(&[0; FINE], 0.99, 0), 0);
    }

    proptest! {
        #[test]
        fn a_percentile_is_within_its_bucket_of_the_true_one(
            mut times in prop::collection::vec(0_u64..60_000_000, 1..500),
            share in 0.0_f64..=1.0,
        ) {
            let mut counts = [0; FINE];
            for time in &times {
                counts[fine(*time)] += 1;
            }
            times.sort_unstable();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
            let (truth, longest) = (times[rank - 1], times[times.len() - 1]);
            let told = percentile(&counts, share, longest);
            prop_assert!(told <= longest);
            prop_assert!(told >= shortest(fine(truth)));
            prop_assert!(told <= shortest(fine(truth) + 1).max(truth));
        }
    }
}
