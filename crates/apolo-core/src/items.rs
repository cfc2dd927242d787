//! Items: what an annotation lists, separated by newlines or commas.

/// One item of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its number from 1, blank items not counted.
    pub number: usize,
    /// Its text, without the white space around it.
    pub text: &'a str,
    /// Where its text begins in the annotation's value, in bytes.
    pub at: usize,
}

/// Lists the items of an annotation's value, skipping blank ones.
pub fn items(value: &str) -> impl Iterator<Item = Item<'_>> {
    let at = |text: &str| text.as_ptr().addr() - value.as_ptr().addr();
    value
        .split(['\n', ','])
        .map(str::trim_ascii)
        .filter(|text| !text.is_empty())
        .zip(1..)
        .map(move |(text, number)| Item { number, text, at: at(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_and_commas_separate_and_blank_items_do_not_count() {
        let found: Vec<(usize, &str, usize)> =
            items("\n a ,b,\r\n\t,\n c d\r\n").map(|item| (item.number, item.text, item.at)).collect();
        assert_eq!(found, [(1, "a", 2), (2, "b", 5), (3, "c d", 13)]);
        assert_eq!(items(" \n,,\n").count(), 0);
    }
}
