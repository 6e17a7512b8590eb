//! What is looked at in every mail before it leaves: its links and its one-line fields.

use values::breaks_line;

use crate::brand::is_web;

/// Finds a link that leads neither to the web, nor to an address, nor to a part of the mail.
pub(crate) fn bad_link(html: &str) -> Option<&str> {
    ["href=\"", "src=\""].into_iter().find_map(|attribute| {
        html.split(attribute).skip(1).find_map(|rest| {
            let url = rest.split('"').next().unwrap_or_default();
            let inner = url.starts_with("mailto:") || url.starts_with("cid:");
            (!inner && !is_web(url)).then_some(url)
        })
    })
}

/// Whether a text stays on its line and reads in one direction.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.chars().any(breaks_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_that_lead_elsewhere() {
        let good =
            r#"<a href="https://a/?b=1&amp;c"><img src="cid:logo"></a><a href="mailto:a@b.c">"#;
        assert_eq!(bad_link(good), None);
        for bad in ["javascript:alert(1)", "", "data:text/html,x", "//a", "/a"] {
            let html = format!(r#"<a href="https://a"></a><a href="{bad}">x</a>"#);
            assert_eq!(bad_link(&html), Some(bad));
        }
        assert_eq!(bad_link(r#"<img src="file:///etc/passwd">"#), Some("file:///etc/passwd"));
    }
}
