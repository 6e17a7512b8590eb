//! The run over all accounts, and what holds it.

use billing::{RecordState, Total, Totals};
use contract::billing::{CloseMonth, InvoiceAccount};
use database::{EngineKind, Query};
use models::billing as money;
use models::{BillingProvider, accounts, plans};
use payments::scripted::TestCard;
use values::Currency;

use super::{Company, broadcast, month, usd};

const AT: &str = "2015-01-03T08:00:00Z";

fn close(of: &str) -> CloseMonth {
    CloseMonth { month: Some(month(of)), after: None }
}

impl Company {
    /// Closes a month and bills every account that is asked for; says what the run was.
    async fn close(&self, of: &str) -> String {
        let done = self.run(&close(of)).await.unwrap();
        for task in done.follow_ups_of::<InvoiceAccount>() {
            self.bill(task.account_id, of).await.unwrap();
        }
        done.result["months"][of].as_str().unwrap().to_owned()
    }

    async fn approve(&self, of: &str, net_minor: i64) {
        self.approve_taxed(of, net_minor, 0).await;
    }

    async fn approve_taxed(&self, of: &str, net_minor: i64, tax_minor: i64) {
        let totals = Totals::from([(Currency::USD, Total { net_minor, tax_minor })]);
        let mut work = self.db.begin().await.unwrap();
        money::approve(&mut work.tx(), month(of), &totals, "ann", self.now()).await.unwrap();
        work.commit().await.unwrap();
    }

    async fn stop(&self, reason: Option<&str>) {
        let mut work = self.db.begin().await.unwrap();
        money::stop_charges(&mut work.tx(), reason, self.now()).await.unwrap();
        work.commit().await.unwrap();
    }
}

/// Faults 8 and 20: a month is found by its state whatever the day, and one account's trouble stops
/// no other.
async fn closing_asks_for_open_accounts_only(engine: EngineKind) {
    let company = Company::new(engine, "2015-01-19T08:00:00Z").await;
    let mut asked = vec![company.customer(1, "basic", TestCard::Good).await];
    asked.push(company.customer(2, "gold", TestCard::Good).await); // unknown: its own task says so
    asked.push(company.customer(3, "basic", TestCard::Declined).await);
    company.customer(4, "free", TestCard::Good).await;
    let provided = company.account(5, &broadcast("basic")).await;
    let deleted = company.customer(6, "basic", TestCard::Good).await;
    for (id, change) in [(provided, 0), (deleted, 1)] {
        let mut account = company.get(id).await;
        match change {
            0 => account.billing_provider = BillingProvider::Heroku,
            _ => account.deleted_at = Some(company.now()),
        }
        let mut work = company.db.begin().await.unwrap();
        accounts::upsert_many(&mut work.tx(), &[account]).await.unwrap();
        work.commit().await.unwrap();
    }
    asked.sort();
    let every = company.run(&CloseMonth { month: None, after: None }).await.unwrap();
    assert_eq!(every.follow_ups_of::<CloseMonth>(), [close("2014-12")]);
    let done = company.run(&close("2014-12")).await.unwrap();
    let found: Vec<_> =
        done.follow_ups_of::<InvoiceAccount>().iter().map(|task| task.account_id).collect();
    assert_eq!(found, asked);
    for account in &asked {
        company.bill(*account, "2014-12").await.unwrap();
    }
    assert_eq!(company.taken(), 10_000);
    let done = company.run(&close("2014-12")).await.unwrap();
    assert_eq!(done.follow_ups_of::<InvoiceAccount>().len(), 2); // declined, and unknown
    let error = company.run(&close("2015-01")).await.unwrap_err();
    assert!(error.to_string().contains("is not closed before 2015-02-01T01:00:00Z"), "{error}");
}

/// What another system has settled is billed by no command, and the preview says so.
async fn a_month_before_the_first_one_is_never_closed(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    company.customer(1, "basic", TestCard::Good).await;
    let told = "2014-11 is before first_month 2014-12 of [domains.billing]";
    let error = company.run(&close("2014-11")).await.unwrap_err();
    assert!(error.to_string().starts_with(told), "{error}");
    let no_run = async |of: &str| {
        let manifest = Company::manifest();
        let (of, now) = (month(of), company.now());
        let found = jobs::preview_month(&company.db, &manifest, of, false, now).await.unwrap();
        assert_eq!(found.no_run, jobs::no_run(&manifest, of, now).unwrap());
        found.no_run
    };
    assert!(no_run("2014-11").await.unwrap().starts_with(told));
    assert_eq!(no_run("2014-12").await, None);
    let early = no_run("2015-01").await;
    assert_eq!(early.as_deref(), Some("2015-01 is not closed before 2015-02-01T01:00:00Z"));
    assert_eq!(company.number("SELECT count(*) FROM billing_usage").await, 0);
    assert_eq!((company.taken(), company.mails().await.len()), (0, 0));
}

