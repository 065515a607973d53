//! Whole books, to compare.

use rules::{AccountId, Timestamp};
use store::Store;

/// All that the books say, but for when it was written and in which run, how far they are settled, and public numbers,
/// which depend on timing.
pub async fn books(store: &Store) -> Vec<String> {
    let mut lines = Vec::new();
    for mut row in store.ledger(None).await.expect("the ledger") {
        (row.recorded_at, row.run) = (Timestamp::BEGINNING, None);
        lines.push(format!("{row:?}"));
    }
    for mut event in store.events(None).await.expect("the events") {
        event.recorded_at = Timestamp::BEGINNING;
        lines.push(format!("{event:?}"));
    }
    for mut invoice in store.invoices(None).await.expect("the invoices") {
        (invoice.recorded_at, invoice.public, invoice.credit_note) = (Timestamp::BEGINNING, None, None);
        lines.push(format!("{invoice:?}"));
    }
    lines.extend(store.parked().await.expect("what is parked").iter().map(|parked| format!("{parked:?}")));
    let mut after = String::new();
    loop {
        let page = store.accounts_by_name(&after, 500).await.expect("accounts");
        let Some(last) = page.last() else { return lines };
        after.clone_from(&last.name);
        for mut account in page {
            (account.id, account.version, account.settled_at) = (AccountId(0), 0, Timestamp::BEGINNING);
            lines.push(format!("{account:?}"));
        }
    }
}
