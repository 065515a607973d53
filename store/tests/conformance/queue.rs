//! The queue, wherever it lies: wakes go in, wait, are taken once by a worker as apalis has them, and are forgotten.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use apalis::prelude::*;
use redis::{AsyncCommands as _, Client};
use store::{Opening, RunId, Store, Wake, Wakes};

use crate::books::{Books, NOW};
use crate::servers::Server;

const POLL: Duration = Duration::from_millis(20);

/// Far from what this machine's clock says: nothing may go by it.
const LATER_SECS: i64 = 400 * 365 * rules::DAY;

type Taken = Arc<Mutex<Vec<Wake>>>;

fn wakes() -> Vec<Wake> {
    let wake = |shard| Wake { job: "bill_instances".to_owned(), run: Some(RunId(7)), slot: Some(NOW), shard };
    [0, 1, 2].map(|shard| wake(Some(shard))).into()
}

async fn take(payload: serde_json::Value, taken: Data<Taken>) -> Result<(), BoxDynError> {
    taken.lock().expect("nobody fell").push(serde_json::from_value(payload)?);
    Ok(())
}

macro_rules! run {
    ($wakes:expr, $taken:expr) => {
        WorkerBuilder::new("w1").backend($wakes).data($taken).build(take).run().await
    };
}

async fn work(wakes: Wakes, taken: Taken) {
    let ended = match wakes {
        Wakes::Sqlite(wakes) => run!(wakes.poll_with_interval(POLL), taken),
        Wakes::Postgres(wakes) => run!(wakes, taken),
        Wakes::Redis(wakes) => run!(wakes.poll_with_interval(POLL), taken),
    };
    ended.expect("the worker goes on");
}

async fn waiting(store: &Store) -> u64 {
    store.wakes_waiting().await.expect("counted")
}

async fn each_wake_is_taken_once_and_forgotten(store: &Store) {
    let forget = async || store.wakes_purge(NOW.plus_secs(LATER_SECS), 0).await.expect("purged");
    assert_eq!((waiting(store).await, forget().await), (0, 0));
    store.wake(&wakes()).await.expect("pushed");
    // What waits is not forgotten, however old.
    assert_eq!((waiting(store).await, forget().await, waiting(store).await), (3, 0, 3));
    let taken = Taken::default();
    let worker = tokio::spawn(work(store.wakes().expect("a queue"), taken.clone()));
    let mut forgotten = 0;
    while forgotten < 3 {
        assert!(!worker.is_finished(), "the worker ended");
        tokio::time::sleep(POLL).await;
        // Not before it has them: it would be forgotten itself.
        if taken.lock().expect("nobody fell").len() == 3 {
            forgotten += forget().await;
        }
    }
    worker.abort();
    let mut taken = taken.lock().expect("nobody fell").clone();
    taken.sort_by_key(|wake| wake.shard);
    assert_eq!(taken, wakes());
    assert_eq!((waiting(store).await, forget().await), (0, 0));
    store.wake(&wakes()).await.expect("pushed");
    store.wakes_lose().await.expect("lost");
    assert_eq!(waiting(store).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_the_books() {
    let books = Books::new().await;
    books.store.queue_setup().await.expect("setup");
    let store = Store::open(&books.url(), Opening::serving(NOW).with_queue("jobs")).await.expect("open");
    each_wake_is_taken_once_and_forgotten(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_a_redis() {
    let redis = Server::redis();
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let books = Books::new().await;
    let open = async |books: &Books| {
        let opening = Opening::serving(NOW).with_queue("jobs").with_redis(Some(&url));
        Store::open(&books.url(), opening).await.expect("open")
    };
    let store = open(&books).await;
    store.queue_answers().await.expect("it is there");
    each_wake_is_taken_once_and_forgotten(&store).await;

    let mut inside =
        Client::open(url.clone()).expect("a URL").get_multiplexed_async_connection().await.expect("a Redis");
    // Nothing of them is left, nor of workers that are struck off; what another's clock says keeps none back.
    store.wake(&wakes()).await.expect("pushed");
    let ready: Vec<String> = inside.keys("jobs:*:active").await.expect("keys");
    let held_back: Vec<String> = inside.keys("jobs:*:scheduled").await.expect("keys");
    assert_eq!((ready.len(), held_back.len()), (1, 0));
    store.wakes_lose().await.expect("lost");
    assert_eq!(inside.keys::<_, Vec<String>>("jobs:*").await.expect("keys"), [""; 0]);
    let note = ready[0].replace(":active", ":workers:metadata:gone");
    let _: () = inside.hset(&note, "service", "x").await.expect("noted");
    store.wakes_purge(NOW, 0).await.expect("purged");
    assert!(!inside.exists::<_, bool>(&note).await.expect("asked"), "{note}");

    // Other books in the same Redis have their own, also where everything else is called the same.
    let others = open(&Books::new().await).await;
    store.wake(&wakes()).await.expect("pushed");
    assert_eq!((waiting(&store).await, waiting(&others).await), (3, 0));
    others.wakes_lose().await.expect("its own are lost");
    assert_eq!(waiting(&store).await, 3);

    drop(redis);
    store.queue_answers().await.expect_err("it is gone");
}
