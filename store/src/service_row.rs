//! A service's row, both ways: the state enums of the rules beside the columns that constraints can check.

use rules::{
    Daily, DailyState, Kind, Mode, Order, Period, Server, ServerState, Service, Stage, StopReason, Term, TermState,
    Timestamp,
};

use crate::cells::{Cells, Problem, required};

/// In the order in which [`read`] takes them, after the account's id.
pub const COLUMNS: &str = "account_id, number, name, created_at, plan, quantities, options, mode, state, reason,
    stopped_at, paid_from, paid_to, term_months, anchor, ends_with_period, stage, billable_from, meter";

/// The columns that the state of a service takes.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct StateColumns {
    pub state: &'static str,
    pub reason: Option<StopReason>,
    pub stopped_at: Option<Timestamp>,
    pub paid: Option<Period>,
    pub term_months: Option<u32>,
    pub anchor: Option<Timestamp>,
    pub ends_with_period: Option<bool>,
    pub stage: Option<&'static str>,
}

impl StateColumns {
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Daily(daily) => Self::of_daily(daily),
            Kind::Term(term) => Self::of_term(term),
            Kind::Server(server) => Self::of_server(server.state),
        }
    }

    fn of_daily(daily: &Daily) -> Self {
        let (state, reason, stopped_at) = match daily.state {
            DailyState::Enabled => ("enabled", None, None),
            DailyState::Disabled { reason, at } => ("disabled", Some(reason), Some(at)),
            DailyState::Deleted => ("deleted", None, None),
        };
        Self { state, reason, stopped_at, paid: Some(daily.paid), ..Self::default() }
    }

    fn of_term(term: &Term) -> Self {
        let (state, reason, stage, ends_with_period) = match term.state {
            TermState::Active { ends_with_period } => ("active", None, None, Some(ends_with_period)),
            TermState::Suspended { reason, stage: Stage::Paid { ends_with_period } } => {
                ("suspended", Some(reason), Some("paid"), Some(ends_with_period))
            }
            TermState::Suspended { reason, stage: Stage::Retention } => {
                ("suspended", Some(reason), Some("retention"), None)
            }
            TermState::Cancelled => ("cancelled", None, None, None),
            TermState::RemovalQueued => ("removal_queued", None, None, None),
            TermState::Removed => ("removed", None, None, None),
        };
        let (paid, term_months, anchor) = (Some(term.paid), Some(term.months), Some(term.anchor));
        Self { state, reason, stage, ends_with_period, paid, term_months, anchor, stopped_at: None }
    }

    fn of_server(server: ServerState) -> Self {
        let (state, reason, stopped_at) = match server {
            ServerState::Active => ("active", None, None),
            ServerState::Suspended { reason } => ("suspended", Some(reason), None),
            ServerState::Terminated { at } => ("terminated", None, Some(at)),
        };
        Self { state, reason, stopped_at, ..Self::default() }
    }
}

/// Reads a service; `cells` stands behind the account's id.
pub fn read(cells: &mut Cells<'_>) -> Result<Service, Problem> {
    let (number, name, created_at) = (cells.int()?, cells.text()?, cells.time()?);
    let order = Order { plan: cells.text()?, quantities: cells.json()?, options: cells.json()? };
    let mode: Mode = cells.name()?;
    let state = cells.text()?;
    let reason: Option<StopReason> = cells.maybe_name()?;
    let stopped_at = cells.maybe_time()?;
    let paid = cells.maybe_period()?;
    let (months, anchor) = (cells.maybe_small()?, cells.maybe_time()?);
    let (ends_with_period, stage) = (cells.maybe_flag()?, cells.maybe_text()?);
    let (billable_from, meter) = (cells.maybe_time()?, cells.maybe_json()?);

    let unknown = || format!("service {name}: no state `{state}` of mode {mode}");
    let kind = match mode {
        Mode::Daily => {
            let state = match state.as_str() {
                "enabled" => DailyState::Enabled,
                "disabled" => DailyState::Disabled {
                    reason: required(reason, "reason")?,
                    at: required(stopped_at, "stopped_at")?,
                },
                "deleted" => DailyState::Deleted,
                _ => return Err(unknown()),
            };
            Kind::Daily(Daily { state, paid: required(paid, "paid_from")? })
        }
        Mode::Term => {
            let state = match state.as_str() {
                "active" => TermState::Active { ends_with_period: required(ends_with_period, "ends_with_period")? },
                "suspended" => TermState::Suspended {
                    reason: required(reason, "reason")?,
                    stage: match (stage.as_deref(), ends_with_period) {
                        (Some("paid"), Some(ends_with_period)) => Stage::Paid { ends_with_period },
                        (Some("retention"), None) => Stage::Retention,
                        _ => return Err(unknown()),
                    },
                },
                "cancelled" => TermState::Cancelled,
                "removal_queued" => TermState::RemovalQueued,
                "removed" => TermState::Removed,
                _ => return Err(unknown()),
            };
            let (months, anchor) = (required(months, "term_months")?, required(anchor, "anchor")?);
            Kind::Term(Term { months, anchor, paid: required(paid, "paid_from")?, state })
        }
        Mode::Monthly | Mode::Hourly => {
            let state = match state.as_str() {
                "active" => ServerState::Active,
                "suspended" => ServerState::Suspended { reason: required(reason, "reason")? },
                "terminated" => ServerState::Terminated { at: required(stopped_at, "stopped_at")? },
                _ => return Err(unknown()),
            };
            let (billable_from, meter) = (required(billable_from, "billable_from")?, required(meter, "meter")?);
            Kind::Server(Box::new(Server { mode, state, billable_from, meter }))
        }
    };
    Ok(Service { number, name, created_at, order, kind })
}
