//! Gives invoices and credit notes their public numbers (rule 6.11).
//!
//! Wakes   each minute.
//! Due     documents without a number, as one piece of work.
//! Work    numbers them by series, without gaps, in the order of issue.
//! Twice   what has a number keeps it.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes, stand_in};
use crate::office::Office;
use crate::tally::Tally;

pub struct NumberDocuments;

impl Job for NumberDocuments {
    const NAME: &'static str = "number_documents";
    const CRON: &'static str = "0 * * * * *";
    const WAKES: Wakes = Wakes::Sweep;
    const DUE_KIND: Option<DueKind> = None;

    async fn due(
        office: &Office,
        _: Timestamp,
        after: AccountId,
        last: AccountId,
        _: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        stand_in(office, after, last).await
    }

    async fn due_count(office: &Office, _: Timestamp) -> Result<u64, JobError> {
        Ok(office.store.documents_without_number().await?)
    }

    async fn work(
        office: &Office,
        _: &[AccountId],
        _: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        let mut numbered = 0;
        while !office.stop.is_asked() {
            let mut unnumbered = office.store.documents_to_number().await?;
            if unnumbered.is_empty() {
                break;
            }
            while !unnumbered.is_empty() && !office.stop.is_asked() {
                numbered += office.store.number_documents(&mut unnumbered, &office.policy().documents).await?;
            }
        }
        let mut tally = Tally { done: numbered, ..Tally::default() };
        if numbered > 0 {
            tally.count("numbered", i64::try_from(numbered).unwrap_or(i64::MAX));
        }
        if let Some(progress) = progress {
            tally.add_to(progress);
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, counts};

    const NAME: &str = NumberDocuments::NAME;

    /// Account, its own number of the invoice, and the public ones of the invoice and its credit note.
    async fn numbers(bench: &Bench) -> Vec<(String, i64, Option<i64>, Option<i64>)> {
        let invoices = bench.books().await.invoices.into_iter();
        let public = |public: Option<(String, i64)>| public.map(|(_, number)| number);
        invoices.map(|row| (row.account, row.number, public(row.public), public(row.credit_note))).collect()
    }

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        bench.customer("bob", "monthly", 0).await;
        assert_eq!(bench.run(NAME).await, None);
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        let bob = bench.customer("bob", "monthly", 30).await;
        bench.customer("ann", "monthly", 30).await;
        bench.advance("2026-04-01T00:00:00Z");
        bench.run("issue_invoices").await;
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (2, vec![("numbered", 2)]));
        // By name, whoever was there first.
        let (ann_1, bob_1) = (("ann".to_owned(), 0, Some(1), None), ("bob".to_owned(), 0, Some(2), None));
        assert_eq!(numbers(&bench).await, [ann_1.clone(), bob_1]);
        let (author, reason) = ("test".to_owned(), "test".to_owned());
        let reissue = Some(rules::Buyer::new());
        bench.act(bob, rules::Action::CreditInvoice { invoice: 0, author, reason, reissue }).await;
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!(counts(&tally), [("numbered", 2)]);
        let credited = ("bob".to_owned(), 0, Some(2), Some(1));
        assert_eq!(numbers(&bench).await, [ann_1, credited, ("bob".to_owned(), 1, Some(3), None)]);
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        bench.customer("bob", "monthly", 30).await;
        bench.advance("2026-04-01T00:00:00Z");
        bench.run("issue_invoices").await;
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }
}
