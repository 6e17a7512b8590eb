//! What `--help` says.

use crate::cli_shell::Shell;

#[test]
fn is_the_same_as_last_time() {
    let shell = Shell::new();
    for command in [
        "",
        "run",
        "work",
        "enqueue",
        "jobs",
        "jobs pause",
        "tasks",
        "tasks list",
        "tasks discard",
        "schedules",
        "schedules next",
        "check",
        "keys",
        "keys make",
        "keys rotate",
        "migrate",
        "import",
        "export",
        "billing",
        "billing preview",
        "emails",
        "emails list",
        "emails preview",
        "recordings",
        "recordings list",
        "recordings webhook",
    ] {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let name = format!("help_{}", command.replace(' ', "_"));
        insta::assert_snapshot!(name, shell.ok(&words));
    }
    shell.run(&["wrok"]).fails(64, &["unrecognized subcommand", "work"]);
    shell.run(&[]).fails(64, &["Usage: main-worker"]);
    assert!(!shell.home().exists(), "help makes nothing");
}
