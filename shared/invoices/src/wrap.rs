//! Long texts over several lines.

use unicode_linebreak::linebreaks;

use crate::fonts::Weight;
use crate::shape::{Shaped, shape};

/// Breaks a text into lines of at most `width` ems: between words where it can, else between
/// letters. A single letter that is wider has a line of its own. An empty text is no line.
pub(crate) fn wrap(text: String, weight: Weight, width: f32) -> Vec<Shaped> {
    if text.is_empty() {
        return Vec::new();
    }
    let whole = shape(text, weight);
    if whole.width <= width {
        return vec![whole];
    }
    let text = &whole.text;
    breaks(&whole, width)
        .windows(2)
        .map(|pair| shape(text[pair[0]..pair[1]].trim().to_owned(), weight))
        .filter(|line| !line.runs.is_empty())
        .collect()
}

/// Where lines begin, and the end of the text.
fn breaks(whole: &Shaped, width: f32) -> Vec<usize> {
    let letters = letters(whole);
    let mut words = linebreaks(&whole.text).map(|(at, _)| at).peekable();
    let mut found = vec![0];
    // Of the current line: its width so far, that up to the last chance to break, and that chance.
    let (mut used, mut used_at_word, mut word) = (0.0, 0.0, 0);
    for &(start, end, advance) in &letters {
        while let Some(at) = words.next_if(|at| *at <= start) {
            (word, used_at_word) = (at, used);
        }
        let line = found.last().copied().unwrap_or(0);
        let blank = whole.text[start..end].trim().is_empty();
        if used + advance > width && !blank && start > line {
            if word > line {
                found.push(word);
                used -= used_at_word;
            } else {
                found.push(start);
                used = 0.0;
            }
            used_at_word = 0.0;
        }
        used += advance;
    }
    found.push(whole.text.len());
    found
}

/// Clusters in the order of the text: start, end and width.
fn letters(whole: &Shaped) -> Vec<(usize, usize, f32)> {
    let glyphs = whole.runs.iter().flat_map(|run| &run.glyphs);
    let mut letters: Vec<(usize, usize, f32)> = glyphs
        .map(|glyph| (glyph.text_range.start, glyph.text_range.end, glyph.x_advance))
        .collect();
    letters.sort_by_key(|letter| letter.0);
    letters.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.2 += next.2;
        }
        same
    });
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: f32) -> Vec<String> {
        let lines = wrap(text.to_owned(), Weight::Regular, width);
        assert!(lines.iter().all(|line| line.width <= width + 0.01), "{text}");
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn breaks_between_words_else_between_letters() {
        assert_eq!(lines("", 5.0), Vec::<String>::new());
        assert_eq!(lines("one two", 50.0), ["one two"]);
        assert_eq!(lines("one two three", 4.2), ["one two", "three"]);
        assert_eq!(lines("mmmmmmmm", 2.7).concat(), "mmmmmmmm");
        assert_eq!(lines("a mmmmmmmm b", 2.7).concat().replace(' ', ""), "ammmmmmmmb");
        assert!(lines("東京都渋谷区道玄坂一丁目", 4.0).len() >= 3);
        assert!(lines("شركة البث المباشر المحدودة", 5.0).len() >= 2);
    }
}
