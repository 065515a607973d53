//! Invoices: lists, whole ones for machines and for paper, and what corrects them.

use std::fmt::Write as _;

use axum::http::StatusCode;
use rules::{Action, Buyer};
use serde::{Deserialize, Serialize};
use store::InvoiceRow;
use utoipa::{IntoParams, ToSchema};

use crate::cli::rows::behind;
use crate::http::access::Access;
use crate::http::operation::{Answer, Call, Handled, Nothing, Operation, get, page, post};
use crate::http::routes::acting;
use crate::http::routes::finding::limit;
use crate::http::words::{Line, Place};
use crate::input::choices::InvoiceState;
use crate::view::{ChangeView, InvoiceView, LineView};

pub fn operations() -> Vec<Operation> {
    use Access::{Administers, Looks};
    const OK: StatusCode = StatusCode::OK;
    vec![
        get(
            ("listInvoices", "/v1/accounts/{account}/invoices", Looks, "List an account's invoices, the oldest first"),
            list,
        ),
        get(("showInvoice", "/v1/invoices/{invoice}", Looks, "Show an invoice with its lines"), show),
        page(
            ("printInvoice", "/v1/invoices/{invoice}/print", Looks, "Show an invoice as a page to print"),
            "text/html",
            print,
        ),
        post(
            (
                "creditInvoice",
                "/v1/invoices/{invoice}/credit",
                Administers,
                "Take an invoice back, whole, and have its lines issued anew if wanted",
            ),
            OK,
            credit,
        ),
        post(
            ("writeOffInvoice", "/v1/invoices/{invoice}/write-off", Administers, "Give up what is open of an invoice"),
            OK,
            write_off,
        ),
    ]
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only in this state
    #[param(inline)]
    state: Option<InvoiceState>,
    /// Go on behind this: the `next` of the page before
    #[param(inline)]
    after: Option<Place>,
    /// How many at most, 1 to 1000; 50 if not given
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct InvoicePage {
    invoices: Vec<InvoiceView>,
    /// What the next page is behind; null at the end
    next: Option<String>,
    as_of: String,
}

async fn list(call: Call<ListQuery>) -> Handled<InvoicePage> {
    let (id, _) = call.account().await?;
    let (most, after) = (limit(call.input.limit.as_deref())?, call.input.after.as_ref().map(|place| place.0));
    let state = call.input.state.map(Into::into);
    let after = (id, after.unwrap_or(-1));
    let mut rows = call.face.office.store.invoices_page(Some(id), state, after, most + 1).await?;
    let next = behind(&mut rows, most).map(|row| row.number.to_string());
    let invoices = rows.iter().map(|row| call.invoice_view(row)).collect();
    Ok(InvoicePage { invoices, next, as_of: call.now.to_string() })
}

#[derive(Serialize, ToSchema)]
struct WholeInvoice {
    #[serde(flatten)]
    invoice: InvoiceView,
    lines: Vec<LineView>,
    as_of: String,
}

async fn show(call: Call<Nothing>) -> Handled<WholeInvoice> {
    let row = call.invoice().await?;
    let lines = row.lines.iter().map(|line| LineView::of(&row, line)).collect();
    Ok(WholeInvoice { invoice: call.invoice_view(&row), lines, as_of: call.now.to_string() })
}

async fn print(call: Call<Nothing>) -> Handled<Answer> {
    let row = call.invoice().await?;
    let view = call.invoice_view(&row);
    Ok(Answer::html(on_paper(&row, &view)))
}

const STYLE: &str = "body{font-family:sans-serif;max-width:48em;margin:2em auto}table{width:100%;\
    border-collapse:collapse}th,td{text-align:left;padding:.3em;border-bottom:1px solid #ccc}.n{text-align:right}\
    @media print{body{margin:0}}";

fn on_paper(row: &InvoiceRow, view: &InvoiceView) -> String {
    let name = view.printed.as_deref().unwrap_or(&view.reference);
    let title = escaped(&format!("Invoice {name}"));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
        <h1>{title}</h1><p>Issued {} · {}</p>",
        escaped(&view.issued_at),
        escaped(view.state)
    );
    if let Some(note) = &view.credit_note {
        let _infallible = write!(page, "<p>Taken back by credit note {}</p>", escaped(note));
    }
    let buyer: Vec<String> = view.buyer.values().map(|line| escaped(line).replace('\n', "<br>")).collect();
    let _infallible =
        write!(page, "<p>{}</p><table><tr><th>Service<th>What<th>From<th>To<th class=n>Amount", buyer.join("<br>"));
    for line in &row.lines {
        let line = LineView::of(row, line);
        let cells = [&line.service, line.kind, &line.from, &line.to].map(escaped);
        let _infallible = write!(page, "<tr><td>{}<td class=n>{}", cells.join("<td>"), escaped(&line.amount));
    }
    let currency = view.currency;
    for (label, amount) in [("Total", &view.total), ("Paid", &view.paid), ("To pay", &view.to_pay)] {
        let _infallible = write!(page, "<tr><th colspan=4>{label}<th class=n>{} {currency}", escaped(amount));
    }
    page + "</table></html>\n"
}

/// As text that HTML shows as it stands.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credit {
    reason: Line,
    /// Have its lines issued anew at once
    #[serde(default)]
    reissue: bool,
    #[serde(default)]
    preview: bool,
}

async fn credit(call: Call<Credit>) -> Handled<ChangeView> {
    let row = call.invoice().await?;
    let Credit { reason: Line(reason), reissue, preview } = &call.input;
    let action = Action::CreditInvoice {
        invoice: row.number,
        author: call.caller.actor(),
        reason: reason.clone(),
        reissue: reissue.then(Buyer::new),
    };
    acting::act(&call, row.account_id, action, *preview, StatusCode::OK).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WriteOff {
    reason: Line,
    #[serde(default)]
    preview: bool,
}

async fn write_off(call: Call<WriteOff>) -> Handled<ChangeView> {
    let row = call.invoice().await?;
    let WriteOff { reason: Line(reason), preview } = &call.input;
    let (invoice, author) = (row.number, call.caller.actor());
    let action = Action::WriteOffInvoice { invoice, author, reason: reason.clone() };
    acting::act(&call, row.account_id, action, *preview, StatusCode::OK).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_shows_texts_as_they_stand() {
        assert_eq!(escaped("<script>\"O'Neil\" & sons"), "&lt;script&gt;&quot;O&#39;Neil&quot; &amp; sons");
    }
}
