//! What holds of every account's books, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use rules::{
    Answer, Basis, Event, EventKind, InvoiceNumber, Kind, Line, LineKind, Micros, Mode, Period, Priced, Purpose,
    Server, ServerState, Service, Standing, SuspendReason, Timestamp, Transfer, TransferKind, round_to_micros,
    round_to_minor,
};

use crate::world::{Books, World, signed_amount};

/// All that must hold of books that are settled.
pub fn hold(world: &World, books: &Books) {
    at_rest(books);
    wallet(books);
    amounts(books);
    prices(world, books);
    invoices(books);
    reversals(books);
    reissues(books);
    cards(books);
    no_downgrade_beyond_what_was_paid(books);
    events(books);
    closed_stays_closed(books);
    for row in books.services.values() {
        match &row.service.kind {
            Kind::Daily(_) => daily_periods(books, &row.service),
            Kind::Term(term) => term_periods(books, &row.service, term.anchor, term.months),
            Kind::Server(server) => server_lines(books, &row.service, server),
        }
    }
}

/// Between two changes: no money beside an open invoice, no overdue invoice of an active account, one cover.
pub fn at_rest(books: &Books) {
    let account = books.account();
    if !account.invoices.is_empty() {
        assert!(account.wallet.floor_to_minor(account.currency).is_zero(), "money lies beside an open invoice");
    }
    match account.standing {
        Standing::Active => assert!(!account.has_overdue(), "active with an overdue invoice"),
        Standing::Suspended(SuspendReason::Unpaid) => assert!(account.has_overdue(), "suspended with nothing overdue"),
        Standing::Suspended(_) | Standing::Closed => {}
    }
    let covered = account.services.iter().filter_map(Service::server);
    assert!(covered.filter(|server| server.is_living() && server.meter.covered).count() <= 1, "two servers covered");
    for invoice in books.invoices.values() {
        assert!(!invoice.to_pay().is_negative(), "{invoice:?} is settled beyond what was billed");
        assert_eq!(invoice.paid_at.is_some(), invoice.to_pay().is_zero(), "{invoice:?}");
        assert!(invoice.credited.is_zero() || invoice.credited_at.is_some(), "{invoice:?}");
    }
}

/// It is the sum of its entries, and no charge makes it negative (rules 3.1, 3.3).
fn wallet(books: &Books) {
    let (mut wallet, mut brought_in) = (0, 0);
    for transfer in &books.transfers {
        wallet += signed_amount(transfer).get();
        assert!(!transfer.amount.is_negative());
        assert!(transfer.amount.is_positive() || transfer.kind.is_booked_at_zero(), "{transfer:?} moves nothing");
        let takes = transfer.kind.wallet_sign() < 0 && transfer.kind != TransferKind::Dispute;
        assert!(!takes || wallet >= 0, "{transfer:?} makes the wallet negative");
        brought_in += match transfer.kind {
            TransferKind::Deposit | TransferKind::CardCredit | TransferKind::CardPaymentReturned => {
                transfer.amount.get()
            }
            TransferKind::Dispute | TransferKind::RefundApproved => -transfer.amount.get(),
            _ => 0,
        };
    }
    let account = books.account();
    assert_eq!((account.wallet.get(), account.brought_in.get()), (wallet, brought_in));
    let times: Vec<Timestamp> = books.transfers.iter().map(|transfer| transfer.effective_at).collect();
    assert!(times.is_sorted(), "the ledger goes back in time");
}

/// Every amount is its basis, rounded once (rule 1.2).
fn amounts(books: &Books) {
    let currency = books.account().currency;
    for transfer in &books.transfers {
        let Some(basis) = &transfer.basis else { continue };
        let rounded = match transfer.kind {
            TransferKind::CardCredit => round_to_minor(&basis.exact(), currency),
            _ => round_to_micros(&basis.exact()),
        };
        assert_eq!(rounded.map(Micros::abs), Ok(transfer.amount), "{transfer:?}");
        if transfer.kind == TransferKind::Downgrade {
            assert!(basis.exact() <= Micros::ZERO.exact());
        }
    }
    for (_, line) in &books.lines {
        assert_eq!(round_to_minor(&line.basis.exact(), currency), Ok(line.amount), "{line:?}");
        assert!(!line.amount.is_negative());
        assert!(line.amount.is_positive() || !line.kind.is_left_out_at_zero(), "{line:?} stands at zero");
        assert!(!line.period.is_empty() || line.kind == LineKind::TrialOverage, "{line:?}");
    }
}

