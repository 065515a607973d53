//! Services: daily instances, term services and servers, with the states of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::invoice::Line;
use crate::money::{Price, Quantity};
use crate::prices::{Mode, Order};
use crate::time::{DAY, Period, Timestamp};

/// A service's key within its account.
pub type ServiceNumber = i64;

/// Why a service is disabled or suspended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    InsufficientFunds,
    Customer,
    Unpaid,
    Fraud,
    Admin,
}

impl StopReason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::Customer => "customer",
            Self::Unpaid => "unpaid",
            Self::Fraud => "fraud",
            Self::Admin => "admin",
        }
    }

    /// Whether the account's suspension stopped it, so that restoring may resume it (rule 9.2).
    pub const fn is_accounts(self) -> bool {
        matches!(self, Self::Unpaid | Self::Fraud | Self::Admin)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    pub number: ServiceNumber,
    pub name: String,
    pub created_at: Timestamp,
    pub order: Order,
    pub kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Daily(Daily),
    Term(Term),
    Server(Box<Server>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Daily {
    pub state: DailyState,
    /// The last period paid for one by one; see [`Self::paid_period`].
    pub paid: Period,
}

impl Daily {
    /// The paid period: an enabled instance follows the midnights that its account has paid.
    pub fn paid_period(&self, daily_paid_until: Timestamp) -> Period {
        if self.state == DailyState::Enabled && daily_paid_until > self.paid.to {
            Period::new(daily_paid_until.plus_secs(-DAY), daily_paid_until)
        } else {
            self.paid
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DailyState {
    Enabled,
    Disabled { reason: StopReason, at: Timestamp },
    Deleted,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    pub months: u32,
    /// The start of the first term; every term begins whole terms later (rule 1.5).
    pub anchor: Timestamp,
    pub paid: Period,
    pub state: TermState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TermState {
    Active { ends_with_period: bool },
    Suspended { reason: StopReason, stage: Stage },
    Cancelled,
    RemovalQueued,
    Removed,
}

/// Where a suspended term service stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Its paid period still runs.
    Paid { ends_with_period: bool },
    /// Its renewal fell due and was not paid (rule 5.2).
    Retention,
}

impl Term {
    /// The term that contains `at`, of those that begin at or after the anchor.
    pub fn term_at(&self, at: Timestamp) -> Period {
        let mut index = 0;
        let start = |index: u32| self.anchor.plus_months(index * self.months);
        while start(index + 1) <= at {
            index += 1;
        }
        Period::new(start(index), start(index + 1))
    }
}

/// A monthly or hourly server. What it ran up and is not invoiced yet is in its meter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    pub mode: Mode,
    pub state: ServerState,
    /// Creation or, if later, the trial's end (rule 6.1).
    pub billable_from: Timestamp,
    pub meter: Meter,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerState {
    Active,
    Suspended { reason: StopReason },
    Terminated { at: Timestamp },
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Meter {
    /// Has the trial's cover (rule 7.2).
    #[serde(default, skip_serializing_if = "is_default")]
    pub covered: bool,
    /// The highest monthly overage worth charged to the card (rule 7.3).
    #[serde(default, skip_serializing_if = "is_default")]
    pub overage_charged: Price,
    /// Monthly: the highest price billed or pending for the rest of the month (rule 6.4).
    #[serde(default, skip_serializing_if = "is_default")]
    pub level: Price,
    /// Stretches of one price that ended since the last invoice, neighbours merged.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stretches: Vec<Stretch>,
    /// Where the running stretch began; none where time is not measured.
    #[serde(default, skip_serializing_if = "is_default")]
    pub measured_since: Option<Timestamp>,
    /// Reported in this month, by component.
    #[serde(default, skip_serializing_if = "is_default")]
    pub usage: BTreeMap<String, Usage>,
    /// Units above the trial's allowance, and their cost (rule 7.4).
    #[serde(default, skip_serializing_if = "is_default")]
    pub trial_traffic: TrialTraffic,
    /// Lines that are complete and wait for the next invoice.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pending: Vec<Line>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stretch {
    pub period: Period,
    pub price: Price,
    pub order: Order,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Usage {
    pub used: Quantity,
    /// The plan at the month's last report.
    pub plan: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TrialTraffic {
    pub units: Quantity,
    pub cost: Price,
}

impl Service {
    pub fn mode(&self) -> Mode {
        match &self.kind {
            Kind::Daily(_) => Mode::Daily,
            Kind::Term(_) => Mode::Term,
            Kind::Server(server) => server.mode,
        }
    }

    /// The name of its state.
    pub fn state(&self) -> &'static str {
        match &self.kind {
            Kind::Daily(daily) => match daily.state {
                DailyState::Enabled => "enabled",
                DailyState::Disabled { .. } => "disabled",
                DailyState::Deleted => "deleted",
            },
            Kind::Term(term) => match term.state {
                TermState::Active { .. } => "active",
                TermState::Suspended { .. } => "suspended",
                TermState::Cancelled => "cancelled",
                TermState::RemovalQueued => "removal_queued",
                TermState::Removed => "removed",
            },
            Kind::Server(server) => match server.state {
                ServerState::Active => "active",
                ServerState::Suspended { .. } => "suspended",
                ServerState::Terminated { .. } => "terminated",
            },
        }
    }

    /// Why it is stopped.
    pub fn stop_reason(&self) -> Option<StopReason> {
        match &self.kind {
            Kind::Daily(Daily { state: DailyState::Disabled { reason, .. }, .. })
            | Kind::Term(Term { state: TermState::Suspended { reason, .. }, .. }) => Some(*reason),
            Kind::Server(server) => match server.state {
                ServerState::Suspended { reason } => Some(reason),
                ServerState::Active | ServerState::Terminated { .. } => None,
            },
            Kind::Daily(_) | Kind::Term(_) => None,
        }
    }

    /// Until when a prepaid service is paid, given the midnights that its account has paid.
    pub fn paid_until(&self, daily_paid_until: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::Daily(daily) => Some(daily.paid_period(daily_paid_until).to),
            Kind::Term(term) => Some(term.paid.to),
            Kind::Server(_) => None,
        }
    }

    /// The key of the rules' order (rule 11.2).
    pub fn rank(&self) -> (Timestamp, &str) {
        (self.created_at, &self.name)
    }

    /// Whether it still runs or could run again: not ended, and not queued for removal (rule 9.3).
    pub fn is_living(&self) -> bool {
        match &self.kind {
            Kind::Daily(daily) => !matches!(daily.state, DailyState::Deleted),
            Kind::Term(term) => matches!(term.state, TermState::Active { .. } | TermState::Suspended { .. }),
            Kind::Server(server) => server.is_living(),
        }
    }

    /// Whether nothing can become of it any more by the passing of time.
    pub fn is_finished(&self, invoiced_until: Timestamp) -> bool {
        match &self.kind {
            Kind::Daily(_) | Kind::Term(_) => !self.is_living(),
            Kind::Server(server) => match server.state {
                ServerState::Terminated { at } => at.next_month_start() <= invoiced_until && server.meter.is_empty(),
                ServerState::Active | ServerState::Suspended { .. } => false,
            },
        }
    }

    pub fn server(&self) -> Option<&Server> {
        match &self.kind {
            Kind::Server(server) => Some(server),
            Kind::Daily(_) | Kind::Term(_) => None,
        }
    }

    /// Since when a server that is billable at `at` is billed. One that was brought in and billed ahead elsewhere
    /// has been since its creation.
    pub fn billed_since(&self, at: Timestamp) -> Timestamp {
        let known = self.server().map(|server| server.billable_from).filter(|from| *from <= at);
        known.unwrap_or(self.created_at)
    }

    pub fn server_mut(&mut self) -> Option<&mut Server> {
        match &mut self.kind {
            Kind::Server(server) => Some(server),
            Kind::Daily(_) | Kind::Term(_) => None,
        }
    }
}

impl Server {
    pub fn is_living(&self) -> bool {
        !matches!(self.state, ServerState::Terminated { .. })
    }

    /// The second at which it stopped, or `until` if it ran then.
    pub fn ran_until(&self, until: Timestamp) -> Timestamp {
        match self.state {
            ServerState::Terminated { at } => at.min(until),
            ServerState::Active | ServerState::Suspended { .. } => until,
        }
    }
}

impl Meter {
    /// Whether nothing waits for an invoice.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
            && self.usage.is_empty()
            && self.pending.is_empty()
            && self.trial_traffic == TrialTraffic::default()
    }
}
