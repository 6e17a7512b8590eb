//! A database of its own for a test, on the engine it asks for.

use database::{Db, EngineKind, PostgresSettings, SchemaRange};
use tempfile::TempDir;
use values::{Secret, Timestamp};

use crate::{TestDatabase, postgres_template};

/// Connections of one test at the most; the server is shared.
const CONNECTIONS_MAX: u32 = 8;

/// A migrated database that goes with its value.
#[derive(Debug)]
pub struct TestDb {
    /// The database.
    pub db: Db,
    keeper: Keeper,
}

#[derive(Debug)]
enum Keeper {
    File { _folder: TempDir },
    Server(TestDatabase),
}

impl TestDb {
    /// Makes a database with these parts of the schema: a file, or a copy of the template `name`
    /// on the shared server (see [`postgres_template`]).
    ///
    /// # Panics
    /// If the server does not run or a migration fails; it says why.
    pub async fn new(engine: EngineKind, name: &str, schemas: &[SchemaRange]) -> Self {
        match engine {
            EngineKind::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder can be made");
                let db = Db::open_sqlite(&folder.path().join("main.db")).await;
                let db = db.expect("a new database can be made");
                migrate(&db, schemas).await.expect("a new database takes its schema");
                Self { db, keeper: Keeper::File { _folder: folder } }
            }
            EngineKind::Postgres => {
                let made = postgres_template(name, async |url| {
                    let db = open(&url).await?;
                    migrate(&db, schemas).await?;
                    db.close().await;
                    Ok(())
                });
                let database = made.await.unwrap_or_else(|error| panic!("{error:?}"));
                let db = open(database.url()).await.expect("the shared server answers");
                Self { db, keeper: Keeper::Server(database) }
            }
        }
    }

    /// The database's address if it is on a server.
    pub fn url(&self) -> Option<&str> {
        match &self.keeper {
            Keeper::File { _folder: _ } => None,
            Keeper::Server(database) => Some(database.url()),
        }
    }
}

async fn open(url: &str) -> Result<Db, database::DbError> {
    let usual = PostgresSettings::new(Secret::new(url.to_owned()));
    let settings =
        PostgresSettings { max_connections: CONNECTIONS_MAX, pooled: Some(false), ..usual };
    Db::open_postgres(&settings).await
}

async fn migrate(db: &Db, schemas: &[SchemaRange]) -> Result<(), database::DbError> {
    for schema in schemas {
        schema.migrate(db, Timestamp::EPOCH).await?;
    }
    Ok(())
}

/// Makes two tests of each function named, one per engine, which hand it an `EngineKind`.
///
/// ```ignore
/// async fn stores_what_it_is_given(engine: EngineKind) { /* ... */ }
///
/// testkit::on_each_engine!(stores_what_it_is_given);
/// ```
///
/// A function that is left out is dead code, which the compiler reports.
#[macro_export]
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {$(
            #[tokio::test]
            async fn $test() {
                super::$test(database::EngineKind::Sqlite).await;
            }
        )*}

        mod on_postgres {$(
            #[tokio::test]
            async fn $test() {
                super::$test(database::EngineKind::Postgres).await;
            }
        )*}
    };
}
