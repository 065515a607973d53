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
use crate::http::words::{Line, Whole};

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

/// A key with its secret: it is shown in this answer alone, and a repeated request gets a new one.
#[derive(Serialize, ToSchema)]
struct FreshKey {
    #[serde(flatten)]
    key: KeyView,
    /// What goes behind `Authorization: Bearer`
    #[schema(example = "bk_0a1b2c3d4e5f_…")]
    secret: String,
}

/// Without a note of the request: an answer that is kept would keep the secret.
async fn create(call: Call<CreateKey>) -> Handled<FreshKey> {
    let (id, account) = call.account().await?;
    let CreateKey { name: Line(name), minutes } = &call.input;
    let minutes = minutes.map_or(MINUTES, |minutes| minutes.0);
    if !(1..=MOST_MINUTES).contains(&minutes) {
        return Err(Problem::bad_field("minutes", format!("it is a whole number from 1 to {MOST_MINUTES}")));
    }
    let (secret, store, by) = (Secret::fresh()?, &call.face.office.store, call.caller.actor());
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
    let note = call.once.alone(&call, format!("account {account} key {prefix}"), Some(id));
    store.noting(note).key_insert(&key, call.now).await?;
    let made = store.key(prefix).await?.ok_or_else(|| Problem::not_found("key", prefix))?;
    Ok(FreshKey { key: KeyView::of(&made), secret: secret.text })
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
