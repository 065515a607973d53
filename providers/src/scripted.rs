//! Cards that answer as a scenario says, through the seam of the real ones.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use rules::Answer;

use crate::cards::{CardCharge, Cards, Unreachable};

/// How charges of a card end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CardScript {
    Succeeds,
    Fails,
}

/// Answers at once. A key that was charged before has the answer that it had then, like at a real provider.
#[derive(Debug, Default)]
pub struct ScriptedCards {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, CardScript>,
    answered: HashMap<String, Answer>,
}

impl ScriptedCards {
    /// From now on charges of `card` end as the script says.
    pub fn script(&self, card: &str, script: CardScript) {
        self.with(|state| state.scripts.insert(card.to_owned(), script));
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Cards for ScriptedCards {
    fn charge<'a>(
        &'a self,
        charge: &'a CardCharge,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unreachable>> + Send + 'a>> {
        let answer = self.with(|state| {
            let answer = match state.scripts.get(&charge.card) {
                Some(CardScript::Succeeds) => Answer::Succeeded,
                Some(CardScript::Fails) | None => Answer::Failed,
            };
            *state.answered.entry(charge.key.clone()).or_insert(answer)
        });
        Box::pin(async move { Ok(answer) })
    }

    fn authorise<'a>(&'a self, card: &'a str) -> Pin<Box<dyn Future<Output = Result<bool, Unreachable>> + Send + 'a>> {
        let good = self.with(|state| state.scripts.get(card) == Some(&CardScript::Succeeds));
        Box::pin(async move { Ok(good) })
    }
}

#[cfg(test)]
mod tests {
    use rules::{Currency, Micros};

    use super::*;

    #[test]
    fn a_key_is_charged_once_whatever_the_card_does_later() {
        let cards = ScriptedCards::default();
        let charge = |key: &str| CardCharge {
            key: key.to_owned(),
            card: "ann".to_owned(),
            amount: Micros::new(1_000_000),
            currency: Currency::USD,
        };
        let ask = |charge: &CardCharge| {
            let mut asked = cards.charge(charge);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match asked.as_mut().poll(&mut context) {
                std::task::Poll::Ready(answer) => answer,
                std::task::Poll::Pending => panic!("scripted cards answer at once"),
            }
        };
        cards.script("ann", CardScript::Succeeds);
        assert_eq!(ask(&charge("1")), Ok(Answer::Succeeded));
        cards.script("ann", CardScript::Fails);
        assert_eq!(ask(&charge("1")), Ok(Answer::Succeeded));
        assert_eq!(ask(&charge("2")), Ok(Answer::Failed));
    }
}
