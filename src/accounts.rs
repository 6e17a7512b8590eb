//! What a comparison of counts and rows says, in sentences.

use std::fmt::Write as _;

use tasks::Conservation;

/// What to do once something has vanished.
pub(crate) const REMEDY: &str = "find out what deleted rows (a restored backup, somebody with SQL, \
    a damaged file); then `main-worker check --conservation --reconcile` makes dead letters of \
    tasks without a row, to be looked at and retried, and starts counting anew";

/// One sentence for each law that is broken; none if every task is accounted for.
pub(crate) fn problems(found: &Conservation) -> Vec<String> {
    let Conservation { lanes: _, without_row, lost, without_envelope, twice, misplaced } = found;
    let mut problems = Vec::new();
    for lane in found.broken() {
        let host = lane.host.as_ref().map_or_else(String::new, |host| format!(" for {host}"));
        let whose = match lane.job_name.as_str() {
            "" => "a lane that vanished itself".to_owned(),
            job => format!("{job} from {}{host}", lane.source),
        };
        for (missing, counted, there, what) in [
            (lane.missing_live(), lane.counts.live(), lane.live, "waiting or running"),
            (lane.missing_finished(), lane.counts.finished(), lane.finished, "finished"),
        ] {
            let tasks = missing.unsigned_abs();
            let counts = format!("{counted} were counted, {there} are there");
            if missing > 0 {
                problems.push(format!("{tasks} {what} tasks of {whose} have vanished: {counts}"));
            } else if missing < 0 {
                problems.push(format!("{tasks} {what} tasks of {whose} never came: {counts}"));
            }
        }
    }
    if *without_row > 0 {
        let mut text = format!("{without_row} tasks have an envelope and no row:");
        for (at, task) in lost.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(text, "{comma} {} ({} from {})", task.task_id, task.job_name, task.source)
                .expect("a text takes everything");
        }
        if *without_row > lost.len() as u64 {
            text.push_str(" and more");
        }
        problems.push(text);
    }
    if *without_envelope > 0 {
        problems.push(format!("{without_envelope} tasks have a row and no envelope"));
    }
    if *twice > 0 {
        problems.push(format!("{twice} tasks have ended, and a row says that they wait or run"));
    }
    if *misplaced > 0 {
        problems.push(format!("{misplaced} tasks wait in a state or a lane that nobody looks at"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use tasks::{Counts, LaneCount, LostTask};

    use super::*;

    fn lane(live: i64, finished: i64) -> LaneCount {
        LaneCount {
            job_name: "logs/process_log".to_owned(),
            source: "api".to_owned(),
            host: None,
            counts: Counts { entered: 5, ended: 3, revived: 0, pruned: 1 },
            live,
            finished,
        }
    }

    #[test]
    fn says_nothing_while_everything_is_accounted_for() {
        let found = Conservation { lanes: vec![lane(2, 2)], ..Conservation::default() };
        assert_eq!(problems(&found), Vec::<String>::new());
    }

    #[test]
    fn names_what_vanished_and_what_never_came() {
        let task_id = "task_01k6e4dk40000000000000000a".parse().unwrap();
        let (job_name, source) = ("logs/process_log".to_owned(), "api".to_owned());
        let found = Conservation {
            lanes: vec![lane(1, 4)],
            without_row: 2,
            lost: vec![LostTask { task_id, job_name, source }],
            without_envelope: 1,
            twice: 1,
            misplaced: 3,
        };
        insta::assert_snapshot!(problems(&found).join("\n"), @r"
        1 waiting or running tasks of logs/process_log from api have vanished: 2 were counted, 1 are there
        2 finished tasks of logs/process_log from api never came: 2 were counted, 4 are there
        2 tasks have an envelope and no row: task_01k6e4dk40000000000000000a (logs/process_log from api) and more
        1 tasks have a row and no envelope
        1 tasks have ended, and a row says that they wait or run
        3 tasks wait in a state or a lane that nobody looks at
        ");
    }
}