/// Each is of the version in force when its period begins (rule 2.4).
fn prices(world: &World, books: &Books) {
    let price = |of: &Priced, at: Timestamp| world.prices.price(&of.order, at).expect("a price");
    for transfer in &books.transfers {
        match (&transfer.basis, transfer.kind) {
            // The first day's part is of the version at its own second.
            (Some(Basis::Share { of, part, .. }), _) => assert_eq!(of.price, price(of, part.from), "{transfer:?}"),
            (Some(Basis::Change { new, part, whole, .. }), _) => {
                let before = books.transfers.iter().rev().filter(|charge| charge.number < transfer.number);
                let own = before.filter(|charge| charge.service == transfer.service);
                let mut charges = own.filter(|charge| charge.kind == TransferKind::Period);
                let paid = charges.find_map(|charge| charge.period.filter(|paid| paid.to == part.to));
                let paid = paid.expect("a change within a paid period");
                assert_eq!(new.price, price(new, paid.from), "{transfer:?}");
                assert!(whole.from <= paid.from && paid.to == whole.to && paid.from <= part.from, "{transfer:?}");
            }
            (Some(Basis::NewOverage { .. }), TransferKind::CardCredit) | (None, _) => {}
            other => panic!("{other:?}"),
        }
    }
    for (_, line) in &books.lines {
        let service = &books.services[&line.service].service;
        let server = service.server().expect("only servers are invoiced");
        match &line.basis {
            Basis::Months { of, part } => assert_eq!(of.price, price(of, part.from), "{line:?}"),
            Basis::Upgrade { new, part, .. } => {
                let begins = server.billable_from.max(part.from.month_start());
                assert_eq!(new.price, price(new, begins), "{line:?}");
            }
            Basis::Hours { of, part } => at_each_second(world, of, *part),
            Basis::Overage { of, hourly: true, part, .. } => at_each_second(world, of, *part),
            Basis::Overage { of, .. } => assert_eq!(of.price, price(of, service.created_at), "{line:?}"),
            Basis::Usage { .. } | Basis::TrialTraffic { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// An hourly price follows the list from the second that it takes effect.
fn at_each_second(world: &World, of: &Priced, part: Period) {
    let cuts = world.prices.changes_within(&of.order.plan, part.from, part.to);
    for at in cuts.chain([part.from]) {
        assert_eq!(Ok(of.price), world.prices.price(&of.order, at), "{part:?} at {at}");
    }
}

/// Totals are sums, payments add up and reach the oldest first (rules 1.2, 6.9).
fn invoices(books: &Books) {
    let mut totals: BTreeMap<InvoiceNumber, i64> = BTreeMap::new();
    for (number, line) in &books.lines {
        *totals.entry(*number).or_default() += line.amount.get();
    }
    let numbers: Vec<i64> = books.invoices.keys().copied().collect();
    assert!(numbers.iter().zip(0..).all(|(number, place)| *number == place), "a gap between invoices");
    let mut paid: BTreeMap<InvoiceNumber, i64> = BTreeMap::new();
    let mut by_card: BTreeMap<InvoiceNumber, i64> = BTreeMap::new();
    let mut issued: Vec<InvoiceNumber> = Vec::new();
    let mut closed: BTreeSet<InvoiceNumber> = BTreeSet::new();
    for transfer in &books.transfers {
        let Some(number) = transfer.invoice else { continue };
        match transfer.kind {
            TransferKind::InvoiceIssued => {
                assert_eq!(transfer.amount.get(), totals[&number]);
                issued.push(number);
            }
            TransferKind::InvoicePaidByWallet | TransferKind::InvoicePaidByCard => {
                if transfer.kind == TransferKind::InvoicePaidByWallet {
                    let older = issued.iter().filter(|older| **older < number && !closed.contains(*older));
                    for older in older {
                        let settled = [&paid, &by_card].iter().filter_map(|paid| paid.get(older)).sum::<i64>();
                        assert_eq!(Some(&settled), totals.get(older), "{number} was paid before {older}");
                    }
                }
                let of = if transfer.kind == TransferKind::InvoicePaidByCard { &mut by_card } else { &mut paid };
                *of.entry(number).or_default() += transfer.amount.get();
            }
            TransferKind::InvoiceCredited => {
                assert_eq!(transfer.amount.get(), totals[&number], "an invoice is credited whole");
                assert!(closed.insert(number), "{number} is taken back twice");
            }
            TransferKind::PaymentReturned => assert_eq!(Some(&transfer.amount.get()), paid.get(&number)),
            TransferKind::CardPaymentReturned => assert_eq!(Some(&transfer.amount.get()), by_card.get(&number)),
            TransferKind::WriteOff => {
                let of = |paid: &BTreeMap<InvoiceNumber, i64>| paid.get(&number).copied().unwrap_or_default();
                let rest = totals[&number] - of(&paid) - of(&by_card);
                assert_eq!(transfer.amount.get(), rest, "what is open is written off");
                assert!(closed.insert(number), "{number} is taken back twice");
            }
            other => panic!("{other:?} names an invoice"),
        }
    }
    for invoice in books.invoices.values() {
        let number = invoice.number;
        assert_eq!(invoice.total.get(), totals[&number]);
        let of = |paid: &BTreeMap<InvoiceNumber, i64>| paid.get(&number).copied().unwrap_or_default();
        assert_eq!(invoice.paid.get(), of(&paid) + of(&by_card));
        let anew = books.reissued(number) > 0;
        assert!(anew || invoice.issued_at == invoice.issued_at.month_start(), "issued at 00:00 on the 1st (rule 6.1)");
        if let Some(trial) = &books.account().trial {
            assert!(invoice.issued_at > trial.ends_at, "invoiced in the trial (rule 7.1)");
        }
        let at = |kind| {
            let events = books.events.iter().filter(|event| event.invoice == Some(number) && event.kind == kind);
            events.map(|event| event.at).collect::<Vec<_>>()
        };
        assert_eq!(at(EventKind::InvoiceIssued), [invoice.issued_at]);
        let by_payment = invoice.credited.is_zero() && invoice.written_off.is_zero();
        assert_eq!(at(EventKind::InvoicePaid), Vec::from_iter(invoice.paid_at.filter(|_| by_payment)));
        assert_eq!(at(EventKind::InvoiceCredited), Vec::from_iter(invoice.credited_at));
        assert_eq!(at(EventKind::InvoiceWrittenOff).len(), usize::from(invoice.written_off.is_positive()));
        let notes = books.credit_notes.iter().filter(|note| note.invoice == number);
        let notes: Vec<_> = notes.map(|note| (note.issued_at, note.total)).collect();
        assert_eq!(notes, Vec::from_iter(invoice.credited_at.map(|at| (at, invoice.total))));
        assert_eq!(at(EventKind::InvoiceOverdue).len(), usize::from(invoice.overdue));
        lines_in_order(books, number);
    }
}

/// By service, then from, then kind (rule 6.7).
fn lines_in_order(books: &Books, number: InvoiceNumber) {
    let lines = books.lines.iter().filter(|(invoice, _)| *invoice == number).map(|(_, line)| line);
    let keys: Vec<_> = lines
        .map(|line| {
            let service = &books.services[&line.service].service;
            ((service.created_at, service.name.clone()), line.period.from, line.kind.name())
        })
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

/// What the cards paid is in the books, once, and each failure was told (rules 6.8, 11.7).
fn cards(books: &Books) {
    let charged = |answer: Answer, wanted: fn(&Purpose) -> bool| {
        books.charges.iter().filter(move |(intent, got)| *got == answer && wanted(&intent.purpose))
    };
    let invoice: fn(&Purpose) -> bool = |purpose| matches!(purpose, Purpose::Invoice { .. });
    let other: fn(&Purpose) -> bool = |purpose| !matches!(purpose, Purpose::Invoice { .. });
    let told: fn(&Purpose) -> bool = |purpose| !matches!(purpose, Purpose::Overage { .. });
    let booked = |kind: TransferKind| -> i64 {
        books.transfers.iter().filter(|transfer| transfer.kind == kind).map(|transfer| transfer.amount.get()).sum()
    };
    let late: i64 = books
        .charges
        .iter()
        .filter(|(intent, _)| books.late.contains(&intent.key))
        .map(|(intent, _)| intent.amount.get())
        .sum();
    let sum = |wanted| charged(Answer::Succeeded, wanted).map(|(intent, _)| intent.amount.get()).sum::<i64>();
    assert_eq!(booked(TransferKind::InvoicePaidByCard), sum(invoice));
    assert_eq!(booked(TransferKind::CardCredit), sum(other) + late);
    let failures = books.events.iter().filter(|event| event.kind == EventKind::PaymentFailed).count();
    assert_eq!(failures, charged(Answer::Failed, told).count());
    let currency = books.account().currency;
    for (intent, _) in &books.charges {
        assert!(intent.amount.is_positive() && intent.amount.is_whole_minor(currency), "{intent:?}");
    }
}

/// Of no period more comes back than was paid for it, but for one rounding per part (rules 2.4, 5.5).
fn no_downgrade_beyond_what_was_paid(books: &Books) {
    let periods = books.transfers.iter().filter(|transfer| transfer.kind == TransferKind::Period);
    for charge in periods {
        let mut later = books.transfers.iter().filter(|transfer| transfer.number > charge.number);
        let next = later.find(|other| other.kind == TransferKind::Period && other.service == charge.service);
        let next = Some(next.map_or(i64::MAX, |next| next.number));
        let changes: Vec<i128> = books
            .transfers
            .iter()
            .filter(|transfer| matches!(transfer.kind, TransferKind::Upgrade | TransferKind::Downgrade))
            .filter(|transfer| transfer.service == charge.service)
            .filter(|transfer| transfer.number > charge.number && Some(transfer.number) < next)
            .map(|transfer| -i128::from(signed_amount(transfer).get()))
            .collect();
        let net = i128::from(charge.amount.get()) + changes.iter().sum::<i128>();
        let roundings = i128::try_from(changes.len() + 1).expect("a count");
        assert!(2 * net >= -roundings, "{net} is left of {charge:?} after {changes:?}");
    }
}

/// Each event changes something: what is stopped isn't stopped again, what runs isn't started.
fn events(books: &Books) {
    let account = books.account();
    assert_eq!(account.next.event, i64::try_from(books.events.len()).expect("a count"));
    assert!(books.events.iter().zip(0..).all(|(event, number)| event.number == number));
    assert!(books.events.iter().map(|event| event.at).is_sorted(), "events go back in time");
    let mut suspended = false;
    for event in &books.events {
        match event.kind {
            EventKind::AccountSuspended(_) => suspended = true,
            EventKind::AccountRestored => assert!(std::mem::take(&mut suspended), "{event:?} restores nothing"),
            _ => {}
        }
    }
    assert_eq!(suspended && account.standing != Standing::Closed, account.standing.is_suspended());
    for row in books.services.values() {
        let mut running = false;
        for event in of_service(books, &row.service) {
            let now = runs_after(event.kind, running);
            let silent =
                matches!(event.kind, EventKind::ServiceChanged | EventKind::ServiceRenewed) || ends(event.kind);
            assert!(silent || now != running, "{event:?} changes nothing");
            running = now;
        }
        let state = is_running(&row.service.kind);
        assert_eq!(running, state, "the events of {} say otherwise than its state", row.service.name);
    }
}

fn ends(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::ServiceCancelled
            | EventKind::ServiceRemovalQueued
            | EventKind::ServiceRemoved
            | EventKind::ServiceDeleted
            | EventKind::ServiceTerminated
    )
}

fn runs_after(kind: EventKind, before: bool) -> bool {
    match kind {
        EventKind::ServiceCreated | EventKind::ServiceEnabled | EventKind::ServiceResumed => true,
        EventKind::ServiceDisabled(_) | EventKind::ServiceSuspended(_) => false,
        kind if ends(kind) => false,
        _ => before,
    }
}

fn is_running(kind: &Kind) -> bool {
    match kind {
        Kind::Daily(daily) => daily.state == rules::DailyState::Enabled,
        Kind::Term(term) => matches!(term.state, rules::TermState::Active { .. }),
        Kind::Server(server) => server.state == ServerState::Active,
    }
}

fn of_service<'a>(books: &'a Books, service: &Service) -> impl Iterator<Item = &'a Event> {
    let number = service.number;
    books.events.iter().filter(move |event| event.service == Some(number))
}

/// A closed account takes money that comes, disputes and reports of removal (rule 9.3).
fn closed_stays_closed(books: &Books) {
    let Some(closed) = books.events.iter().find(|event| event.kind == EventKind::AccountClosed) else { return };
    for event in books.events.iter().filter(|event| event.number > closed.number) {
        assert_eq!(event.kind, EventKind::ServiceRemoved);
    }
    for transfer in books.transfers.iter().filter(|transfer| transfer.effective_at > closed.at) {
        let comes = [TransferKind::Deposit, TransferKind::Dispute, TransferKind::CardCredit];
        assert!(comes.contains(&transfer.kind), "{transfer:?}");
    }
}

/// The periods charged for a service, in the order of booking.
fn charged(books: &Books, service: &Service) -> Vec<Period> {
    charges(books, service).map(|transfer| transfer.period.expect("a period")).collect()
}

fn charges<'a>(books: &'a Books, service: &Service) -> impl Iterator<Item = &'a Transfer> {
    let number = service.number;
    let periods = books.transfers.iter().filter(|transfer| transfer.kind == TransferKind::Period);
    periods.filter(move |transfer| transfer.service == Some(number))
}

