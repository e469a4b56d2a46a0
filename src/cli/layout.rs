//! How a table fits the terminal: which of its columns are shown, and how wide. Pure.

/// Blanks between two columns.
pub const GAP: usize = 2;
/// So much of the last column is worth more than one that can be spared.
const LAST: usize = 10;
/// So much is left of a column that is made narrower.
const LEAST: usize = 4;

/// A column that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Which.
    pub index: usize,
    /// How wide.
    pub width: usize,
}

/// The columns as wide as what stands in them; the last as far as there is `room`.
pub fn as_they_are(widths: &[usize], room: Option<usize>) -> Vec<Column> {
    let mut columns = all(widths);
    let before = before_last(&columns);
    if let (Some(last), Some(room)) = (columns.last_mut(), room) {
        last.width = last.width.min(room.saturating_sub(before).max(1));
    }
    columns
}

/// The same in no more than `room`: the columns in `spare` are left out, the first of them first, before
/// much of the last column is cut; then the widest are made narrower.
pub fn fitted(widths: &[usize], spare: &[usize], room: Option<usize>) -> Vec<Column> {
    let Some(room) = room else { return all(widths) };
    let mut columns = all(widths);
    let last = widths.last().map_or(0, |width| *width.min(&LAST));
    let too_wide = |columns: &[Column]| before_last(columns) + last > room;
    for index in spare {
        if too_wide(&columns) {
            columns.retain(|column| column.index != *index);
        }
    }
    while too_wide(&columns) {
        let count = columns.len().saturating_sub(1);
        let names = columns.iter_mut().take(count);
        match names.max_by_key(|column| column.width).filter(|column| column.width > LEAST) {
            Some(widest) => widest.width -= 1,
            None => break,
        }
    }
    let before = before_last(&columns);
    if let Some(last) = columns.last_mut() {
        last.width = last.width.min(room.saturating_sub(before).max(1));
    }
    columns
}

fn all(widths: &[usize]) -> Vec<Column> {
    widths.iter().enumerate().map(|(index, width)| Column { index, width: *width }).collect()
}

/// Where the last column begins.
fn before_last(columns: &[Column]) -> usize {
    let others = columns.len().saturating_sub(1);
    columns.iter().take(others).map(|column| column.width + GAP).sum()
}

/// A text in so many columns, with a mark where it is cut.
pub fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room.max(1) {
        return text.to_owned();
    }
    text.chars().take(room.max(1) - 1).chain(['…']).collect()
}

/// A frame that takes the place of the one before on a terminal with so many rows: each line is written
/// over what stood there, and the rest is wiped. The cursor stays below it, where the shell goes on after
/// ^C. A terminal without room for all lines is told how many it does not show.
pub fn frame(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1).max(1);
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    // Lines that are too long end at the margin, and do not take a row more. What stood there is wiped
    // first: behind a line that ends at the margin that would take its last character.
    let mut drawn = String::from("\x1b[?7l\x1b[H");
    for line in &lines[..shown] {
        drawn += "\x1b[K";
        drawn += line;
        drawn += "\r\n";
    }
    if shown < lines.len() {
        drawn += &format!("\x1b[K… {} lines more\r\n", lines.len() - shown);
    }
    drawn += "\x1b[J\x1b[?7h";
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: &[Column]) -> Vec<(usize, usize)> {
        columns.iter().map(|column| (column.index, column.width)).collect()
    }

    fn total(columns: &[Column]) -> usize {
        before_last(columns) + columns.last().map_or(0, |last| last.width)
    }

    #[test]
    fn the_last_column_is_cut_and_marked() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello!", 5), "hell…");
        assert_eq!(cut("hello!", 0), "…");
        assert_eq!(shown(&as_they_are(&[4, 9], Some(10))), [(0, 4), (1, 4)]);
        assert_eq!(shown(&as_they_are(&[40, 9], Some(10))), [(0, 40), (1, 1)]);
        assert_eq!(shown(&as_they_are(&[4, 9], None)), [(0, 4), (1, 9)]);
    }

    #[test]
    fn what_can_be_spared_goes_before_much_of_the_last_column() {
        let widths = [8, 5, 6, 30];
        let of = |room| shown(&fitted(&widths, &[2, 1], Some(room)));
        assert_eq!(of(80), [(0, 8), (1, 5), (2, 6), (3, 30)]);
        assert_eq!(of(40), [(0, 8), (1, 5), (2, 6), (3, 15)]);
        assert_eq!(of(34), [(0, 8), (1, 5), (3, 17)]);
        assert_eq!(of(26), [(0, 8), (3, 16)]);
        assert_eq!(of(18), [(0, 6), (3, 10)]);
        assert_eq!(of(8), [(0, 4), (3, 2)]);
        assert_eq!(shown(&fitted(&widths, &[2, 1], None)).len(), 4);
    }

    #[test]
    fn long_names_are_cut_before_a_row_is_wider_than_the_terminal() {
        for room in 20..200 {
            let columns = fitted(&[64, 128, 3, 8, 5, 6, 8, 5, 5, 60], &[8, 7, 6], Some(room));
            if room >= 60 {
                assert!(total(&columns) <= room, "{room}: {columns:?}");
                assert!(columns.last().is_some_and(|last| last.width >= LAST), "{columns:?}");
            }
        }
    }

    #[test]
    fn a_frame_wipes_what_it_does_not_write_over_and_fits_the_rows() {
        assert_eq!(frame("a\nb\n", 24), "\x1b[?7l\x1b[H\x1b[Ka\r\n\x1b[Kb\r\n\x1b[J\x1b[?7h");
        let four = frame("1\n2\n3\n4\n", 4);
        assert!(four.contains("\x1b[K1\r\n\x1b[K2\r\n\x1b[K… 2 lines more\r\n\x1b[J"), "{four:?}");
        assert!(frame("1\n2\n3\n", 4).contains("\x1b[K3\r\n"));
        assert!(frame("1\n2\n", 0).contains("… 2 lines more"));
    }
}
