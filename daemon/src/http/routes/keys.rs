//! Keys: made, listed and revoked. A panel makes keys for one account, which live for minutes.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{ApiKey, KeyScope, NewKey, Told};
use utoipa::ToSchema;

use crate::cli::rows::written;
use crate::http::access::Access;
use crate::http::operation::{Call, Handled, Nothing, Operation, get, post};
use crate::http::problem::Problem;
use crate::http::secrets::Secret;
use crate::http::words::{Line, Second, Whole};

/// A key for one account lives so long at most.
const MOST_MINUTES: u32 = 60;
const MINUTES: u32 = 15;

pub fn operations() -> Vec<Operation> {
    use Access::{Administers, Serves};
    vec![
        get(("listKeys", "/v1/keys", Administers, "List keys, without their secrets"), list),
        post(
            (
                "createAccountKey",
                "/v1/accounts/{account}/keys",
                Serves,
                "Make a key for one account, for minutes; its secret is shown once",
            ),
            StatusCode::CREATED,
            create,
        ),
        post(
            (
                "createKey",
                "/v1/keys",
                Administers,
                "Make a key for a panel, for operators or to read; its secret is shown once",
            ),
            StatusCode::CREATED,
            create_wide,
        ),
        post(("revokeKey", "/v1/keys/{key}/revoke", Administers, "Refuse a key from now on"), StatusCode::OK, revoke),
    ]
}

#[derive(Serialize, ToSchema)]
struct KeyView {
    /// What it is called by, and begins with behind `bk_`
    #[schema(example = "0a1b2c3d4e5f")]
    key: String,
    name: String,
    #[schema(example = "panel")]
    scope: &'static str,
    account: Option<String>,
    created_at: String,
    created_by: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    /// Within a minute or so
    last_used_at: Option<String>,
}

impl KeyView {
    fn of(key: &ApiKey) -> Self {
        Self {
            key: key.prefix.clone(),
            name: key.name.clone(),
            scope: key.scope.name(),
            account: key.account_name.clone(),
            created_at: key.created_at.to_string(),
            created_by: key.created_by.clone(),
            expires_at: written(key.expires_at),
            revoked_at: written(key.revoked_at),
            last_used_at: written(key.last_used_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Keys {
    keys: Vec<KeyView>,
    as_of: String,
}

async fn list(call: Call<Nothing>) -> Handled<Keys> {
    let keys = call.face.office.store.keys().await?;
    Ok(Keys { keys: keys.iter().map(KeyView::of).collect(), as_of: call.now.to_string() })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    /// What it is for, for who looks later
    name: Line,
    /// How long it lives, 1 to 60; 15 if not given
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 60)]
    minutes: Option<Whole>,
}

/// A key with its secret: it is shown in this answer alone. A repeated request is told that it was.
#[derive(Serialize, ToSchema)]
struct FreshKey {
    #[serde(flatten)]
    key: KeyView,
    /// What goes behind `Authorization: Bearer`
    #[schema(example = "bk_0a1b2c3d4e5f_…")]
    secret: String,
}

async fn create(call: Call<CreateKey>) -> Handled<FreshKey> {
    let (id, account) = call.account().await?;
    let CreateKey { name: Line(name), minutes } = &call.input;
    let minutes = minutes.map_or(MINUTES, |minutes| minutes.0);
    if !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(Problem::bad_field("minutes", format!("it is a whole number from 1 to {MOST_MINUTES}")));
    }
    let (secret, by) = (Secret::fresh()?, call.caller.actor());
    let ends = call.now.plus_secs(i64::from(minutes) * 60);
    let maker = &call.caller.key;
    let (expires_at, made_by) = (Some(maker.expires_at.map_or(ends, |at| at.min(ends))), Some(maker.id));
    let (prefix, digest) = (secret.prefix.as_str(), secret.digest.as_str());
    let key = NewKey {
        prefix,
        digest,
        name,
        scope: KeyScope::Account,
        account: Some(id),
        made_by,
        created_by: &by,
        expires_at,
    };
    insert(&call, &key, format!("account {account} key {prefix}")).await?;
    fresh(&call, secret).await
}

/// What a key may be made for over HTTP. One for admins is made on the machine alone: whoever took an admin's key
/// would have another one behind it.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WideScope {
    Operator,
    Panel,
    Read,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateWideKey {
    /// Who will have it, for who looks later
    name: Line,
    scope: WideScope,
    /// From when it is refused; never, if not given
    expires_at: Option<Second>,
}

async fn create_wide(call: Call<CreateWideKey>) -> Handled<FreshKey> {
    let CreateWideKey { name: Line(name), scope, expires_at } = &call.input;
    let expires_at = expires_at.as_ref().map(|second| second.0);
    if expires_at.is_some_and(|at| at <= call.now) {
        return Err(Problem::bad_field("expires_at", "that has passed"));
    }
    let scope = match scope {
        WideScope::Operator => KeyScope::Operator,
        WideScope::Panel => KeyScope::Panel,
        WideScope::Read => KeyScope::Read,
    };
    let (secret, by) = (Secret::fresh()?, call.caller.actor());
    // It may outlive the key that made it, which `created_by` names, for admins' keys are changed for new ones; but not
    // beyond the second at which that one was to end.
    let maker_ends = call.caller.key.expires_at;
    let expires_at = expires_at.map_or(maker_ends, |at| Some(maker_ends.map_or(at, |end| at.min(end))));
    let (made_by, account) = (None, None);
    let (prefix, digest) = (secret.prefix.as_str(), secret.digest.as_str());
    let key = NewKey { prefix, digest, name, scope, account, made_by, created_by: &by, expires_at };
    insert(&call, &key, format!("key {prefix} {name} {}", scope.name())).await?;
    fresh(&call, secret).await
}

/// An answer that is kept would keep the secret: who asks again is told which key there is.
async fn insert<I>(call: &Call<I>, key: &NewKey<'_>, object: String) -> Handled<()> {
    let noting = call.once.office(call, object, key.account, None);
    let detail = format!("key {} was made and its secret shown, once: revoke it, and ask under a new key", key.prefix);
    let again = Problem::refused("shown_before", &detail).of_request(&call.request).text();
    call.once.tell(Told { answer: Some((StatusCode::CONFLICT.as_u16(), again)), ..Told::default() });
    noting.store.key_insert(key, call.now).await?;
    Ok(())
}

async fn fresh<I>(call: &Call<I>, Secret { prefix, text, .. }: Secret) -> Handled<FreshKey> {
    let made = call.face.office.store.key(&prefix).await?.ok_or_else(|| Problem::not_found("key", &prefix))?;
    Ok(FreshKey { key: KeyView::of(&made), secret: text })
}

async fn revoke(call: Call<Nothing>) -> Handled<KeyView> {
    let (prefix, store) = (call.part("key"), &call.face.office.store);
    let missing = || Problem::not_found("key", prefix);
    let is_hex = prefix.len() == 12 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = if is_hex { store.key(prefix).await?.ok_or_else(missing)? } else { return Err(missing()) };
    if key.revoked_at.is_none() {
        let noting = call.once.office(&call, format!("key {prefix}"), key.account, None);
        call.once.tell(Told { before: Some(json!({ "name": key.name }).to_string()), ..Told::default() });
        noting.store.key_revoke(prefix, &call.caller.actor(), call.now).await?;
    }
    Ok(KeyView::of(&store.key(prefix).await?.ok_or_else(missing)?))
}
