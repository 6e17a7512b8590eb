//! `emails`, and the way of a mail through a worker.

use serde_json::json;
use testkit::{SmtpSecurity, SmtpServer};

use crate::cli_shell::Shell;

const ACCOUNT: &str = r#"{"kind":"account","id":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m","name":"Otter <i>Lane</i>","billingProvider":"cine.io","billingEmail":"ann@example.org"}"#;
const WELCOME: &str = r#"{"accountId":"acct_01jd0c4x5ve4zrh1k5yq4q8g7m"}"#;

#[test]
fn previews_are_files_in_the_company_s_brand_and_templates() {
    let shell = Shell::with_manifest(
        "[domains.emails]\ntemplates = \"own\"\n[domains.emails.brand]\ncompany = \"Otter TV\"\n\
         from = \"mail@otter.example\"\nsupport = \"help@otter.example\"\n\
         website_url = \"https://otter.example/\"\n\
         documentation_url = \"https://otter.example/docs\"\n\
         account_url = \"https://otter.example/account\"\n",
    );
    let own = "Subject: Ahoy, {{ name }}\nPreview: Ahoy\n\nWelcome aboard, {{ name }}.\n";
    shell.write("own/welcome.mail", own.as_bytes());
    let printed = shell.ok(&["emails", "preview", "welcome", "--folder", "out"]);
    assert!(printed.contains("Ahoy, Ann Lee") && printed.contains("in out"), "{printed}");
    assert!(shell.read("out/welcome.html").contains("Welcome aboard, Ann Lee."));
    assert!(shell.read("out/welcome.txt").starts_with("Welcome aboard, Ann Lee."));
    assert!(shell.read("out/welcome.eml").contains("From: \"Otter TV\" <mail@otter.example>"));
    assert_eq!(std::fs::read_dir(shell.path("out")).unwrap().count(), 4);
    assert_eq!(shell.read("out/welcome.json").matches("\"name\": \"Ann Lee\"").count(), 1);
    let all = shell.json(&["emails", "preview"]);
    let mails = all["mails"].as_array().unwrap().len();
    assert!(mails > 16, "{all}");
    assert_eq!(std::fs::read_dir(shell.path("mail-previews")).unwrap().count(), 4 * mails);
    assert!(!shell.home().exists(), "no database is needed");
    let wrong = shell.run(&["emails", "preview", "welcom"]);
    wrong.fails(64, &["there is no mail of that name", "did you mean `welcome`?"]);
    // A template that says what is not there is found before anything is written.
    let bad = own.replace("aboard, {{ name }}", "aboard, {{ nmae }}");
    shell.write("own/welcome.mail", bad.as_bytes());
    let refused = shell.run(&["emails", "preview", "near_limit", "--folder", "none"]);
    let words = ["own/welcome.mail:4", "undefined value in `{{ nmae }}`; there are brand, name"];
    refused.fails(78, &words);
    assert!(!shell.path("none").exists());
}

/// Fault 23: a worker that ends with its last task has sent its mails.
#[test]
fn a_mail_goes_from_the_asker_to_a_file_and_is_listed() {
    let shell = Shell::with_manifest("");
    shell.write("account.jsonl", ACCOUNT.as_bytes());
    shell.ok(&["import", "account.jsonl"]);
    assert_eq!(shell.ok(&["emails", "list"]), "no such mail\n");
    for _ in 0..2 {
        shell.ok(&["enqueue", "emails/welcome_account", WELCOME]);
        shell.ok(&["work", "--until-empty"]);
    }
    let listed = shell.json(&["emails", "list", "--state", "sent"]);
    let [mail] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(mail["kind"], "welcome");
    assert_eq!((&mail["recipient"], &mail["attempts"]), (&json!("ann@example.org"), &json!(1)));
    let file = mail["message"].as_str().unwrap();
    let eml = std::fs::read_to_string(shell.path(file)).unwrap();
    assert!(eml.contains("Otter &lt;i&gt;Lane"), "{eml}");
    assert!(!eml.contains("<i>Lane</i></"), "the name is no HTML");
    let table = shell.ok(&["emails", "list", "--limit", "1"]);
    assert!(table.starts_with("MAIL") && table.contains("ann@example.org"), "{table}");
    assert_eq!(shell.ok(&["emails", "list", "--state", "refused,failed"]), "no such mail\n");
    let wrong = shell.run(&["emails", "list", "--state", "send"]);
    wrong.fails(64, &["did you mean `sent`"]);
}

