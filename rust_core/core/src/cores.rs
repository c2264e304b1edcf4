//! Work on all cores, where handing it over pays.

use rayon::prelude::*;

/// `one` of every item, in their order. `worth` items are what another core is woken for.
///
/// Waking one takes 20 µs even if it then does all the work, and the sleeper turns round for a while before it sleeps
/// again: on few items, or on a machine with one core, the caller is faster alone.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], worth: usize, one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 * worth || rayon::current_num_threads() < 2 {
        items.iter().map(&one).collect()
    } else {
        items.par_iter().with_min_len(worth).map(&one).collect()
    }
}
