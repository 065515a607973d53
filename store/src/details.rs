//! Who the customers are: what invoices to come say of their buyer, and what payment providers call them.

use std::collections::BTreeMap;

use rules::AccountId;

use crate::cells::{Cells, Problem};
use crate::past::read_buyer;
use crate::sql::{self, Work};
use crate::write::json;
use crate::{Result, Store, StoreError};

/// By column.
pub const DETAILS: [&str; 9] =
    ["email", "person", "company", "address", "tax_id", "language", "provider", "provider_customer", "payment_method"];

const OF_ACCOUNT: &str = "select email, person, company, address, tax_id, language, provider, provider_customer,
    payment_method from account_details where account_id = $1";

/// Who is billed, of the accounts that say so.
const BUYERS: &str = "select account_id, email, person, address, company, tax_id from account_details
    where account_id = any($1)";

const METHODS_TAKEN: &str = "select d.provider, d.payment_method
    from json_each($1) s join json_each($2) p on p.key = s.key
    join account_details d on d.provider = s.value and d.payment_method = p.value";

const METHODS_TAKEN_UNNESTED: &str = "select d.provider, d.payment_method
    from unnest($1::text[], $2::text[]) as asked (provider, payment_method)
    join account_details d on d.provider = asked.provider and d.payment_method = asked.payment_method";

impl Store {
    /// What is known of the customer, by column.
    pub async fn account_details(&self, account: AccountId) -> Result<BTreeMap<&'static str, String>> {
        let row = sql::query(OF_ACCOUNT).bind(account.0).fetch_optional(self.readers()).await?;
        let read = |cells: &mut Cells<'_>| -> std::result::Result<_, Problem> {
            let mut details = BTreeMap::new();
            for column in DETAILS {
                details.extend(cells.maybe_text()?.map(|text| (column, text)));
            }
            Ok(details)
        };
        let details = row.as_ref().map(|row| read(&mut Cells::of(row))).transpose();
        let corrupt = |problem| StoreError::CorruptTable { table: "account_details", problem };
        Ok(details.map_err(corrupt)?.unwrap_or_default())
    }

    /// Corrects details, or takes them away; the others stay. Invoices that were issued keep what they say.
    pub async fn account_details_change(
        &self,
        account: AccountId,
        changes: &BTreeMap<&'static str, Option<String>>,
    ) -> Result<()> {
        let mut transaction = self.write().await?;
        sql::query("insert into account_details (account_id) values ($1) on conflict (account_id) do nothing")
            .bind(account.0)
            .execute(&mut transaction)
            .await?;
        for column in DETAILS {
            if let Some(value) = changes.get(column) {
                sql::query(format!("update account_details set {column} = $2 where account_id = $1"))
                    .bind(account.0)
                    .bind(value.as_deref())
                    .execute(&mut transaction)
                    .await?;
            }
        }
        transaction.commit().await
    }

    /// Which of these payment methods, of these providers, accounts have already.
    pub async fn payment_methods_taken(&self, methods: &[(String, String)]) -> Result<Vec<(String, String)>> {
        const AT_ONCE: usize = 512;
        let mut taken = Vec::new();
        for methods in methods.chunks(AT_ONCE) {
            let (providers, methods): (Vec<String>, Vec<String>) = methods.iter().cloned().unzip();
            let question = self.readers().dialect().pick(METHODS_TAKEN, METHODS_TAKEN_UNNESTED);
            let asked = sql::query_as(question).bind(providers).bind(methods);
            taken.extend(asked.fetch_all(self.readers()).await?);
        }
        Ok(taken)
    }
}

/// What invoices that are issued now say of their buyers, as JSON, by account.
pub async fn buyers_of(work: &mut Work<'_>, accounts: Vec<i64>) -> Result<BTreeMap<AccountId, String>> {
    let mut buyers = BTreeMap::new();
    if accounts.is_empty() {
        return Ok(buyers);
    }
    for row in sql::query(BUYERS).bind(accounts).fetch_all(work.step()?).await? {
        let read = |cells: &mut Cells<'_>| -> std::result::Result<_, Problem> {
            Ok((AccountId(cells.int()?), read_buyer(cells)?))
        };
        let corrupt = |problem| StoreError::CorruptTable { table: "account_details", problem };
        let (account, buyer) = read(&mut Cells::of(&row)).map_err(corrupt)?;
        if !buyer.is_empty() {
            buyers.insert(account, json(&buyer)?);
        }
    }
    Ok(buyers)
}
