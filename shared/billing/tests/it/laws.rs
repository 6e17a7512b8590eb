//! Laws: lines add up, the ledger is zero, receivable is what is open, nothing panics.

use billing::{
    AccountPlans, Balances, BasisPoints, BillFacts, Carried, Catalogue, Due, InvoiceBalance,
    LedgerAccount, LedgerEvent, LineKind, Product, Usage, bill_of_month,
};
use proptest::prelude::*;
use values::{Currency, Money, Month, Timestamp};

const CATALOGUE: &str = include_str!("../../src/plans/catalogue.toml");
const BROADCAST: [&str; 8] =
    ["free", "solo", "basic", "premium", "pro", "startup", "business", "enterprise"];

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(BROADCAST.map(str::to_owned).to_vec());
    prop::collection::vec(name, 0..4)
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::USD }
}

/// A catalogue with a plan so cheap that its days are below the smallest charge.
fn catalogue() -> Catalogue {
    CATALOGUE
        .replacen("price_minor = { USD = 2_000 }", "price_minor = { USD = 60 }", 1)
        .parse()
        .unwrap()
}

proptest! {
    #[test]
    fn lines_add_up_and_no_rest_is_too_small_to_charge(
        broadcast in names(),
        peer in names(),
        month in 24_000_i64..24_400,
        created_before_end in 0_i64..70 * 86_400,
        used in 0_u64..(2 << 30),
        tax in 0_u32..=10_000,
        carried in prop::collection::vec(0_i64..50, 0..3),
        credit in prop_oneof![Just(0_i64), 0_i64..200, 0_i64..2_000_000],
    ) {
        let catalogue = catalogue();
        let month = Month::from_index(month).unwrap();
        let plans = AccountPlans { broadcast, peer };
        let holding = catalogue.hold("cine.io", &plans, month).unwrap();
        let carried: Vec<Carried> = carried.into_iter().map(|minor| Carried { month, minor }).collect();
        let created_at =
            Timestamp::from_micros(month.end().as_micros() - 1 - created_before_end * 1_000_000);
        let bill = bill_of_month(&BillFacts {
            created_at,
            holding: &holding,
            usage: Usage { bandwidth_bytes: used, ..Usage::default() },
            currency: Currency::USD,
            tax: BasisPoints::new(tax).unwrap(),
            carried: &carried,
            credit_minor: credit,
        }).unwrap();
        let sum = |of: &dyn Fn(&LineKind) -> bool| -> i64 {
            bill.lines.iter().filter(|line| of(&line.kind)).map(|line| line.amount.minor).sum()
        };
        prop_assert_eq!(sum(&|_| true), bill.total.minor);
        prop_assert_eq!(sum(&|kind| matches!(kind, LineKind::Plan { .. })), bill.list_price.minor);
        prop_assert_eq!(
            sum(&|kind| matches!(kind, LineKind::Plan { .. } | LineKind::Proration { .. })),
            bill.amount.minor
        );
        let net = bill.amount.minor + carried.iter().map(|carried| carried.minor).sum::<i64>();
        prop_assert_eq!(sum(&|kind| matches!(kind, LineKind::Tax { .. })), bill.tax.minor);
        prop_assert_eq!(sum(&|kind| matches!(kind, LineKind::Credit)), -bill.credit.minor);
        prop_assert!(bill.credit.minor <= credit);
        prop_assert!((0..=bill.list_price.minor).contains(&bill.amount.minor));
        match bill.due {
            Due::Charge => prop_assert!(bill.total.minor >= 50),
            Due::CarryOver => {
                prop_assert!((1..50).contains(&bill.total.minor));
                prop_assert_eq!((bill.total.minor, bill.tax.minor), (net, 0));
            }
            Due::Nothing => prop_assert_eq!(bill.total.minor, 0),
        }
        if bill.due != Due::CarryOver {
            let exact = i128::from(net) * i128::from(tax);
            let error = i128::from(bill.tax.minor) * 10_000 - exact;
            prop_assert!((-4_999..=5_000).contains(&error), "half up");
        }
        let text = serde_json::to_string(&bill).unwrap();
        prop_assert_eq!(serde_json::from_str::<billing::Bill>(&text).unwrap(), bill);
    }

    #[test]
    fn absurd_bills_are_errors_not_panics(
        minors in prop::collection::vec(any::<i64>(), 0..3),
        credit in any::<i64>(),
        created in any::<i64>(),
        tax in 0_u32..=10_000,
    ) {
        let catalogue = Catalogue::built_in();
        let month: Month = "2015-02".parse().unwrap();
        let plans = AccountPlans::default().with(Product::Broadcast, "solo");
        let holding = catalogue.hold("cine.io", &plans, month).unwrap();
        let carried: Vec<Carried> = minors.iter().map(|&minor| Carried { month, minor }).collect();
        let bill = bill_of_month(&BillFacts {
            created_at: Timestamp::from_micros(created),
            holding: &holding,
            usage: Usage::default(),
            currency: Currency::USD,
            tax: BasisPoints::new(tax).unwrap(),
            carried: &carried,
            credit_minor: credit,
        });
        if credit < 0 || minors.iter().any(|minor| *minor < 0) {
            prop_assert!(bill.is_err());
        }
    }

    #[test]
    fn a_broken_catalogue_is_an_error_or_still_whole(
        from in 0_usize..CATALOGUE.len(),
        length in 0_usize..40,
        text in "[\\PC\n]{0,12}",
    ) {
        let mut broken = CATALOGUE.as_bytes().to_vec();
        broken.splice(from..(from + length).min(CATALOGUE.len()), text.bytes());
        let Ok(broken) = String::from_utf8(broken) else { return Ok(()) };
        if let Ok(catalogue) = broken.parse::<Catalogue>() {
            for provider in catalogue.providers() {
                let month = Month::from_index(24_200).unwrap();
                for plan in catalogue.plans(&provider.name, Product::Broadcast, month) {
                    prop_assert!(plan.limits.bandwidth_bytes <= Usage::MAX);
                }
            }
        }
    }

    #[test]
    fn any_event_posts_zero_or_is_an_error(net in any::<i64>(), tax in any::<i64>(), kind in 0_u8..6) {
        let event = event(kind, usd(net), usd(tax));
        if let Ok(entry) = event.entry() {
            let sum: i128 = entry.postings().iter().map(|posting| i128::from(posting.amount.minor)).sum();
            prop_assert_eq!(sum, 0);
            prop_assert!(entry.postings().iter().all(|posting| posting.amount.minor != 0));
        } else {
            let of_both = kind == 0 || kind == 4;
            prop_assert!(net < 0 || of_both && (tax < 0 || net.checked_add(tax).is_none()));
        }
    }

    #[test]
    fn the_ledger_is_zero_and_receivable_is_what_is_open(
        invoices in prop::collection::vec((0_i64..1_000_000, 0_u32..=3_000, any::<bool>()), 1..6),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..7, 1_i64..1_200_000), 0..60),
    ) {
        let euro: Currency = "EUR".parse().unwrap();
        let mut ledger = Balances::default();
        let mut open: Vec<InvoiceBalance> = Vec::new();
        for (minor, rate, dollars) in invoices {
            let currency = if dollars { Currency::USD } else { euro };
            let net = Money { minor, currency };
            let tax = BasisPoints::new(rate).unwrap().of(net).unwrap();
            ledger.add(&LedgerEvent::InvoiceIssued { net, tax }.entry().unwrap());
            open.push(InvoiceBalance::issued(net, tax).unwrap());
        }
        for (index, kind, minor) in steps {
            let at = index.index(open.len());
            let owed = open[at].open().unwrap();
            // Every other amount is at most what is open, so that histories go far.
            let minor = if minor % 2 == 0 { minor.min(owed.minor.abs()) } else { minor };
            happen(&mut open, &mut ledger, at, kind, Money { minor, ..owed });
            for currency in ledger.currencies() {
                prop_assert_eq!(ledger.difference(currency), 0);
                let owed: i128 = open
                    .iter()
                    .filter(|invoice| invoice.net.currency == currency)
                    .map(|invoice| i128::from(invoice.open().unwrap().minor))
                    .sum();
                prop_assert_eq!(ledger.of(LedgerAccount::Receivable, currency), owed);
            }
        }
    }

    #[test]
    fn credit_notes_over_all_of_an_invoice_take_back_exactly_its_tax(
        net in 0_i64..10_000_000,
        rate in 0_u32..=10_000,
        parts in prop::collection::vec(1_i64..3_000_000, 0..8),
    ) {
        let tax = BasisPoints::new(rate).unwrap().of(usd(net)).unwrap();
        let mut invoice = InvoiceBalance::issued(usd(net), tax).unwrap();
        let mut taken_back = 0;
        for part in parts.into_iter().chain([i64::MAX]) {
            let left = invoice.gross().unwrap().minor - invoice.credited.minor;
            let split = invoice.split_credit(usd(part.min(left))).unwrap();
            prop_assert!(split.net.minor >= 0 && split.tax.minor >= 0);
            taken_back += split.tax.minor;
            let event = LedgerEvent::CreditNoteIssued { net: split.net, tax: split.tax };
            invoice = invoice.after(&event).unwrap();
        }
        prop_assert_eq!((taken_back, invoice.open().unwrap().minor), (tax.minor, 0));
    }
}

