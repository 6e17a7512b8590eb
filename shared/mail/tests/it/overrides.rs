//! A company's own templates: used, or refused at the start with file and line.

use std::fs;

use mail::{Brand, Message, Rendered, TemplateProblem, TemplateProblems, Templates};

use crate::support::{templates, welcome};

fn load(files: &[(&str, &str)]) -> Result<Templates, TemplateProblems> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    Templates::load(Brand::example(), Some(folder.path()))
}

fn check(file: (&str, &str), expected: &str) {
    let problems = load(&[file]).err().unwrap_or_else(|| panic!("{file:?} was taken"));
    let [problem] = problems.0.as_slice() else { panic!("{file:?}: {problems}") };
    let name = problem.file.rsplit('/').next().unwrap_or_default().to_owned();
    let shown = TemplateProblem { file: name, ..problem.clone() }.to_string();
    assert!(shown.starts_with(expected), "{file:?}: {shown}");
}

#[test]
fn own_words_and_an_own_layout_win() {
    let own = load(&[
        ("welcome.mail", "Subject: Ahoi {{ name }}\nPreview: p\n\nMoin **{{ name }}**.\n"),
        ("layout.txt", "{{ body }}\nOne foot for all."),
    ]);
    let Rendered { subject, text, html } = own.unwrap().render(&welcome("Ann & Bo")).unwrap();
    assert_eq!(subject, "Ahoi Ann & Bo");
    assert_eq!(text, "Moin Ann & Bo.\nOne foot for all.\n");
    assert!(html.contains("Moin <strong>Ann &amp; Bo</strong>."), "{html}");
}

#[test]
fn the_handbook_names_every_mail_and_its_example_works() {
    let handbook = include_str!("../../../../docs/emails.md");
    for name in Message::NAMES {
        assert!(handbook.contains(&format!("`{name}`")), "docs/emails.md does not name {name}");
    }
    let example = handbook.split("```").nth(1).unwrap().strip_prefix("text\n").unwrap();
    load(&[("monthly_invoice.mail", example)]).unwrap();
}

#[test]
fn an_empty_folder_changes_nothing() {
    let rendered = load(&[]).unwrap().render(&welcome("Ann")).unwrap();
    assert_eq!(rendered, templates().render(&welcome("Ann")).unwrap());
}

#[test]
fn faults_are_found_at_the_start_with_file_and_line() {
    let head = "Subject: s\nPreview: p\n\n";
    let letter = |body: &str| format!("{head}{body}");
    let own = |body: &str, expected| check(("welcome.mail", &letter(body)), expected);
    own("Hello {{ nam }}", "welcome.mail:4: undefined value in `{{ nam }}`; there are brand, name");
    own(
        "{{ name }} {% if brand.nam %}a{% endif %}",
        "welcome.mail:4: undefined value in `{{ name }}`, `{% if brand.nam %}`, `{% endif %}`; there",
    );
    own("a\n\nb\n\n{{ name | shout }}", "welcome.mail:8: unknown filter");
    own("a\n\n{% if name %}\n\nb", "welcome.mail:6: syntax error");
    own("a\n\n{{ brand }}", "welcome.mail:6: invalid operation: map cannot be written");
    own("a\n\n{{ name | money }}", "welcome.mail:6: ");
    own(
        "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
        "welcome.mail:4: engine ran out of fuel",
    );
    own("- a\nb", "welcome.mail:5: every line of a list begins");
    own("[now](javascript:x)", "welcome.mail: `javascript:x` is not a link to the web");
    check(("welcome.mail", "Hello"), "welcome.mail:1: the first line is `Subject: `");
    check(
        ("welcome.mail", "Subject: {{ nam }}\nPreview: p\n\na"),
        "welcome.mail:1: undefined value",
    );
    check(
        ("wellcome.mail", head),
        "wellcome.mail: no mail has this template; did you mean `welcome.mail`?",
    );
    check(("notes.md", head), "notes.md: no mail has this template; there are welcome.mail, ");
}

#[test]
fn a_faulty_layout_is_named_once() {
    check(
        ("layout.mjml", "<mjml>\n<mj-body>\n{{ body }}\n{{ oops }}</mj-body></mjml>"),
        "layout.mjml:4: undefined value",
    );
    check(
        ("layout.mjml", "<mjml>\n<mj-body>\n<mj-oops />\n</mj-body></mjml>"),
        "layout.mjml: `mj-oops` is no element of MJML",
    );
    check(
        ("layout.mjml", "<mjml>\n<mj-body>\n{{ body }}\n<mj-section <</mj-body></mjml>"),
        "layout.mjml:4: the MJML cannot be read",
    );
    check(("layout.mjml", "<p>{{ body }}</p>"), "layout.mjml:1: the MJML cannot be read");
    check(("layout.txt", "{{ bod }}"), "layout.txt:1: undefined value");
}

#[test]
fn all_faults_are_told_together() {
    let brand = Brand {
        website_url: "ftp://x".to_owned(),
        logo: Some("no/logo.png".into()),
        ..Brand::example()
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spam.mail"), "").unwrap();
    fs::write(folder.path().join("welcome.mail"), "").unwrap();
    let problems = Templates::load(brand, Some(folder.path())).unwrap_err().to_string();
    assert_eq!(problems.lines().count(), 4, "{problems}");
    for word in ["`website_url`", "no/logo.png", "spam.mail", "welcome.mail:1"] {
        assert!(problems.contains(word), "{word} is not in {problems}");
    }
    let missing = Templates::load(Brand::example(), Some("no/such/folder".as_ref())).unwrap_err();
    assert!(
        missing.to_string().starts_with("no/such/folder: the folder of templates cannot be read")
    );
}
