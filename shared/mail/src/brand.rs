//! How the company presents itself in its mails.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::address::Address;

/// Name, addresses, links and colours; read from settings, unknown keys are refused and missing
/// ones told together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Brand {
    /// The company's name, also of the sender.
    pub company: String,
    /// Who mails come from; its domain is part of every Message-ID.
    pub from: Address,
    /// Who answers go to; the support address when absent.
    pub reply_to: Option<Address>,
    /// Who customers write to for help.
    pub support: Address,
    /// The company's site.
    pub website_url: String,
    /// Where the documentation begins.
    pub documentation_url: String,
    /// Where customers find invoices, plan and card.
    pub account_url: String,
    /// Libraries and tools that a welcome names.
    pub links: Vec<Link>,
    /// The postal address, line by line.
    pub postal_address: Vec<String>,
    /// A PNG, JPEG or GIF of at most 256 KiB; the company's name is written when absent.
    pub logo: Option<PathBuf>,
    /// The colours.
    pub colors: Colors,
}

/// The keys of a brand as they are written down, any of them perhaps forgotten.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    company: Option<String>,
    from: Option<Address>,
    reply_to: Option<Address>,
    support: Option<Address>,
    website_url: Option<String>,
    documentation_url: Option<String>,
    account_url: Option<String>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    postal_address: Vec<String>,
    logo: Option<PathBuf>,
    #[serde(default)]
    colors: Colors,
}

impl TryFrom<Keys> for Brand {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { company, from, support, website_url, documentation_url, account_url, .. } = keys;
        let missing: Vec<&str> = [
            ("`company`", company.is_none()),
            ("`from`", from.is_none()),
            ("`support`", support.is_none()),
            ("`website_url`", website_url.is_none()),
            ("`documentation_url`", documentation_url.is_none()),
            ("`account_url`", account_url.is_none()),
        ]
        .into_iter()
        .filter_map(|(key, is_missing)| is_missing.then_some(key))
        .collect();
        match (company, from, support, website_url, documentation_url, account_url) {
            (
                Some(company),
                Some(from),
                Some(support),
                Some(website_url),
                Some(documentation_url),
                Some(account_url),
            ) => Ok(Self {
                company,
                from,
                reply_to: keys.reply_to,
                support,
                website_url,
                documentation_url,
                account_url,
                links: keys.links,
                postal_address: keys.postal_address,
                logo: keys.logo,
                colors: keys.colors,
            }),
            _ => Err(format!("a brand needs {} too", missing.join(", "))),
        }
    }
}

/// A link with its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The words.
    pub label: String,
    /// Where it leads.
    pub url: String,
}

/// Colours, each written `#rrggbb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Colors {
    /// Buttons, links and the line at the top.
    pub accent: String,
    /// Words on buttons.
    pub on_accent: String,
    /// Words.
    pub text: String,
    /// Small print.
    pub muted: String,
    /// Around the letter.
    pub background: String,
    /// The letter itself.
    pub paper: String,
    /// Lines between rows.
    pub line: String,
}

impl Default for Colors {
    fn default() -> Self {
        let [accent, on_accent, text, muted, background, paper, line] =
            ["#1f5fd6", "#ffffff", "#1c2330", "#5c6675", "#f2f4f7", "#ffffff", "#e3e7ed"]
                .map(str::to_owned);
        Self { accent, on_accent, text, muted, background, paper, line }
    }
}

impl Brand {
    /// A company that does not exist, for previews, tests and a worker without settings.
    pub fn example() -> Self {
        let address = |text: &str| text.parse().expect("a good address");
        let link = |label: &str, page: &str| Link {
            label: label.to_owned(),
            url: format!("https://docs.example.com/{page}"),
        };
        Self {
            company: "Example Streaming".to_owned(),
            from: address("mail@example.com"),
            reply_to: None,
            support: address("support@example.com"),
            website_url: "https://example.com/".to_owned(),
            documentation_url: "https://docs.example.com/".to_owned(),
            account_url: "https://example.com/account".to_owned(),
            links: vec![
                link("Publish and play in the browser", "web"),
                link("iOS and Android", "mobile"),
                link("Servers: Ruby, Node.js and Python", "server"),
            ],
            postal_address: vec!["Example Streaming".to_owned(), "1 Example Street".to_owned()],
            logo: None,
            colors: Colors::default(),
        }
    }