/// Those periods as far as they stayed paid: one that was taken back was so until then.
fn kept(books: &Books, service: &Service) -> Vec<Period> {
    let left = charges(books, service).map(|charge| {
        let period = charge.period.expect("a period");
        let mut others = books.transfers.iter();
        let reversal = others.find(|transfer| transfer.corrects == Some(charge.number));
        reversal.map_or(period, |reversal| Period::new(period.from, reversal.effective_at))
    });
    left.filter(|period| !period.is_empty()).collect()
}

/// A reversal takes back what its period came to, once (rule 3.6).
fn reversals(books: &Books) {
    let mut corrected = BTreeSet::new();
    for reversal in &books.transfers {
        assert_eq!(reversal.corrects.is_some(), reversal.kind == TransferKind::Reversal, "{reversal:?}");
        let Some(number) = reversal.corrects else { continue };
        assert!(corrected.insert(number), "{number} is taken back twice");
        assert!(reversal.author.is_some() && reversal.reason.is_some());
        let charge = books.transfers.iter().find(|transfer| transfer.number == number).expect("a charge");
        assert_eq!(
            (charge.kind, charge.service, charge.period),
            (TransferKind::Period, reversal.service, reversal.period)
        );
        let net: i64 = books
            .transfers
            .iter()
            .filter(|transfer| transfer.service == charge.service)
            .filter(|transfer| (number..reversal.number).contains(&transfer.number))
            .map(|transfer| -signed_amount(transfer).get())
            .sum();
        assert_eq!(reversal.amount.get(), net.max(0), "{reversal:?}");
    }
}

