//! The process contract of IronWorker: `-payload FILE -config FILE -id TASK_ID -d DIR`.

use std::ffi::{OsStr, OsString};

/// Its options with one dash, and ours.
const OPTIONS: [(&str, &str); 3] =
    [("-payload", "--payload"), ("-config", "--config"), ("-id", "--id")];

/// Rewrites IronWorker's single-dash options, and adds the command `run` where it goes without.
pub(super) fn rewrite(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_ours = |argument: &OsStr| OPTIONS.iter().any(|(theirs, _)| argument == *theirs);
    let first = arguments.get(1);
    let bare = first.is_some_and(|first| is_ours(first) || first == "-d");
    let is_run = bare || first.is_some_and(|first| first == "run");
    if !is_run {
        return arguments;
    }
    let mut rewritten = Vec::with_capacity(arguments.len() + 1);
    for (at, argument) in arguments.into_iter().enumerate() {
        if at == 1 && bare {
            rewritten.push("run".into());
        }
        let ours = OPTIONS.iter().find(|(theirs, _)| argument == *theirs);
        rewritten.push(ours.map_or(argument, |(_, ours)| ours.into()));
    }
    rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_the_process_contract() {
        let check = |given: &str, expected: &str| {
            let given = given.split(' ').map(OsString::from).collect();
            let expected: Vec<OsString> = expected.split(' ').map(OsString::from).collect();
            assert_eq!(rewrite(given), expected);
        };
        check(
            "mw -payload p.json -config c -id 7 -d /t",
            "mw run --payload p.json --config c --id 7 -d /t",
        );
        check("mw run -payload p.json", "mw run --payload p.json");
        check("mw -d /t -payload p", "mw run -d /t --payload p");
        check("mw work --until-empty", "mw work --until-empty");
    }
}