/// Lets something happen to an invoice; what it refuses is not posted.
fn happen(open: &mut [InvoiceBalance], ledger: &mut Balances, at: usize, kind: u8, amount: Money) {
    let invoice = open[at];
    let next = (at + 1) % open.len();
    let event = match (kind, invoice.split_credit(amount)) {
        (4, Ok(split)) => LedgerEvent::CreditNoteIssued { net: split.net, tax: split.tax },
        (4, Err(_)) => return,
        (6, _) => {
            if let Ok(moved) = invoice.move_credit(open[next], amount) {
                (open[at], open[next]) = moved;
            }
            return;
        }
        _ => event(kind, amount, Money { minor: 0, ..amount }),
    };
    if let (Ok(after), Ok(entry)) = (invoice.after(&event), event.entry()) {
        open[at] = after;
        ledger.add(&entry);
    }
}

fn event(kind: u8, amount: Money, tax: Money) -> LedgerEvent {
    match kind {
        0 => LedgerEvent::InvoiceIssued { net: amount, tax },
        1 => LedgerEvent::PaymentReceived { amount },
        2 => LedgerEvent::FeeCharged { amount },
        3 => LedgerEvent::Refunded { amount },
        4 => LedgerEvent::CreditNoteIssued { net: amount, tax },
        _ => LedgerEvent::WrittenOff { amount },
    }
}