/// The lines of an invoice that was issued anew are those of the credited one (rule 6.12).
fn reissues(books: &Books) {
    for reissue in &books.reissues {
        let lines = |number: InvoiceNumber| {
            books.lines.iter().filter(move |(invoice, _)| *invoice == number).map(|(_, line)| line)
        };
        assert!(lines(reissue.number).eq(lines(reissue.of)), "{reissue:?}");
        assert!(books.invoices[&reissue.of].credited_at.is_some(), "{reissue:?}");
        assert_eq!(reissue.times, books.reissued(reissue.of) + 1);
    }
}

/// When it ran, by its events; what runs still does so at the settled second.
fn running(books: &Books, service: &Service) -> Vec<Period> {
    let mut spans = Vec::new();
    let mut since = None;
    for event in of_service(books, service) {
        let runs = runs_after(event.kind, since.is_some());
        match (since, runs) {
            (None, true) => since = Some(event.at),
            (Some(from), false) => {
                spans.push(Period::new(from, event.at));
                since = None;
            }
            _ => {}
        }
    }
    let still = books.account().settled_at.plus_secs(1);
    spans.extend(since.map(|from| Period::new(from, still)));
    spans
}

/// Paid for each second at which it ran, and for none twice.
fn paid_while_running(charged: &[Period], running: &[Period]) {
    let mut joined: Vec<Period> = Vec::new();
    for period in charged {
        assert!(!period.is_empty());
        match joined.last_mut() {
            Some(last) if last.to == period.from => last.to = period.to,
            last => {
                assert!(last.is_none_or(|last| last.to < period.from), "{period:?} is charged twice");
                joined.push(*period);
            }
        }
    }
    for span in running.iter().filter(|span| !span.is_empty()) {
        let paid = joined.iter().any(|paid| paid.from <= span.from && span.to <= paid.to);
        assert!(paid, "it ran in {span:?} and only {joined:?} were paid");
    }
}

