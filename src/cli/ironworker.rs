//! The process contract of IronWorker: `-payload FILE -config FILE -id TASK_ID -d DIR`.

use std::ffi::{OsStr, OsString};

/// Its options with one dash, and ours.
const OPTIONS: [(&str, &str); 3] =
    [("-payload", "--payload"), ("-config", "--config"), ("-id", "--id")];

/// Our option that may stand before the command, and takes a value.
const OUTPUT: &str = "--output";

/// Rewrites IronWorker's single-dash options, and adds the command `run` where it goes without.
pub(super) fn rewrite(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_theirs = |argument: &OsStr| {
        argument == "-d" || OPTIONS.iter().any(|(theirs, _)| argument == *theirs)
    };
    let at = first_word(&arguments);
    let first = arguments.get(at);
    let bare = first.is_some_and(|first| is_theirs(first));
    let is_run = bare || first.is_some_and(|first| first == "run");
    if !is_run {
        return arguments;
    }
    let mut rewritten = Vec::with_capacity(arguments.len() + 1);
    for (index, argument) in arguments.into_iter().enumerate() {
        if index == at && bare {
            rewritten.push("run".into());
        }
        let ours = OPTIONS.iter().find(|(theirs, _)| index >= at && argument == *theirs);
        rewritten.push(ours.map_or(argument, |(_, ours)| ours.into()));
    }
    rewritten
}

/// Where the command stands, or what stands for it: behind the options of the program itself.
fn first_word(arguments: &[OsString]) -> usize {
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        if argument == OUTPUT {
            at += 2;
        } else if argument.to_str().is_some_and(|text| text.starts_with("--output=")) {
            at += 1;
        } else {
            break;
        }
    }
    at
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
        check("mw --output json run -payload e.json", "mw --output json run --payload e.json");
        check("mw --output=json -payload e.json", "mw --output=json run --payload e.json");
        check("mw --output json work -id", "mw --output json work -id");
        check("mw --output", "mw --output");
    }
}
