//! The conformance suite of the task store: what every engine promises, tested on each.
//!
//! `suite` knows the trait only. An engine is a function that makes a [`world::World`]; adding one
//! is one more line in `suite!` below. What only one engine can be put through is beside it.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod model;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod world;

/// Writes one test per line of the list, on the engine that `$world` makes.
macro_rules! suite_on {
    ($engine:ident, $world:path; $($module:ident: $($name:ident),+;)+) => {
        mod $engine {$(
            mod $module {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::suite::$module::$name(&$world().await).await;
                }
            )+}
        )+}
    };
}

/// The list for every engine.
macro_rules! suite {
    ($($list:tt)+) => {
        suite_on! { sqlite, crate::world::sqlite; $($list)+ }
        suite_on! { postgres, crate::world::postgres; $($list)+ }
    };
}

suite! {
    enqueueing:
        answers_in_order_and_stores_everything,
        takes_an_id_only_once,
        takes_an_id_only_once_after_its_end_and_after_pruning,
        enqueues_each_tick_once,
        remembers_when_a_schedule_began,
        follows_the_transaction_of_the_caller;
    unique_keys:
        block_while_their_task_waits_or_runs,
        block_for_their_period,
        block_for_their_period_beyond_pruning,
        block_within_a_batch,
        are_free_for_the_follow_up_of_their_task,
        are_free_for_later_settlements_of_the_batch,
        are_free_for_later_settlements_beside_plain_follow_ups,
        are_taken_back_by_a_retry;
    leasing:
        goes_by_priority_then_age,
        leaves_what_is_not_above_the_priority_asked_for,
        gives_only_registered_jobs,
        keeps_tasks_on_their_host,
        holds_scheduled_tasks_until_they_are_due,
        keeps_the_limit_of_a_job_across_workers,
        skips_paused_jobs,
        gives_each_task_to_one_worker,
        gives_nothing_to_a_worker_declared_dead;
    limits:
        keep_the_rate_of_a_job_across_workers,
        fill_a_lease_although_several_lanes_share_a_limit,
        refill_with_the_clock,
        block_for_one_window_when_the_clock_jumps_back,
        hold_for_all_jobs_of_a_source,
        hold_for_job_and_source_together,
        keep_no_other_job_back,
        with_a_rate_hold_nothing_ready,
        are_free_again_when_a_worker_dies,
        count_a_start_whatever_becomes_of_it,
        answer_a_waiting_lease_when_the_next_may_start,
        let_a_waiting_lease_sleep,
        are_kept_while_many_lease_and_settle;
    waiting:
        is_answered_by_an_enqueue_of_this_process,
        is_answered_by_an_enqueue_of_another_process,
        is_answered_when_a_task_becomes_due,
        is_answered_while_other_calls_keep_the_store_busy,
        ends_after_the_time_asked_for,
        ends_for_a_worker_that_is_gone,
        loses_nothing_when_the_worker_goes_away,
        counts_no_attempt_that_nobody_saw_before_the_worker_signed_off;
    attempts:
        count_when_they_start,
        do_not_count_for_prefetched_tasks,
        count_when_given_back,
        are_never_more_than_allowed,
        do_not_count_when_snoozed,
        count_for_dead_workers_until_poison_ends,
        stay_counted_when_the_worker_of_a_prefetched_task_dies,
        are_returned_when_a_worker_signs_off,
        are_not_rescued_from_a_worker_that_lives;
    settling:
        fences_a_worker_that_was_declared_dead,
        takes_each_lease_once,
        refuses_a_wrong_token,
        stores_result_reports_and_errors,
        counts_no_attempt_of_what_admission_refuses,
        waits_before_the_next_attempt,
        ends_as_cancelled_what_was_asked_to_stop;
    outcomes:
        store_the_final_write_and_follow_ups_together,
        undo_a_failing_write_alone,
        take_back_the_follow_ups_of_a_failing_write_alone,
        fail_a_write_alone_that_swallows_an_error,
        fail_a_write_alone_of_what_it_deferred,
        undo_the_write_if_a_follow_up_fails,
        survive_a_panicking_write,
        link_follow_ups_to_their_parent;
    operators:
        pause_and_resume,
        cancel_waiting_tasks_at_once,
        cancel_running_tasks_through_the_heartbeat,
        cancel_what_goes_back,
        retry_ended_tasks,
        retry_scheduled_tasks_at_once,
        discard_waiting_tasks,
        are_told_what_does_not_exist;
    held:
        goes_to_other_releases_only,
        goes_to_the_release_that_offers_it_before_all_others,
        is_discarded_after_the_limit,
        keeps_its_first_time_until_it_is_accepted;
    reading:
        finds_by_each_filter,
        pages_from_new_to_old,
        goes_through_what_waits,
        tells_key_ids_apart,
        counts_depths,
        shows_progress,
        shows_workers;
    retention:
        goes_by_state_and_age,
        leaves_what_has_not_ended,
        keeps_young_ticks_and_the_latest_of_each_schedule,
        keeps_a_bounded_number_of_rejections;
    conservation:
        counts_each_way_a_task_goes,
        counts_what_dead_workers_leave,
        is_the_same_in_pieces_and_added_up,
        names_a_waiting_task_whose_row_was_deleted,
        names_an_ended_task_whose_row_was_deleted,
        misses_a_task_that_vanished_with_its_envelope,
        finds_rows_that_are_there_twice_or_where_nobody_looks,
        finds_rows_without_an_envelope;
    quotas:
        hold_for_all_jobs_of_the_source,
        refuse_a_call_as_a_whole_and_no_other,
        answer_a_repeat_as_before,
        leave_room_again_when_tasks_end,
        leave_the_transaction_of_the_caller_as_it_was,
        fail_follow_ups_for_the_moment;
    crowd:
        runs_each_task_exactly_once,
        may_ask_for_a_new_job_in_the_same_moment;
}