fn daily_periods(books: &Books, service: &Service) {
    let (charged, running) = (charged(books, service), running(books, service));
    paid_while_running(&kept(books, service), &running);
    for period in &charged {
        assert_eq!(period.to, period.from.next_midnight(), "a period ends at the next midnight (rule 4.1)");
        assert!(running.iter().any(|span| span.from <= period.from && period.from <= span.to), "paid and didn't run");
    }
}

fn term_periods(books: &Books, service: &Service, anchor: Timestamp, months: u32) {
    let periods = books.transfers.iter().filter(|transfer| transfer.kind == TransferKind::Period);
    for charge in periods.filter(|transfer| transfer.service == Some(service.number)) {
        assert!(charge.period.is_some_and(|paid| paid.contains(charge.effective_at)), "{charge:?} is not of its time");
    }
    let charged = charged(books, service);
    paid_while_running(&kept(books, service), &running(books, service));
    let mut term = 0;
    for period in &charged {
        while anchor.plus_months(term * months) < period.from {
            term += 1;
        }
        let whole = Period::new(anchor.plus_months(term * months), anchor.plus_months((term + 1) * months));
        assert_eq!(*period, whole, "a term begins whole terms after the first (rule 1.5)");
    }
}

fn server_lines(books: &Books, service: &Service, server: &Server) {
    let of_kinds = |wanted: fn(LineKind) -> bool| -> Vec<(InvoiceNumber, &Line)> {
        let own = books.lines.iter().filter(|(_, line)| line.service == service.number && wanted(line.kind));
        let own = own.filter(|(number, _)| books.reissued(*number) == 0);
        own.map(|(number, line)| (*number, line)).collect()
    };
    let invoiced = books.account().settled_at.month_start();
    let (lines, until) = match server.mode {
        Mode::Monthly => {
            let ended = match server.state {
                ServerState::Terminated { at } => at.next_month_start(),
                _ => Timestamp::from_secs(i64::MAX),
            };
            let lines = of_kinds(|kind| matches!(kind, LineKind::Month | LineKind::Prorated));
            assert!(lines.iter().skip(1).all(|(_, line)| line.kind == LineKind::Month), "{lines:?}");
            (lines, ended.min(invoiced.next_month_start()))
        }
        _ => {
            let lines = of_kinds(|kind| kind == LineKind::Hours);
            for pair in lines.windows(2) {
                let price = |line: &Line| match &line.basis {
                    Basis::Hours { of, .. } => of.price,
                    other => panic!("{other:?} of an hourly server"),
                };
                let [(one, left), (other, right)] = [pair[0], pair[1]];
                assert!(one != other || price(left) != price(right), "neighbours of one price are one (rule 6.5)");
            }
            (lines, server.ran_until(invoiced))
        }
    };
    let ended_in_trial = matches!(server.state, ServerState::Terminated { at } if at < server.billable_from);
    let periods: Vec<Period> = lines.iter().map(|(_, line)| line.period).collect();
    if ended_in_trial || server.billable_from >= invoiced || server.billable_from >= until {
        assert!(periods.is_empty(), "{periods:?} of a server that was not billable");
    } else {
        let first = periods.first().expect("a billable server has lines");
        assert_eq!(first.from, server.billable_from);
        assert!(periods.windows(2).all(|pair| pair[0].to == pair[1].from), "{periods:?}");
        assert_eq!(periods.last().map(|last| last.to), Some(until), "{periods:?}");
    }
    upgrades(&of_kinds(|kind| matches!(kind, LineKind::Month | LineKind::Prorated | LineKind::Upgrade)));
    overages(&of_kinds(|kind| kind == LineKind::TrialOverage), books, service);
}

/// Within a month each upgrade begins at or above the last level (rule 6.4).
fn upgrades(lines: &[(InvoiceNumber, &Line)]) {
    let mut levels = BTreeMap::new();
    for (_, line) in lines {
        let month = line.period.from.month_start();
        match &line.basis {
            Basis::Months { of, .. } => {
                assert!(levels.insert(month, of.price).is_none(), "{month} is billed twice");
            }
            Basis::Upgrade { level, new, .. } => {
                assert!(*level >= levels[&month] && new.price > *level, "{line:?}");
                assert_eq!(line.period.to, month.next_month_start());
                levels.insert(month, new.price);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Within the trial, no stretch twice (rule 7.3).
fn overages(lines: &[(InvoiceNumber, &Line)], books: &Books, service: &Service) {
    let mut until = service.created_at;
    for (_, line) in lines {
        let trial = books.account().trial.expect("overage needs a trial");
        assert!(line.period.to <= trial.ends_at && line.period.from >= service.created_at);
        if let Basis::Overage { .. } = line.basis {
            assert!(line.period.from >= until, "{line:?} is billed twice");
            until = line.period.to;
        }
    }
}
