//! The tables of money. Amounts are minor units; `bill`, `details` and `totals` are frozen JSON.

/// The statements, in order.
pub(crate) const TABLES: &[&str] = &[
    crate::plans::PLAN_CHANGE,
    "CREATE TABLE billing_details (
      account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id), currency TEXT NOT NULL,
      legal_name TEXT, address TEXT, country TEXT, tax_id TEXT, po_number TEXT,
      copy_addresses TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE payment_customer (
      account_id BLOB NOT NULL PRIMARY KEY REFERENCES account (id), customer TEXT NOT NULL UNIQUE,
      updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE payment_card (
      id TEXT NOT NULL PRIMARY KEY, account_id BLOB NOT NULL REFERENCES account (id),
      brand TEXT NOT NULL, last4 TEXT NOT NULL, valid_through INTEGER NOT NULL,
      created_at INTEGER NOT NULL, deleted_at INTEGER) STRICT, WITHOUT ROWID",
    "CREATE INDEX payment_card_of_account ON payment_card (account_id, created_at)",
    "CREATE TABLE billing_usage (
      account_id BLOB NOT NULL, month INTEGER NOT NULL, bandwidth_bytes INTEGER NOT NULL,
      storage_bytes INTEGER NOT NULL, peer_milliseconds INTEGER NOT NULL,
      frozen_at INTEGER NOT NULL, PRIMARY KEY (account_id, month)) STRICT, WITHOUT ROWID",
    // One record per account and month, whoever settles it and how often.
    "CREATE TABLE billing_record (
      account_id BLOB NOT NULL REFERENCES account (id), month INTEGER NOT NULL,
      state TEXT NOT NULL, currency TEXT NOT NULL, list_price INTEGER NOT NULL,
      amount INTEGER NOT NULL CHECK (amount >= 0), total INTEGER NOT NULL CHECK (total >= 0),
      refusals INTEGER NOT NULL, attempted_at INTEGER, grace_until INTEGER, carried_into INTEGER,
      reason TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
      bill TEXT NOT NULL, plans TEXT NOT NULL, PRIMARY KEY (account_id, month))
      STRICT, WITHOUT ROWID",
    "CREATE INDEX billing_record_of_month ON billing_record (month, state)",
    "CREATE TABLE payment_attempt (
      key TEXT NOT NULL PRIMARY KEY, account_id BLOB NOT NULL, month INTEGER NOT NULL,
      attempt INTEGER NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0),
      customer TEXT, card TEXT, state TEXT NOT NULL, payment_id TEXT UNIQUE, code TEXT,
      created_at INTEGER NOT NULL, ended_at INTEGER, UNIQUE (account_id, month, attempt))
      STRICT, WITHOUT ROWID",
    // The last number given of each series: gapless, because it moves with what it numbers.
    "CREATE TABLE invoice_series (
      issuer TEXT NOT NULL, kind TEXT NOT NULL, last INTEGER NOT NULL,
      PRIMARY KEY (issuer, kind)) STRICT, WITHOUT ROWID",
    "CREATE TABLE invoice (
      number TEXT NOT NULL PRIMARY KEY, issuer TEXT NOT NULL, kind TEXT NOT NULL,
      sequence INTEGER NOT NULL, account_id BLOB NOT NULL REFERENCES account (id),
      month INTEGER NOT NULL, refers_to TEXT REFERENCES invoice (number), currency TEXT NOT NULL,
      net INTEGER NOT NULL CHECK (net >= 0), tax INTEGER NOT NULL CHECK (tax >= 0),
      paid INTEGER NOT NULL CHECK (paid >= 0), refunded INTEGER NOT NULL CHECK (refunded >= 0),
      credited INTEGER NOT NULL CHECK (credited >= 0),
      written_off INTEGER NOT NULL CHECK (written_off >= 0), issued_at INTEGER NOT NULL,
      due_at INTEGER NOT NULL, reason TEXT, details TEXT NOT NULL, bill TEXT NOT NULL,
      UNIQUE (issuer, kind, sequence)) STRICT, WITHOUT ROWID",
    "CREATE UNIQUE INDEX invoice_of_account_month ON invoice (account_id, month)
      WHERE kind = 'invoice'",
    "CREATE INDEX invoice_of_month ON invoice (month)",
    "CREATE TABLE invoice_file (
      number TEXT NOT NULL PRIMARY KEY REFERENCES invoice (number), pdf BLOB NOT NULL,
      created_at INTEGER NOT NULL) STRICT",
    // What happened is posted once per event, so that a repeat posts nothing.
    "CREATE TABLE ledger_entry (
      event TEXT NOT NULL, ledger_account TEXT NOT NULL, currency TEXT NOT NULL,
      minor INTEGER NOT NULL CHECK (minor <> 0), account_id BLOB NOT NULL, number TEXT NOT NULL,
      month INTEGER NOT NULL, at INTEGER NOT NULL,
      PRIMARY KEY (event, ledger_account)) STRICT, WITHOUT ROWID",
    "CREATE INDEX ledger_entry_of_month ON ledger_entry (month)",
    // Which document an event made, under the asker's own name for it.
    "CREATE TABLE document_event (
      event TEXT NOT NULL PRIMARY KEY, number TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE payment_refund (
      key TEXT NOT NULL PRIMARY KEY, number TEXT NOT NULL REFERENCES invoice (number),
      account_id BLOB NOT NULL, payment_id TEXT NOT NULL, currency TEXT NOT NULL,
      amount INTEGER NOT NULL CHECK (amount > 0), reason TEXT NOT NULL, state TEXT NOT NULL,
      result TEXT, created_at INTEGER NOT NULL, ended_at INTEGER) STRICT, WITHOUT ROWID",
    "CREATE INDEX payment_refund_of_invoice ON payment_refund (number)",
    "CREATE TABLE gateway_event (
      id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, payment_id TEXT, created_at INTEGER NOT NULL,
      received_at INTEGER NOT NULL, applied_at INTEGER, result TEXT) STRICT, WITHOUT ROWID",
    "CREATE TABLE billing_run (
      month INTEGER NOT NULL PRIMARY KEY, totals TEXT NOT NULL, release TEXT NOT NULL,
      first_seen_at INTEGER NOT NULL, released_at INTEGER) STRICT, WITHOUT ROWID",
    "CREATE TABLE billing_approval (
      month INTEGER NOT NULL PRIMARY KEY, totals TEXT NOT NULL, approved_by TEXT NOT NULL,
      approved_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE billing_brake (
      id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), reason TEXT NOT NULL,
      stopped_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];
