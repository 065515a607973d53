//! What a path names: by its public id or by its own name. What is another account's looks as if it were not there.

use rules::{AccountId, Timestamp};
use serde::Deserialize;
use store::{InvoiceRow, ServiceRow};
use utoipa::IntoParams;

use crate::cli::printed;
use crate::cli::reference::Referred;
use crate::http::ids::Kind;
use crate::http::operation::{Asked, Handled};
use crate::http::problem::Problem;
use crate::http::words::{Name, Place};
use crate::input::{BadInput, arguments};
use crate::view::{AccountSummary, AccountView, ChangeView, InvoiceView, ServiceView};

pub const LIMIT: u32 = 50;
const LIMIT_MAX: u32 = 1_000;

/// A page of a list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Go on behind this: the `next` of the page before
    #[param(inline)]
    pub after: Option<Place>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, example = 50)]
    pub limit: Option<String>,
}

/// A query's numbers come as texts.
pub fn limit(given: Option<&str>) -> Handled<u32> {
    let Some(given) = given else { return Ok(LIMIT) };
    let all_digits = given.bytes().all(|digit| digit.is_ascii_digit());
    let limit = given.parse().ok().filter(|limit| all_digits && (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| Problem::bad_field("limit", format!("it is a whole number from 1 to {LIMIT_MAX}")))
}

impl Asked {
    /// The second to change something at, unless the clock is in doubt.
    pub fn trusted_now(&self) -> Handled<Timestamp> {
        Ok(self.face.office.clock.trusted().map_err(::jobs::JobError::from)?)
    }

    /// The account that the path names, if it is the caller's to see: its id and name.
    pub async fn account(&self) -> Handled<(AccountId, String)> {
        self.account_called(self.part("account")).await
    }

    pub async fn account_called(&self, text: &str) -> Handled<(AccountId, String)> {
        let (face, store) = (&self.face, &self.face.office.store);
        let missing = || Problem::not_found("account", text);
        let found = match face.ids.read(Kind::Account, text) {
            Some((id, 0)) if self.caller.is_for(id) => face.names.name_of(store, id).await?.map(|name| (id, name)),
            _ => match arguments::name(text) {
                Ok(name) => face.names.id_of(store, &name).await?.map(|id| (id, name)),
                Err(_) => None,
            },
        };
        found.filter(|(id, _)| self.caller.is_for(*id)).ok_or_else(missing)
    }

    /// The service that the path names. Customers see none that is over (rule 5.8).
    pub async fn service(&self) -> Handled<ServiceRow> {
        self.service_called(self.part("service")).await
    }

    pub async fn service_called(&self, text: &str) -> Handled<ServiceRow> {
        let (face, store) = (&self.face, &self.face.office.store);
        let found = match face.ids.read(Kind::Service, text) {
            Some((account, number)) if self.caller.is_for(account) => store.service_numbered(account, number).await?,
            _ => match arguments::name(text) {
                Ok(name) => store.service(&name).await?,
                Err(_) => None,
            },
        };
        let is_shown = |row: &ServiceRow| {
            self.caller.is_for(row.account_id) && (row.service.is_living() || !self.caller.is_customer())
        };
        found.filter(is_shown).ok_or_else(|| Problem::not_found("service", text))
    }

    /// The invoice that the path names, with its lines.
    pub async fn invoice(&self) -> Handled<InvoiceRow> {
        let (text, face, store) = (self.part("invoice"), &self.face, &self.face.office.store);
        let missing = || Problem::not_found("invoice", text);
        let (account, number) = match face.ids.read(Kind::Invoice, text) {
            Some(found) => found,
            None if text.contains('/') || text.contains(char::is_control) => return Err(missing()),
            None => match printed::find(store, text).await {
                Ok((account, reference)) => match reference.to {
                    Referred::Invoice(number) => (account, number),
                    _ => return Err(missing()),
                },
                Err(error) if error.is::<BadInput>() => return Err(missing()),
                Err(error) => return Err(error.into()),
            },
        };
        if !self.caller.is_for(account) {
            return Err(missing());
        }
        store.invoice(account, number).await?.ok_or_else(missing)
    }

    /// A new name that a service or an account gets: nothing that could be read as an id.
    pub fn new_name(&self, field: &str, Name(name): &Name) -> Handled<String> {
        let ids = &self.face.ids;
        let is_an_id = [Kind::Account, Kind::Service, Kind::Invoice].iter().any(|kind| ids.read(*kind, name).is_some());
        match is_an_id {
            true => Err(Problem::bad_field(field, format!("`{name}` is written like an id: choose another name"))),
            false => Ok(name.clone()),
        }
    }

    pub fn account_view(&self, id: AccountId, view: AccountView) -> AccountView {
        let summary = self.account_summary(id, view.summary);
        AccountView { summary, ..view }
    }

    pub fn account_summary(&self, id: AccountId, view: AccountSummary) -> AccountSummary {
        AccountSummary { id: Some(self.face.ids.write(Kind::Account, id, 0)), ..view }
    }

    pub fn service_view(&self, row: &ServiceRow) -> ServiceView {
        let id = self.face.ids.write(Kind::Service, row.account_id, row.service.number);
        ServiceView { id: Some(id), ..ServiceView::of(row) }
    }

    pub fn invoice_view(&self, row: &InvoiceRow) -> InvoiceView {
        let id = self.face.ids.write(Kind::Invoice, row.account_id, row.number);
        InvoiceView { id: Some(id), ..InvoiceView::of(row, &self.face.office.policy().documents) }
    }

    /// What an action came to, as this caller may see it.
    pub fn change_view(&self, id: AccountId, service: Option<&ServiceRow>, view: ChangeView) -> ChangeView {
        let account = self.account_view(id, view.account);
        let service = service.map(|row| self.service_view(row));
        let view = ChangeView { account, service, ..view };
        if self.caller.is_customer() { view.for_customers() } else { view }
    }
}
