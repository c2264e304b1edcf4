//! Seats from votes, on exact fractions (docs/tally.md, "Lists: Hare, D'Hondt, Sainte-Laguë" and "Who takes part").
//! Only numbers are known here: who takes part, and what follows from it, is said in `winners`.
//!
//! Nothing reaches 2^128: votes are below 2^64, seats and divisors below 2^15.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Who of several is among the first, by their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct First {
    pub(super) taken: Vec<usize>,
    /// Those between whom equal numbers leave it open.
    pub(super) tied: Vec<usize>,
}

/// Takes the first `count` of some places by their numbers, the largest first.
pub(super) fn first<N: Ord + Copy>(count: usize, of: impl IntoIterator<Item = (usize, N)>) -> First {
    let mut sorted: Vec<(usize, N)> = of.into_iter().collect();
    sorted.sort_by_key(|&(_, number)| Reverse(number));
    let places = |part: &[(usize, N)]| part.iter().map(|&(place, _)| place).collect();
    let last = count.checked_sub(1).and_then(|last| sorted.get(last));
    match (last, sorted.get(count)) {
        (None, _) if count == 0 => First::default(),
        (Some(&(_, last)), Some(&(_, behind))) if last == behind => {
            let start = sorted.partition_point(|&(_, number)| number > last);
            let end = sorted.partition_point(|&(_, number)| number >= last);
            First { taken: places(&sorted[..start]), tied: places(&sorted[start..end]) }
        }
        _ => First { taken: places(&sorted[..count.min(sorted.len())]), tied: Vec::new() },
    }
}

/// Seats shared out among lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    /// By the list's place; without the seats that the tied may have.
    pub(super) seats: Vec<u64>,
    /// Places of the lists between which equal numbers leave seats open, ascending.
    pub(super) tied: Vec<usize>,
}

/// A list's next quotient: its votes over a divisor that is not 0.
#[derive(Debug, Clone, Copy)]
struct Quotient {
    votes: u64,
    divisor: u64,
    place: usize,
}

impl Ord for Quotient {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |one: &Self, other: &Self| u128::from(one.votes) * u128::from(other.divisor);
        cross(self, other).cmp(&cross(other, self))
    }
}

impl PartialOrd for Quotient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quotient {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quotient {}

/// The divisors of a method: 1, 1 + step, 1 + 2 · step …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Divisors {
    /// 1, 2, 3 …
    Dhondt,
    /// 1, 3, 5 …
    SainteLague,
}

impl Divisors {
    fn behind(self, seats: u64) -> u64 {
        match self {
            Self::Dhondt => seats + 1,
            Self::SainteLague => 2 * seats + 1,
        }
    }
}

/// Shares seats out to the largest quotients; no list has more than `cap`. Lists without votes get none.
pub(super) fn by_divisors(divisors: Divisors, votes: &[u64], seats: u64, cap: u64) -> Shared {
    let mut shared = vec![0; votes.len()];
    let next = |place: usize, seats: u64| {
        let (votes, divisor) = (votes[place], divisors.behind(seats));
        (seats < cap && votes > 0).then_some(Quotient { votes, divisor, place })
    };
    let mut waiting: BinaryHeap<Quotient> = (0..votes.len()).filter_map(|place| next(place, 0)).collect();
    // The quotients that are equal to the one that was taken last, this among them.
    let mut equal: Vec<Quotient> = Vec::new();
    for _ in 0..seats {
        let Some(largest) = waiting.pop() else { break };
        if equal.first().is_some_and(|last| *last != largest) {
            equal.clear();
        }
        equal.push(largest);
        shared[largest.place] += 1;
        waiting.extend(next(largest.place, shared[largest.place]));
    }
    let mut tied = Vec::new();
    if let Some(last) = equal.first().filter(|last| waiting.peek() == Some(last)) {
        for quotient in &equal {
            shared[quotient.place] -= 1;
        }
        tied = equal.iter().chain(waiting.iter().filter(|quotient| *quotient == last)).map(|it| it.place).collect();
        tied.sort_unstable();
    }
    Shared { seats: shared, tied }
}

