//! Issues the invoices of the month and takes from the wallet what it has (rules 6.1 to 6.8).
//!
//! Wakes   00:00 UTC on the 1st.
//! Due     accounts with a server that may have lines.
//! Work    settles each of them whole, up to now.
//! Twice   the account's invoice time has moved on by then.

use rules::DueKind;

use crate::job::{Job, Wakes};

pub struct IssueInvoices;

impl Job for IssueInvoices {
    const NAME: &'static str = "issue_invoices";
    const CRON: &'static str = "0 0 0 1 * *";
    const WAKES: Wakes = Wakes::Calendar;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Invoice);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;
    use crate::testing::{Bench, at, counts, units};

    const NAME: &str = IssueInvoices::NAME;

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-02T12:00:00Z").await;
        bench.customer("ann", "daily", 1000).await;
        bench.customer("bob", "monthly", 0).await;
        bench.advance("2026-03-31T23:59:59Z");
        assert_eq!(bench.due(NAME).await, []);
        assert_eq!(bench.run(NAME).await, Some(Tally::default()));
        assert_eq!(bench.books().await.invoices, []);
    }

    #[tokio::test]
    async fn some_due() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        bench.customer("ann", "daily", 1000).await;
        let bob = bench.customer("bob", "monthly", 30).await;
        let cay = bench.customer("cay", "hourly", 0).await;
        bench.advance("2026-04-01T00:00:00Z");
        assert_eq!(bench.due(NAME).await, [bob, cay]);
        let tally = bench.run(NAME).await.expect("a run");
        let expected =
            [("invoice.issued", 2), ("invoice.paid", 1), ("invoice_issued", 2), ("invoice_paid_by_wallet", 1)];
        assert_eq!((tally.done, counts(&tally)), (2, expected.to_vec()));
        assert_eq!(tally.moved["USD"], units(20 + 10 * 31 * 24));
        // The card is collection's to ask.
        assert_eq!((tally.awaiting, bench.cards.keys().len()), (vec![cay], 0));
        let books = bench.books().await;
        let paid: Vec<_> = books.invoices.iter().map(|invoice| (invoice.account.as_str(), invoice.paid_at)).collect();
        assert_eq!(paid, [("bob", Some(at("2026-04-01T00:00:00Z"))), ("cay", None)]);
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        bench.customer("bob", "monthly", 30).await;
        bench.customer("cay", "hourly", 0).await;
        bench.advance("2026-04-01T00:00:00Z");
        bench.run(NAME).await;
        let before = bench.books().await;
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
    }
}
