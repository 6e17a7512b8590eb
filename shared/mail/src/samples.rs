//! Every mail with sample data: for previews, for snapshots, and to find faults at the start.

use values::{AccountId, Currency, Money, Month, TaskId, Timestamp};

use crate::admin::{
    AdminAlert, AdminDigest, AdminEvent, AdminEventKind, AdminMonthClosed, Code, SettledCount,
};
use crate::message::{
    AuthenticationNeeded, CardExpiring, CheckIn, DeclinedCard, Marketplace, Message,
    MonthlyInvoice, NearLimit, NextPlan, PasswordReset, PlanUpgraded, ThrottleLifted,
    ThrottledOverLimit, Welcome,
};
use crate::parts::{
    BroadcastUse, CardName, Metered, Paid, PeerUse, PlanPrice, PrivateLink, Product, ProductChange,
};

const GIB: u64 = 1 << 30;
const MINUTE_MS: u64 = 60_000;

/// Makes every mail at least once, and so often that each branch of its template is taken.
pub fn samples() -> Vec<Message> {
    let mut samples = vec![
        Message::Welcome(Welcome { name: "Ann Lee".to_owned() }),
        Message::PasswordReset(PasswordReset {
            name: "Ann Lee".to_owned(),
            reset_url: PrivateLink(
                "https://example.com/recover-password/0123456789abcdef".to_owned(),
            ),
            valid_until: at("2026-11-02T14:05:00Z"),
        }),
    ];
    samples.extend(invoices());
    samples.extend(limits());
    samples.extend(cards());
    let check_in = || CheckIn { name: "Ann Lee".to_owned() };
    samples.extend([
        Message::ThrottleLifted(ThrottleLifted {
            account: account(),
            at: at("2026-11-05T10:00:00Z"),
        }),
        Message::CheckInUnused(check_in()),
        Message::CheckInBroadcast(check_in()),
        Message::CheckInPeer(check_in()),
    ]);
    samples.extend(for_admins());
    samples
}

fn invoices() -> Vec<Message> {
    let broadcast = BroadcastUse {
        plans: vec![plan("Basic", 10_000), plan("Pro", 50_000)],
        bandwidth_bytes: 904 * GIB,
        bandwidth_limit_bytes: 1174 * GIB,
        storage_bytes: 61 * GIB,
        storage_limit_bytes: 125 * GIB,
    };
    let peer = PeerUse {
        plans: vec![plan("Business", 200_000)],
        milliseconds: 123_000 * MINUTE_MS,
        limit_milliseconds: 400_000 * MINUTE_MS,
    };
    let full = MonthlyInvoice {
        account: account(),
        month: month("2026-10"),
        number: "INV-004711".to_owned(),
        broadcast: Some(broadcast),
        peer: Some(peer),
        prorated: false,
        net: usd(260_000),
        tax: usd(49_400),
        total: usd(309_400),
        paid: Paid::Card(card()),
    };
    let prorated = MonthlyInvoice {
        peer: None,
        prorated: true,
        net: usd(32_903),
        tax: usd(0),
        total: usd(32_903),
        paid: Paid::Transfer { due: at("2026-11-17T00:00:00Z") },
        ..full.clone()
    };
    let nothing = MonthlyInvoice {
        broadcast: None,
        net: usd(0),
        tax: usd(0),
        total: usd(0),
        paid: Paid::Nothing {},
        ..full.clone()
    };
    [full, prorated, nothing].map(|invoice| Message::MonthlyInvoice(Box::new(invoice))).into()
}

fn limits() -> Vec<Message> {
    let metered = |bandwidth_gib, storage_gib, minutes| {
        vec![
            Metered::Bandwidth { used: bandwidth_gib * GIB, limit: 150 * GIB },
            Metered::Storage { used: storage_gib * GIB, limit: 25 * GIB },
            Metered::Peer { used: minutes * MINUTE_MS, limit: 12_500 * MINUTE_MS },
        ]
    };
    let next = vec![
        NextPlan { product: Product::Broadcast, plan: plan("Premium", 30_000) },
        NextPlan { product: Product::Peer, plan: plan("Premium", 30_000) },
    ];
    let near = |next| NearLimit {
        account: account(),
        month: month("2026-11"),
        metered: metered(138, 24, 11_300),
        next,
    };
    let own = ThrottledOverLimit {
        account: account(),
        at: at("2026-11-20T13:00:00Z"),
        metered: metered(151, 26, 12_600),
        card_missing: false,
        marketplace: None,
    };
    let missing = ThrottledOverLimit { card_missing: true, metered: vec![], ..own.clone() };
    let marketplace = ThrottledOverLimit {
        marketplace: Some(Marketplace {
            name: "Heroku".to_owned(),
            url: "https://marketplace.example.com/apps/42".to_owned(),
        }),
        ..own.clone()
    };
    let change = |product, from: &[&str], to| ProductChange {
        product,
        from: from.iter().map(|&name| name.to_owned()).collect(),
        to,
    };
    vec![
        Message::PlanUpgraded(PlanUpgraded {
            account: account(),
            month: month("2026-11"),
            changes: vec![
                change(Product::Broadcast, &["Solo", "Basic"], plan("Enterprise", 500_000)),
                change(Product::Peer, &[], plan("Premium", 30_000)),
            ],
        }),
        Message::NearLimit(near(next)),
        Message::NearLimit(near(vec![])),
        Message::ThrottledOverLimit(own),
        Message::ThrottledOverLimit(missing),
        Message::ThrottledOverLimit(marketplace),
    ]
}

