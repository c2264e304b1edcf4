//! Changes tables cell by cell and row by row: changed bytes alone hardly ever make a table that is nearly right.

/// Cells at the edges of what columns allow.
const EDGES: [&str; 24] = [
    "",
    "0",
    "1",
    "2",
    "01",
    "-1",
    "1.5",
    "10000",
    "10001",
    "1000000",
    "1000001",
    "9007199254740991",
    "9007199254740992",
    "1 2",
    "2 1",
    "1 1",
    "1  2",
    "\"a\"",
    "\"a,b\"",
    "\"a\"\"b\"",
    "a\"b",
    "\u{7f}",
    " ",
    "valid+valid",
];

/// Numbers that look random, from a seed (xorshift).
struct Dice(u32);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }
}

/// The table with one cell or one row changed; None where it has no rows.
pub fn mutate(table: &str, seed: u32) -> Option<String> {
    let mut dice = Dice(seed | 1);
    let mut rows: Vec<Vec<&str>> = table.split_terminator('\n').map(|row| row.split(',').collect()).collect();
    if rows.len() < 2 {
        return None;
    }
    let row = 1 + dice.below(rows.len() - 1);
    let column = dice.below(rows[row].len());
    match dice.below(8) {
        0 => rows.insert(row, rows[row].clone()),
        1 => drop(rows.remove(row)),
        2 => rows.swap(row, 1.max(row - 1)),
        3 | 4 => rows[row][column] = EDGES[dice.below(EDGES.len())],
        // What stands in the same column elsewhere, or anywhere.
        5 | 6 => {
            let other = 1 + dice.below(rows.len() - 1);
            rows[row][column] = rows[other].get(column).copied().unwrap_or_default();
        }
        _ => {
            let (other, place) = (dice.below(rows.len()), dice.below(20));
            rows[row][column] = rows[other][place % rows[other].len()];
        }
    }
    Some(rows.iter().map(|row| row.join(",") + "\n").collect())
}
