//! Who wins what (docs/tally.md, "Plurality and majority", "Lists: Hare, D'Hondt, Sainte-Laguë").

use super::Race;
use super::seats::{self, Divisors, First, Shared};
use crate::definition::{ChoiceKind, Contest, ContestKind, Method, WHOLE};
use crate::tally::sums::SourceSums;

/// Who has won what.
#[derive(Debug, Default)]
pub(super) struct Award {
    /// Places of choices with their seats.
    pub(super) won: Vec<(usize, u64)>,
    /// Places of choices between which something is open.
    pub(super) tied: Vec<usize>,
    /// Places of those that a second round is between.
    pub(super) run_off: Vec<usize>,
}

impl Race<'_> {
    /// Who wins what; None: it cannot be said.
    pub(super) fn award(&self, sums: &SourceSums, eligible: &[usize], failed: &[usize]) -> Option<Award> {
        let Contest { kind, method, .. } = *self.contest;
        match method {
            _ if kind == ContestKind::Referendum => self.referendum(sums, failed),
            Method::Plurality => {
                let votes = self.votes_against_all(sums);
                let ahead = eligible.iter().copied().filter(|&place| sums.votes[place] >= votes);
                Some(self.places_won(seats::first(self.places(), with_votes(sums, ahead))))
            }
            Method::Majority => self.majority(sums, eligible),
            Method::Hare | Method::Dhondt | Method::SainteLague => Some(self.shared_out(sums, eligible)),
        }
    }

    /// How many can win under plurality and majority.
    fn places(&self) -> usize {
        if self.contest.kind == ContestKind::List { 1 } else { self.contest.seats as usize }
    }

    /// An award of places.
    fn places_won(&self, first: First) -> Award {
        let seats = if self.contest.kind == ContestKind::List { self.contest.seats } else { 1 };
        Award {
            won: first.taken.into_iter().map(|place| (place, seats.into())).collect(),
            tied: first.tied,
            run_off: Vec::new(),
        }
    }

    fn majority(&self, sums: &SourceSums, eligible: &[usize]) -> Option<Award> {
        let base = self.base(self.contest.share_of, sums)?;
        let (above, others): (Vec<_>, Vec<_>) =
            eligible.iter().copied().partition(|&place| is_more_than_half(sums.votes[place], base));
        let award = self.places_won(seats::first(self.places(), with_votes(sums, above)));
        let left = self.places() - award.won.len();
        let most = others.iter().map(|&place| sums.votes[place]).max();
        if !award.tied.is_empty() || left == 0 || others.len() <= left || most < Some(self.votes_against_all(sums)) {
            return Some(award);
        }
        let second = seats::first(2 * left, with_votes(sums, others));
        Some(if second.tied.is_empty() {
            Award { run_off: second.taken, ..award }
        } else {
            Award { tied: second.tied, ..award }
        })
    }

    fn referendum(&self, sums: &SourceSums, failed: &[usize]) -> Option<Award> {
        let only = |kind| {
            let mut of_kind = self.takers().filter(|&place| self.choices[place].kind == kind);
            of_kind.next().filter(|_| of_kind.next().is_none())
        };
        let (yes, no) = (only(ChoiceKind::Yes)?, only(ChoiceKind::No)?);
        let votes = |place: usize| sums.votes[place];
        let won = |place| Award { won: vec![(place, 0)], ..Award::default() };
        if self.contest.method == Method::Plurality {
            if failed.contains(&yes) || votes(yes) < votes(no) {
                return Some(won(no));
            }
            let tied = Award { tied: vec![yes, no], ..Award::default() };
            return Some(if votes(yes) == votes(no) { tied } else { won(yes) });
        }
        let is_accepted = is_more_than_half(votes(yes), self.base(self.contest.share_of, sums)?);
        Some(won(if is_accepted && !failed.contains(&yes) { yes } else { no }))
    }

    fn shared_out(&self, sums: &SourceSums, eligible: &[usize]) -> Award {
        let votes: Vec<u64> = eligible.iter().map(|&place| sums.votes[place]).collect();
        let seats = u64::from(self.contest.seats);
        let cap = self.contest.seat_cap.map_or(seats, |cap| (seats * u64::from(cap) / u64::from(WHOLE)).max(1));
        let Shared { seats, tied } = match self.contest.method {
            Method::Dhondt => seats::by_divisors(Divisors::Dhondt, &votes, seats, cap),
            Method::SainteLague => seats::by_divisors(Divisors::SainteLague, &votes, seats, cap),
            Method::Hare | Method::Plurality | Method::Majority => seats::by_hare(&votes, seats, cap),
        };
        Award {
            won: eligible.iter().copied().zip(seats).filter(|&(_, seats)| seats > 0).collect(),
            tied: tied.into_iter().map(|place| eligible[place]).collect(),
            run_off: Vec::new(),
        }
    }

    /// The seats of all choices, preferences too, and who is tied for any; None: a referendum has none.
    pub(super) fn seats(&self, sums: &SourceSums, award: &Award) -> (Option<Vec<u64>>, Vec<usize>) {
        let mut tied = award.tied.clone();
        if self.contest.kind == ContestKind::Referendum {
            return (None, tied);
        }
        let mut seats = vec![0; self.choices.len()];
        for &(place, own) in &award.won {
            seats[place] = own;
        }
        for &(list, own) in &award.won {
            let number = self.choices[list].number;
            let candidates = (0..self.choices.len()).filter(|&place| self.choices[place].list == Some(number));
            let First { taken, tied: open } =
                seats::first(usize::try_from(own).unwrap_or(usize::MAX), with_votes(sums, candidates));
            for place in taken {
                seats[place] = 1;
            }
            tied.extend(open);
        }
        (Some(seats), tied)
    }

    /// Who a decided contest names.
    pub(super) fn winners(&self, sums: &SourceSums, won: &[(usize, u64)]) -> Vec<usize> {
        let against_all = self.votes_against_all(sums);
        if won.is_empty() && self.takers().all(|place| sums.votes[place] < against_all) {
            return self.against_all().collect();
        }
        won.iter().map(|&(place, _)| place).collect()
    }
}

fn with_votes(sums: &SourceSums, places: impl IntoIterator<Item = usize>) -> impl Iterator<Item = (usize, u64)> {
    places.into_iter().map(|place| (place, sums.votes[place]))
}

fn is_more_than_half(part: u64, base: u64) -> bool {
    2 * u128::from(part) > base.into()
}