/// Fault 8: months that nobody closed in time are closed whenever a worker is there again.
async fn months_without_a_worker_are_made_up_for(engine: EngineKind) {
    let company = Company::new(engine, "2015-03-17T23:00:00Z").await;
    company.customer(1, "basic", TestCard::Good).await;
    let every = company.run(&CloseMonth { month: None, after: None }).await.unwrap();
    let months = ["2014-12", "2015-01", "2015-02"];
    assert_eq!(every.follow_ups_of::<CloseMonth>(), months.map(close));
    for of in months {
        assert_eq!(company.close(of).await, "go");
    }
    assert_eq!((company.gateway.charges().len(), company.taken()), (3, 30_000));
}

/// Fault 31: what an account drops after the month has ended is billed all the same.
async fn the_plan_of_the_months_last_instant_counts(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let mut work = company.db.begin().await.unwrap();
    let tx = &mut work.tx();
    let last: values::Timestamp = "2014-12-31T23:59:59Z".parse().unwrap();
    let next = "2015-01-01T00:00:00Z".parse().unwrap();
    plans::change(tx, account, last, &broadcast("premium"), "upgrade").await.unwrap();
    plans::change(tx, account, next, &broadcast("free"), "customer").await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(company.close("2014-12").await, "go");
    assert_eq!(company.taken(), 30_000);
}

/// Faults 18 and 26: what arrives after the month is frozen changes no bill; it is reported.
async fn late_usage_is_reported_and_never_billed(engine: EngineKind) {
    let company = Company::new(engine, "2015-01-03T08:00:00Z").await;
    let created: values::Timestamp = "2014-12-15T00:00:00Z".parse().unwrap();
    let id = values::AccountId::new(created, [1; 10]);
    let template = company.account(2, &broadcast("free")).await;
    let account = models::Account { id, created_at: created, ..company.get(template).await };
    company.put(&account, &broadcast("basic")).await;
    company.card(id, TestCard::Good).await;
    company.usage(id, month("2014-12"), [1_000, 0, 0]).await;
    company.stop(Some("not yet")).await;
    assert_eq!(company.close("2014-12").await, "stopped");
    company.usage(id, month("2014-12"), [5_000_000_000, 0, 0]).await;
    company.stop(None).await;
    assert_eq!(company.close("2014-12").await, "go");
    assert_eq!(company.taken(), 5_483); // 17 of 31 days: by what was frozen
    let late = money::late_usage(&company.db, month("2014-12"), 10).await.unwrap();
    let [late] = &late[..] else { panic!("{late:?}") };
    assert_eq!((late.account, late.frozen.bandwidth_bytes), (id, 1_000));
    assert_eq!(late.now.bandwidth_bytes, 5_000_000_000);
}

async fn the_kill_switch_stops_the_run_and_every_charge(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    let asked = company.run(&close("2014-12")).await.unwrap();
    assert_eq!(asked.follow_ups_of::<InvoiceAccount>().len(), 1);
    company.stop(Some("wrong prices")).await;
    let waits = company.bill(account, "2014-12").await.unwrap();
    assert!(waits.snoozed.is_some());
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 0);
    assert_eq!(company.taken(), 0);
    company.stop(None).await;
    company.bill(account, "2014-12").await.unwrap();
    assert_eq!(company.taken(), 10_000);
}

async fn a_run_waits_for_the_approval_of_exactly_its_totals(engine: EngineKind) {
    let mut company = Company::by_hand(engine, AT, "approve_before_charge = true\n").await;
    company.pay_by_card();
    company.customer(1, "basic", TestCard::Good).await;
    for _ in 0..2 {
        assert_eq!(company.close("2014-12").await, "awaits_approval");
    }
    assert_eq!(company.mails().await, ["admin:billing_held"]);
    company.approve("2014-12", 9_999).await;
    assert_eq!(company.close("2014-12").await, "awaits_approval");
    company.approve("2014-12", 10_000).await;
    company.customer(2, "solo", TestCard::Good).await; // it is another total now
    assert_eq!(company.close("2014-12").await, "awaits_approval");
    assert_eq!(company.taken(), 0);
    company.approve("2014-12", 12_000).await;
    assert_eq!(company.close("2014-12").await, "go");
    assert_eq!(company.taken(), 12_000);
}

