//! What happens next.

use rules::{Action, CancelWhen, DAY, DueKind, HOUR, Micros, OrderChange, ReceiptKind, Rest, SuspendReason, Timestamp};

use crate::support::walk::history::{AUTHOR, Entry, Verb, all_accounts, prices, receive};
use crate::support::walk::host::Host;

/// Awake, the daemon says at least so often that it lives: less often would be an outage (rule 11.8).
const AWAKE_SECS: i64 = 11 * HOUR;

const PLANS: [&str; 8] = ["day", "day-large", "term", "term-large", "cloud", "cloud-large", "hour", "hour-large"];

/// One step of a walk.
pub async fn step(host: &mut Host) {
    match host.dice.below(100) {
        0..=39 => {
            for _ in 0..=host.dice.below(3) {
                act(host).await;
            }
        }
        40..=61 => be_awake(host).await,
        62..=67 => {
            // The machine sleeps: time passes, and the clock with it.
            let secs = a_while(host);
            host.pass(secs);
            assert!(host.tick().await);
        }
        // A leap second, as many machines play it: the same second twice.
        68..=71 => host.jump(-1).await,
        72..=82 => {
            let secs = a_while(host);
            let back = host.dice.below(2) == 0;
            host.jump(if back { -secs } else { secs }).await;
        }
        83..=87 => {
            let off = a_while(host);
            host.start_again(off).await;
        }
        88..=96 => {
            be_awake(host).await;
            let secs = to_what_is_due(host).await;
            host.pass(secs);
            let statements = u32::try_from(host.dice.below(40)).expect("few");
            host.die_in_a_tick(statements).await;
            let off = if host.dice.below(4) == 0 { a_while(host) } else { 1 };
            host.start_again(off).await;
        }
        _ => {
            host.store().wakes_lose().await.expect("lost");
            assert!(host.tick().await);
        }
    }
    host.assert_nothing_ahead().await;
}

/// From a second to forty days, each length as often as one twice as long.
fn a_while(host: &mut Host) -> i64 {
    let most = 1_i64 << host.dice.below(22);
    let secs = 1 + i64::try_from(host.dice.below(most.unsigned_abs())).expect("not long");
    secs.min(40 * DAY)
}

/// Some days at most, with a look at what is due at its second, right before it or some time after.
async fn be_awake(host: &mut Host) {
    for _ in 0..=host.dice.below(5) {
        let secs = match host.dice.below(8) {
            0 => 1,
            1 => a_while(host),
            2 => host.wall().next_midnight().secs() - host.wall().secs(),
            3 => host.wall().next_month_start().secs() - host.wall().secs(),
            4 => to_what_is_due(host).await - 1,
            _ => to_what_is_due(host).await,
        };
        host.pass(secs.clamp(0, AWAKE_SECS));
        assert!(host.tick().await);
    }
}

async fn to_what_is_due(host: &mut Host) -> i64 {
    let mut next: Vec<Timestamp> = Vec::new();
    for kind in DueKind::ALL {
        next.extend(host.store().next_due(kind).await.expect("readable"));
    }
    let ahead = next.into_iter().map(|due| due.secs() - host.wall().secs()).filter(|secs| *secs > 0).min();
    ahead.unwrap_or(HOUR).min(AWAKE_SECS)
}

/// Something that a customer or an admin does, if the command line takes it now.
pub async fn act(host: &mut Host) {
    if !host.may_act().await {
        return;
    }
    let accounts = all_accounts(host.store()).await;
    let account = accounts[usize::try_from(host.dice.below(accounts.len() as u64)).expect("a few")];
    let at = host.counts_at(account).await;
    match host.dice.below(20) {
        0..=3 => {
            let cents = [1_000, 5_000, 20_000, 77_777][usize::try_from(host.dice.below(4)).expect("four")];
            let kind = if host.dice.below(8) == 0 { ReceiptKind::Dispute } else { ReceiptKind::Deposit };
            let amount = Micros::new(cents * 10_000);
            receive(host.office(), host.history.len(), account, kind, amount, at).await;
            host.history.push(Entry { at, verb: Verb::Receive(account, kind, amount) });
        }
        4 => {
            let since = host.wall().next_midnight().plus_secs(i64::try_from(host.dice.below(3)).expect("few") * DAY);
            let list = prices([50, 90, 110, 200][usize::try_from(host.dice.below(4)).expect("four")]);
            // The command line refuses one that reaches back.
            if host.is_settled_to(since).await {
                return;
            }
            host.store().price_list_insert(&list, since, AUTHOR, host.wall()).await.expect("a list");
            // Of two lists of one second the later one stands, also where the clock was set back in between.
            let published = host.history.iter().filter(|entry| matches!(entry.verb, Verb::Publish(..)));
            let at = published.map(|entry| entry.at).fold(host.wall(), Timestamp::max);
            host.history.push(Entry { at, verb: Verb::Publish(list, since) });
        }
        _ => {
            let services: Vec<String> = host.services(account).await;
            let action = action(host, &services);
            host.office().reload_if_moved().await.expect("read");
            let acted = host.office().act(account, &action, host.wall()).await.expect("no fault");
            host.history.push(Entry { at, verb: Verb::Act(account, action, acted) });
        }
    }
}

fn action(host: &mut Host, services: &[String]) -> Action {
    let mut pick = |of: usize| usize::try_from(host.dice.below(of.max(1) as u64)).expect("few");
    let service = services.get(pick(services.len())).cloned().unwrap_or_else(|| "none".to_owned());
    let (plan, author, reason) = (PLANS[pick(PLANS.len())].to_owned(), AUTHOR.to_owned(), "walk".to_owned());
    match if services.len() < 2 { 0 } else { pick(24) } {
        0..=7 => {
            let options = if pick(2) == 0 { vec![] } else { vec!["backup".to_owned()] };
            let service = format!("s{}", host.history.len());
            Action::CreateService { service, plan, quantities: [].into(), options: options.into_iter().collect() }
        }
        8 => Action::Enable { service },
        9 => Action::Disable { service },
        10 | 11 => {
            let change = OrderChange { plan: Some(plan), ..OrderChange::default() };
            Action::Change { service, change, confirm_data_loss: true }
        }
        12 | 13 => Action::Extend { service },
        14 => {
            Action::Cancel { service, when: [CancelWhen::Now, CancelWhen::PeriodEnd, CancelWhen::PeriodEnd][pick(3)] }
        }
        15 => Action::Uncancel { service },
        16 => Action::Removed { service },
        17 => {
            let quantity = Micros::new(i64::try_from(pick(900)).expect("few") * 1_000_000);
            Action::Usage { service, component: "traffic_gb".to_owned(), quantity }
        }
        18 => Action::Adjust { amount: Micros::new([-3_000_001, 25_000_000][pick(2)]), author, reason },
        19 => Action::Void { service, author, reason },
        20 => {
            let invoice = i64::try_from(pick(4)).expect("few");
            match pick(3) {
                0 => Action::WriteOffInvoice { invoice, author, reason },
                1 => Action::CreditInvoice { invoice, author, reason, reissue: None },
                _ => Action::CreditInvoice { invoice, author, reason, reissue: Some([].into()) },
            }
        }
        21 => Action::SaveCard { card: format!("card-{}", host.history.len()), authorised: true },
        22 => Action::SuspendAccount { reason: SuspendReason::Admin },
        _ => [Action::RestoreAccount, Action::RestoreAccount, Action::CloseAccount { rest: Some(Rest::Waive) }]
            [pick(3)]
        .clone(),
    }
}
