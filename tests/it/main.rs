//! The program as a whole, through its front doors.

#[cfg(test)]
mod api;
#[cfg(test)]
mod bounces;
#[cfg(test)]
mod cli_billing;
#[cfg(test)]
mod cli_canary;
#[cfg(test)]
mod cli_doors;
#[cfg(test)]
mod cli_emails;
#[cfg(test)]
mod cli_enqueue;
#[cfg(test)]
mod cli_forged;
#[cfg(test)]
mod cli_help;
#[cfg(test)]
mod cli_jobs;
#[cfg(test)]
mod cli_keys;
#[cfg(test)]
mod cli_shell;
#[cfg(test)]
mod cli_transfer;
#[cfg(test)]
mod conservation;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod media_host;
#[cfg(test)]
mod month_end;
#[cfg(test)]
mod pains;
#[cfg(test)]
mod postgres_cli;
#[cfg(test)]
mod postgres_deploys;
#[cfg(test)]
mod postgres_outages;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod roll_up;
#[cfg(test)]
mod sentry;
#[cfg(test)]
mod site;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod work_health;
#[cfg(test)]
mod work_outcomes;
#[cfg(test)]
mod work_signals;