#[test]
fn an_address_that_bounced_is_listed_until_it_is_allowed_again() {
    let shell = Shell::with_manifest("");
    assert_eq!(shell.ok(&["emails", "suppressed"]), "every address may be sent mail\n");
    let bounce = r#"{"eventId":"b-1","address":"Gone@example.org","kind":"permanent"}"#;
    shell.ok(&["enqueue", "emails/apply_bounce", bounce]);
    shell.ok(&["work", "--until-empty"]);
    let listed = shell.json(&["emails", "suppressed"]);
    assert_eq!(listed[0]["address"], "gone@example.org");
    assert_eq!((&listed[0]["reason"], &listed[0]["event"]), (&json!("bounced"), &json!("b-1")));
    assert!(shell.ok(&["emails", "suppressed"]).contains("gone@example.org  bounced"));
    let said = shell.ok(&["emails", "allow", "gone@example.org"]);
    assert_eq!(said, "gone@example.org may be sent mail again\n");
    let again = shell.run(&["emails", "allow", "gone@example.org"]);
    again.fails(64, &["gone@example.org is not on the list"]);
}

#[tokio::test]
async fn a_mail_server_is_checked_and_written_to_by_everyone_only_in_production() {
    let server = SmtpServer::start(SmtpSecurity::StartTls).await.unwrap();
    let mut shell = Shell::with_manifest(&format!(
        "[domains.emails]\nsmtp = {{ host = \"127.0.0.1\", port = {}, authority_file = '{}' }}\n\
         [domains.emails.brand]\ncompany = \"Otter TV\"\nfrom = \"mail@otter.example\"\n\
         support = \"help@otter.example\"\nwebsite_url = \"https://otter.example/\"\n\
         documentation_url = \"https://otter.example/docs\"\n\
         account_url = \"https://otter.example/account\"\n",
        server.address().port(),
        server.authority().display()
    ));
    let login = |password: &str| json!({ "user": server.user(), "password": password }).to_string();
    shell.set("MAIN_WORKER_SECTION_smtp", &login("another"));
    let refused = shell.run(&["check"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(refused.stdout.contains("FAILED  mail server            signing in: 5"), "{refused:?}");
    assert!(!refused.stdout.contains("another"), "{refused:?}");
    shell.set("MAIN_WORKER_SECTION_smtp", &login(server.password()));
    let checked = shell.ok(&["check"]);
    assert!(checked.contains("ok      mail server            127.0.0.1 lets us in"), "{checked}");

    shell.write("account.jsonl", ACCOUNT.as_bytes());
    shell.ok(&["import", "account.jsonl"]);
    shell.ok(&["enqueue", "emails/welcome_account", WELCOME]);
    shell.ok(&["work", "--until-empty"]);
    let listed = shell.json(&["emails", "list"]);
    assert_eq!(listed[0]["state"], "withheld", "{listed}");
    assert!(server.mails().unwrap().is_empty());

    shell.set("MAIN_WORKER_ENVIRONMENT", "production");
    let other =
        ACCOUNT.replace("acct_01jd0c4x5ve4zrh1k5yq4q8g7m", "acct_01jd0c4x5ve4zrh1k5yq4q8g8m");
    shell.write("account.jsonl", other.as_bytes());
    shell.ok(&["import", "account.jsonl"]);
    shell.ok(&["enqueue", "emails/welcome_account", &WELCOME.replace("8g7m", "8g8m")]);
    shell.ok(&["work", "--until-empty"]);
    let [mail] = server.mails().unwrap().try_into().unwrap();
    assert_eq!((&*mail.sender, mail.signed_in), ("mail@otter.example", true));
    assert_eq!(mail.recipients, ["ann@example.org"]);
}
