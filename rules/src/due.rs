//! When something falls due next, by kind: what the jobs look for.

use crate::account::Account;
use crate::desk::Context;
use crate::time::Timestamp;

/// The kinds of due work; each is one job's to find.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DueKind {
    /// Daily instances whose paid time ends.
    Daily,
    /// Term services at their renewal.
    Term,
    /// Suspended term services whose retention ends.
    Retention,
    /// Servers to invoice.
    Invoice,
    /// Card tries, retries and invoices that become overdue.
    Collection,
    /// Trials that end, and trial traffic to charge.
    Trial,
}

impl DueKind {
    pub const ALL: [Self; 6] = [Self::Daily, Self::Term, Self::Retention, Self::Invoice, Self::Collection, Self::Trial];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Term => "term",
            Self::Retention => "retention",
            Self::Invoice => "invoice",
            Self::Collection => "collection",
            Self::Trial => "trial",
        }
    }
}

/// The next second at which something of each kind is due, where anything is. A charge that waits for its
/// answer is collection's to go on with, whatever it is for.
pub fn due_seconds(account: &Account, cx: &Context<'_>) -> [(DueKind, Option<Timestamp>); 6] {
    let unanswered = account.intents.iter().map(|intent| intent.due_at).min();
    DueKind::ALL.map(|kind| {
        let due = crate::settle::next_of(account, cx, kind);
        let asked = unanswered.filter(|_| kind == DueKind::Collection);
        (kind, [due, asked].into_iter().flatten().min())
    })
}
