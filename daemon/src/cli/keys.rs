//! `bursar keys`.

use clap::{Subcommand, ValueEnum};
use rules::Timestamp;
use serde_json::json;
use store::{ApiKey, KeyScope, NewKey};

use crate::cli::author::author;
use crate::cli::books::Books;
use crate::cli::given;
use crate::cli::rows::written;
use crate::cli::{DONE, Format};
use crate::http::secrets::Secret;
use crate::input::{BadInput, arguments};
use crate::tables::{or_dash, table};

#[derive(clap::Args)]
pub struct KeysArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key; it is shown now and never again
    ///
    /// Scopes: admin may do everything; operator moves jobs and runs, and no money; panel acts for any account; read
    /// looks and changes nothing. Keys for one account alone are made over HTTP by a panel, and live for minutes.
    ///
    /// Examples:
    ///   bursar keys create panel --scope panel
    ///   bursar keys create grafana --scope read --expires 2027-12-31
    #[command(verbatim_doc_comment)]
    Create {
        /// What it is for, for who looks later
        #[arg(value_parser = arguments::name)]
        name: String,
        #[arg(long, value_enum)]
        scope: Scope,
        /// Refused from this second or day on
        #[arg(long, value_name = "TIME", value_parser = arguments::time)]
        expires: Option<Timestamp>,
    },
    /// List keys, without their secrets
    ///
    /// Example:
    ///   bursar keys list
    #[command(verbatim_doc_comment)]
    List,
    /// Refuse a key from now on, within a second
    ///
    /// Example:
    ///   bursar keys revoke 0a1b2c3d4e5f
    #[command(verbatim_doc_comment)]
    Revoke {
        /// As the list shows it
        key: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Scope {
    Admin,
    Operator,
    Panel,
    Read,
}

pub async fn run(args: KeysArgs) -> anyhow::Result<u8> {
    let store = match &args.command {
        KeysCommand::List => args.books.store().await?,
        _ => args.books.store_for_changes().await?,
    };
    let now = ::jobs::Clock::system().now();
    let noting = |action: &str, object: String| given::noting_as(&store, action.to_owned(), object);
    match args.command {
        KeysCommand::Create { name, scope, expires } => {
            if let Some(expires) = expires.filter(|expires| *expires <= now) {
                return Err(BadInput(format!("--expires {expires}: that has passed")).into());
            }
            let scope = match scope {
                Scope::Admin => KeyScope::Admin,
                Scope::Operator => KeyScope::Operator,
                Scope::Panel => KeyScope::Panel,
                Scope::Read => KeyScope::Read,
            };
            let (secret, by) = (Secret::fresh()?, author());
            let (prefix, digest) = (secret.prefix.as_str(), secret.digest.as_str());
            let key = NewKey {
                prefix,
                digest,
                name: &name,
                scope,
                account: None,
                made_by: None,
                created_by: &by,
                expires_at: expires,
            };
            noting("createKey", format!("key {prefix} {name} {}", scope.name()))?.key_insert(&key, now).await?;
            let json = json!({ "key": prefix, "name": name, "scope": scope.name(), "secret": secret.text });
            let text =
                format!("{}\nThat is the key, shown this once: keep it where only {name} reads it.", secret.text);
            args.format.print(&json, &text)?;
        }
        KeysCommand::List => {
            let keys = store.keys().await?;
            let json: Vec<_> = keys.iter().map(|key| as_json(key, now)).collect();
            args.format.print(&json!({ "keys": json }), &as_table(&keys, now))?;
        }
        KeysCommand::Revoke { key } => {
            let known = store.key(&key).await?;
            let Some(known) = known else {
                return Err(BadInput(format!("key `{key}`: there is no such key; see `bursar keys list`")).into());
            };
            let before = known.revoked_at.is_some();
            if !before {
                let noted = noting("revokeKey", format!("key {key} {}", known.name))?;
                noted.key_revoke(&key, &author(), now).await?;
            }
            let text = match before {
                true => format!("Key {key} ({}) was revoked before.", known.name),
                false => format!("Key {key} ({}) is refused from now on.", known.name),
            };
            args.format.print(&json!({ "key": key, "revoked": true, "before": before }), &text)?;
        }
    }
    Ok(DONE)
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    match (key.revoked_at, key.is_good(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "good",
        (None, false) => "expired",
    }
}

fn as_json(key: &ApiKey, now: Timestamp) -> serde_json::Value {
    json!({
        "key": key.prefix,
        "name": key.name,
        "scope": key.scope.name(),
        "state": state(key, now),
        "created_at": key.created_at.to_string(),
        "created_by": key.created_by,
        "expires_at": written(key.expires_at),
        "last_used_at": written(key.last_used_at),
    })
}

fn as_table(keys: &[ApiKey], now: Timestamp) -> String {
    if keys.is_empty() {
        return "No keys. Make one: bursar keys create NAME --scope admin".to_owned();
    }
    let mut table = table(&["key", "name", "scope", "state", "created at", "by", "expires at", "last used at"], &[]);
    for key in keys {
        table.add_row([
            key.prefix.as_str(),
            &key.name,
            key.scope.name(),
            state(key, now),
            &key.created_at.to_string(),
            &key.created_by,
            or_dash(written(key.expires_at).as_deref()),
            or_dash(written(key.last_used_at).as_deref()),
        ]);
    }
    table.to_string()
}
