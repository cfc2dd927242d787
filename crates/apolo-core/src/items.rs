//! Items: what an annotation lists, separated by newlines or commas.

/// One item of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its number from 1, blank items not counted.
    pub number: usize,
    /// Its text, without the white space around it.
    pub text: &'a str,
    /// The number of the line on which it stands, from 0.
    pub line: usize,
}

/// Lists the items of an annotation's value, skipping blank ones.
pub fn items(value: &str) -> impl Iterator<Item = Item<'_>> {
    value
        .split('\n')
        .enumerate()
        .flat_map(|(line, text)| text.split(',').map(move |text| (line, text.trim_ascii())))
        .filter(|(_, text)| !text.is_empty())
        .zip(1..)
        .map(|((line, text), number)| Item { number, text, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_and_commas_separate_and_blank_items_do_not_count() {
        let found: Vec<(usize, &str, usize)> =
            items("\n a ,b,\r\n\t,\n c d\r\n").map(|item| (item.number, item.text, item.line)).collect();
        assert_eq!(found, [(1, "a", 1), (2, "b", 1), (3, "c d", 3)]);
        assert_eq!(items(" \n,,\n").count(), 0);
    }
}