    /// What is wrong with it: every problem, with the key it belongs to.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let own = [("from", Some(&self.from)), ("reply_to", self.reply_to.as_ref())];
        for (key, address) in own.into_iter().chain([("support", Some(&self.support))]) {
            if !address.is_none_or(|address| address.as_str().is_ascii()) {
                problems
                    .push(format!("`{key}` has letters beyond ASCII; not every server takes it"));
            }
        }
        let mut text = |key: &str, value: &str| {
            if value.trim().is_empty() || value.contains(char::is_control) {
                problems.push(format!("`{key}` is empty or holds a line break; write one line"));
            }
        };
        text("company", &self.company);
        self.links.iter().for_each(|link| text("links.label", &link.label));
        self.postal_address.iter().for_each(|line| text("postal_address", line));
        let own = [
            ("website_url", &self.website_url),
            ("documentation_url", &self.documentation_url),
            ("account_url", &self.account_url),
        ];
        for (key, url) in own.into_iter().chain(self.links.iter().map(|l| ("links.url", &l.url))) {
            if !is_web(url) {
                problems.push(format!("`{key}` is not a link; write https://example.com/page"));
            }
        }
        let Colors { accent, on_accent, text, muted, background, paper, line } = &self.colors;
        for color in [accent, on_accent, text, muted, background, paper, line] {
            if !is_color(color) {
                problems.push(format!("`{}` is not a colour; write #1f5fd6", color.escape_debug()));
            }
        }
        problems
    }
}

/// Whether a text is a link that a mail may have: to the web, without blank or control character.
pub(crate) fn is_web(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>\"\\`".contains(c);
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_in_order_and_faults_are_named_together() {
        assert_eq!(Brand::example().problems(), [] as [&str; 0]);
        let mut brand = Brand::example();
        brand.company = "Example\r\nBcc: eve@example.org".to_owned();
        brand.website_url = "javascript:alert(1)".to_owned();
        brand.colors.accent = "red;}".to_owned();
        brand.from = "mail@überträger.example".parse().unwrap();
        let problems = brand.problems().join("\n");
        for key in ["from", "company", "website_url", "red;}"] {
            assert!(problems.contains(&format!("`{key}`")), "{key} is not in {problems}");
        }
    }

    #[test]
    fn missing_keys_are_told_together_and_a_whole_brand_is_read_back() {
        let json = serde_json::json!({ "company": "Otter", "support": "help@otter.example" });
        let error = serde_json::from_value::<Brand>(json).unwrap_err().to_string();
        let missing = "`from`, `website_url`, `documentation_url`, `account_url`";
        assert_eq!(error, format!("a brand needs {missing} too"));
        let whole = serde_json::to_value(Brand::example()).unwrap();
        assert_eq!(serde_json::from_value::<Brand>(whole.clone()).unwrap(), Brand::example());
        let mut odd = whole;
        odd["form"] = "x".into();
        assert!(serde_json::from_value::<Brand>(odd).unwrap_err().to_string().contains("`form`"));
    }

    #[test]
    fn links_lead_to_the_web() {
        for good in ["https://example.com/a?b=c&d=%20#e", "http://127.0.0.1:8080/"] {
            assert!(is_web(good), "{good}");
        }
        for bad in ["", "https://", "ftp://a", "https://a b", "https://a\"b", "data:text/html,x"] {
            assert!(!is_web(bad), "{bad}");
        }
    }
}
