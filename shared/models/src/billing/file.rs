//! The PDFs of invoices and credit notes: each is kept once and never replaced.

use database::{DbError, Query, Tx};
use values::Timestamp;

use crate::Reader;

/// Keeps the PDF of a document; one that is kept already stays. Returns whether it is new.
pub async fn keep_file(
    tx: &mut Tx<'_>,
    number: &str,
    pdf: &[u8],
    now: Timestamp,
) -> Result<bool, DbError> {
    let query = Query::new(
        "INSERT INTO invoice_file (number, pdf, created_at) VALUES ($1, $2, $3)
           ON CONFLICT (number) DO NOTHING",
    );
    Ok(tx.execute(query.bind(number).bind(pdf.to_vec()).bind(now)).await? == 1)
}

/// Reads the PDF of a document, if it was made already.
pub async fn file(mut reader: impl Reader, number: &str) -> Result<Option<Vec<u8>>, DbError> {
    let query = Query::new("SELECT pdf FROM invoice_file WHERE number = $1");
    reader.first(query.bind(number)).await?.map(|row| row.get(0)).transpose()
}
