//! What is known of an account when one of its months is settled.

use billing::{
    AccountPlans, Bill, BillFacts, BillingError, Carried, Catalogue, Standing, Usage, bill_of_month,
};
use database::{DbError, Tx};
use models::billing::{self as money, BillingDetails, BillingRecord, MonthFacts, PaymentCustomer};
use models::{Account, accounts};
use values::{AccountId, Month};

use super::settings::Settings;

/// Everything that the decision about a month rests on, read in one transaction.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) account: Account,
    pub(crate) month: Month,
    pub(crate) details: BillingDetails,
    pub(crate) customer: Option<PaymentCustomer>,
    pub(crate) record: Option<BillingRecord>,
    /// The plans held at the month's last instant.
    pub(crate) plans: AccountPlans,
    pub(crate) usage: Usage,
    /// Whether `usage` is frozen already.
    pub(crate) is_frozen: bool,
    /// Months whose amounts were too small to charge.
    pub(crate) carried: Vec<Carried>,
    credit_minor: i64,
    /// Whether nobody is charged at the moment.
    pub(crate) charges_stopped: bool,
}

impl Facts {
    /// Reads them and keeps everybody else from settling the account until `tx` ends.
    pub(crate) async fn lock(
        tx: &mut Tx<'_>,
        account: AccountId,
        month: Month,
    ) -> Result<Option<Self>, DbError> {
        match accounts::lock(tx, account).await? {
            Some(account) => Self::of(tx, account, month).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads them and keeps nobody from anything.
    pub(crate) async fn read(
        tx: &mut Tx<'_>,
        account: AccountId,
        month: Month,
    ) -> Result<Option<Self>, DbError> {
        match accounts::get(&mut *tx, account).await? {
            Some(account) => Self::of(tx, account, month).await.map(Some),
            None => Ok(None),
        }
    }

    async fn of(tx: &mut Tx<'_>, account: Account, month: Month) -> Result<Self, DbError> {
        let id = account.id;
        let MonthFacts {
            record,
            plans: held,
            details,
            customer,
            frozen,
            known,
            carried,
            credit_minor,
            charges_stopped,
        } = money::month_facts(tx, id, month).await?;
        let plans = record.as_ref().map_or(held, |record| record.plans.clone());
        let usage = match frozen {
            Some(usage) => usage,
            None => known.map_err(|error| {
                DbError::Refused(format!("usage of {id} in {month} cannot be billed: {error}"))
            })?,
        };
        Ok(Self {
            account,
            month,
            details,
            customer,
            record,
            plans,
            usage,
            is_frozen: frozen.is_some(),
            carried,
            credit_minor,
            charges_stopped,
        })
    }

    /// Who the account is to the decision; `by_hand` if no gateway and so no card is needed.
    pub(crate) fn standing(
        &self,
        catalogue: &Catalogue,
        by_hand: bool,
    ) -> Result<Standing, BillingError> {
        let Account { id, created_at, throttled_at, deleted_at, billing_provider, .. } =
            &self.account;
        Ok(Standing {
            account: *id,
            billed_by: catalogue.provider(billing_provider.as_str())?.billed_by,
            created_at: *created_at,
            deleted: deleted_at.is_some(),
            throttled_at: *throttled_at,
            has_card: by_hand || self.customer.is_some(),
        })
    }

    /// Writes the month's bill.
    pub(crate) fn bill(&self, settings: &Settings) -> Result<Bill, BillingError> {
        self.bill_with(settings, &self.carried, self.credit_minor)
    }

    /// Writes the bill of the month itself, which the brakes count: nothing is carried into it and
    /// no credit pays for it.
    pub(crate) fn bill_alone(&self, settings: &Settings) -> Result<Bill, BillingError> {
        self.bill_with(settings, &[], 0)
    }

    fn bill_with(
        &self,
        settings: &Settings,
        carried: &[Carried],
        credit_minor: i64,
    ) -> Result<Bill, BillingError> {
        let provider = self.account.billing_provider.as_str();
        let holding = settings.catalogue.hold(provider, &self.plans, self.month)?;
        bill_of_month(&BillFacts {
            created_at: self.account.created_at,
            holding: &holding,
            usage: self.usage,
            currency: self.details.currency,
            tax: settings.tax_basis_points.of(self.details.country.as_deref()),
            carried,
            credit_minor,
        })
    }
}
