//! A finished document, read by other people's programs.

use std::process::Command;

use invoices::{Document, Invoice, Issuer, render};
use tempfile::TempDir;

/// A document in a file.
pub(crate) struct Reader {
    pub(crate) document: Document,
    folder: TempDir,
}

impl Reader {
    /// Makes a document.
    pub(crate) fn of(issuer: &Issuer, invoice: &Invoice) -> Self {
        let document = render(issuer, invoice).expect("the document is made");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("document.pdf"), &document.pdf)
            .expect("the file is written");
        Self { document, folder }
    }

    /// The text of one page, from 1, as it lies on the paper.
    pub(crate) fn page(&self, page: usize) -> String {
        let page = page.to_string();
        self.tool("pdftotext", &["-layout", "-f", &page, "-l", &page, "document.pdf", "-"])
    }

    /// The text of all pages with white space made single.
    pub(crate) fn text(&self) -> String {
        let text = self.tool("pdftotext", &["-layout", "document.pdf", "-"]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// One line of what `pdfinfo` says.
    pub(crate) fn fact(&self, name: &str) -> String {
        let facts = self.tool("pdfinfo", &["document.pdf"]);
        let fact = facts.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        fact.unwrap_or_else(|| panic!("no {name} in {facts}")).trim().to_owned()
    }

    /// Name, and whether it is embedded, subset and mapped to Unicode, of each font.
    pub(crate) fn fonts(&self) -> Vec<(String, [bool; 3])> {
        let table = self.tool("pdffonts", &["document.pdf"]);
        let font = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // ... emb sub uni object ID
            let flags = &words[words.len() - 5..words.len() - 2];
            (words[0].to_owned(), [flags[0] == "yes", flags[1] == "yes", flags[2] == "yes"])
        };
        table.lines().skip(2).map(font).collect()
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let mut tool = Command::new(program);
        let output = tool.args(arguments).current_dir(self.folder.path()).output();
        let output =
            output.unwrap_or_else(|error| panic!("{program}: {error}; run `ci/services poppler`"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
        String::from_utf8(output.stdout).expect("tools write UTF-8")
    }
}
