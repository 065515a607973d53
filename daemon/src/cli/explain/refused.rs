//! Why something was refused.

use store::RefusalRow;

use super::{Asked, Explained};

impl Asked<'_> {
    pub async fn refused(&self, number: i64) -> anyhow::Result<Option<Explained>> {
        let Some(row) = self.store.refusal(self.id, number).await? else { return Ok(None) };
        let RefusalRow { at, action, service, code, why, author, stood, .. } = &row;
        let of = service.as_ref().map_or_else(String::new, |service| format!(" of {service}"));
        let known = |what: &str| stood.get(what).map_or("-", String::as_str);
        let mut stands =
            format!("Account {} was {} then, its wallet had {}", row.account, known("account"), known("wallet"));
        if let Some(service) = service.as_ref().filter(|_| stood.contains_key("service")) {
            stands += &format!(", and {service} of plan {} was {}", known("plan"), known("service"));
        }
        Ok(Some(Explained {
            why: format!("{author} asked for {action}{of}, which was refused ({code}): {why}. {stands}."),
            amount: None,
            basis: None,
            effective_at: *at,
            recorded_at: *at,
            run: None,
            related: Vec::new(),
        }))
    }
}
