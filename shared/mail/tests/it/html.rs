//! As much of HTML as it takes to see whether every element that is opened is closed.

/// Elements that are never closed.
const VOID: [&str; 8] = ["area", "base", "br", "col", "hr", "img", "link", "meta"];

/// Finds the first element that is closed without being open, or open at the end.
///
/// Comments are skipped, so also what is meant for Outlook alone.
pub(crate) fn unbalanced(html: &str) -> Option<String> {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            let Some(end) = comment.find("-->") else {
                return Some("a comment without end".to_owned());
            };
            rest = &comment[end + 3..];
            continue;
        }
        let Some(end) = rest.find('>') else { return Some(format!("`{rest}` has no end")) };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if !tag.matches('"').count().is_multiple_of(2) {
            return Some(format!("`{tag}` has an open quote"));
        }
        let name =
            |tag: &str| tag.split([' ', '\n', '/']).next().unwrap_or_default().to_lowercase();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.pop().as_deref() != Some(&name(closed)) {
                return Some(format!("`{closed}` is closed but not open"));
            }
        } else if name(tag) == "style" {
            rest = rest.split_once("</style>").map_or("", |(_, rest)| rest);
        } else if !tag.ends_with('/') && !VOID.contains(&name(tag).as_str()) {
            open.push(name(tag));
        }
    }
    open.pop()
}

#[test]
fn sees_what_is_not_closed() {
    let check = |html: &str, good: bool| assert_eq!(unbalanced(html).is_none(), good, "{html}");
    check("<!doctype html><p class=\"a\">x<br><img src=\"y\" /><!-- <b> --></p>", true);
    check("<style>a > b { }</style><p></p>", true);
    check("<p>", false);
    check("<p></b></p>", false);
    check("<p title=\"a></p>", false);
    check("<!-- ", false);
}