async fn a_total_that_moves_too_far_stops_by_itself(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    let account = company.customer(1, "basic", TestCard::Good).await;
    assert_eq!(company.close("2014-12").await, "go");
    company.set("2015-02-03T08:00:00Z");
    let mut work = company.db.begin().await.unwrap();
    let at = "2015-01-10T00:00:00Z".parse().unwrap();
    plans::change(&mut work.tx(), account, at, &broadcast("premium"), "upgrade").await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(company.close("2015-01").await, "moved_too_far");
    assert_eq!(company.taken(), 10_000);
    assert!(company.mails().await.contains(&"admin:billing_held".to_owned()));
    company.approve("2015-01", 30_000).await;
    assert_eq!(company.close("2015-01").await, "go");
    assert_eq!(company.taken(), 40_000);
}

async fn a_ledger_that_does_not_sum_to_zero_stops_the_run(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    company.customer(1, "basic", TestCard::Good).await;
    company.bill(company.customer(2, "solo", TestCard::Good).await, "2014-12").await.unwrap();
    let change = Query::new("UPDATE ledger_entry SET minor = minor + 1 WHERE ledger_account = $1");
    company.db.execute(change.bind("cash")).await.unwrap();
    let error = company.run(&close("2014-12")).await.unwrap_err();
    assert!(error.to_string().contains("does not sum to zero"), "{error}");
    assert!(company.mails().await.contains(&"admin:ledger_difference".to_owned()));
    assert_eq!(company.taken(), 2_000);
}

/// A month that was cut off half way goes on where it was.
async fn a_run_that_dies_is_taken_up_again(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    for number in 1..=3 {
        company.customer(number, "basic", TestCard::Good).await;
    }
    assert!(company.attempt(&close("2014-12"), testkit::Cut::DiesAt(1)).await.is_none());
    drop(company.attempt(&close("2014-12"), testkit::Cut::Never).await);
    assert_eq!(company.close("2014-12").await, "go");
    assert_eq!(company.taken(), 30_000);
    let run = money::run(&company.db, month("2014-12")).await.unwrap().unwrap();
    let total = Total { net_minor: usd(30_000).minor, tax_minor: 0 };
    assert_eq!(run.totals, Totals::from([(Currency::USD, total)]));
    company.db.execute(Query::new("DELETE FROM effect")).await.unwrap();
    company.close("2014-12").await;
    assert_eq!(company.taken(), 30_000);
}

/// A month below the smallest charge is carried to the next invoice, once.
async fn small_amounts_are_carried_over(engine: EngineKind) {
    let mut company = Company::by_hand(engine, AT, "catalogue = 'CHEAP'\n").await;
    company.pay_by_card();
    let account = company.customer(1, "solo", TestCard::Good).await;
    assert_eq!(company.close("2014-12").await, "go");
    assert_eq!(company.taken(), 0);
    assert_eq!(company.record(account, "2014-12").await.state, RecordState::CarriedOver);
    assert_eq!(company.number("SELECT count(*) FROM invoice").await, 0);
    company.set("2015-02-03T08:00:00Z");
    for of in ["2014-12", "2015-01", "2014-12", "2015-01"] {
        company.close(of).await;
    }
    assert_eq!(company.taken(), 60);
    let carried = company.record(account, "2014-12").await.carried_into;
    assert_eq!(carried, Some(month("2015-01")));
    company.state(account).await;
}

/// The preview says what the run then does, to the cent.
async fn the_preview_is_what_the_run_does(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    company.customer(1, "basic", TestCard::Good).await;
    company.customer(2, "gold", TestCard::Good).await;
    company.account(3, &broadcast("premium")).await;
    company.customer(4, "free", TestCard::Good).await;
    let broken = company.customer(5, "basic", TestCard::Good).await;
    company.usage(broken, month("2014-12"), [-1, 0, 0]).await;
    let manifest = Company::manifest();
    let december = month("2014-12");
    let found = jobs::preview_month(&company.db, &manifest, december, false, company.now()).await;
    let found = found.unwrap();
    let ends: Vec<(&str, i64)> = found
        .rows
        .iter()
        .map(|row| (&*row.outcome, row.charge.map_or(0, |amount| amount.minor)))
        .collect();
    assert_eq!((ends[0], ends[2]), (("charge", 10_000), ("no_card", 0)));
    assert!(ends[1].0.contains("gold") && ends[3].0.contains("cannot be billed"), "{ends:?}");
    assert_eq!(found.without_cost, [("free_plan", 1)].into());
    assert_eq!(
        (company.taken(), company.number("SELECT count(*) FROM billing_usage").await),
        (0, 0)
    );
    let done = company.run(&close("2014-12")).await.unwrap();
    for task in done.follow_ups_of::<InvoiceAccount>() {
        drop(company.bill(task.account_id, "2014-12").await);
    }
    assert_eq!(company.taken(), found.charges()[&Currency::USD]);
    let run = money::run(&company.db, december).await.unwrap().unwrap();
    let after = jobs::preview_month(&company.db, &manifest, december, false, company.now()).await;
    assert_eq!(after.unwrap().totals, run.totals, "a run that went is shown as it went");
    // Of the account whose usage cannot be, the run counts what its plan costs.
    let net = |totals: &Totals| totals[&Currency::USD].net_minor;
    assert_eq!(net(&run.totals), net(&found.totals) + 10_000);
}

