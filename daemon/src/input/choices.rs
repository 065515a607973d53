//! What lists can be cut down to, by commands and over HTTP.

use clap::ValueEnum;
use rules::Mode;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Active,
    Suspended,
    Closed,
}

impl AccountState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    Open,
    Overdue,
    Paid,
}

impl From<InvoiceState> for store::InvoiceState {
    fn from(state: InvoiceState) -> Self {
        match state {
            InvoiceState::Open => Self::Open,
            InvoiceState::Overdue => Self::Overdue,
            InvoiceState::Paid => Self::Paid,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ServiceState {
    Enabled,
    Disabled,
    Deleted,
    Active,
    Suspended,
    Cancelled,
    RemovalQueued,
    Removed,
    Terminated,
}

impl ServiceState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::RemovalQueued => "removal_queued",
            Self::Removed => "removed",
            Self::Terminated => "terminated",
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ServiceMode {
    Daily,
    Term,
    Monthly,
    Hourly,
}

impl From<ServiceMode> for Mode {
    fn from(mode: ServiceMode) -> Self {
        match mode {
            ServiceMode::Daily => Self::Daily,
            ServiceMode::Term => Self::Term,
            ServiceMode::Monthly => Self::Monthly,
            ServiceMode::Hourly => Self::Hourly,
        }
    }
}
