use super::*;

const SMALL: &str = r#"
minimum_charge_minor = { USD = 50, EUR = 50 }
free_allowance = { bandwidth = "1GiB", storage = "1GiB", peer_time = "60m" }
providers = [{ name = "own", billed_by = "company" }]
[[broadcast]]
providers = ["own"]
plan = "solo"
title = "Solo"
order = 20
price_minor = { USD = 2_000, EUR = 1_900 }
bandwidth = "20GiB"
storage = "5GiB"
streams = 5
"#;
const LATER: &str = r#"
[[broadcast]]
providers = ["own"]
plan = "solo"
title = "Solo"
order = 20
price_minor = { USD = 2_500 }
bandwidth = "25GiB"
storage = "5GiB"
streams = 5
from = "2027-01"
"#;

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_version_counts_from_its_month_on() {
    let catalogue: Catalogue = format!("{SMALL}{LATER}").parse().unwrap();
    let reversed: Catalogue =
        SMALL.replace("[[broadcast]]", &format!("{LATER}[[broadcast]]")).parse().unwrap();
    let check = |at: &str, price| {
        for catalogue in [&catalogue, &reversed] {
            let plan = catalogue.plan("own", Product::Broadcast, "solo", month(at)).unwrap();
            assert_eq!(plan.price(Currency::USD).unwrap().minor, price, "{at}");
            assert_eq!(catalogue.plans("own", Product::Broadcast, month(at)).count(), 1);
        }
    };
    check("2015-01", 2_000);
    check("2026-12", 2_000);
    check("2027-01", 2_500);
    check("2031-06", 2_500);
}

#[test]
fn a_price_in_another_currency_is_asked_for() {
    let catalogue: Catalogue = format!("{SMALL}{LATER}").parse().unwrap();
    let euro: Currency = "EUR".parse().unwrap();
    let plans = AccountPlans { broadcast: names(&["solo", "solo"]), peer: Vec::new() };
    let price = |at| catalogue.hold("own", &plans, month(at)).unwrap().price(euro);
    assert_eq!(price("2026-12").unwrap().minor, 3_800);
    assert!(matches!(price("2027-01"), Err(BillingError::NoPrice { .. })));
}

/// Fault 3: all plans of a product count, not its first one.
#[test]
fn sums_run_over_all_plans_and_a_product_without_has_the_free_allowance() {
    let catalogue = Catalogue::built_in();
    let hold = |broadcast: &[&str], peer: &[&str]| {
        let plans = AccountPlans { broadcast: names(broadcast), peer: names(peer) };
        catalogue.hold("cine.io", &plans, month("2015-02")).unwrap()
    };
    let sum = hold(&["solo", "solo", "free"], &[]);
    assert_eq!(sum.streams(), Streams::UpTo(11));
    assert_eq!(sum.limits().unwrap().bandwidth_bytes, 41 << 30);
    assert_eq!(sum.plan_limits().unwrap().peer_milliseconds, 0);
    assert_eq!(sum.limits().unwrap().peer_milliseconds, 3_600_000);
    assert_eq!(hold(&[], &["solo"]).streams(), Streams::UpTo(0));
    assert_eq!(hold(&[], &["solo"]).limits().unwrap().storage_bytes, 1 << 30);
    assert_eq!(hold(&["solo", "basic"], &[]).streams(), Streams::Unlimited);
}

#[test]
fn names_what_an_account_cannot_hold() {
    let catalogue = Catalogue::built_in();
    let hold = |provider: &str, broadcast: &[&str]| {
        let plans = AccountPlans { broadcast: names(broadcast), peer: Vec::new() };
        catalogue.hold(provider, &plans, month("2015-02")).unwrap_err()
    };
    let unknown = hold("cine.io", &["basci"]);
    assert_eq!(
        unknown.to_string(),
        "`cine.io` sells no broadcast plan `basci` in 2015-02; correct the account or add the plan \
         (did you mean `basic`?)"
    );
    assert!(matches!(hold("not heroku", &[]), BillingError::UnknownProvider { .. }));
    assert!(matches!(hold("heroku", &["premium"]), BillingError::UnknownPlan { .. }));
    assert!(matches!(hold("cine.io", &["solo"; 201]), BillingError::TooManyPlans { .. }));
}

#[test]
fn the_plans_of_the_last_instant_count() {
    let change = |at: &str, plan| PlanChange {
        at: at.parse().unwrap(),
        plans: AccountPlans::default().with(Product::Broadcast, plan),
    };
    let history = [
        change("2015-02-28T23:59:59.999999Z", "pro"),
        change("2015-01-05T00:00:00Z", "solo"),
        change("2015-03-01T00:00:00Z", "free"),
    ];
    let check = |at, plan: Option<&str>| {
        let found = plans_at_end(&history, month(at));
        assert_eq!(found.map(|plans| plans.broadcast[0].as_str()), plan, "{at}");
    };
    check("2014-12", None);
    check("2015-01", Some("solo"));
    check("2015-02", Some("pro"));
    check("2015-03", Some("free"));
}

/// Fault 1: a misspelt unit or a missing figure is an error, never a limit that is no number.
#[test]
fn every_problem_of_a_catalogue_is_named() {
    let check = |from: &str, to: &str, expected: &[&str]| {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL, "{from}");
        let BillingError::Catalogue { problems } = text.parse::<Catalogue>().unwrap_err() else {
            panic!("another error for {to}");
        };
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
    };
    check("20GiB", "20GB", &["`20GB` is not a size"]);
    check("20GiB", "GiB", &["is not a size"]);
    check("20GiB", "-1GiB", &["is not a size"]);
    check("20GiB", "99999999999TiB", &["is not a size"]);
    check("storage = \"5GiB\"", "", &["missing field `storage`"]);
    check("streams = 5", "", &["missing field `streams`"]);
    check("streams = 5", "streams = -5", &["streams are a number"]);
    check("\"60m\"", "\"60 minutes\"", &["is not a duration"]);
    check("[\"own\"]", "[\"other\"]", &["provider `other` is not known"]);
    check("[\"own\"]", "[\"own\", \"own\"]", &["is there twice"]);
    check("USD = 2_000", "USD = -1, usd = 1", &["-1 USD", "`usd` is not a currency"]);
    check("USD = 50, ", "", &["add USD to minimum_charge_minor"]);
    check("\"Solo\"", "\"\"", &["title \"\""]);
    check("order", "ordr", &["unknown field `ordr`"]);
    let huge = " ".repeat((1 << 20) + 1).parse::<Catalogue>();
    assert!(matches!(huge, Err(BillingError::Catalogue { .. })));
}