/// Once a month has run, its preview is what was billed, and what is still open.
async fn the_preview_of_a_month_that_ran_is_what_was_billed(engine: EngineKind) {
    let company = Company::new(engine, AT).await;
    for number in 1..=2 {
        company.customer(number, "basic", TestCard::Good).await;
    }
    let declined = company.customer(3, "solo", TestCard::Declined).await;
    company.account(4, &broadcast("free")).await;
    assert_eq!(company.close("2014-12").await, "go");
    let preview = async |by_hand| {
        let (manifest, now) = (Company::manifest(), company.now());
        jobs::preview_month(&company.db, &manifest, month("2014-12"), by_hand, now).await.unwrap()
    };
    let found = preview(false).await;
    assert_eq!(found.totals[&Currency::USD], Total { net_minor: 22_000, tax_minor: 0 });
    assert_eq!((found.released_at, found.release.as_str()), (Some(company.now()), "go"));
    let rows: Vec<(&str, i64)> = found
        .rows
        .iter()
        .map(|row| (&*row.outcome, row.bill.as_ref().unwrap().total.minor))
        .collect();
    assert_eq!(rows, [("paid", 10_000), ("paid", 10_000), ("retry_not_due", 2_000)]);
    assert!(found.charges().is_empty(), "{found:?}");
    assert_eq!(found.rows[2].account, declined);
    assert_eq!(found.without_cost, [("free_plan", 1)].into());
}

/// What customers pay moves with the tax, although the net stays.
async fn the_brakes_hold_what_the_tax_moves(engine: EngineKind) {
    let set_country = async |company: &Company, account, country: &str| {
        let details = money::BillingDetails {
            country: Some(country.to_owned()),
            ..money::BillingDetails::default()
        };
        let mut work = company.db.begin().await.unwrap();
        let now = company.now();
        money::set_details(&mut work.tx(), account, &details, now).await.unwrap();
        work.commit().await.unwrap();
    };
    let mut company = Company::by_hand(engine, AT, "max_change_basis_points = 1000\n").await;
    company.pay_by_card();
    let account = company.customer(1, "basic", TestCard::Good).await;
    assert_eq!(company.close("2014-12").await, "go");
    company.set("2015-02-03T08:00:00Z");
    set_country(&company, account, "DE").await; // 19 % more
    assert_eq!(company.close("2015-01").await, "moved_too_far");
    let manifest = Company::manifest();
    let (of, now) = (month("2015-01"), company.now());
    let found = jobs::preview_month(&company.db, &manifest, of, false, now).await.unwrap();
    let total = Total { net_minor: 10_000, tax_minor: 1_900 };
    assert_eq!(found.totals, Totals::from([(Currency::USD, total)]));
    assert_eq!(money::run(&company.db, of).await.unwrap().unwrap().totals, found.totals);
    company.approve("2015-01", 10_000).await;
    assert_eq!(company.close("2015-01").await, "moved_too_far");
    assert_eq!(company.taken(), 10_000);
    company.approve_taxed("2015-01", 10_000, 1_900).await;
    set_country(&company, account, "FR").await; // no tax: it is another total now
    assert_eq!(company.close("2015-01").await, "go");
    assert_eq!(company.taken(), 20_000);
    company.set("2015-03-03T08:00:00Z");
    set_country(&company, account, "DE").await;
    assert_eq!(company.close("2015-02").await, "moved_too_far");
    company.approve_taxed("2015-02", 10_000, 1_900).await;
    assert_eq!(company.close("2015-02").await, "go");
    assert_eq!(company.taken(), 31_900);
}

testkit::on_each_engine!(
    closing_asks_for_open_accounts_only,
    a_month_before_the_first_one_is_never_closed,
    months_without_a_worker_are_made_up_for,
    the_plan_of_the_months_last_instant_counts,
    late_usage_is_reported_and_never_billed,
    the_kill_switch_stops_the_run_and_every_charge,
    a_run_waits_for_the_approval_of_exactly_its_totals,
    a_total_that_moves_too_far_stops_by_itself,
    a_ledger_that_does_not_sum_to_zero_stops_the_run,
    a_run_that_dies_is_taken_up_again,
    small_amounts_are_carried_over,
    the_preview_is_what_the_run_does,
    the_preview_of_a_month_that_ran_is_what_was_billed,
    the_brakes_hold_what_the_tax_moves,
);