fn cards() -> Vec<Message> {
    let declined = DeclinedCard {
        account: account(),
        month: month("2026-10"),
        amount: usd(309_400),
        card: card(),
        throttled_at: Some(at("2026-11-07T06:00:00Z")),
    };
    let asked = AuthenticationNeeded {
        account: account(),
        month: month("2026-10"),
        amount: usd(309_400),
        card: card(),
        confirm_url: Some(PrivateLink(
            "https://pay.example.com/confirm/pi_123?secret=s3cr3t".to_owned(),
        )),
        throttled_at: Some(at("2026-11-07T06:00:00Z")),
    };
    vec![
        Message::CardDeclined(DeclinedCard { throttled_at: None, ..declined.clone() }),
        Message::CardDeclined(declined),
        Message::CardExpiring(CardExpiring { account: account(), card: card() }),
        Message::AuthenticationNeeded(AuthenticationNeeded { throttled_at: None, ..asked.clone() }),
        Message::AuthenticationNeeded(asked),
    ]
}

fn for_admins() -> Vec<Message> {
    let bare = |kind| AdminEvent::new(kind, at("2026-11-03T06:01:02Z"));
    let full = |kind| AdminEvent {
        account: Some(AccountId::new(at("2026-01-01T00:00:00Z"), [7; 10])),
        task: Some(TaskId::new(at("2026-11-03T06:00:00Z"), [9; 10])),
        month: Some(month("2026-10")),
        amount: Some(usd(309_400)),
        code: Some(code(reason(kind))),
        ..bare(kind)
    };
    let digest = |more| AdminDigest {
        from: at("2026-11-02T07:00:00Z"),
        until: at("2026-11-03T07:00:00Z"),
        events: AdminEventKind::ALL
            .iter()
            .filter(|kind| kind.is_routine())
            .flat_map(|&kind| [bare(kind), full(kind)])
            .collect(),
        more,
    };
    let row = |outcome, accounts, total| SettledCount {
        outcome: code(outcome),
        accounts,
        total: usd(total),
    };
    vec![
        Message::AdminAlert(AdminAlert { event: bare(AdminEventKind::QueueStuck) }),
        Message::AdminAlert(AdminAlert { event: full(AdminEventKind::ChargeFailed) }),
        Message::AdminDigest(digest(0)),
        Message::AdminDigest(digest(1_234)),
        Message::AdminMonthClosed(AdminMonthClosed {
            month: month("2026-10"),
            settled: vec![row("paid", 12_345, 123_456_789), row("unknown_plan", 1, 0)],
        }),
    ]
}

/// A code as events of a kind have it.
fn reason(kind: AdminEventKind) -> &'static str {
    match kind {
        AdminEventKind::AccountCreated | AdminEventKind::CardAdded => "api",
        AdminEventKind::NearLimit | AdminEventKind::Throttled => "bandwidth",
        AdminEventKind::NoLargerPlan | AdminEventKind::UnknownPlan => "Huge",
        AdminEventKind::PlanUpgraded => "Enterprise",
        AdminEventKind::ThrottleLifted => "paid",
        AdminEventKind::MailRefused => "550",
        AdminEventKind::RecordingQuarantined => "no_video",
        AdminEventKind::CardDeclined
        | AdminEventKind::ExemptDeclined
        | AdminEventKind::ChargeFailed => "insufficient_funds",
        AdminEventKind::BillingHeld => "moved_too_far",
        AdminEventKind::LedgerDifference => "charge/acct_01kdvdna00ew3re1r70w3ge1r7",
        AdminEventKind::QueueStuck => "logs/process_log:waiting",
    }
}

fn account() -> String {
    "Lee & Daughters <Live>".to_owned()
}

fn card() -> CardName {
    CardName { brand: "Visa".to_owned(), last4: "4242".to_owned(), expires: month("2026-12") }
}

fn plan(name: &str, price_minor: i64) -> PlanPrice {
    PlanPrice { name: name.to_owned(), price: usd(price_minor) }
}

const fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::USD }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a good instant")
}

fn month(text: &str) -> Month {
    text.parse().expect("a good month")
}

fn code(text: &str) -> Code {
    text.parse().expect("a good code")
}
