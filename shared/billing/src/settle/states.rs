//! The words of a settlement: what asked for it, how far it is, and why it ended.

use values::words;

words! {
    /// What a month's settlement was asked by.
    Trigger, "a trigger":
    /// The run over all accounts after the month has closed.
    MonthlyRun = "monthly_run",
    /// A person, for one account and month.
    Operator = "operator",
    /// A customer who added a card and agreed to pay the month.
    CardAdded = "card_added",
}

words! {
    /// How far the record of an account's month has come.
    RecordState, "a state of a billing record":
    /// There was no card to charge; the month stays open.
    NoCard = "no_card",
    /// A person decided not to charge it.
    Waived = "waived",
    /// A charge was begun and its end is not known.
    Pending = "pending",
    /// The gateway refused the charge; the month stays open.
    Failed = "failed",
    /// It is paid.
    Paid = "paid",
    /// It was too small to charge; the next invoice takes it on.
    CarriedOver = "carried_over",
}

words! {
    /// Why a month's settlement ended as it did; completes the task.
    Reason, "a reason of a settlement":
    /// The gateway took the money.
    Charged = "charged",
    /// The customer's credit paid all of it.
    PaidByCredit = "paid_by_credit",
    /// The account is deleted.
    AccountDeleted = "account_deleted",
    /// A marketplace sends its bills.
    BilledByProvider = "billed_by_provider",
    /// The account was made after the month.
    NotActiveInMonth = "not_active_in_month",
    /// The month is paid.
    AlreadyPaid = "already_paid",
    /// The month was waived.
    Waived = "waived",
    /// The month was too small to charge and goes to the next invoice.
    CarriedOver = "carried_over",
    /// The account is throttled; the monthly run leaves it out.
    AccountThrottled = "account_throttled",
    /// The plans cost nothing.
    FreePlan = "free_plan",
    /// There is no card to charge.
    NoCard = "no_card",
    /// A refused charge whose next try is not yet due.
    RetryNotDue = "retry_not_due",
    /// A plan is not in the catalogue: nothing is charged, a person has to look.
    UnknownPlan = "unknown_plan",
    /// The card was refused.
    CardDeclined = "card_declined",
    /// The gateway failed, or refused the request itself.
    GatewayError = "gateway_error",
}

words! {
    /// How a charge is gone about.
    Manner, "a manner of charging":
    /// The gateway is asked under the key; it finds a charge it has made already.
    Call = "call",
    /// The payment is looked up; only if there is none the gateway is asked.
    LookUpFirst = "look_up_first",
    /// The payment is looked up; there is no card left to charge otherwise.
    LookUpOnly = "look_up_only",
}
