//! What no history under these rules leads to: an account or a service that stands so is not brought in.
//!
//! | kind | runs | stopped for its account | `insufficient_funds` | `customer` |
//! |---|---|---|---|---|
//! | daily | account active | suspended; or active, paid time over | paid time over | always |
//! | term | account active | suspended; or active, in retention | in retention | never |
//! | server | account active | account suspended | never | never |

use std::fmt;

use super::{Arrival, ArrivingService, term_until};
use crate::account::SuspendReason;
use crate::desk::Context;
use crate::prices::Mode;
use crate::service::StopReason;
use crate::settle::retention_end;
use crate::time::Timestamp;

/// What about an arrival cannot be, and the way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// The name of the field that says it.
    pub key: &'static str,
    pub problem: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

type Fits = Result<(), Misfit>;

fn unless(fits: bool, key: &'static str, problem: impl FnOnce() -> String) -> Fits {
    if fits { Ok(()) } else { misfit(key, problem()) }
}

fn misfit(key: &'static str, problem: String) -> Fits {
    Err(Misfit { key, problem })
}

impl Arrival {
    /// Whether the account itself, without its services, can stand so at `now`.
    pub fn fits(&self, now: Timestamp) -> Fits {
        let overdue = self.invoices.iter().any(|invoice| invoice.overdue);
        unless(self.suspended_for.is_some() || !overdue, "suspended_for", || {
            "an overdue invoice suspends its account: say so, or leave `overdue` to the rules".to_owned()
        })?;
        unless(self.suspended_for != Some(SuspendReason::Unpaid) || overdue, "suspended_for", || {
            "an account is suspended for \"unpaid\" while an invoice of it is `overdue`: give that invoice".to_owned()
        })?;
        let Some(trial) = self.trial else { return Ok(()) };
        unless(trial.ends_at == trial.ends_at.midnight() && trial.ends_at > self.opened_at, "trial_ends_at", || {
            "a trial ends at a midnight after the account was opened".to_owned()
        })?;
        unless(trial.ends_at > now, "trial_ends_at", || {
            format!("it is over at {now}: leave it out, and give its servers as what they are without it")
        })?;
        unless(self.invoices.is_empty(), "trial_ends_at", || {
            "nothing is invoiced in a trial, and the account has an open invoice: leave one of them out".to_owned()
        })
    }

    /// Whether this service of it can stand so at `now`, beside those that it has already.
    pub fn fits_service(&self, service: &ArrivingService, cx: &Context<'_>, now: Timestamp) -> Fits {
        self.fits_stop(service, now)?;
        unless(!service.ends_with_period || service.mode == Mode::Term, "ends_with_period", || {
            format!("only a term service ends with its period, and this one is {}", service.mode)
        })?;
        match service.mode {
            Mode::Daily => self.fits_daily(service, now)?,
            Mode::Term => fits_term(service, cx, now)?,
            Mode::Monthly | Mode::Hourly => self.fits_server(service, now)?,
        }
        let in_trial = self.trial.is_some() && service.mode.is_server();
        unless(!service.covered || in_trial, "covered", || {
            "it says which server of an account in its trial (`trial_ends_at`) has the trial's cover".to_owned()
        })?;
        let cover_is_free = !self.services.iter().any(|other| other.covered);
        unless(!service.covered || cover_is_free, "covered", || {
            "the trial covers one server, and another one of the account has it".to_owned()
        })
    }

    /// The reasons of the table above, whichever the account's own is: it may have changed since (rule 9.2).
    fn fits_stop(&self, service: &ArrivingService, now: Timestamp) -> Fits {
        const KEY: &str = "stopped_for";
        let (paid, over) = (service.paid_until, service.paid_until <= now);
        let Some(reason) = service.stopped else {
            return unless(self.suspended_for.is_none(), KEY, || {
                "no service of a suspended account runs: say why it is stopped".to_owned()
            });
        };
        match reason {
            StopReason::Customer => unless(service.mode == Mode::Daily, KEY, || {
                "only a daily instance is disabled by its customer; others run until they end: leave this out, or the \
                 service if it ended"
                    .to_owned()
            }),
            StopReason::InsufficientFunds => {
                unless(!service.mode.is_server(), KEY, || {
                    "a server is invoiced, never stopped for want of funds: leave this out".to_owned()
                })?;
                unless(over, KEY, || {
                    format!("nothing stops for want of funds before its `paid_until`, {paid}: leave this out")
                })
            }
            StopReason::Unpaid | StopReason::Fraud | StopReason::Admin => {
                let stays = !service.mode.is_server() && over;
                unless(self.suspended_for.is_some() || stays, KEY, || {
                    "its account is not suspended (`suspended_for`), and restoring an account resumes what it stopped: \
                     leave this out"
                        .to_owned()
                })
            }
        }
    }

    fn fits_daily(&self, service: &ArrivingService, now: Timestamp) -> Fits {
        let (paid, most) = (service.paid_until, now.next_midnight());
        unless(paid == paid.midnight() && paid > service.created_at && paid <= most, "paid_until", || {
            format!("a daily instance is paid until a midnight after its creation, {most} at most")
        })?;
        let enabled = |one: &&ArrivingService| one.mode == Mode::Daily && one.stopped.is_none();
        let other = self.services.iter().find(enabled).filter(|other| enabled(&service) && other.paid_until != paid);
        let Some(ArrivingService { name, paid_until: until, .. }) = other else { return Ok(()) };
        misfit(
            "paid_until",
            format!("enabled instances of an account are paid until one midnight, and `{name}` until {until}"),
        )
    }

    fn fits_server(&self, service: &ArrivingService, now: Timestamp) -> Fits {
        let (paid, ahead) = (service.paid_until, now.next_month_start());
        if let Some(trial) = self.trial {
            return unless(paid == trial.ends_at, "paid_until", || {
                format!("in a trial a server is billed from its end on: say {}", trial.ends_at)
            });
        }
        let since = service.created_at.max(now.month_start());
        let is_ahead = service.mode == Mode::Monthly && paid == ahead;
        unless(is_ahead || (since <= paid && paid <= now), "paid_until", || {
            let or_ahead = if service.mode == Mode::Monthly { format!(", or until {ahead}") } else { String::new() };
            format!("a server is billed until a second of its life in this month, from {since} to {now}{or_ahead}")
        })
    }
}

fn fits_term(service: &ArrivingService, cx: &Context<'_>, now: Timestamp) -> Fits {
    let ArrivingService { months, anchor, created_at, paid_until, .. } = *service;
    let Some(term) = term_until(anchor, months, paid_until) else {
        return misfit("paid_until", format!("a term ends whole terms of {months} months after the anchor, {anchor}"));
    };
    unless(term.from >= created_at, "paid_until", || {
        format!("the term that ends then begins at {}, before `created_at`: move `created_at` or `anchor`", term.from)
    })?;
    unless(term.from <= now, "paid_until", || {
        format!(
            "the term that ends then begins at {}, and one is paid at a time: give its wallet what was paid ahead, or \
             the service a plan of a longer term",
            term.from
        )
    })?;
    unless(!service.ends_with_period || paid_until > now, "ends_with_period", || {
        "its period has ended, and so has the service: leave it out".to_owned()
    })?;
    let retention = retention_end(&super::service(0, service.clone(), now).kind, cx);
    let Some(ends) = retention.filter(|ends| *ends <= now) else { return Ok(()) };
    misfit(
        "paid_until",
        format!("its retention ended at {ends}, and only its removal is left: leave it out, or raise `retention_days`"),
    )
}