/// Shares seats out by whole Hare quotas and the largest remainders; who has more than `cap`, or is tied for that, gets
/// the cap, and the others share what is left anew. Lists without votes get none.
pub(super) fn by_hare(votes: &[u64], seats: u64, cap: u64) -> Shared {
    let mut shared = vec![0; votes.len()];
    let mut waiting: Vec<usize> = (0..votes.len()).filter(|&place| votes[place] > 0).collect();
    let mut left = seats;
    loop {
        let all: u128 = waiting.iter().map(|&place| u128::from(votes[place])).sum();
        let mut remainders = Vec::with_capacity(waiting.len());
        let mut given = 0;
        for &place in &waiting {
            // A list has some of all votes: `all` is not 0, and the quotas are at most `left`.
            let product = u128::from(votes[place]) * u128::from(left);
            shared[place] = u64::try_from(product / all).unwrap_or(left);
            given += shared[place];
            remainders.push((place, product % all));
        }
        // Fewer than there are lists: each remainder is less than a quota.
        let largest = first(usize::try_from(left - given).unwrap_or(usize::MAX), remainders);
        for &place in &largest.taken {
            shared[place] += 1;
        }
        let most = |place: &usize| shared[*place] + u64::from(largest.tied.contains(place));
        let (above, others): (Vec<_>, Vec<_>) = waiting.iter().partition(|place| most(place) > cap);
        if above.is_empty() {
            let mut tied = largest.tied;
            tied.sort_unstable();
            return Shared { seats: shared, tied };
        }
        for place in above {
            shared[place] = cap;
            left -= cap;
        }
        waiting = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn shared(seats: &[u64], tied: &[usize]) -> Shared {
        Shared { seats: seats.to_vec(), tied: tied.to_vec() }
    }

    #[test]
    fn the_first_are_taken_and_equal_ones_are_tied() {
        let of = |count| first(count, [5, 9, 5, 5, 7].into_iter().enumerate());
        assert_eq!(of(0), First::default());
        assert_eq!(of(1), First { taken: vec![1], tied: vec![] });
        assert_eq!(of(2), First { taken: vec![1, 4], tied: vec![] });
        for count in [3, 4] {
            assert_eq!(of(count), First { taken: vec![1, 4], tied: vec![0, 2, 3] });
        }
        for count in [5, 6] {
            assert_eq!(of(count), First { taken: vec![1, 4, 0, 2, 3], tied: vec![] });
        }
        assert_eq!(first(1, std::iter::empty::<(usize, u64)>()), First::default());
    }

    #[test]
    fn divisors_share_out_as_in_the_books() {
        // The example of many a handbook: eight seats, 100,000, 80,000, 30,000 and 20,000 votes.
        let votes = [100_000, 80_000, 30_000, 20_000];
        assert_eq!(by_divisors(Divisors::Dhondt, &votes, 8, 8), shared(&[4, 3, 1, 0], &[]));
        assert_eq!(by_divisors(Divisors::SainteLague, &votes, 8, 8), shared(&[3, 3, 1, 1], &[]));
        assert_eq!(by_divisors(Divisors::Dhondt, &votes, 8, 2), shared(&[2, 2, 2, 2], &[]));
        assert_eq!(by_divisors(Divisors::Dhondt, &votes, 8, 1), shared(&[1, 1, 1, 1], &[]));
        assert_eq!(by_divisors(Divisors::Dhondt, &[], 8, 8), shared(&[], &[]));
        assert_eq!(by_divisors(Divisors::Dhondt, &[0, 0], 8, 8), shared(&[0, 0], &[]));
    }

    #[test]
    fn equal_quotients_at_the_end_are_nobodys() {
        // 60 ÷ 2 = 30: the third seat is open between both; a list with 20 has no part in it.
        assert_eq!(by_divisors(Divisors::Dhondt, &[60, 30, 20], 2, 2), shared(&[1, 0, 0], &[0, 1]));
        assert_eq!(by_divisors(Divisors::Dhondt, &[60, 30, 20], 3, 3), shared(&[2, 1, 0], &[]));
        // Equal quotients before the last seat decide nothing.
        assert_eq!(by_divisors(Divisors::Dhondt, &[60, 60, 50], 3, 3), shared(&[1, 1, 1], &[]));
        assert_eq!(by_divisors(Divisors::SainteLague, &[5, 5, 5], 2, 2), shared(&[0, 0, 0], &[0, 1, 2]));
        // A capped list has no further quotient to be tied with.
        assert_eq!(by_divisors(Divisors::Dhondt, &[60, 30, 20], 2, 1), shared(&[1, 1, 0], &[]));
    }

    #[test]
    fn hare_gives_quotas_and_the_largest_remainders() {
        // Ten seats of 100,000 votes: the quota is 10,000.
        let votes = [47_000, 16_000, 15_800, 12_000, 6_100, 3_100];
        assert_eq!(by_hare(&votes, 10, 10), shared(&[5, 2, 1, 1, 1, 0], &[]));
        assert_eq!(by_hare(&[50, 25, 25], 1, 1), shared(&[1, 0, 0], &[]));
        assert_eq!(by_hare(&[50, 50], 3, 3), shared(&[1, 1], &[0, 1]));
        assert_eq!(by_hare(&[], 3, 3), shared(&[], &[]));
        assert_eq!(by_hare(&[0, 7], 3, 3), shared(&[0, 3], &[]));
    }

    #[test]
    fn hare_above_the_cap_is_shared_anew() {
        // 8 quotas of 10: 6 stay, the other four share 4 by 20 votes, 5 each.
        assert_eq!(by_hare(&[80, 11, 9], 10, 6), shared(&[6, 2, 2], &[]));
        // The tie of the first round, over the sixth seat, is forgotten: now two seats are for two lists.
        assert_eq!(by_hare(&[80, 10, 10], 6, 6), shared(&[5, 0, 0], &[1, 2]));
        assert_eq!(by_hare(&[80, 10, 10], 6, 4), shared(&[4, 1, 1], &[]));
        // One after the other reaches the cap; what nobody may take stays.
        assert_eq!(by_hare(&[90, 8, 2], 10, 4), shared(&[4, 4, 2], &[]));
        assert_eq!(by_hare(&[90, 10], 10, 3), shared(&[3, 3], &[]));
        // Tied for a seat above the cap: the first two leave, and the third has the seat.
        assert_eq!(by_hare(&[35, 35, 30], 10, 3), shared(&[3, 3, 3], &[]));
        assert_eq!(by_hare(&[50, 50], 3, 1), shared(&[1, 1], &[]));
        // Exactly the cap, and none above: nobody leaves.
        assert_eq!(by_hare(&[60, 21, 19], 10, 6), shared(&[6, 2, 2], &[]));
    }

    #[test]
    fn nothing_overflows() {
        let most = [u64::MAX, u64::MAX, 1];
        for cap in [1, 4_999, 10_000] {
            let hare = by_hare(&most, 10_000, cap);
            assert_eq!(hare.seats[0], hare.seats[1]);
            let dhondt = by_divisors(Divisors::SainteLague, &most, 10_000, cap);
            assert_eq!(dhondt.seats[0], cap.min(5_000));
        }
    }

    /// D'Hondt and Sainte-Laguë by sorting every quotient.
    fn by_sorting(divisors: Divisors, votes: &[u64], seats: u64, cap: u64) -> Shared {
        let quotients = votes.iter().enumerate().filter(|(_, votes)| **votes > 0).flat_map(|(place, &votes)| {
            (0..cap).map(move |seat| (place, Quotient { votes, divisor: divisors.behind(seat), place }))
        });
        let found = first(usize::try_from(seats).unwrap(), quotients);
        let mut shared = vec![0; votes.len()];
        for place in found.taken {
            shared[place] += 1;
        }
        let mut tied = found.tied;
        tied.sort_unstable();
        Shared { seats: shared, tied }
    }

    proptest! {
        #[test]
        fn the_largest_quotients_are_the_seats(
            votes in vec(0u64..60, 0..6), seats in 1u64..20, cap in 1u64..20, odd in any::<bool>()
        ) {
            let divisors = if odd { Divisors::SainteLague } else { Divisors::Dhondt };
            let expected = by_sorting(divisors, &votes, seats, cap);
            prop_assert_eq!(by_divisors(divisors, &votes, seats, cap), expected);
        }

        #[test]
        fn hare_gives_what_a_share_is_worth(
            votes in vec(0u64..60, 0..6), seats in 1u64..20, cap in 1u64..20
        ) {
            let found = by_hare(&votes, seats, cap);
            let (given, all): (u64, u64) = (found.seats.iter().sum(), votes.iter().sum());
            let mayhave = cap * votes.iter().filter(|votes| **votes > 0).count() as u64;
            prop_assert!(given <= seats && found.seats.iter().all(|&seats| seats <= cap));
            prop_assert_eq!(found.tied.is_empty(), given == seats.min(mayhave));
            if cap >= seats && all > 0 {
                for (&votes, &own) in votes.iter().zip(&found.seats) {
                    // Quota rule: the exact share, rounded down or up.
                    prop_assert!(own * all <= votes * seats + all && (own + 1) * all > votes * seats);
                }
            }
            for (place, &more) in votes.iter().enumerate() {
                for (other, &fewer) in votes.iter().enumerate() {
                    prop_assert!(more < fewer || found.seats[place] >= found.seats[other] || more == fewer);
                }
            }
        }
    }
}