#[test]
fn what_is_more_than_there_is_is_refused() {
    let invoice = InvoiceBalance::issued(usd(10_000), usd(1_900)).unwrap();
    let paid = invoice.after(&LedgerEvent::PaymentReceived { amount: usd(11_900) }).unwrap();
    let refuse = |invoice: &InvoiceBalance, event: LedgerEvent| {
        assert!(invoice.after(&event).is_err(), "{event:?}");
    };
    refuse(&invoice, LedgerEvent::PaymentReceived { amount: usd(11_901) });
    refuse(&paid, LedgerEvent::PaymentReceived { amount: usd(1) });
    refuse(&paid, LedgerEvent::Refunded { amount: usd(11_901) });
    refuse(&invoice, LedgerEvent::Refunded { amount: usd(1) });
    refuse(&paid, LedgerEvent::WrittenOff { amount: usd(1) });
    refuse(&paid, LedgerEvent::InvoiceIssued { net: usd(1), tax: usd(0) });
    let euro = Money { minor: 1, currency: "EUR".parse().unwrap() };
    refuse(&invoice, LedgerEvent::PaymentReceived { amount: euro });
    let credited = paid.after(&LedgerEvent::CreditNoteIssued { net: usd(10_000), tax: usd(1_900) });
    let credited = credited.unwrap();
    assert_eq!(credited.open(), Ok(usd(-11_900)));
    let (from, to) = credited.move_credit(invoice, usd(11_900)).unwrap();
    assert_eq!((from.open(), to.open()), (Ok(usd(0)), Ok(usd(0))));
    assert!(from.after(&LedgerEvent::Refunded { amount: usd(1) }).is_err());
    assert!(credited.move_credit(invoice, usd(11_901)).is_err());
    assert!(invoice.move_credit(invoice, usd(1)).is_err());
}
