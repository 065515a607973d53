//! Actions on accounts: the rules decide, and the answer is written with what they decided.

use axum::http::StatusCode;
use rules::{AccountId, Action};
use store::Told;

use crate::cli::act::{self, Brought};
use crate::cli::refusal::{self, By};
use crate::cli::rows;
use crate::http::operation::{Asked, Call, Handled};
use crate::http::problem::Problem;
use crate::view::{ChangeView, ServiceView};

/// Does `action` on an account, or only says what it would come to.
pub async fn act<I>(
    call: &Call<I>,
    id: AccountId,
    action: Action,
    preview: bool,
    success: StatusCode,
) -> Handled<ChangeView> {
    let (asked, office) = (&call.asked, &call.face.office);
    asked.trusted_now()?;
    if preview {
        office.reload_if_moved().await?;
        let brought = act::preview(office, id, &action, By::Request).await?;
        return Ok(seen(asked, &brought));
    }
    if call.once.was_done() {
        let detail = "it was begun and waits for a card, or did: look at the account before you ask with another key";
        return Err(Problem::new(StatusCode::CONFLICT, "awaits_card", detail));
    }
    let before = act::load(office, id, act::named(&action)).await?;
    let object = act::named(&action).map_or_else(
        || format!("account {}", before.name),
        |service| format!("account {} service {service}", before.name),
    );
    let stood = act::state(&before, act::named(&action));
    let tells = {
        let (asked, action, office) = (asked.clone(), action.clone(), office.clone());
        move |changes: &rules::Changes| {
            let brought = Brought::of(changes, &action, asked.now);
            let told = Told {
                before: Some(stood.clone()),
                after: Some(act::state(&changes.account, act::named(&action))),
                ..Told::default()
            };
            match changes.outcome {
                Some(Ok(())) => {
                    let body = rows::json(&seen(&asked, &brought)).to_string();
                    Told { answer: Some((success.as_u16(), body)), ..told }
                }
                Some(Err(refused)) => {
                    let account = &changes.account;
                    let why =
                        office.with_context(|cx| refusal::why(refused, &action, account, cx, asked.now, By::Request));
                    let problem = Problem::refused(refused.name(), &why).of_request(&asked.request);
                    let answer = Some((StatusCode::CONFLICT.as_u16(), problem.text()));
                    Told { result: refused.name().to_owned(), answer, ..told }
                }
                None => Told { result: "waits".to_owned(), ..told },
            }
        }
    };
    let noting = call.once.office(asked, object, Some(id), Some(Box::new(tells)));
    let brought = act::act_as(&noting, id, &action, (&asked.caller.actor(), By::Request)).await?;
    Ok(seen(asked, &brought))
}

fn seen(asked: &Asked, brought: &Brought) -> ChangeView {
    asked.change_view(brought.account().id, brought.service(), brought.view())
}

/// The states of a service that is shown, for lists.
pub fn services(asked: &Asked, rows: &[store::ServiceRow]) -> Vec<ServiceView> {
    rows.iter().map(|row| asked.service_view(row)).collect()
}
